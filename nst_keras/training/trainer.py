"""A classifier at work: steps on one device or several, evaluation, and its state as arrays."""

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from nst_keras.network.weights import Weights
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.signals import StopSignal
from nst_keras.training import classifier, input_pipeline
from nst_keras.training.classifier import Architecture
from nst_keras.training.datasets import Pictures

Shared: TypeAlias = tf.Tensor | tf.distribute.DistributedValues  # of one device, or of each a part


@dataclasses.dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats and share of pictures told right, over `count` pictures."""

    loss: float
    accuracy: float
    count: int


class Trainer:
    """A network, its optimizer and their steps.

    Args:
        initial: convolutions to begin with, or None for random ones.
        distribute: 'none', or 'mirrored' for all GPUs.

    Raises:
        InputError: batches cannot be shared out evenly.
    """

    def __init__(
        self, plan: Architecture, batch_size: int, initial: Weights | None, distribute: str
    ):
        self.plan, self.batch_size = plan, batch_size
        self.strategy = (
            tf.distribute.MirroredStrategy()
            if distribute == "mirrored"
            else tf.distribute.get_strategy()
        )
        replicas = self.strategy.num_replicas_in_sync
        if batch_size % replicas:  # one with fewer pictures would have other statistics, or none
            raise InputError(
                f"--batch_size={batch_size}: must be a multiple of the {replicas} devices"
            )
        with self.strategy.scope():
            self.model = classifier.build_classifier(plan)
            self.optimizer = keras.optimizers.Adam(1e-3)
            self.optimizer.build(self.model.trainable_variables)
        if initial:
            classifier.start_from(self.model, initial)
        self._train = tf.function(self._train_everywhere)
        self._score = tf.function(self._score_everywhere)

    def step(self, images: tf.Tensor, labels: tf.Tensor, learning_rate: float) -> Score:
        """One update on a batch; its loss and accuracy are those before the update.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        loss, right = (float(value) for value in self._train(images, labels))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at a learning rate of {learning_rate:g}; "
                "give a smaller --learning_rate or some --warmup_steps"
            )
        return Score(loss / self.batch_size, right / self.batch_size, self.batch_size)

    def batches(self, dataset: tf.data.Dataset) -> Iterable:
        """The dataset's batches, each shared out to all devices."""
        return self.strategy.experimental_distribute_dataset(dataset)

    def evaluate(self, pictures: Pictures, stopping: StopSignal) -> Score | None:
        """Loss and accuracy on pictures as they are; None if a stop signal came."""
        dataset = input_pipeline.validation_batches(pictures, self.plan.image_size, self.batch_size)
        totals = np.zeros(2)
        for images, labels in self.batches(dataset):
            if stopping:
                return None
            totals += [float(value) for value in self._score(images, labels)]
        loss, right = totals / len(pictures)
        return Score(float(loss), float(right), len(pictures))

    def network(self) -> dict[str, np.ndarray]:
        """Every variable of the network, the dropout's random state with them."""
        return _arrays("model", self.model.variables)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every variable of network and optimizer."""
        return self.network() | _arrays("optimizer", self.optimizer.variables)

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take up a state of `arrays`, or of `network` alone."""
        _assign("model", self.model.variables, arrays)
        if any(name.startswith("optimizer/") for name in arrays):
            _assign("optimizer", self.optimizer.variables, arrays)

    def weights(self) -> Weights:
        """The convolutions as they are now, batch norm folded in."""
        return classifier.fold(self.model, self.plan)

    def _train_everywhere(self, images: Shared, labels: Shared) -> list[tf.Tensor]:
        parts = self.strategy.run(self._train_here, args=(images, labels))
        return self._sums(parts)

    def _train_here(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            losses, right = self._losses(images, labels, training=True)
            loss = tf.reduce_sum(losses) / self.batch_size  # gradients of devices are summed
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return tf.reduce_sum(losses), right

    def _score_everywhere(self, images: Shared, labels: Shared) -> list[tf.Tensor]:
        parts = self.strategy.run(self._score_here, args=(images, labels))
        return self._sums(parts)

    def _score_here(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        losses, right = self._losses(images, labels, training=False)
        return tf.reduce_sum(losses), right

    def _losses(
        self, images: tf.Tensor, labels: tf.Tensor, *, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Cross-entropy of each picture (B,), and how many are told right; padding counts as
        nothing.

        Args:
            images, labels: see `feeding.training_batches`.
        """
        logits = self.model(images, training=training)
        real = tf.cast(labels != input_pipeline.PADDING, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        hits = tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels
        return losses * real, tf.reduce_sum(tf.cast(hits, tf.float32))

    def _sums(self, parts: Sequence[Shared]) -> list[tf.Tensor]:
        return [self.strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in parts]


def learning_rate(base: float, schedule: str, warmup: int, step: int, steps: int) -> float:
    """The rate of step `step` (from 1) of `steps`: up over the warm-up, then level or a cosine."""
    if step <= warmup:
        return base * step / warmup
    if schedule == "constant":
        return base
    share = (step - warmup - 1) / (steps - warmup)
    return base * 0.5 * (1.0 + math.cos(math.pi * share))


@contextlib.contextmanager
def loaded(trainer: Trainer, network: dict[str, np.ndarray]) -> Iterator[None]:
    """The trainer with another network's variables for as long as the block takes."""
    present = trainer.network()
    trainer.restore(network)
    try:
        yield
    finally:
        trainer.restore(present)


def _arrays(group: str, variables) -> dict[str, np.ndarray]:
    return {
        f"{group}/{number:03}": keras.ops.convert_to_numpy(variable)
        for number, variable in enumerate(variables)
    }


def _assign(group: str, variables, arrays: dict[str, np.ndarray]) -> None:
    for number, variable in enumerate(variables):
        variable.assign(arrays[f"{group}/{number:03}"])
