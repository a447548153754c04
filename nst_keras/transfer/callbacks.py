"""Callbacks of a run, in the manner of Keras: what the user's code is told, and how it stops it."""

import dataclasses
from collections.abc import Iterable, Sequence

from nst_keras.runtime.errors import InputError
from nst_keras.transfer.iterate import Iterate


class Callback:
    """What is called during a run; override what you need.

    The names are those of `keras.callbacks.Callback`: a batch is one step, counted from 1 over all
    scales, and an epoch is one scale, counted from 0. `logs` has the losses by the name of their
    term, and their sum as 'loss' and 'total'.

    Attributes:
        stop: set it to True to end the run after the present step. What is there is the result; the
            state is saved if there is a folder for it, so the same call resumes.
        iterate: the newest `Iterate`, with the image, the sizes and the time that is left; None
            before the first one.
    """

    stop: bool = False
    iterate: Iterate | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Called before the first step of this call; a resumed run begins anew."""

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Called after the last step of this call, also if it was stopped or interrupted."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called when the first iterate of a scale is there."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called after the last step of a scale."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Called after the steps that yield an `Iterate`: about every second, and wherever
        `log_every`, `image_every` or the end of a scale says so; after each step with
        `log_every=1`."""


@dataclasses.dataclass
class CallbackList:
    """Tells callbacks of the iterates of one run."""

    callbacks: Sequence[Callback] = ()
    _epoch: int | None = None

    @classmethod
    def of(cls, callbacks: Callback | Iterable[Callback] | None) -> "CallbackList":
        """From what the user gave: none, one, or several; InputError for anything else."""
        given: list[Callback] = []
        if isinstance(callbacks, Iterable):
            given = list(callbacks)
        elif callbacks is not None:
            given = [callbacks]
        for one in given:
            if not isinstance(one, Callback):
                kind = one.__name__ if isinstance(one, type) else type(one).__name__
                raise InputError(
                    f"callbacks: {kind} is no nst_keras.Callback; derive a class from it and give "
                    "an object of the class"
                )
        return cls(tuple(given))

    def begin(self) -> None:
        """Tell of the start."""
        for one in self.callbacks:
            one.stop, one.iterate = False, None
            one.on_train_begin()

    def take(self, iterate: Iterate) -> bool:
        """Tell of an iterate; returns whether one of the callbacks wants the run to stop."""
        logs = {"loss": iterate.terms["total"], **iterate.terms}
        scale = iterate.scale.index
        begins = scale != self._epoch
        self._epoch = scale
        for one in self.callbacks:
            one.iterate = iterate
            if begins:
                one.on_epoch_begin(scale, dict(logs))
            one.on_train_batch_end(iterate.step, dict(logs))
            if iterate.ends_scale:
                one.on_epoch_end(scale, dict(logs))
        return any(one.stop for one in self.callbacks)

    def end(self) -> None:
        """Tell of the end."""
        for one in self.callbacks:
            logs = None
            if one.iterate is not None:
                logs = {"loss": one.iterate.terms["total"], **one.iterate.terms}
            one.on_train_end(logs)
