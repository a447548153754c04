"""The plan of a run: scales with their steps, precision and tiles. Imports no TensorFlow."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nst_keras.imaging import geometry
from nst_keras.optimizers.facts import facts_of
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.resolve import Settings

FINISH_SECONDS = 12.0  # reserved of a time limit for result, scores, page and animation


@dataclasses.dataclass(frozen=True)
class Scale:
    """One size of the coarse-to-fine plan. Steps are counted from 1 over the whole run.

    Attributes:
        by_layer: whether neighbors are matched in each layer by itself.
        match_every: steps between matches of neighbors; 0: they are matched once.
    """

    index: int
    height: int
    width: int
    steps: int
    first_step: int
    by_layer: bool = False
    match_every: int = 0

    @property
    def last_step(self) -> int:
        """The number of its last step."""
        return self.first_step + self.steps - 1

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.height * self.width


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes, steps, precision and tiles of a run.

    Attributes:
        scales: from coarse to fine.
        precision: of the convolutions: 'float32', 'bfloat16' or 'float16'.
        tile_size: the longest side of tiles in pixels; None: the picture is not cut.
        xla: whether XLA compiles the steps; 'auto': where that saves time.
        state_on_host: whether the image and the optimizer's state are in the host's memory at
            scales in tiles, as the device has no room for them.
        image_every: steps between iteration images.
        log_every: steps between losses that are logged.
        iterations, coarse_iterations, detail_iterations: the settings that give the steps of the
            scales.
    """

    scales: tuple[Scale, ...]
    precision: str
    tile_size: int | None
    image_every: int
    iterations: int
    coarse_iterations: tuple[int, ...]
    detail_iterations: int = 0
    xla: bool | str = False
    state_on_host: bool = False
    log_every: int = 1

    @property
    def total_steps(self) -> int:
        """Steps of all scales together."""
        return self.scales[-1].last_step

    def decided(self) -> dict[str, Any]:
        """The decisions as settings by name; with these the run can be repeated."""
        steps = ("iterations", "coarse_iterations", "detail_iterations")
        names = ("precision", "xla", "image_every", "log_every", *steps)
        decided = {name: getattr(self, name) for name in names}
        return {**decided, "tile_size": self.tile_size or "none", "time_limit": None}


def serves_any_size(settings: Settings, tile_size: int | None, xla: bool | str) -> bool:
    """Whether the graph of a step serves pictures of any size, so that scales can share it.

    Args:
        tile_size, xla: as in a plan.
    """
    return (
        tile_size is None
        and xla is not True  # which compiles each size by itself
        and settings.variables == "pixels"
        and facts_of(settings.optimizer).any_size
    )


def plan_run(settings: Settings, content_size: tuple[int, int]) -> tuple[Scale, ...]:
    """The scales for a content of (height, width), cropped as `--fit` says.

    The coarsest one is larger than `--min_size` where its shorter side would be below MIN_SIDE.

    Raises:
        InputError: the shorter side of the result would be.
    """
    size = max(content_size) if settings.size == "original" else int(settings.size)
    least = geometry.least_longest(content_size)
    if size < least:
        height, width = geometry.fit_size(content_size, size)
        raise InputError(
            f"--size={size}: the content of {content_size[1]}x{content_size[0]} would become "
            f"{width}x{height}, and no side may be below {geometry.MIN_SIDE} px; use "
            + (f"--size={least} or more, " if least <= OPTIONS["size"].limits[1] else "")
            + "--size=original or --fit=crop",
            "size",
        )
    start = max(settings.min_size, least)
    longest_sides = plan_sizes(size, start, settings.scales, settings.scale_ratio)
    given = settings.coarse_iterations or (settings.iterations,)
    coarse = spread_steps(given, len(longest_sides) - 1)
    scales = plan_scales(content_size, longest_sides, (*coarse, settings.iterations))
    if not settings.detail_iterations:
        return scales
    last = scales[-1]
    detail = dataclasses.replace(
        last,
        index=last.index + 1,
        steps=settings.detail_iterations,
        first_step=last.last_step + 1,
        by_layer=True,
        match_every=settings.match_every,
    )
    return (*scales, detail)


def steps_by_setting(steps: Sequence[int], *, has_detail: bool) -> dict[str, Any]:
    """The settings that give the scales these steps; `has_detail`: the last are detail steps."""
    *coarse, last, detail = steps if has_detail else (*steps, 0)
    return {
        "iterations": last,
        "coarse_iterations": tuple(coarse),
        "detail_iterations": detail,
    }


def cropped_size(settings: Settings, size: tuple[int, int]) -> tuple[int, int]:
    """The height and width of the part of a content that `--fit` selects."""
    return (min(size), min(size)) if settings.fit == "crop" else size


def plan_sizes(
    size: int, min_size: int, scales: int | str, largest_ratio: float
) -> tuple[int, ...]:
    """Longest sides from coarse to fine, of one equal ratio, ending exactly at `size`.

    'auto' takes the fewest scales whose ratio is at most `largest_ratio`, which is above 1. One
    scale has `size`; otherwise the first longest side is `min_size`, unless `size` is smaller.
    """
    start = min(size, min_size)
    if scales == "auto":
        # The allowance keeps 512/128 = sqrt(2)^4 at five scales in spite of rounding.
        count = 1 + math.ceil(math.log(size / start) / math.log(largest_ratio) - 1e-9)
    else:
        count = int(scales)
    if count == 1:
        return (size,)
    ratio = (size / start) ** (1.0 / (count - 1))
    return tuple(round(start * ratio**index) for index in range(count))


def spread_steps(given: tuple[int, ...], coarse_scales: int) -> tuple[int, ...]:
    """Steps of each coarse scale, from a list for another number of scales.

    The list is a curve from coarsest to finest: its first and last values stay, the rest is
    interpolated. A single number applies to all scales.
    """
    jumps = max(coarse_scales - 1, 1)
    places = [index * (len(given) - 1) / jumps for index in range(coarse_scales)]
    return tuple(round(steps) for steps in np.interp(places, range(len(given)), given).tolist())


def plan_scales(
    content_size: tuple[int, int], longest_sides: tuple[int, ...], steps: tuple[int, ...]
) -> tuple[Scale, ...]:
    """The scales for a content of (height, width), from longest sides and steps per scale."""
    plan, first_step = [], 1
    for index, (longest, count) in enumerate(zip(longest_sides, steps, strict=True)):
        height, width = geometry.fit_size(content_size, longest)
        plan.append(Scale(index, height, width, count, first_step))
        first_step += count
    return tuple(plan)


def check_time_limit(limit: float | None) -> None:
    """Raise InputError if a time limit leaves nothing for steps on any machine."""
    if limit is not None and limit < FINISH_SECONDS:
        raise InputError(
            f"--time_limit={limit:g}s: must be at least {FINISH_SECONDS:g} s, which the start and "
            "the end of a run take alone",
            "time_limit",
        )


def fit_steps(
    steps: tuple[int, ...], seconds_per_step: tuple[float, ...], fixed_seconds: float, limit: float
) -> tuple[int, ...]:
    """Multiply all steps by one factor, so that with `fixed_seconds` the run takes `limit` seconds.

    Raises:
        InputError: even one step per scale would take longer.
    """
    available = limit - fixed_seconds
    least = sum(seconds_per_step)
    if available < least:
        needed = math.ceil(least + fixed_seconds)
        raise InputError(
            f"--time_limit={limit:g}s: is too short here: with a single step at each size, the run "
            f"would take about {needed} s, {math.ceil(fixed_seconds)} s of them for the start and "
            "the end; allow more, or give a smaller --size"
        )
    planned = sum(n * each for n, each in zip(steps, seconds_per_step, strict=True))
    # Each scale gets one step first; the factor distributes the time that is left.
    factor = (available - least) / planned
    return tuple(1 + math.floor(n * factor) for n in steps)
