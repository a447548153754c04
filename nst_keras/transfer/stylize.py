"""The Python interface: from pictures and a config to a stream of iterates."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

from nst_keras.devices import keras_settings
from nst_keras.devices.memory import take_gpu_memory_as_needed
from nst_keras.devices.replicas import Replicas, make_replicas
from nst_keras.imaging.in_memory import PictureLike
from nst_keras.network.weights import Weights
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.resolve import Settings, resolve
from nst_keras.transfer.inputs import read_inputs
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.loop import optimize
from nst_keras.transfer.planning import make_plan
from nst_keras.transfer.problem import StyleTransferProblem


def stylize(
    content: PictureLike,
    styles: PictureLike | Iterable[PictureLike],
    config: Config | None = None,
    *,
    weights: Weights | None = None,
    checkpointer: Checkpointer | None = None,
    replicas: Replicas | None = None,
    is_dropped: Callable[[], bool] = lambda: False,
) -> Generator[Iterate, None, None]:
    """Paint the content in the style of other pictures (Gatys et al. 2016), from coarse to fine.

    Args:
        content, styles: paths; images of Pillow; arrays or tensors (H, W) or (H, W, channels) of
            gray, gray with alpha, RGB or RGBA, as floats in [0, 1], uint8 or uint16; or picture
            files as bytes or open files. Alpha is composited over white.
        config: settings; those that are None come from its objective's preset. Settings about
            files are refused: nothing is written but the checkpointer's files.
        weights: of the backbone, if they have been read already.
        checkpointer: where the state is saved when it is due, and resumed from at the start.
            Closing the generator early also saves the state. With several hosts, only the chief
            saves.
        replicas: the devices and hosts that share the tiles; by default, those that the config's
            `distribute` names.
        is_dropped: called after each tile; the current step, which may take minutes, is given up
            if it returns True.

    Yields:
        An `Iterate` about every second of work, or after each step if a step takes longer; at every
        multiple of `log_every`, `image_every` (by default about 24 in all) and the checkpointer's
        `every`, at every step in `image_at`, and at the end of every scale.

    Raises:
        InputError: a picture, a weights file or a setting cannot be used.
        FloatingPointError: the losses are not finite or explode, and smaller steps did not help.
        MemoryError: even small tiles do not fit the device.
        LostHostError: another host is gone; the state is saved, if this host is the chief.
        DeviceError: a device is gone.
        StepDropped: `is_dropped` returned True; the state before that step is saved.
    """
    started = time.monotonic()
    config = config or Config()
    settings = resolve(config)
    _refuse_file_settings(config)
    inputs = read_inputs(settings, content, styles, weights)
    ours = functools.partial(keras_settings.ours, settings.deterministic)
    with ours():
        take_gpu_memory_as_needed()
        if replicas is None:
            replicas = make_replicas(settings.distribute, settings.replicas)
        settings = _as_begun(settings, checkpointer)
        given = config.iterations is not None
        plan = make_plan(settings, inputs, replicas, started=started, iterations_given=given)
        problem = StyleTransferProblem(settings, inputs, plan, replicas, is_dropped)
        rounds = optimize([problem], [checkpointer])
    return _only(rounds, ours)


def _only(
    rounds: Generator[list[Iterate], None, None],
    ours: Callable[[], contextlib.AbstractContextManager],
) -> Generator[Iterate, None, None]:
    """The iterates of the only picture, each computed within `ours()`; the user's code is not."""

    def within(compute: Callable[..., Any]) -> Callable[..., Any]:
        def computed(*arguments: Any) -> Any:
            with ours():
                return compute(*arguments)

        return computed

    try:
        while iterates := within(next)(rounds, None):
            (iterate,) = iterates
            if iterate.source is not None:
                iterate.source = iterate.source._replace(value=within(iterate.source.value))
            yield iterate
    finally:
        within(rounds.close)()


def _refuse_file_settings(config: Config) -> None:
    for name, option in OPTIONS.items():
        value = getattr(config, name)
        if option.for_files and value not in (None, option.default):
            raise InputError(
                f"{name}={option.format(value)}: stylize() takes no settings about files; "
                "use the command nst_keras.run, or leave it out"
            )


def _as_begun(settings: Settings, checkpointer: Checkpointer | None) -> Settings:
    """With the precision of the checkpoint: a run ends as it began, on whatever device."""
    saved = checkpointer.peek() if checkpointer else None
    if saved is None:
        return settings
    precision = str(saved.state["run"]["precision"])
    if settings.precision not in ("auto", precision):
        raise InputError(
            f"--precision={settings.precision}: the checkpoint of step {saved.step} was computed "
            f"in {precision}; resume with --precision={precision} or auto, or use another folder"
        )
    return dataclasses.replace(settings, precision=precision, time_limit=None)
