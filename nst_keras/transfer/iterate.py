"""What a run reports of its steps."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nst_keras.imaging import images
from nst_keras.network.weights import Weights
from nst_keras.transfer.picture_regions import PictureRegions
from nst_keras.transfer.plan import Scale


@dataclasses.dataclass(frozen=True)
class References:
    """What a result is compared with: pictures are float32 RGB in [0, 1], (height, width, 3)."""

    content: np.ndarray
    styles: Sequence[np.ndarray]  # at the size at which the objective sees them
    style_blend: Sequence[float]
    style_layers: Sequence[str]
    weights: Weights
    regions: PictureRegions = PictureRegions()


class PictureSource(NamedTuple):
    """Where an iterate gets its image from: the scale that is being optimized."""

    picture: Callable[[], np.ndarray]  # float32 RGB in [0, 1], (height, width, 3)
    painted: Callable[[], np.ndarray]  # the same before `--color` changed its colors
    value: Callable[[], dict[str, float]]  # the losses of the picture by term name
    references: Callable[[], References]
    profile: bytes = b""  # ICC, of the color space of the pictures; empty: sRGB


@dataclasses.dataclass
class Iterate:
    """A run after `step` steps. Read its image before you ask for the next iterate.

    Attributes:
        step, total_steps: counted from 1 over all scales.
        terms: the losses that the last step saw by term name, with their 'total': before its
            update, or with lbfgs after it; those of the result where a finished run is called
            again.
        seconds: of work so far, over all resumes.
        seconds_left: an estimate; NaN before there is one.
        stopped: the scale ends here, before its last step (see `--tolerance`).
        ends_run: set by whoever asks for no more iterates: the run ends here, as if all its steps
            were taken.
        log_every: steps between losses that are logged, of the plan.
        pause: set by whoever waits before asking for the next iterate: the seconds of that, which
            do not count as work.
    """

    step: int
    total_steps: int
    scale: Scale
    scales: tuple[Scale, ...]
    terms: dict[str, float]
    seconds: float
    seconds_left: float
    steps_per_second: float
    stopped: bool = False
    ends_run: bool = False
    log_every: int = 1
    pause: float = 0.0
    source: PictureSource | None = dataclasses.field(repr=False, default=None)

    @property
    def image(self) -> np.ndarray:
        """The picture: float32 RGB in [0, 1], (height, width, 3).

        Raises:
            RuntimeError: the next iterate has been asked for; images are large, so none is kept.
        """
        return self._current_source().picture()

    @property
    def painted(self) -> np.ndarray:
        """The picture before `--color` changed its colors, under the same condition."""
        return self._current_source().painted()

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the picture, while it can be read."""
        return None if self.source is None else images.png_bytes(self.image, self.source.profile)

    def evaluate(self) -> dict[str, float]:
        """The losses of the picture as painted, under the same condition."""
        return self._current_source().value()

    def references(self) -> References:
        """What the image is compared with to score it, under the same condition."""
        return self._current_source().references()

    @property
    def ends_scale(self) -> bool:
        """Whether it is the last one of its scale."""
        return self.stopped or self.ends_run or self.step == self.scale.last_step

    def is_logged(self, every: int) -> bool:
        """Whether metrics keep its losses: at every multiple of `every`, and where a scale begins
        and ends."""
        return is_due(self.step, every) or self.step == self.scale.first_step or self.ends_scale

    def is_pictured(self, every: int, at: Sequence[int] = ()) -> bool:
        """Whether its image is kept: at multiples of `every`, at the steps `at`, and at the end
        unless `every` is 0."""
        return is_due(self.step, every) or self.step in at or (every > 0 and self.is_last)

    @property
    def is_last(self) -> bool:
        """Whether it is the last one of the run."""
        is_over = self.stopped and self.scale == self.scales[-1]
        return self.ends_run or is_over or self.step == self.total_steps

    def _current_source(self) -> PictureSource:
        if self.source is None:
            raise RuntimeError("read the image of an iterate before asking for the next iterate")
        return self.source


def is_due(step: int, every: int) -> bool:
    """Whether a step is a multiple of `every`; never if that is 0."""
    return every > 0 and step % every == 0
