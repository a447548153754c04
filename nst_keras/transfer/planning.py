"""Makes the plan of a run: precision, scales, tiles, and the steps that fit a time limit."""

import dataclasses
import gc
import math
import time
from collections.abc import Sequence

import numpy as np

from nst_keras.devices import memory, startup
from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.imaging import geometry
from nst_keras.settings.resolve import Settings
from nst_keras.transfer import scales as scales_lib
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.plan import Begun, Plan
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun
from nst_keras.transfer.scales import Scale

_PICTURES = 24  # iteration images of a run if --image_every is not given
_FINISH_SECONDS = 12.0  # reserved of a time limit for result, scores, page and animation
_SLACK = 0.08  # share of a time limit that is left unplanned, since the pace of machines varies


@dataclasses.dataclass(frozen=True)
class _TimeLimit:
    """The seconds that a run may take from its start, by the monotonic clock.

    Attributes:
        keeps_steps: whether it may only lower the plan's steps.
    """

    seconds: float
    started: float
    keeps_steps: bool


def make_plan(
    settings: Settings,
    inputs: Inputs,
    replicas: Replicas = ALONE,
    *,
    begun: Begun | None = None,
    started: float | None = None,
    iterations_given: bool = False,
) -> Plan:
    """Decide everything that settings and inputs leave open.

    Args:
        begun: decisions of the run that is resumed.
        started: when the run was asked for, by the monotonic clock. A time limit counts from then,
            by default from now.
        iterations_given: whether the user chose the number of steps; a time limit then only lowers
            it.

    Raises:
        InputError: the run does not fit the memory or the time limit.
    """
    started = time.monotonic() if started is None else started
    precision = begun.precision if begun else None
    if precision is None:
        precision = startup.settle_precision(settings.precision, announce=True)
    settings, tile_size = _with_decisions(settings, begun)
    scales = scales_lib.plan_run(settings, inputs.content.shape[:2])
    costs = CostModel(settings, precision, inputs.channels)
    budget = memory.memory_budget(settings.memory_limit, len(replicas.devices))
    plan = Plan(
        scales,
        precision,
        costs.choose_tile_size(scales, budget, tile_size),
        _image_every(settings, scales),
        settings.iterations,
        settings.coarse_iterations,
    )
    if settings.time_limit and begun is None:
        fit = _TimeLimit(settings.time_limit, started, iterations_given)
        return _fit_time_limit(settings, inputs, plan, replicas, fit)
    return plan


def _with_decisions(settings: Settings, begun: Begun | None) -> tuple[Settings, int | str]:
    """The settings with the steps of the run that is resumed, and the size of its tiles."""
    if begun is None:
        return settings, settings.tile_size
    steps = {
        name: value
        for name in ("iterations", "coarse_iterations")
        if (value := getattr(begun, name)) is not None
    }
    tile_size = settings.tile_size
    if tile_size == "auto" and begun.tile_size is not None:
        tile_size = begun.tile_size
    return dataclasses.replace(settings, **steps), tile_size


def _image_every(settings: Settings, scales: Sequence[Scale]) -> int:
    if settings.image_every is not None:
        return settings.image_every
    return max(1, math.ceil(scales[-1].last_step / _PICTURES))


def _fit_time_limit(
    settings: Settings,
    inputs: Inputs,
    plan: Plan,
    replicas: Replicas,
    limit: _TimeLimit,
) -> Plan:
    """Measure steps, and choose their number so that the whole run ends in time."""
    seconds, setup = measure_step_seconds(settings, inputs, plan, replicas)
    spent = time.monotonic() - limit.started
    fixed = spent + len(plan.scales) * setup + _FINISH_SECONDS + _SLACK * limit.seconds
    steps = tuple(scale.steps for scale in plan.scales)
    fitted = scales_lib.fit_steps(steps, seconds, fixed, limit.seconds)
    if limit.keeps_steps:
        fitted = tuple(min(pair) for pair in zip(fitted, steps, strict=True))
    *coarse, last = fitted
    settings = dataclasses.replace(settings, iterations=last, coarse_iterations=tuple(coarse))
    scales = scales_lib.plan_run(settings, inputs.content.shape[:2])
    return dataclasses.replace(
        plan,
        scales=scales,
        image_every=_image_every(settings, scales),
        iterations=last,
        coarse_iterations=tuple(coarse),
    )


def measure_step_seconds(
    settings: Settings, inputs: Inputs, plan: Plan, replicas: Replicas = ALONE
) -> tuple[tuple[float, ...], float]:
    """Seconds per step at each scale of a plan, and seconds to set a scale up.

    Times a few steps at the coarsest and the finest scale; in between, time is linear in pixels.
    """
    problem = StyleTransferProblem(settings, inputs, plan, replicas)
    first, last = plan.scales[0], plan.scales[-1]
    image = problem.first_image()
    coarse, coarse_setup = _time_scale(problem, first, image)
    fine, fine_setup = coarse, coarse_setup
    if last is not first:
        image = geometry.resize(image, last.height, last.width)
        gc.collect()  # as between the scales of a run
        fine, fine_setup = _time_scale(problem, last, image)
    slope = (fine - coarse) / max(last.pixels - first.pixels, 1)
    seconds = tuple(coarse + slope * (scale.pixels - first.pixels) for scale in plan.scales)
    return seconds, max(coarse_setup, fine_setup)


def _time_scale(
    problem: StyleTransferProblem, scale: Scale, image: np.ndarray
) -> tuple[float, float]:
    """Seconds of one step, and of setting the scale up."""
    began = time.perf_counter()
    run = ScaleRun(problem, scale, lambda: image, tile_size=problem.plan.tile_size)
    run.run(1)
    setup = time.perf_counter() - began
    began = time.perf_counter()
    run.run(2)
    step = (time.perf_counter() - began) / 2
    return step, max(setup - step, 0.0)
