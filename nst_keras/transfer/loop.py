"""The loop over scales and steps: yields iterates, saves states and resumes from them."""

import dataclasses
import functools
import gc
import logging
import time
from collections.abc import Callable, Generator, Sequence

import numpy as np

from nst_keras.devices import memory
from nst_keras.imaging import geometry
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer, State
from nst_keras.runtime.errors import InputError
from nst_keras.transfer import grouping
from nst_keras.transfer.batch import ScaleBatch, batch_name
from nst_keras.transfer.controller import Controller
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.recovery import recover
from nst_keras.transfer.scale_run import ScaleRun
from nst_keras.transfer.scales import Scale

_log = logging.getLogger(__name__)


def optimize(
    problems: Sequence[StyleTransferProblem], checkpointers: Sequence[Checkpointer | None]
) -> Generator[list[Iterate], None, None]:
    """Optimize one picture, or several of one size at once.

    Several pictures may differ in the settings that batches allow (see `grouping`), and resume from
    checkpoints of the same step. Their results differ by rounding from those of pictures that are
    made one by one; the same batch always gives the same results, interrupted or not.

    Yields:
        An `Iterate` for each picture, all after the same step; otherwise as `stylize`.

    Raises:
        InputError: these pictures cannot be optimized at once, or the checkpoints do not fit.
        Exception: as `stylize`. With several pictures, out of memory and numerical trouble are not
            recovered from; each picture can then be resumed alone.
    """
    saved = [checkpointer.latest() if checkpointer else None for checkpointer in checkpointers]
    _check_batch(problems, saved)
    name = batch_name(checkpointers)
    controllers = []
    for problem, checkpointer, start in zip(problems, checkpointers, saved, strict=True):
        _check_checkpoint(problem, start)
        plan = dataclasses.replace(problem.plan, tile_size=_chiefs_tile_size(problem, start))
        controllers.append(
            Controller(problem.settings, plan, checkpointer, start, problem.replicas, name)
        )
    return _run(problems, controllers, [start.state if start else None for start in saved])


def _check_batch(
    problems: Sequence[StyleTransferProblem], saved: Sequence[Checkpoint | None]
) -> None:
    """Refuse pictures that cannot be optimized at once."""
    first = problems[0]
    if len(problems) == 1:
        return
    grouping.check([problem.settings for problem in problems])
    if len({problem.plan.scales for problem in problems}) > 1:
        raise InputError("--batch: the pictures are of different sizes")
    if len({start.step if start else 0 for start in saved}) > 1:
        raise InputError("--batch: the runs are at different steps")  # see `rewind_to_common_step`
    if any(problem.plan.tile_size for problem in problems):
        raise InputError("--batch: pictures must fit in memory without tiles")
    costs = CostModel(first.settings, first.plan.precision, first.extractors.weights.channels)
    budget = memory.memory_budget(first.settings.memory_limit)
    costs.check_batch(first.plan.scales, len(problems), budget)


def _check_checkpoint(problem: StyleTransferProblem, saved: Checkpoint | None) -> None:
    if saved and saved.step > problem.plan.total_steps:
        raise InputError(
            f"--workdir: its checkpoint is of step {saved.step}, but the run has only "
            f"{problem.plan.total_steps} steps"
        )


def _chiefs_tile_size(problem: StyleTransferProblem, saved: Checkpoint | None) -> int | None:
    """The tile size of the chief. All hosts wait for each other here.

    Raises:
        InputError: this host would resume from another step.
    """
    step = saved.step if saved else 0
    chiefs_step, chiefs_size = (
        int(number) for number in problem.replicas.from_chief((step, problem.plan.tile_size or 0))
    )
    if step != chiefs_step:
        raise InputError(
            f"--workdir: its newest checkpoint is of step {step} here and of step {chiefs_step} on "
            "the first host; all hosts must see the same folder"
        )
    return chiefs_size or None


def _run(
    problems: Sequence[StyleTransferProblem],
    controllers: Sequence[Controller],
    states: list[State | None],
) -> Generator[list[Iterate], None, None]:
    pictures: list[np.ndarray | None] = [None] * len(problems)
    for scale in controllers[0].plan.scales:
        if scale.last_step < controllers[0].step:
            continue
        starts = [
            functools.partial(_start, problem, scale, picture)
            for problem, picture in zip(problems, pictures, strict=True)
        ]
        batch = yield from _run_scale(problems, controllers, scale, starts, states)
        pictures = [run.picture() for run in batch.runs]
        # The compiled steps and the batch refer to each other: without this, two scales stay in
        # memory.
        del batch, starts
        gc.collect()


def _start(problem: StyleTransferProblem, scale: Scale, picture: np.ndarray | None) -> np.ndarray:
    """The first image of a scale: the result of the scale before, or the first image of all."""
    image = problem.first_image() if picture is None else picture
    return geometry.resize(image, scale.height, scale.width)


def _run_scale(
    problems: Sequence[StyleTransferProblem],
    controllers: Sequence[Controller],
    scale: Scale,
    starts: Sequence[Callable[[], np.ndarray]],
    states: list[State | None],
) -> Generator[list[Iterate], None, ScaleBatch]:
    """Run one scale from its start or from saved states. A single picture recovers from errors.

    Args:
        states: cleared once they have been restored, since they are large.
    """
    while True:
        batch = None
        try:
            batch = _begin(problems, controllers, scale, starts, states)
            states[:] = [None] * len(states)
            yield from _take_steps(controllers, batch)
            return batch
        except Exception as error:
            if len(problems) > 1:
                raise
            run = batch.runs[0] if batch else None
            states[0] = recover(problems[0], controllers[0], run, states[0], error)
        batch = run = None
        gc.collect()


def _begin(
    problems: Sequence[StyleTransferProblem],
    controllers: Sequence[Controller],
    scale: Scale,
    starts: Sequence[Callable[[], np.ndarray]],
    states: Sequence[State | None],
) -> ScaleBatch:
    runs = []
    for problem, controller, start, state in zip(
        problems, controllers, starts, states, strict=True
    ):
        controller.begin(scale, state)
        runs.append(
            ScaleRun(problem, scale, start, state, controller.tile_size, controller.halvings)
        )
    return ScaleBatch(runs, xla=problems[0].settings.xla)


def _take_steps(
    controllers: Sequence[Controller], batch: ScaleBatch
) -> Generator[list[Iterate], None, None]:
    """Take the remaining steps of the scale."""
    if controllers[0].is_over:  # but its result may not have been written yet
        yield from _report(controllers, batch, batch.values())
    while not controllers[0].ends_scale:
        steps = min(controller.steps_per_call() for controller in controllers)
        began = time.perf_counter()
        losses_of_all = batch.run(steps)
        seconds = time.perf_counter() - began
        for controller, losses in zip(controllers, losses_of_all, strict=True):
            controller.count(steps, seconds, losses)
        yield from _report(controllers, batch, losses_of_all)


def _report(
    controllers: Sequence[Controller],
    batch: ScaleBatch,
    losses_of_all: Sequence[dict[str, float]],
) -> Generator[list[Iterate], None, None]:
    iterates = [
        controller.report(source, losses)
        for controller, source, losses in zip(
            controllers, batch.sources(), losses_of_all, strict=True
        )
    ]
    try:
        yield iterates
    except GeneratorExit:
        _save(controllers, batch)
        raise
    if not iterates[0].is_last:
        for iterate in iterates:
            iterate.source = None
    # All or none: the pictures of a batch must have a step in common to resume from.
    if any(map(Controller.is_save_due, controllers, iterates)):
        _save(controllers, batch)


def _save(controllers: Sequence[Controller], batch: ScaleBatch) -> None:
    for controller, run in zip(controllers, batch.runs, strict=True):
        controller.save(run)
