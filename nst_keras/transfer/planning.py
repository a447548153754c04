"""Makes the plan of a run: precision, scales, tiles, and the steps that fit a time limit."""

import dataclasses
import logging
import math
import time
from collections.abc import Sequence

import numpy as np

from nst_keras.devices import memory
from nst_keras.devices.precision import settle_precision
from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.devices.variables import Variables
from nst_keras.devices.xla import settle_xla
from nst_keras.imaging import geometry
from nst_keras.objective.tiled import check_can_be_cut
from nst_keras.runtime.errors import InputError
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.out_of_memory import Tiling, is_out_of_memory
from nst_keras.transfer.plan import (
    FINISH_SECONDS,
    Plan,
    Scale,
    fit_steps,
    plan_run,
    steps_by_setting,
)
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun

_log = logging.getLogger(__name__)

_PICTURES = 24  # iteration images of a run if --image_every is not given
_LINES = 60  # of metrics.jsonl if --log_every is not given
_FEW = 0.2  # share of the usual steps
_SLACK = 0.08  # share of a time limit that is left unplanned, since the pace of machines varies


def make_plan(
    settings: Settings,
    inputs: Inputs,
    replicas: Replicas = ALONE,
    *,
    started: float | None = None,
    iterations_given: bool = False,
) -> Plan:
    """Decide everything that settings and inputs leave open.

    Args:
        started: when the run was asked for, by the monotonic clock (default: now); a time limit
            counts from then.
        iterations_given: whether the user chose the steps; a time limit then only lowers them.

    Raises:
        InputError: the run does not fit the memory or the time limit.
    """
    started = time.monotonic() if started is None else started
    precision = settle_precision(settings.precision, announce=True)
    plan = _plan(settings, inputs, precision)
    _warn_of_rate(settings, plan.scales[0])
    budget = memory.memory_budget(settings.memory_limit, len(replicas.devices))
    costs = CostModel.of_run(settings, precision, inputs)
    plan = _with_tiles(plan, costs, budget)
    largest = plan.scales[-1]
    if max(largest.height, largest.width) > (plan.tile_size or math.inf):
        check_can_be_cut(inputs.architecture(settings), inputs.terms)
    if not settings.time_limit:
        return plan
    _log.info("time limit: taking a few steps, to see how many will fit")
    plan, seconds, setting_up = _measured(settings, inputs, plan, replicas)
    spent, limit = time.monotonic() - started, settings.time_limit
    fixed = spent + setting_up + FINISH_SECONDS + _SLACK * limit
    usual = tuple(scale.steps for scale in plan.scales)
    steps = fit_steps(usual, seconds, fixed, limit)
    if iterations_given:
        steps = tuple(map(min, steps, usual))
    _warn_of_few_steps(sum(steps), sum(usual))
    decided = steps_by_setting(steps, has_detail=plan.scales[-1].by_layer)
    settings = dataclasses.replace(settings, **decided)
    fitted = _plan(settings, inputs, precision)
    return dataclasses.replace(fitted, tile_size=plan.tile_size, state_on_host=plan.state_on_host)


def _warn_of_few_steps(steps: int, usual: int) -> None:
    if steps < _FEW * usual:
        _log.warning(
            "time limit: only %d of the usual %d steps fit, which may be too few; a smaller --size "
            "has time for more",
            *(steps, usual),
        )


def _with_tiles(plan: Plan, costs: CostModel, budget: memory.MemoryBudget) -> Plan:
    """The plan with tiles that fit the memory: on a GPU, those that leave the image and the
    optimizer's state to the host if others do not. A given size of tiles stays."""
    largest, refusal = plan.scales[-1], None
    try:
        tile_size = costs.choose_tile_size(plan.scales, budget)
        fits = tile_size is None or costs.peak_bytes(largest, tile_size) <= budget.bytes
        if fits or not memory.on_gpu():
            return dataclasses.replace(plan, tile_size=tile_size)
    except InputError as error:
        if not memory.on_gpu():
            raise
        refusal = error
    tile_size = costs.choose_tile_size(plan.scales, budget, state_on_host=True)
    if costs.peak_bytes(largest, tile_size) > memory.available_bytes():
        if refusal:
            raise refusal
        return dataclasses.replace(plan, tile_size=tile_size)  # as given
    _log.info("memory: the image and the optimizer's state are kept on the host")
    return dataclasses.replace(plan, tile_size=tile_size, state_on_host=True)


def _warn_of_rate(settings: Settings, scale: Scale) -> None:
    """Warn if the learning rate is known to be too large for a picture of this size."""
    preset = PRESETS[settings.objective]
    published = preset.defaults
    if settings.optimizer != published["optimizer"] or not settings.style_weight:
        return
    stable = preset.stable_rate * scale.pixels * published["style_weight"] / settings.style_weight
    if settings.learning_rate > stable * (1 + 1e-9):
        _log.warning(
            "--learning_rate=%g: with --objective=%s and --optimizer=%s, losses may grow to NaN at "
            "%dx%d, where pixels have larger gradients than in a larger picture; use "
            "--learning_rate=%.2g",
            settings.learning_rate,
            settings.objective,
            settings.optimizer,
            scale.width,
            scale.height,
            stable,
        )


def _plan(settings: Settings, inputs: Inputs, precision: str) -> Plan:
    scales = plan_run(settings, inputs.sizes["content"])
    if inputs.extractor:
        _check_sides(scales, inputs, settings)
    total = scales[-1].last_step
    image_every, log_every = settings.image_every, settings.log_every
    if image_every is None:
        image_every = max(1, math.ceil(total / _PICTURES))
    if log_every is None:
        log_every = max(1, math.ceil(total / _LINES))
    steps = (settings.iterations, settings.coarse_iterations, settings.detail_iterations)
    xla = settle_xla(settings.xla, settings.deterministic)
    if inputs.extractor and xla == "auto":
        xla = False  # it may be made of operations that XLA cannot compile, which would end the run
    return Plan(scales, precision, None, image_every, *steps, xla=xla, log_every=log_every)


def _check_sides(scales: Sequence[Scale], inputs: Inputs, settings: Settings) -> None:
    """Refuse pictures in which a layer of the user's network has no position."""
    strides = inputs.architecture(settings).strides
    deepest = max(inputs.layers(settings), key=strides.__getitem__)
    least = min(min(scale.height, scale.width) for scale in scales)
    if least < strides[deepest]:
        names = "size" if len(scales) == 1 else "size, --min_size"
        raise InputError(
            f"--{names}: the smallest picture has a side of {least} px, but {deepest} has one "
            f"position for {strides[deepest]} pixels; use larger ones, or another layer"
        )


def _measured(
    settings: Settings, inputs: Inputs, plan: Plan, replicas: Replicas
) -> tuple[Plan, tuple[float, ...], float]:
    """The plan, with smaller tiles if the memory does not suffice, and what `measure_seconds` says
    of it."""
    while True:
        try:
            return plan, *measure_seconds(settings, inputs, plan, replicas)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            tiling = Tiling.of(settings, inputs, replicas.hosts)
            side = tiling.smaller(plan.scales[-1], plan.tile_size, error)
        memory.free_garbage()
        plan = dataclasses.replace(plan, tile_size=side)


def measure_seconds(
    settings: Settings, inputs: Inputs, plan: Plan, replicas: Replicas = ALONE
) -> tuple[tuple[float, ...], float]:
    """Seconds per step at each scale of a plan, and seconds to set all of them up.

    Times a few steps at the coarsest and the finest scale; in between, time is linear in pixels.
    """
    problem = StyleTransferProblem(settings, inputs, plan, replicas)
    image, variables = problem.pictures.first_image(), _variables_by_kind(problem)
    ends = dict.fromkeys((plan.scales[0], plan.scales[-1]))
    times = [_time_scale(problem, scale, image, variables[scale.by_layer]) for scale in ends]
    pixels, of_ends = ([own.pixels for own in scales] for scales in (plan.scales, ends))
    steps, setups, graphs = (np.interp(pixels, of_ends, own) for own in zip(*times, strict=True))
    # In between, scales have a graph of their own only if they do not share it.
    has_graph = [own in ends or not variables[own.by_layer].are_shared for own in plan.scales]
    return tuple(steps.tolist()), float(setups.sum() + graphs[has_graph].sum())


def _variables_by_kind(problem: StyleTransferProblem) -> dict[bool, Variables]:
    """The variables of scales whose neighbors are, or are not, matched by layer."""
    return {
        scale.by_layer: Variables(problem.shares_graphs(scale, problem.plan.tile_size))
        for scale in problem.plan.scales
    }


def _time_scale(
    problem: StyleTransferProblem, scale: Scale, image: np.ndarray, variables: Variables
) -> tuple[float, float, float]:
    """Seconds of one step, of setting the scale up from a resized image, and of preparing the graph
    of a step, if that is new."""
    if not variables.are_shared:
        memory.free_garbage()  # as between the scales of a run
    variables.release()
    start, side = geometry.resize(image, scale.height, scale.width), problem.plan.tile_size
    began = time.perf_counter()
    run = ScaleRun(problem, scale, lambda: start, tile_size=side, variables=variables)
    set_up = time.perf_counter()
    run.run(1)
    ready = time.perf_counter()
    run.run(2)
    step = (time.perf_counter() - ready) / 2
    return step, set_up - began, max(ready - set_up - step, 0.0)
