"""What is decided before the first step of a run. Imports no TensorFlow."""

import dataclasses
from typing import Any

from nst_keras.transfer.scales import Scale


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes, steps, precision and tiles of a run.

    Attributes:
        scales: from coarse to fine, each with its steps.
        precision: of the convolutions: 'float32', 'bfloat16' or 'float16'.
        tile_size: the longest side of tiles in pixels; None: the picture is not cut.
        image_every: steps between iteration images.
        iterations, coarse_iterations: the settings that give the steps of the scales.
    """

    scales: tuple[Scale, ...]
    precision: str
    tile_size: int | None
    image_every: int
    iterations: int
    coarse_iterations: tuple[int, ...]

    @property
    def total_steps(self) -> int:
        """Steps of all scales together."""
        return self.scales[-1].last_step

    def decided(self) -> dict[str, Any]:
        """The decisions as settings by name; with these the run can be repeated."""
        return {
            "precision": self.precision,
            "tile_size": self.tile_size or "none",
            "image_every": self.image_every,
            "iterations": self.iterations,
            "coarse_iterations": self.coarse_iterations,
            "time_limit": None,
        }


@dataclasses.dataclass(frozen=True)
class Begun:
    """Decisions of the run that is resumed; None where a plan decides again."""

    precision: str
    iterations: int | None = None
    coarse_iterations: tuple[int, ...] | None = None
    tile_size: int | str | None = None  # as in settings
