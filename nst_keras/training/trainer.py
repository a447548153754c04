"""Trains a classifier: steps on one or several devices, evaluation, and its state as arrays."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from nst_keras.network.weights import Weights
from nst_keras.runtime.checkpoints import State
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.signals import StopSignal
from nst_keras.training import classifier, input_pipeline
from nst_keras.training.config import TrainConfig
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
    """A network and its optimizer; see `build_classifier`.

    Raises:
        InputError: the batch size is not a multiple of the number of devices.
    """

    def __init__(self, config: TrainConfig, start: Weights, classes: int):
        self.config, self.start = config, start
        self.strategy = (
            tf.distribute.MirroredStrategy()
            if config.distribute == "mirrored"
            else tf.distribute.get_strategy()
        )
        replicas = self.strategy.num_replicas_in_sync
        if config.batch_size % replicas:  # a smaller part would have other statistics, or none
            raise InputError(
                f"--batch_size={config.batch_size}: must be a multiple of {replicas}, "
                "one part per device"
            )
        with self.strategy.scope():
            self.model = classifier.build_classifier(config, start, classes)
            self.optimizer = keras.optimizers.Adam(1e-3)
            self.optimizer.build(self.model.trainable_variables)
        self._process = tf.function(self._process_everywhere)

    def step(self, images: tf.Tensor, labels: tf.Tensor, learning_rate: float) -> Score:
        """Update the network by one batch; the score is that before the update.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        loss, right = map(float, self._process(images, labels, training=True))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at a learning rate of {learning_rate:g}; "
                "use a smaller --learning_rate or some --warmup_steps"
            )
        size = self.config.batch_size
        return Score(loss / size, right / size, size)

    def batches(self, dataset: tf.data.Dataset) -> Iterable:
        """The batches of a dataset, each divided among all devices."""
        return self.strategy.experimental_distribute_dataset(dataset)

    def evaluate(self, pictures: Pictures, stopping: StopSignal) -> Score | None:
        """The score on unchanged pictures; None if a stop signal came."""
        totals = np.zeros(2)
        dataset = input_pipeline.validation_batches(pictures, self.config)
        for images, labels in self.batches(dataset):
            if stopping:
                return None
            totals += [float(total) for total in self._process(images, labels, training=False)]
        loss, right = totals / len(pictures)
        return Score(float(loss), float(right), len(pictures))

    def network(self) -> Arrays:
        """All variables of the network, including the random state of dropout."""
        return _arrays(self.model.variables)

    def set_network(self, network: Mapping[str, np.ndarray]) -> None:
        """Set all variables of the network as `network` returned them."""
        _assign(self.model.variables, network)

    def state(self) -> dict[str, Arrays]:
        """All variables, of the 'model' and of the 'optimizer'."""
        return {"model": self.network(), "optimizer": _arrays(self.optimizer.variables)}

    def restore(self, state: State) -> None:
        """Set all variables as `state` returned them."""
        self.set_network(state["model"])
        _assign(self.optimizer.variables, state["optimizer"])

    def weights(self) -> Weights:
        """The present convolutions, with batch norm folded in."""
        return classifier.fold(self.model, self.start)

    def _process_everywhere(
        self, images: Shared, labels: Shared, *, training: bool
    ) -> list[tf.Tensor]:
        """The sum of the losses of a batch, and how many pictures are classified correctly."""
        parts = self.strategy.run(self._process_here, args=(images, labels, training))
        return [self.strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in parts]

    def _process_here(
        self, images: tf.Tensor, labels: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The same for the part of one device; pictures with the label PADDING count as nothing."""
        with tf.GradientTape() as tape:
            logits = self.model(images, training=training)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
            real = tf.cast(labels != input_pipeline.PADDING, tf.float32)
            total = tf.reduce_sum(losses * real)
            loss = total / self.config.batch_size  # gradients of devices are summed
        if training:
            variables = self.model.trainable_variables
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        hits = tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels
        return total, tf.reduce_sum(tf.cast(hits, tf.float32))


def _arrays(variables: Sequence[keras.Variable]) -> Arrays:
    return {f"{n:03}": keras.ops.convert_to_numpy(v) for n, v in enumerate(variables)}


def _assign(variables: Sequence[keras.Variable], arrays: Mapping[str, np.ndarray]) -> None:
    for number, variable in enumerate(variables):
        variable.assign(arrays[f"{number:03}"])
