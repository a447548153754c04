"""The loop over scales and steps: yields iterates, saves states and resumes from them."""

import functools
import logging
import time
from collections.abc import Generator, Sequence

import numpy as np

from nst_keras.devices import compile_cache, memory, xla
from nst_keras.imaging import geometry
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.timeline import FIRST_STEPS, SAVING, SETUP, STEPS, Timeline
from nst_keras.transfer import grouping
from nst_keras.transfer.batch import ScaleBatch, batch_name
from nst_keras.transfer.controller import Controller
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.plan import Scale
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun
from nst_keras.transfer.xla_trial import XlaTrial, program_kind

_log = logging.getLogger(__name__)

_Iterates = Generator[list[Iterate], None, None]


def optimize(
    problems: Sequence[StyleTransferProblem],
    checkpointers: Sequence[Checkpointer | None],
    timeline: Timeline | None = None,
) -> _Iterates:
    """Optimize one picture, or several of one size at once.

    Several pictures may differ in the settings that batches allow (see `grouping`), and resume from
    checkpoints of the same step. Their results differ by rounding from those of pictures that are
    made one by one; the same batch always gives the same results, interrupted or not.

    Args:
        timeline: counts the time of setting scales up, of first steps, which compile, of the other
            steps, and of saving.

    Yields:
        An `Iterate` for each picture, all after the same step; otherwise as `stylize`.

    Raises:
        InputError: these pictures cannot be optimized at once, or the checkpoints do not fit.
        Exception: as `stylize`. With several pictures, out of memory and numerical trouble are not
            recovered from; each picture can then be resumed alone.
    """
    name = batch_name(checkpointers)
    controllers = [
        Controller(problem, checkpointer, name)
        for problem, checkpointer in zip(problems, checkpointers, strict=True)
    ]
    if len(controllers) > 1:
        _check_batch(controllers)
    return _run(controllers, timeline or Timeline())


def _check_batch(controllers: Sequence[Controller]) -> None:
    """Refuse pictures that cannot be optimized at once."""
    grouping.check([controller.settings for controller in controllers])
    plans = [controller.plan for controller in controllers]
    if len({plan.scales for plan in plans}) > 1:
        raise InputError("--batch: the pictures are of different sizes")
    if len({controller.step for controller in controllers}) > 1:
        raise InputError("--batch: the runs are at different steps")  # see `rewind_to_common_step`
    if any(plan.tile_size for plan in plans):
        raise InputError("--batch: pictures must fit in memory without tiles")
    problem = controllers[0].problem
    budget = memory.memory_budget(problem.settings.memory_limit)
    problem.costs.check_batch(plans[0].scales, len(plans), budget)


def _run(controllers: Sequence[Controller], timeline: Timeline) -> _Iterates:
    for scale in controllers[0].plan.scales:
        is_done = controllers[0].is_done(scale)
        while not is_done:
            is_done = yield from _run_scale(controllers, scale, timeline)


def _run_scale(
    controllers: Sequence[Controller], scale: Scale, timeline: Timeline
) -> Generator[list[Iterate], None, bool]:
    """Run a scale; returns whether it came to its end, or is to be run again after an error."""
    batch, began = None, time.perf_counter()
    try:
        with timeline.part(SETUP):
            batch = _begin(controllers, scale)
        yield from _take_steps(controllers, batch, timeline, time.perf_counter() - began)
    except Exception as error:
        if len(controllers) > 1:
            raise
        controllers[0].recover(batch.runs[0] if batch else None, error)
        return False
    for controller, run in zip(controllers, batch.runs, strict=True):
        controller.picture = run.leave()
    return True


def _begin(controllers: Sequence[Controller], scale: Scale) -> ScaleBatch:
    runs = []
    for controller in controllers:
        controller.begin(scale)
    if controllers[0].leaves_graph:
        memory.free_garbage()  # that graph is large
    for controller in controllers:
        runs.append(
            ScaleRun(
                controller.problem,
                scale,
                functools.partial(_first_image, controller, scale),
                controller.start,
                controller.tile_size,
                controller.halvings,
                controller.variables,
            )
        )
    batch = ScaleBatch(runs)
    for controller, run in zip(controllers, runs, strict=True):
        controller.start = None  # it is large
        controller.note_begun(run)
    return batch


def _first_image(controller: Controller, scale: Scale) -> np.ndarray:
    """The first image of a scale: the result of the scale before, or the first image of all."""
    if controller.picture is None:
        return geometry.resize(controller.problem.pictures.first_image(), scale.height, scale.width)
    return controller.problem.pictures.enlarged(controller.picture, scale)


def _take_steps(
    controllers: Sequence[Controller], batch: ScaleBatch, timeline: Timeline, set_up: float
) -> _Iterates:
    """Take the remaining steps of the scale, which took so many seconds to set up."""
    trial = _xla_trial(controllers, batch)
    if controllers[0].is_over:  # but its result may not have been written yet
        yield from _report(controllers, batch, batch.values(), timeline)
    while not controllers[0].ends_scale:
        steps = min(controller.steps_per_call() for controller in controllers)
        began = time.perf_counter()
        is_traced = controllers[0].is_traced
        with timeline.part(STEPS if is_traced else FIRST_STEPS):
            losses_of_all = batch.run(steps)
        seconds = time.perf_counter() - began
        if not is_traced:
            _keep_compiled(batch, seconds)
            # Of the first step, only what was compiled is to come again.
            is_compiled_anew = batch.uses_xla or not batch.shares_graph
            for controller in controllers:
                controller.pace.setup_seconds = set_up + is_compiled_anew * seconds
        for controller, losses in zip(controllers, losses_of_all, strict=True):
            controller.count(steps, seconds, losses)
        if trial and trial.observe(steps, seconds, controllers[0].steps_left):
            for controller in controllers:
                controller.expect_another_pace()
        yield from _report(controllers, batch, losses_of_all, timeline)


def _xla_trial(controllers: Sequence[Controller], batch: ScaleBatch) -> XlaTrial | None:
    """What decides about XLA during the scale, if that is left to it."""
    first, folder = controllers[0], compile_cache.folder()
    if first.plan.xla != "auto" or batch.compiled is None:
        return None
    neighbors = batch.runs[0].objective.neighbors
    vectors = neighbors.vector_count if neighbors else 0
    regions = first.problem.pictures.regions
    kind = program_kind(
        first.settings,
        first.scale,
        first.plan.precision,
        len(controllers),
        vectors,
        len(regions.regions),
        keeps=regions.keep is not None,
    )
    remember = functools.partial(xla.remember, folder, kind)
    return XlaTrial(batch.compiled, xla.recall(folder, kind), remember)


def _keep_compiled(batch: ScaleBatch, seconds: float) -> None:
    """Have what the first steps compiled kept for later runs, and tell of XLA's programs.

    Args:
        seconds: that the first steps took.
    """
    compiled = compile_cache.seal()
    if not batch.uses_xla:
        return
    if compile_cache.folder() is None:
        _log.info("xla: the first step took %.1f s; compiled programs are not kept", seconds)
    elif compiled:
        what = "a program" if compiled == 1 else f"{compiled} programs"
        _log.info("xla: compiled %s in %.1f s, kept for later runs", what, seconds)
    else:
        _log.info("xla: nothing to compile; the first step took %.1f s", seconds)


def _report(
    controllers: Sequence[Controller],
    batch: ScaleBatch,
    losses_of_all: Sequence[dict[str, float]],
    timeline: Timeline,
) -> _Iterates:
    iterates = [
        controller.report(batch.source(index), losses)
        for index, (controller, losses) in enumerate(zip(controllers, losses_of_all, strict=True))
    ]
    try:
        yield iterates
    except GeneratorExit:
        _leave_out_pauses(controllers, iterates)
        with timeline.part(SAVING):
            _save(controllers, batch)
        raise
    _leave_out_pauses(controllers, iterates)
    if not iterates[0].is_last:
        for iterate in iterates:
            iterate.source = None
    # All or none: the pictures of a batch must have a step in common to resume from.
    if any(map(Controller.is_save_due, controllers, iterates)):
        with timeline.part(SAVING):
            _save(controllers, batch)


def _leave_out_pauses(controllers: Sequence[Controller], iterates: Sequence[Iterate]) -> None:
    for controller, iterate in zip(controllers, iterates, strict=True):
        controller.leave_out(iterate.pause)


def _save(controllers: Sequence[Controller], batch: ScaleBatch) -> None:
    for controller, run in zip(controllers, batch.runs, strict=True):
        controller.save(run)
