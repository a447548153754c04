"""Several pictures of one size at once: what fills a GPU that one small picture leaves idle.

Each keeps its own objective, optimiser, state and reports; only the way through the network is
taken together, and one graph is compiled for all.
"""

import dataclasses
import functools
import gc
import hashlib
import time
from collections.abc import Generator, Iterable, Sequence

import numpy as np
import tensorflow as tf

from nst_keras import devices, grouping, images, planning
from nst_keras.checkpoints import Checkpointer
from nst_keras.config import Config
from nst_keras.course import Course
from nst_keras.errors import InputError
from nst_keras.loop import PictureLike, Prepared, prepare
from nst_keras.objective import Objective, Terms, tainted, total
from nst_keras.passage import Passage, Sums
from nst_keras.progress import Iterate
from nst_keras.scales import Scale
from nst_keras.stages import Stage, compiled_step, repeated
from nst_keras.weights import Weights


@dataclasses.dataclass(frozen=True)
class Request:
    """The arguments of `loop.stylize` for one picture of a batch."""

    content: PictureLike
    styles: PictureLike | Sequence[PictureLike]
    config: Config
    checkpointer: Checkpointer | None = None


def stylize_batch(
    requests: Sequence[Request], weights: Weights | None = None
) -> Generator[list[Iterate], None, None]:
    """As `loop.stylize`, several pictures at once.

    Their settings may differ in what `grouping.OWN` names, and they go on from states after the
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
        job = prepare(
            one.content, one.styles, one.config, weights, one.checkpointer, networks=networks
        )
        jobs.append(job)
    _check(jobs)
    return _run(jobs)


def _check(jobs: Sequence[Prepared]) -> None:
    first = jobs[0]
    grouping.check([job.config for job in jobs])
    if len({job.plan for job in jobs}) > 1:
        raise InputError("--batch: the pictures are of different sizes")
    if len({job.saved.step if job.saved else 0 for job in jobs}) > 1:
        raise InputError("--batch: the pictures are not equally far")  # see `level`
    limit = devices.memory_limit(first.config.memory_limit)
    planning.check_batch(first.config, first.plan, len(jobs), limit)


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
            checkpointer.go_back(step, step)
    return step


def _name(checkpointers: Sequence[Checkpointer | None]) -> str:
    """Tells a batch from others of some of the same pictures."""
    jobs = " ".join(one.job if one else "" for one in checkpointers)
    return hashlib.sha256(jobs.encode()).hexdigest()[:16]


def _run(jobs: Sequence[Prepared]) -> Generator[list[Iterate], None, None]:
    courses = [job.course() for job in jobs]
    pictures = [job.painter.first_image() for job in jobs]
    for scale in jobs[0].plan:
        if scale.last_step < courses[0].step:
            continue
        batch = _begin_scale(jobs, courses, scale, pictures)
        yield from _take_steps(courses, batch)
        pictures = [member.picture() for member in batch.members]
        del batch  # as in `loop`
        gc.collect()


def _begin_scale(
    jobs: Sequence[Prepared],
    courses: Sequence[Course],
    scale: Scale,
    pictures: Sequence[np.ndarray],
) -> "Batch":
    members = []
    for job, course, picture in zip(jobs, courses, pictures, strict=True):
        state, job.saved = job.saved.arrays if job.saved else None, None
        course.begin(scale, state)
        start = functools.partial(images.resize, picture, scale.height, scale.width)
        members.append(Member(job.painter, scale, start, state, slower=course.recoveries))
    name = _name([job.checkpointer for job in jobs])
    return Batch(members, name, xla=jobs[0].config.xla)


def _take_steps(courses: Sequence[Course], batch: "Batch") -> Generator[list[Iterate], None, None]:
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
    courses: Sequence[Course], batch: "Batch", found: Sequence[dict[str, float]]
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
    if any(map(Course.is_save_due, courses, iterates)):
        for course, member in at_work:
            course.save(member)


class Member(Stage):
    """The scale of one picture of a batch: its steps are taken by the batch."""

    batch: "Batch"

    def value(self) -> dict[str, float]:
        """The terms of the picture; those of all pictures are computed at once."""
        return self.batch.values()[self.batch.members.index(self)]

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, beside the settings."""
        return {**super().state(), "batch": np.array(self.batch.name)}


class Batch:
    """Steps of several pictures, in one graph.

    Args:
        members: at the same scale, whole and not in tiles, with objectives of the same terms and
            optimisers that evaluate the image which they hold.
        name: of the batch, kept in states.
        xla: see `--xla`.
    """

    def __init__(self, members: Sequence[Member], name: str = "", *, xla: bool = False):
        self.members, self.name = tuple(members), name
        for member in self.members:
            member.batch = self
        self._objectives = [_whole(member) for member in self.members]
        self._names = self._objectives[0].term_names
        self._step = compiled_step(self._one_step, xla=xla)
        self._run = tf.function(self._steps, autograph=False)
        self._look = tf.function(self._values, autograph=False)
        self._valued: list[dict[str, float]] | None = None

    def run(self, steps: int) -> list[dict[str, float]]:
        """Take some steps; returns for each picture what `Stage.run` does."""
        self._valued = None
        return self._named(self._run(tf.constant(steps)))

    def values(self) -> list[dict[str, float]]:
        """The terms of each picture."""
        if self._valued is None:
            pictures = np.stack([member.picture() for member in self.members])
            self._valued = self._named(self._look(tf.constant(pictures)))
        return self._valued

    def _named(self, rows: tf.Tensor) -> list[dict[str, float]]:
        return [dict(zip(self._names, map(float, row), strict=True)) for row in rows.numpy()]

    def _steps(self, count: tf.Tensor) -> tf.Tensor:
        return repeated(self._step, count, (len(self.members), len(self._names)))

    def _one_step(self) -> tf.Tensor:
        iterates = tf.concat([member.image.read_value() for member in self.members], axis=0)
        found = values_and_grads(self._objectives, iterates)
        return self._rows(
            member.advance(functools.partial(_known, one))
            for member, one in zip(self.members, found, strict=True)
        )

    def _values(self, pictures: tf.Tensor) -> tf.Tensor:
        return self._rows(values(self._objectives, pictures))

    def _rows(self, terms_of_all: Iterable[Terms]) -> tf.Tensor:
        return tf.stack([tf.stack([terms[n] for n in self._names]) for terms in terms_of_all])


def _known(found: tuple[Terms, tf.Tensor], image: tf.Tensor) -> tuple[Terms, tf.Tensor]:
    """What an optimiser asks for, when it is there already: it asks for the image that it holds."""
    return found


def _whole(member: Member) -> Objective:
    if not isinstance(member.objective, Objective):
        raise InputError("--batch: is for pictures that fit the memory whole, without tiles")
    return member.objective


def values(objectives: Sequence[Objective], pictures: tf.Tensor) -> list[Terms]:
    """`Objective.value` of each of (N, H, W, 3), through the network of the first one."""
    variation = _variation_sums(objectives, pictures)
    sums = {"tv": variation, **_passage(objectives, pictures).sums}
    height, width = pictures.shape[1:3]
    return [one.terms(own, height, width) for one, own in _each(objectives, sums)]


def values_and_grads(
    objectives: Sequence[Objective], pictures: tf.Tensor
) -> list[tuple[Terms, tf.Tensor]]:
    """`Objective.value_and_grad` of each of (N, H, W, 3), through the network of the first one."""
    passage = _passage(objectives, pictures)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(pictures)
        variation = _variation_sums(objectives, pictures)
    height, width = pictures.shape[1:3]
    sums = {"tv": variation, **passage.sums}
    found = [one.cotangents(own, height, width, total) for one, own in _each(objectives, sums)]
    cotangents = _stacked([cotangents for _, cotangents in found])
    gradient = tape.gradient(variation, pictures, output_gradients=cotangents["tv"])
    pulled = passage.pull_back(cotangents, objectives[0].largest_cotangent)
    if pulled is not None:
        gradient += pulled
    gradients = tf.split(gradient, len(objectives))
    return [(tainted(terms, own), own) for (terms, _), own in zip(found, gradients, strict=True)]


def _passage(objectives: Sequence[Objective], pictures: tf.Tensor) -> Passage:
    """Of all pictures; statistics have a first axis for these."""

    def sums_of(layer: str, features: tf.Tensor) -> Sums:
        parts = tf.split(features, len(objectives))
        return _stacked(
            [one.sums_of_layer(layer, part) for one, part in zip(objectives, parts, strict=True)]
        )

    return Passage(objectives[0].sections, pictures, sums_of)


def _variation_sums(objectives: Sequence[Objective], pictures: tf.Tensor) -> tf.Tensor:
    parts = tf.split(pictures, len(objectives))
    pairs = zip(objectives, parts, strict=True)
    return tf.stack([one.formulas.variation.sums(part) for one, part in pairs])


def _stacked(sums_of_all: Sequence[Sums]) -> Sums:
    return {name: tf.stack([sums[name] for sums in sums_of_all]) for name in sums_of_all[0]}


def _each(objectives: Sequence[Objective], sums: Sums) -> list[tuple[Objective, Sums]]:
    """Each objective with the sums of its own picture."""
    return [
        (one, {name: stacked[index] for name, stacked in sums.items()})
        for index, one in enumerate(objectives)
    ]
