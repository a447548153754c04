"""Makes the plan of a run: precision, scales, tiles, and the steps that fit a time limit."""

import dataclasses
import gc
import math
import time

import numpy as np

from nst_keras.devices import memory, startup
from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.imaging import geometry
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.plan import Plan, Scale, fit_steps, plan_run
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun

_PICTURES = 24  # iteration images of a run if --image_every is not given
_FINISH_SECONDS = 12.0  # reserved of a time limit for result, scores, page and animation
_SLACK = 0.08  # share of a time limit that is left unplanned, since the pace of machines varies


def make_plan(
    settings: Settings,
    inputs: Inputs,
    replicas: Replicas = ALONE,
    *,
    begun: Config | None = None,
    started: float | None = None,
    iterations_given: bool = False,
) -> Plan:
    """Decide everything that settings and inputs leave open.

    Args:
        begun: the decisions of the run that is resumed (see `Plan.decided`), open where None.
        started: when the run was asked for, by the monotonic clock. A time limit counts from then,
            by default from now.
        iterations_given: whether the user chose the number of steps; a time limit then only lowers
            it.

    Raises:
        InputError: the run does not fit the memory or the time limit.
    """
    started = time.monotonic() if started is None else started
    if begun:
        settings = _as_begun(settings, begun)
    precision = startup.settle_precision(settings.precision, announce=True)
    plan = _plan(settings, inputs, precision)
    budget = memory.memory_budget(settings.memory_limit, len(replicas.devices))
    costs = CostModel(settings, precision, inputs.channels)
    tile_size = costs.choose_tile_size(plan.scales, budget)
    plan = dataclasses.replace(plan, tile_size=tile_size)
    if begun or not settings.time_limit:
        return plan
    measured = measure_step_seconds(settings, inputs, plan, replicas)
    steps = _steps_in_time(plan, *measured, settings.time_limit, started)
    if iterations_given:
        steps = tuple(
            min(scale.steps, count) for scale, count in zip(plan.scales, steps, strict=True)
        )
    *coarse, last = steps
    settings = dataclasses.replace(settings, iterations=last, coarse_iterations=tuple(coarse))
    return _plan(settings, inputs, precision, tile_size)


def _as_begun(settings: Settings, begun: Config) -> Settings:
    """The settings with the decisions of the run that is resumed; a size of tiles given anew
    counts."""
    names = ["precision", "iterations", "coarse_iterations"]
    if settings.tile_size == "auto":
        names.append("tile_size")
    decided = {name: getattr(begun, name) for name in names if getattr(begun, name) is not None}
    return dataclasses.replace(settings, **decided)


def _plan(settings: Settings, inputs: Inputs, precision: str, tile_size: int | None = None) -> Plan:
    scales = plan_run(settings, inputs.content.shape[:2])
    image_every = settings.image_every
    if image_every is None:
        image_every = max(1, math.ceil(scales[-1].last_step / _PICTURES))
    steps = (settings.iterations, settings.coarse_iterations)
    return Plan(scales, precision, tile_size, image_every, *steps)


def _steps_in_time(
    plan: Plan, seconds: tuple[float, ...], setup: float, limit: float, started: float
) -> tuple[int, ...]:
    """Steps at each scale with which the whole run ends in time."""
    spent = time.monotonic() - started
    fixed = spent + len(plan.scales) * setup + _FINISH_SECONDS + _SLACK * limit
    return fit_steps(tuple(scale.steps for scale in plan.scales), seconds, fixed, limit)


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
