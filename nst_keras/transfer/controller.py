"""Control of the run of one picture: what is due, reported and saved, and how it recovers."""

import logging
import time
from typing import Any

import numpy as np
import tensorflow as tf

from nst_keras.devices import memory
from nst_keras.devices.variables import Variables
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer, State
from nst_keras.runtime.errors import DeviceError, InputError, LostHostError, StepDropped, first_line
from nst_keras.transfer.cost import waiting_pixels
from nst_keras.transfer.iterate import Iterate, PictureSource
from nst_keras.transfer.monitors import DivergenceMonitor, EarlyStopping
from nst_keras.transfer.out_of_memory import is_out_of_memory
from nst_keras.transfer.pace import Pace
from nst_keras.transfer.plan import Scale
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun

_log = logging.getLogger(__name__)

# Errors of operations when another host or the device is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class Controller:
    """Counts steps and seconds over the scales; reports and saves what is due.

    Args:
        checkpointer: where states are saved by the chief, and resumed from; None: nowhere.
        batch: identifies the batch that the picture belongs to; empty: it has none.

    Attributes:
        start: the state that the scale is set up with; None: it starts from `picture`.
        picture: the result of the scale before, if there is one: (H, W, 3).
        variables: of the scale, and of those before it with the same graph.
        leaves_graph: whether the scale before had a graph that does not serve this one.
        is_traced: whether the scale has taken a step since it was begun or resumed.
        pace: of the run's steps.

    Raises:
        InputError: the checkpoint is not of a step of the plan, or hosts found different ones.
    """

    def __init__(
        self,
        problem: StyleTransferProblem,
        checkpointer: Checkpointer | None = None,
        batch: str = "",
    ):
        self.problem, self.settings, self.plan = problem, problem.settings, problem.plan
        self.checkpointer, self._batch = checkpointer, batch
        self.start: State | None = None
        self.picture: np.ndarray | None = None
        self.variables: Variables | None = None
        self.step, self.halvings = 0, 0
        self._begins_anew = False  # a scale, after a divergence
        self._graph = (False, False)  # whether scales share it, and whether it is by layer
        self._first_scale = 0  # the index of the scale that `start` is a state of
        self._saved_before = False  # the first step of that scale
        on_gpu = memory.on_gpu()
        self.pace = Pace(waiting_pixels(self.settings, self.plan.precision, on_gpu=on_gpu))
        self._started = time.perf_counter()
        if saved := checkpointer.latest() if checkpointer else None:
            self.step, self.start = saved.step, saved.state
            self.halvings = int(saved.state["run"]["halvings"])
            self._first_scale = int(saved.state["run"].get("scale", 0))
            first = self.plan.scales[self._first_scale].first_step
            self._saved_before = 0 < self.step < first
            self._started -= saved.seconds
        if self.step > self.plan.total_steps:
            raise InputError(
                f"--workdir: its checkpoint is of step {self.step}, but the run has only "
                f"{self.plan.total_steps} steps"
            )
        own = (self.step, self.plan.tile_size or 0)
        step, tile_size = map(int, problem.replicas.from_chief(own))  # hosts wait for each other
        if self.step != step:
            raise InputError(
                f"--workdir: its newest checkpoint is of step {self.step} here and of step {step} "
                "on the first host; all hosts must see the same folder"
            )
        self.tile_size = tile_size or None

    def is_done(self, scale: Scale) -> bool:
        """Whether the run has left the scale behind.

        A state after the last step of one scale may be that of the next one before its first step.
        """
        return scale.last_step < self.step or scale.index < self._first_scale

    def begin(self, scale: Scale) -> None:
        """Begin a scale, or resume it in its state `start`."""
        self.scale = scale
        self.step = max(self.step, scale.first_step - 1)
        self._begun_at = self.step
        monitors = self.start.get("monitors", {}) if self.start else {}
        self._divergence = DivergenceMonitor(scale.first_step, scale.last_step, monitors)
        self._stopping = EarlyStopping(
            self.settings.tolerance, self.settings.patience, scale.first_step, monitors
        )
        self.is_traced = False
        self._set_up_variables()

    def _set_up_variables(self) -> None:
        """Keep the variables of the scale before if its graph serves this one, too."""
        is_shared = self.problem.shares_graphs(self.scale, self.tile_size)
        before, self._graph = self._graph, (is_shared, self.scale.by_layer)
        self.leaves_graph = self.variables is not None and not (is_shared and before == self._graph)
        if self.variables is not None:
            self.variables.release()
        if self.variables is None or self.leaves_graph:
            self.variables = Variables(is_shared)

    @property
    def ends_scale(self) -> bool:
        """Whether the scale has no steps left."""
        return self.step == self.scale.last_step or self._stopping.stopped

    @property
    def steps_left(self) -> int:
        """The steps of the scale that are left, unless it stops early."""
        return self.scale.last_step - self.step

    @property
    def is_over(self) -> bool:
        """Whether no scale has steps left."""
        return self.ends_scale and self.scale is self.plan.scales[-1]

    def steps_per_call(self) -> int:
        """Steps of the next call: about a second of them, up to the next one that is due."""
        if not self.is_traced:
            return 1
        monitors = (self._divergence, self._stopping)
        due = [self.scale.last_step, *(monitor.next_check(self.step) for monitor in monitors)]
        due += [at for at in self.settings.image_at if at > self.step]
        saved_every = self.checkpointer.every if self.checkpointer else 0
        if every := self.scale.match_every:  # counted from the start of the scale
            taken = self.step - (self.scale.first_step - 1)
            due.append(self.step - taken % every + every)
        for every in (self.plan.log_every, self.plan.image_every, saved_every):
            if every:
                due.append(self.step - self.step % every + every)
        return int(min(self.pace.steps_per_call(self.scale), min(due) - self.step))

    def expect_another_pace(self) -> None:
        """Discard the pace: the next call compiles, and those after it may be faster."""
        self.is_traced = False
        self.pace.forget()

    def count(self, steps: int, seconds: float, losses: dict[str, float]) -> None:
        """Count the steps of a call; `losses` are those of its last step.

        Raises:
            FloatingPointError: the losses are not finite, or their total explodes.
        """
        self.step += steps
        if self.is_traced:
            self.pace.observe(self.scale, steps, seconds)
        self.is_traced = True
        self._divergence.update(self.step, losses)
        if not self._divergence.is_large:  # which would pass for a fall that has ended
            self._stopping.update(self.step, losses["total"])
        if self._stopping.stopped:
            _log.warning(  # so that the run's record keeps it
                "converged at step %d: the total fell by less than %g %% in %d steps",
                self.step,
                100.0 * self.settings.tolerance,
                self.settings.patience,
            )

    def report(self, source: PictureSource | None, losses: dict[str, float]) -> Iterate:
        """The iterate after the steps so far."""
        return Iterate(
            step=self.step,
            total_steps=self.plan.total_steps,
            scale=self.scale,
            scales=self.plan.scales,
            terms=losses,
            seconds=self._seconds(),
            seconds_left=self.pace.seconds_left(self.plan.scales, self.step, self.scale),
            steps_per_second=1.0 / self.pace.seconds_per_step(self.scale),
            stopped=self._stopping.stopped,
            log_every=self.plan.log_every,
            source=source,
        )

    def leave_out(self, pause: float) -> None:
        """Do not count seconds in which the run waited."""
        self._started += pause

    def is_save_due(self, iterate: Iterate) -> bool:
        """Whether the state after an iterate is to be saved."""
        due = self.checkpointer and self.checkpointer.is_due(self.step, iterate.seconds)
        return bool(due) or iterate.is_last  # if writing the result fails, a resume starts here

    def recover(self, run: ScaleRun | None, error: Exception) -> None:
        """Have the scale set up again after an error, with smaller steps or tiles.

        Args:
            run: the scale; None if it could not be set up.

        Raises:
            DeviceError: the only host's device failed; nothing is saved.
            LostHostError: another host is gone; the chief has saved the state.
            Exception: the error, or one that says what it means, if the run cannot continue.
        """
        lost = isinstance(error, _LOST)
        if isinstance(error, FloatingPointError):
            self._halve_rate(error)
        elif is_out_of_memory(error):
            if run is not None:
                self.step = self.scale.first_step - 1 + run.steps  # that were completed
            try:
                self.tile_size = self.problem.tiling.smaller(self.scale, self.tile_size, error)
            except MemoryError:
                if run is not None:
                    self.save(run)
                raise
            if run is not None:
                self.start = self.state(run)
        elif lost and self.problem.replicas.hosts == 1:  # its memory may be gone: nothing is saved
            raise DeviceError(
                f"the device failed after step {self.step}: {first_line(error)}"
            ) from error
        else:
            if run is not None and (lost or isinstance(error, StepDropped)):
                self.step = self.scale.first_step - 1 + run.steps
                self.save(run)
            if lost:
                raise LostHostError(f"another host is gone: {first_line(error)}") from error
            raise error

    def _halve_rate(self, error: FloatingPointError) -> None:
        """Halve the learning rate, and go back to the newest checkpoint of the scale that is known
        to be good, or to the start of the scale."""
        if self.halvings >= self.settings.max_recoveries:
            exact = ", or --precision=float32" if self.plan.precision == "float16" else ""
            often = f" after {self.halvings} recoveries" if self.halvings else ""
            raise FloatingPointError(
                f"{error}{often}; use a smaller --learning_rate or --style_weight{exact}"
            ) from error
        self.halvings += 1
        # A step sees the state before it: only then is it known whether that was good.
        last_good = self._divergence.last_good
        last = (self._begun_at if last_good is None else last_good) - 1
        is_saved_before = self._saved_before and self.scale.index == self._first_scale
        knows_start = self.picture is not None or self.scale.index == 0
        saved = self._saved_between(
            self.scale.first_step - is_saved_before, last, or_later=not knows_start
        )
        self.step = saved.step if saved else self.scale.first_step - 1
        self.start = saved.state if saved else None
        self._begins_anew = saved is None
        _log.warning(
            "%s; resuming from step %d at half the learning rate (recovery %d of %d)",
            error,
            self.step,
            self.halvings,
            self.settings.max_recoveries,
        )

    def _saved_between(self, first: int, last: int, *, or_later: bool) -> Checkpoint | None:
        """The checkpoint that the chief chooses, the same on all hosts."""
        if self.checkpointer is None:
            return None
        replicas = self.problem.replicas
        saved = None
        if replicas.is_chief:
            saved = self.checkpointer.nearest(first, last, or_later=or_later)
        step = int(replicas.from_chief(saved.step if saved else 0))
        if replicas.is_chief and step:
            self.checkpointer.forget_after(step)
        elif step:
            saved = self.checkpointer.nearest(step, step)
        return saved

    def state(self, run: ScaleRun) -> State:
        """Everything that the next step depends on, nested by owner."""
        about: dict[str, Any] = {"precision": self.plan.precision, "batch": self._batch}
        about |= {"halvings": self.halvings, "steps": [scale.steps for scale in self.plan.scales]}
        about["scale"] = self.scale.index
        return {
            **run.state(),
            "monitors": {**self._stopping.state(), **self._divergence.state()},
            "run": {name: np.array(value) for name, value in about.items()},
        }

    def note_begun(self, run: ScaleRun) -> None:
        """Save the state of a scale that begins anew after a divergence, in place of those that
        have led to it: there may be no other, and the scales before would be lost."""
        if self._begins_anew and self.checkpointer and self.problem.replicas.is_chief:
            if self.step:
                self.save(run)
            self.checkpointer.forget_after(self.step)
        self._begins_anew = False

    def save(self, run: ScaleRun) -> None:
        """Save the state, if this host is the chief."""
        if self.checkpointer and self.problem.replicas.is_chief:
            self.checkpointer.save(Checkpoint(self.step, self._seconds(), self.state(run)))

    def _seconds(self) -> float:
        return time.perf_counter() - self._started
