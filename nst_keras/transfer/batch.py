"""Takes the steps of one picture, or of several at once: one small picture leaves a GPU idle.

In a batch each picture keeps its own objective, optimizer and state. Only the pass through the
network is shared, and one graph is compiled for all.
"""

import functools
import hashlib
import math
from collections.abc import Sequence

import tensorflow as tf

from nst_keras.objective.evaluation import WholeEvaluator, evaluate_batch
from nst_keras.objective.objective import Losses, size_of, with_nan
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.transfer.compiling import CompiledSteps
from nst_keras.transfer.iterate import PictureSource
from nst_keras.transfer.scale_run import ScaleRun


class ScaleBatch:
    """One scale of one or more pictures, all after the same step.

    Several must be whole, not in tiles, with the same terms, network and size, and with optimizers
    that evaluate only the image that they hold.

    Attributes:
        compiled: the compiled steps of all pictures; None for a picture in tiles.
    """

    def __init__(self, runs: Sequence[ScaleRun]):
        self.runs = tuple(runs)
        self._values: list[dict[str, float]] | None = None
        self.compiled = runs[0].compiled
        if len(runs) > 1:
            self._evaluators = [_whole(run) for run in runs]
            shape = (len(runs), len(runs[0].objective.names))
            xla = runs[0].problem.plan.xla is True
            variables = runs[0].variables
            assert all(run.variables.are_shared == variables.are_shared for run in runs)
            self.compiled = CompiledSteps(self._one_step, shape, xla=xla, variables=variables)

    @property
    def uses_xla(self) -> bool:
        """Whether XLA compiles the next steps, or the work on the tiles of the picture."""
        if self.compiled is None:
            return self.runs[0].problem.plan.xla is True
        return self.compiled.xla

    @property
    def shares_graph(self) -> bool:
        """Whether the graph of a step serves other scales, too."""
        return self.runs[0].variables.are_shared

    def run(self, steps: int) -> list[dict[str, float]]:
        """Take some steps; returns for each picture what `ScaleRun.run` does."""
        self._values = None
        if len(self.runs) == 1:
            return [self.runs[0].run(steps)]
        for run in self.runs:
            run.prepare()
        assert self.compiled is not None  # as all pictures are whole
        rows = self.compiled(tf.constant(steps)).numpy()
        return [run.named(row) for run, row in zip(self.runs, rows, strict=True)]

    def values(self) -> list[dict[str, float]]:
        """The losses of each picture by term name."""
        if self._values is None:
            self._values = [run.value() for run in self.runs]
        return self._values

    def source(self, index: int) -> PictureSource:
        """Where an iterate of one of the pictures gets its image from."""
        run = self.runs[index]
        shown = run.picture
        if run.problem.pictures.changes_shown_colors:  # which takes seconds for a large picture
            shown = functools.cache(lambda: run.problem.pictures.shown(run.picture()))
        return PictureSource(
            shown,
            run.picture,
            lambda: self.values()[index],
            run.problem.references,
            run.problem.pictures.profile,
        )

    def _one_step(self) -> tf.Tensor:
        own_images = [run.image() for run in self.runs]
        found = self._losses_and_gradients(tf.concat(own_images, axis=0))
        rows = [
            run.row(run.advance(functools.partial(_known, image, *known)))
            for run, image, known in zip(self.runs, own_images, found, strict=True)
        ]
        return tf.stack(rows)

    def _losses_and_gradients(self, images: tf.Tensor) -> list[tuple[Losses, tf.Tensor]]:
        sums_of_all, pull_back = evaluate_batch(self._evaluators, images)
        found = [
            run.objective.differentiate(sums, *size_of(images))
            for run, sums in zip(self.runs, sums_of_all, strict=True)
        ]
        gradient = pull_back([cotangents for _, cotangents in found])
        gradients = tf.split(gradient, len(self.runs))
        return [(losses, own) for (losses, _), own in zip(found, gradients, strict=True)]


def _whole(run: ScaleRun) -> WholeEvaluator:
    evaluator = run.objective.evaluator
    if not isinstance(evaluator, WholeEvaluator):
        raise InputError("--batch: pictures must fit in memory without tiles")
    return evaluator


def _known(
    evaluated: tf.Tensor, losses: Losses, gradient: tf.Tensor, image: tf.Tensor
) -> tuple[Losses, tf.Tensor]:
    """In place of `value_and_grad`: what is known of the evaluated image, and NaN at any other."""
    gradient = tf.where(image == evaluated, gradient, math.nan)
    return with_nan(losses, gradient), gradient


def batch_name(checkpointers: Sequence[Checkpointer | None]) -> str:
    """Identifies a batch among others with some of the same pictures; empty for one picture."""
    if len(checkpointers) == 1:
        return ""
    runs = " ".join(checkpointer.run if checkpointer else "" for checkpointer in checkpointers)
    return hashlib.sha256(runs.encode()).hexdigest()[:16]


def rewind_to_common_step(checkpointers: Sequence[Checkpointer]) -> int:
    """Remove checkpoints after the newest step that all pictures have; returns that step.

    Raises:
        InputError: a picture has continued outside of the batch. No checkpoint is removed then.
    """
    name = batch_name(checkpointers)
    found = [checkpointer.peek() for checkpointer in checkpointers]
    if any(saved and str(saved.state["run"]["batch"]) != name for saved in found):
        raise InputError("--batch: some of the runs have continued outside of the batch")
    newest = [saved.step if saved else 0 for saved in found]
    if len({*newest}) == 1:
        return newest[0]
    step = max(set.intersection(*({0, *one.steps()} for one in checkpointers)))
    for checkpointer, own in zip(checkpointers, newest, strict=True):
        if own > step:
            checkpointer.forget_after(step)
    return step
