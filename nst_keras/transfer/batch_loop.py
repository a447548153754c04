"""As `loop`, for several pictures of one size at once: `stylize_batch`."""

import functools
import gc
import hashlib
import time
from collections.abc import Generator, Sequence

import numpy as np

from nst_keras.devices import memory
from nst_keras.imaging import geometry
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.transfer import cost, grouping
from nst_keras.transfer.batch import Batch, BatchMember
from nst_keras.transfer.controller import Controller
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.scales import Scale
from nst_keras.transfer.setup import Prepared, Request, prepare


def stylize_batch(requests: Sequence[Request]) -> Generator[list[Iterate], None, None]:
    """As `loop.stylize`, several pictures at once; the weights are those of the first request.

    Their settings may differ where options are `per_picture`, and they go on from states after the
    same step. Pictures differ from those made one by one by rounding; the same batch makes the same
    ones, interrupted or not.

    Yields:
        An `Iterate` for each picture, all after the same step.

    Raises:
        InputError: as `stylize`, or these pictures cannot be made at once.
        FloatingPointError, tf.errors.OpError: one or all went wrong. `stylize` takes each further
            from what is saved of it, and knows what to do then.
    """
    jobs: list[Prepared] = []
    for one in requests:
        networks = jobs[0].painter.networks if jobs else None
        jobs.append(prepare(one, networks))
    _check(jobs)
    return _run(jobs)


def _check(jobs: Sequence[Prepared]) -> None:
    first = jobs[0].painter
    grouping.check([job.painter.config for job in jobs])
    if len({job.painter.plan for job in jobs}) > 1:
        raise InputError("--batch: the pictures are of different sizes")
    if len({job.saved.step if job.saved else 0 for job in jobs}) > 1:
        raise InputError("--batch: the pictures are not equally far")  # see `level`
    room = memory.memory_budget(first.config.memory_limit)
    cost.check_batch(first.config, first.plan, len(jobs), room, first.networks.channels)


def level(checkpointers: Sequence[Checkpointer]) -> int:
    """Go back with all to the newest step of which each has a state; returns that step.

    Raises:
        InputError: a picture went on alone. Its states stay.
    """
    name = _name(checkpointers)
    found = [checkpointer.latest() for checkpointer in checkpointers]
    if any(saved and str(saved.arrays.get("batch")) != name for saved in found):
        raise InputError("--batch: some of the pictures have gone on alone")
    if len({saved.step if saved else 0 for saved in found}) == 1:
        return found[0].step if found[0] else 0
    common = set.intersection(*({0, *one.steps()} for one in checkpointers))
    step = max(common)
    for checkpointer, saved in zip(checkpointers, found, strict=True):
        if saved and saved.step > step:
            checkpointer.forget_after(step)
    return step


def _name(checkpointers: Sequence[Checkpointer | None]) -> str:
    """Tells a batch from others of some of the same pictures."""
    jobs = " ".join(one.job if one else "" for one in checkpointers)
    return hashlib.sha256(jobs.encode()).hexdigest()[:16]


def _run(jobs: Sequence[Prepared]) -> Generator[list[Iterate], None, None]:
    courses = [job.course() for job in jobs]
    pictures = [job.painter.first_image() for job in jobs]
    for scale in jobs[0].painter.plan:
        if scale.last_step < courses[0].step:
            continue
        batch = _begin_scale(jobs, courses, scale, pictures)
        yield from _take_steps(courses, batch)
        pictures = [member.picture() for member in batch.members]
        del batch  # as in `loop`
        gc.collect()


def _begin_scale(
    jobs: Sequence[Prepared],
    courses: Sequence[Controller],
    scale: Scale,
    pictures: Sequence[np.ndarray],
) -> Batch:
    members = []
    for job, course, picture in zip(jobs, courses, pictures, strict=True):
        state = job.take_state()
        course.begin(scale, state)
        start = functools.partial(geometry.resize, picture, scale.height, scale.width)
        members.append(BatchMember(job.painter, scale, start, state, slower=course.recoveries))
    name = _name([job.checkpointer for job in jobs])
    return Batch(members, name, xla=jobs[0].painter.config.xla)


def _take_steps(
    courses: Sequence[Controller], batch: Batch
) -> Generator[list[Iterate], None, None]:
    if courses[0].is_over:  # but perhaps not yet written out
        yield from _report(courses, batch, [member.value() for member in batch.members])
    while not courses[0].ends_scale:
        steps = min(course.steps_per_call() for course in courses)
        began = time.perf_counter()
        found = batch.run(steps)
        seconds = time.perf_counter() - began
        for course, terms in zip(courses, found, strict=True):
            course.took(steps, seconds, terms)
        yield from _report(courses, batch, found)


def _report(
    courses: Sequence[Controller], batch: Batch, found: Sequence[dict[str, float]]
) -> Generator[list[Iterate], None, None]:
    at_work = list(zip(courses, batch.members, strict=True))
    iterates = [
        course.report(member, terms) for (course, member), terms in zip(at_work, found, strict=True)
    ]
    try:
        yield iterates
    except GeneratorExit:
        for course, member in at_work:
            course.save(member)
        raise
    if not iterates[0].is_last:
        for iterate in iterates:
            iterate.stage = None
    # All or none: those of one batch must have a step in common to go on from.
    if any(map(Controller.is_save_due, courses, iterates)):
        for course, member in at_work:
            course.save(member)
