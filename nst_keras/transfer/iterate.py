"""One reported step of a run, and how long the rest takes."""

import dataclasses
import logging
import math
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from nst_keras.network.weights import Weights
from nst_keras.transfer.scales import Scale

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class References:
    """What a result is judged by: pictures are float32 RGB in [0, 1], (height, width, 3)."""

    content: np.ndarray
    styles: Sequence[np.ndarray]  # at the size at which the objective sees them
    style_blend: Sequence[float]
    style_layers: Sequence[str]
    weights: Weights


class PictureSource(Protocol):
    """What an iterate asks of the scale at work."""

    def picture(self) -> np.ndarray:
        """Float32 RGB in [0, 1], (height, width, 3)."""

    def value(self) -> dict[str, float]:
        """The terms of the picture."""

    def references(self) -> References:
        """What the picture is judged by."""


@dataclasses.dataclass
class Iterate:
    """The job after `step` steps. Its image is only to be had until the next iterate is asked for.

    Terms are those that the last step saw: before its update, or with lbfgs after it. Seconds are
    those of work so far, over all resumes; `seconds_left` is an estimate, NaN before there is one.
    """

    step: int
    total_steps: int
    scale: Scale
    scales: tuple[Scale, ...]
    terms: dict[str, float]
    seconds: float
    seconds_left: float
    steps_per_second: float
    rests: bool = False  # the scale ends here, before its last step
    stage: "PictureSource | None" = dataclasses.field(repr=False, default=None)

    @property
    def image(self) -> np.ndarray:
        """The picture: float32 RGB in [0, 1], (height, width, 3).

        Raises:
            RuntimeError: the job has gone on; pictures are large, so none is kept unasked.
        """
        return self._current_stage().picture()

    def evaluate(self) -> dict[str, float]:
        """The terms of the image itself, under the same condition."""
        return self._current_stage().value()

    def references(self) -> References:
        """What the image is judged by beyond its loss, under the same condition."""
        return self._current_stage().references()

    @property
    def ends_scale(self) -> bool:
        return self.rests or self.step == self.scale.last_step

    def is_logged(self, every: int) -> bool:
        """Whether its terms belong into the metrics: every so many steps and where a scale ends."""
        return is_due(self.step, every) or self.ends_scale

    def is_pictured(self, every: int, at: Sequence[int] = ()) -> bool:
        """Whether its image is kept: every so many steps, at the last, and at some by name."""
        return is_due(self.step, every) or self.step in at or (every > 0 and self.is_last)

    @property
    def is_last(self) -> bool:
        return self.step == self.total_steps or (self.rests and self.scale == self.scales[-1])

    def _current_stage(self) -> "PictureSource":
        if self.stage is None:
            raise RuntimeError("read the image of an iterate before asking for the next iterate")
        return self.stage


def is_due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps (0: never) happens after this one."""
    return every > 0 and step % every == 0


class Pace:
    """Seconds per step, and what is left of the whole job, from the steps seen so far.

    Costs are taken to grow with the pixels. Recent steps count most, so a change of load shows.
    """

    _MEMORY = 0.7

    def __init__(self, scales: tuple[Scale, ...]):
        self._scales = scales
        self._seconds_per_pixel_step = math.nan

    def saw(self, scale: Scale, steps: int, seconds: float) -> None:
        """Take note that `steps` steps at this scale took `seconds`."""
        new = max(seconds, 1e-9) / (steps * scale.pixels)  # clocks may not have ticked
        old = new if math.isnan(self._seconds_per_pixel_step) else self._seconds_per_pixel_step
        self._seconds_per_pixel_step = self._MEMORY * old + (1.0 - self._MEMORY) * new

    def seconds_per_step(self, scale: Scale) -> float:
        return self._seconds_per_pixel_step * scale.pixels

    def seconds_left(self, step: int) -> float:
        """An estimate for all that comes after `step`."""
        pixel_steps = sum(
            scale.pixels * max(0, scale.last_step - max(step, scale.first_step - 1))
            for scale in self._scales
        )
        return self._seconds_per_pixel_step * pixel_steps


class TileProgress:
    """Says how far a single evaluation is, where one takes long."""

    _SECONDS = 30.0

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, done: int, in_all: int) -> None:
        """After each tile; an evaluation with a gradient takes each tile twice."""
        now = time.monotonic()
        if done == in_all:
            self._said = now
        elif now - self._said >= self._SECONDS:
            self._said = now
            _log.info("within this step: tile %d of %d", done, in_all)
