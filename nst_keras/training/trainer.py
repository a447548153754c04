"""Trains a classifier: steps on one or several devices, evaluation, and its state as arrays."""

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from nst_keras.network.weights import Weights
from nst_keras.runtime.checkpoints import State
from nst_keras.runtime.cli import StopSignal
from nst_keras.runtime.errors import InputError
from nst_keras.training import classifier, input_pipeline
from nst_keras.training.classifier import Architecture
from nst_keras.training.datasets import Pictures

Shared: TypeAlias = tf.Tensor | tf.distribute.DistributedValues  # whole, or a part on each device
Arrays = dict[str, np.ndarray]  # variables by their number as text


@dataclasses.dataclass(frozen=True)
class Score:
    """How well pictures are classified."""

    loss: float  # mean cross-entropy in nats
    accuracy: float  # share of pictures, 0 to 1
    count: int  # pictures


class Trainer:
    """A network and its optimizer.

    Args:
        initial: the convolutions to start from, or None for random ones.
        distribute: 'none', or 'mirrored' for all GPUs.

    Raises:
        InputError: the batch size is not a multiple of the number of devices.
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
        if batch_size % replicas:  # a smaller part would have other statistics, or none
            raise InputError(
                f"--batch_size={batch_size}: must be a multiple of {replicas}, one part per device"
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
        """Update the network by one batch; the score is that before the update.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        loss, right = (float(value) for value in self._train(images, labels))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at a learning rate of {learning_rate:g}; "
                "use a smaller --learning_rate or some --warmup_steps"
            )
        return Score(loss / self.batch_size, right / self.batch_size, self.batch_size)

    def batches(self, dataset: tf.data.Dataset) -> Iterable:
        """The batches of a dataset, each divided among all devices."""
        return self.strategy.experimental_distribute_dataset(dataset)

    def evaluate(self, pictures: Pictures, stopping: StopSignal) -> Score | None:
        """The score on unchanged pictures; None if a stop signal came."""
        dataset = input_pipeline.validation_batches(pictures, self.plan.image_size, self.batch_size)
        totals = np.zeros(2)
        for images, labels in self.batches(dataset):
            if stopping:
                return None
            totals += [float(value) for value in self._score(images, labels)]
        loss, right = totals / len(pictures)
        return Score(float(loss), float(right), len(pictures))

    def network(self) -> Arrays:
        """All variables of the network, including the random state of dropout."""
        return _arrays(self.model.variables)

    def state(self) -> dict[str, Arrays]:
        """All variables, of the 'model' and of the 'optimizer'."""
        return {"model": self.network(), "optimizer": _arrays(self.optimizer.variables)}

    def restore(self, state: State) -> None:
        """Set all variables as `state` returned them."""
        self._set_network(state["model"])
        _assign(self.optimizer.variables, state["optimizer"])

    @contextlib.contextmanager
    def with_network(self, network: Arrays) -> Iterator[None]:
        """Use another state of the network, as `network` returned it, during the block."""
        present = self.network()
        self._set_network(network)
        try:
            yield
        finally:
            self._set_network(present)

    def weights(self) -> Weights:
        """The present convolutions, with batch norm folded in."""
        return classifier.fold(self.model, self.plan)

    def _set_network(self, network: Mapping[str, np.ndarray]) -> None:
        _assign(self.model.variables, network)

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
        """The cross-entropy of each picture (B,), and how many are classified correctly.

        Pictures with the label PADDING count as nothing.
        """
        logits = self.model(images, training=training)
        real = tf.cast(labels != input_pipeline.PADDING, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        hits = tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels
        return losses * real, tf.reduce_sum(tf.cast(hits, tf.float32))

    def _sums(self, parts: Sequence[Shared]) -> list[tf.Tensor]:
        return [self.strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in parts]


def _arrays(variables: Sequence[keras.Variable]) -> Arrays:
    return {f"{n:03}": keras.ops.convert_to_numpy(v) for n, v in enumerate(variables)}


def _assign(variables: Sequence[keras.Variable], arrays: Mapping[str, np.ndarray]) -> None:
    for number, variable in enumerate(variables):
        variable.assign(arrays[f"{number:03}"])
