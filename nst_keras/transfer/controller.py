"""The course of a job: how far it is, when to look up from the work, what is reported and saved."""

import logging
import math
import time
from collections.abc import Mapping

import numpy as np

from nst_keras.devices.replicas import Replicas
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer
from nst_keras.settings.config import Config
from nst_keras.transfer.iterate import Iterate, Pace
from nst_keras.transfer.monitors import DivergenceMonitor, EarlyStopping
from nst_keras.transfer.scale_run import ScaleRun
from nst_keras.transfer.scales import Scale

_log = logging.getLogger(__name__)


# A call into the graph lasts about this long: short enough for Ctrl-C and the bar, long enough that
# Python's share vanishes.
_CALL_SECONDS = 1.0


class Controller:
    """Counts steps and seconds over the scales; reports and saves what is due.

    What is of one scale is there from `begin` on.

    Args:
        config: resolved and settled.
        saved: the state that the job goes on from.
        replicas: of the job, of which one host saves.
    """

    def __init__(
        self,
        config: Config,
        plan: tuple[Scale, ...],
        checkpointer: Checkpointer | None,
        saved: Checkpoint | None,
        replicas: Replicas,
    ):
        self._replicas = replicas
        self.tile_size = None if config.tile_size == "none" else int(config.tile_size)
        self.config, self.plan, self.checkpointer = config, plan, checkpointer
        self.step = saved.step if saved else 0
        self.recoveries = int(saved.arrays.get("recoveries", 0)) if saved else 0
        self._started = time.perf_counter() - (saved.seconds if saved else 0.0)
        self._pace = Pace(plan)

    def begin(self, scale: Scale, state: Mapping[str, np.ndarray] | None) -> None:
        """Start with a scale, or go on from a state of it."""
        self.scale = scale
        self.step = max(self.step, scale.first_step - 1)
        self._begun_at = self._sound = self.step
        self._watch = DivergenceMonitor(scale.first_step, state)
        self._plateau = EarlyStopping(
            self.config.tolerance, self.config.patience, scale.first_step, state
        )
        self._traced = False

    @property
    def ends_scale(self) -> bool:
        """Whether nothing is left to do at the scale."""
        return self.step == self.scale.last_step or self._plateau.rests

    @property
    def is_over(self) -> bool:
        """Whether nothing is left at all."""
        return self.ends_scale and self.scale is self.plan[-1]

    def steps_per_call(self) -> int:
        """As many as fit a call, but no further than to the next step at which something is due."""
        if not self._traced:
            return 1
        pace = self._pace.seconds_per_step(self.scale)
        steps = max(1, int(_CALL_SECONDS / pace)) if math.isfinite(pace) else 1
        config = self.config
        stops: list[float] = [self.scale.last_step, self._watch.next_step(self.step)]
        stops.append(self._plateau.next_step(self.step))
        stops += [at for at in config.image_at if at > self.step]
        kept_every = self.checkpointer.every if self.checkpointer else 0
        for every in (config.log_every, config.image_every, kept_every):
            if every:
                stops.append(self.step - self.step % every + every)
        return int(min(steps, min(stops) - self.step))

    def took(self, steps: int, seconds: float, terms: dict[str, float]) -> None:
        """Count the steps of a call; `terms` are those of its last one.

        Raises:
            FloatingPointError: they are not finite, or the total explodes.
        """
        self.step += steps
        if self._traced:
            self._pace.saw(self.scale, steps, seconds)
        self._traced = True
        self._watch.saw(self.step, terms)
        self._plateau.saw(self.step, terms["total"])
        if self._plateau.rests:
            _log.warning(  # so that the run keeps it
                "the scale rests after step %d: the total fell by less than %g in %d steps",
                self.step,
                self.config.tolerance,
                self.config.patience,
            )
        self._sound = self.step

    def report(self, stage: ScaleRun, terms: dict[str, float]) -> Iterate:
        """What there is to see after the steps so far."""
        return Iterate(
            step=self.step,
            total_steps=self.plan[-1].last_step,
            scale=self.scale,
            scales=self.plan,
            terms=terms,
            seconds=self._seconds(),
            seconds_left=self._pace.seconds_left(self.step),
            steps_per_second=1.0 / self._pace.seconds_per_step(self.scale),
            rests=self._plateau.rests,
            stage=stage,
        )

    def is_save_due(self, iterate: Iterate) -> bool:
        """Whether the state after an iterate is to be kept."""
        due = self.checkpointer and self.checkpointer.is_due(self.step, iterate.seconds)
        return bool(due) or iterate.is_last  # writing the result may fail, and then goes on here

    def go_back(self, error: FloatingPointError) -> dict[str, np.ndarray] | None:
        """The newest state of the scale that was saved and led on, or if none did, one that was
        saved; None: the scale is begun anew. From now on the steps are half as long.

        Raises:
            FloatingPointError: that has been tried often enough.
        """
        if self.recoveries >= self.config.max_recoveries:
            exact = ", or --precision=float32" if self.config.precision == "float16" else ""
            often = f" after {self.recoveries} recoveries" if self.recoveries else ""
            raise FloatingPointError(
                f"{error}{often}; a smaller --learning_rate or style weight may help{exact}"
            ) from error
        self.recoveries += 1
        # A state from which no sound step came was bad already.
        last = self._sound if self._sound > self._begun_at else self._begun_at - 1
        saved = self._saved_between(self.scale.first_step, last)
        self.step = saved.step if saved else self.scale.first_step - 1
        _log.warning(
            "%s: it goes on from step %d with steps half as long (%d of at most %d times)",
            error,
            self.step,
            self.recoveries,
            self.config.max_recoveries,
        )
        return saved.arrays if saved else None

    def _saved_between(self, first: int, last: int) -> Checkpoint | None:
        """The checkpoint that the chief goes back to, on all hosts."""
        if self.checkpointer is None:
            return None
        is_chief = self._replicas.is_chief
        saved = self.checkpointer.nearest(first, last) if is_chief else None
        step = int(self._replicas.from_chief(saved.step if saved else 0))
        if is_chief:
            self.checkpointer.forget_after(step or first - 1)
        elif step:
            saved = self.checkpointer.nearest(step, step)
        return saved

    def state(self) -> dict[str, np.ndarray]:
        """What of the scale's state is not the stage's."""
        recoveries = {"recoveries": np.array(self.recoveries)} if self.recoveries else {}
        return {**self._plateau.state(), **self._watch.state(), **recoveries}

    def save(self, stage: ScaleRun) -> None:
        """Keep the state, on the host whose task that is."""
        if self.checkpointer and self._replicas.is_chief:
            precision = {"precision": np.array(self.config.precision)}
            arrays = {**stage.state(), **self.state(), **precision}
            self.checkpointer.save(Checkpoint(self.step, self._seconds(), arrays))

    def save_completed(self, stage: ScaleRun | None) -> None:
        """Keep the state after the last step that came to its end, if the scale had begun."""
        if stage is not None:
            self.went_on_to(stage)
            self.save(stage)

    def went_on_to(self, stage: ScaleRun) -> None:
        """The stage took steps of a call that did not come to its end."""
        self.step = stage.scale.first_step - 1 + stage.steps

    def _seconds(self) -> float:
        return time.perf_counter() - self._started
