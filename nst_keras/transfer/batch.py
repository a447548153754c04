"""Takes the steps of one picture, or of several at once: one small picture leaves a GPU idle.

In a batch each picture keeps its own objective, optimizer and state. Only the pass through the
network is shared, and one graph is compiled for all.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nst_keras.objective.evaluation import (
    Evaluation,
    Sums,
    WholeEvaluator,
    evaluate_batch,
    stacked,
)
from nst_keras.objective.objective import Losses, with_nan
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.transfer.compiled import compiled_step, repeated
from nst_keras.transfer.iterate import References
from nst_keras.transfer.scale_run import ScaleRun


class ScaleBatch:
    """One scale of one or more pictures, all after the same step.

    Args:
        runs: several must be whole, not in tiles, with the same terms, network and size, and with
            optimizers that evaluate only the image that they hold.
    """

    def __init__(self, runs: Sequence[ScaleRun], *, xla: bool = False):
        self.runs = tuple(runs)
        self._values: list[dict[str, float]] | None = None
        if len(runs) > 1:
            self._evaluators = [_whole(run) for run in runs]
            self._names = runs[0].objective.names
            self._step = compiled_step(self._one_step, xla=xla)
            self._run = tf.function(self._steps, autograph=False)
            self._evaluate = tf.function(self._losses_of, autograph=False)

    def run(self, steps: int) -> list[dict[str, float]]:
        """Take some steps; returns for each picture what `ScaleRun.run` does."""
        self._values = None
        if len(self.runs) == 1:
            return [self.runs[0].run(steps)]
        return self._named(self._run(tf.constant(steps)))

    def values(self) -> list[dict[str, float]]:
        """The losses of each picture by term name."""
        if len(self.runs) == 1:
            return [self.runs[0].value()]
        if self._values is None:
            pictures = np.stack([run.picture() for run in self.runs])
            self._values = self._named(self._evaluate(tf.constant(pictures)))
        return self._values

    def sources(self) -> list["BatchPicture"]:
        """The image sources of iterates, one for each picture."""
        return [BatchPicture(self, index) for index in range(len(self.runs))]

    def _named(self, rows: tf.Tensor) -> list[dict[str, float]]:
        return [dict(zip(self._names, map(float, row), strict=True)) for row in rows.numpy()]

    def _steps(self, count: tf.Tensor) -> tf.Tensor:
        return repeated(self._step, count, (len(self.runs), len(self._names)))

    def _one_step(self) -> tf.Tensor:
        images = tf.concat([run.variable.read_value() for run in self.runs], axis=0)
        found = self._losses_and_gradients(images)
        return self._rows(
            [
                run.advance(functools.partial(_known, known))
                for run, known in zip(self.runs, found, strict=True)
            ]
        )

    def _losses_and_gradients(self, images: tf.Tensor) -> list[tuple[Losses, tf.Tensor]]:
        evaluation = self._evaluation(images)
        height, width = images.shape[1:3]
        found = [
            run.objective.differentiate(sums, height, width)
            for run, sums in zip(self.runs, self._sums_of_each(evaluation.sums), strict=True)
        ]
        gradient = evaluation.pull_back(stacked([cotangents for _, cotangents in found]))
        gradients = tf.split(gradient, len(self.runs))
        return [
            (with_nan(losses, own), own) for (losses, _), own in zip(found, gradients, strict=True)
        ]

    def _losses_of(self, images: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        sums_of_each = self._sums_of_each(self._evaluation(images).sums)
        pairs = zip(self.runs, sums_of_each, strict=True)
        return self._rows([run.objective.losses(sums, height, width) for run, sums in pairs])

    def _evaluation(self, images: tf.Tensor) -> Evaluation:
        return evaluate_batch(self._evaluators, images)

    def _sums_of_each(self, sums: Sums) -> list[Sums]:
        return [
            {name: of_all[index] for name, of_all in sums.items()}
            for index in range(len(self.runs))
        ]

    def _rows(self, losses_of_all: Sequence[Losses]) -> tf.Tensor:
        return tf.stack(
            [tf.stack([losses[name] for name in self._names]) for losses in losses_of_all]
        )


@dataclasses.dataclass(frozen=True)
class BatchPicture:
    """One picture of a batch: see `iterate.PictureSource`."""

    batch: ScaleBatch
    index: int

    @property
    def run(self) -> ScaleRun:
        """The picture's own scale."""
        return self.batch.runs[self.index]

    def picture(self) -> np.ndarray:
        """Float32 RGB in [0, 1], (height, width, 3)."""
        return self.run.picture()

    def value(self) -> dict[str, float]:
        """The losses of the picture by term name; those of a batch are computed together."""
        return self.batch.values()[self.index]

    def references(self) -> References:
        """What the picture is compared with."""
        return self.run.problem.references()


def _whole(run: ScaleRun) -> WholeEvaluator:
    evaluator = run.objective.evaluator
    if not isinstance(evaluator, WholeEvaluator):
        raise InputError("--batch: pictures must fit the memory whole, without tiles")
    return evaluator


def _known(found: tuple[Losses, tf.Tensor], image: tf.Tensor) -> tuple[Losses, tf.Tensor]:
    """In place of `value_and_grad`: what is known already, since it is asked for its own image."""
    return found


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
    if len({saved.step if saved else 0 for saved in found}) == 1:
        return found[0].step if found[0] else 0
    step = max(set.intersection(*({0, *one.steps()} for one in checkpointers)))
    for checkpointer, saved in zip(checkpointers, found, strict=True):
        if saved and saved.step > step:
            checkpointer.forget_after(step)
    return step
