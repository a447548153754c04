"""A VGG with a classifier on top: its layers, its steps on one or several devices, its weights."""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras.initializers import GlorotUniform, HeNormal

from nst_keras.network import vgg
from nst_keras.network.extractor import preprocess
from nst_keras.network.weights import Weights
from nst_keras.runtime.checkpoints import State
from nst_keras.runtime.cli import StopSignal
from nst_keras.runtime.errors import InputError
from nst_keras.training import input_pipeline
from nst_keras.training.config import TrainConfig
from nst_keras.training.datasets import Pictures

_LAYOUT = "channels_last"  # of layers, whatever Keras is set to


@dataclasses.dataclass(frozen=True)
class Score:
    """How well pictures are classified."""

    loss: float  # mean cross-entropy in nats
    accuracy: float  # share of pictures, 0 to 1


class Trainer:
    """A network and its optimizer; see `build_classifier`.

    Raises InputError unless the batch size is a multiple of the number of devices.
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
            self.model = build_classifier(config, start, classes)
            self.optimizer = keras.optimizers.Adam(1e-3)
            self.optimizer.build(self.model.trainable_variables)
        self._last_unchanged: tuple[Pictures, tf.data.Dataset] | None = None
        self._process = tf.function(self._process_everywhere)
        self._classify = tf.function(
            lambda images: tf.argmax(self.model(images, training=False), axis=-1)
        )

    def step(self, images: tf.Tensor, labels: tf.Tensor, learning_rate: float) -> Score:
        """Update the network by one batch; the score is that before the update.

        Raises FloatingPointError if the loss is not finite.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        loss, right = map(float, self._process(images, labels, training=True))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at a learning rate of {learning_rate:g}; "
                "use a smaller --learning_rate or some --warmup_steps"
            )
        return Score(loss / self.config.batch_size, right / self.config.batch_size)

    def batches(self, dataset: tf.data.Dataset) -> Iterable:
        """The batches of a dataset, each divided among all devices."""
        return self.strategy.experimental_distribute_dataset(dataset)

    def evaluate(self, pictures: Pictures, stopping: StopSignal) -> Score | None:
        """The score on unchanged pictures; None if a stop signal came."""
        totals = np.zeros(2)
        for images, labels in self.batches(self._unchanged(pictures)):
            if stopping:
                return None
            totals += [float(total) for total in self._process(images, labels, training=False)]
        loss, right = totals / len(pictures)
        return Score(float(loss), float(right))

    def predict(self, pictures: Pictures, stopping: StopSignal) -> np.ndarray | None:
        """The most likely class of each picture, int64 (N,); None if a stop signal came."""
        found = []
        for images, _ in self._unchanged(pictures):
            if stopping:
                return None
            found.append(self._classify(images).numpy())
        return np.concatenate(found)[: len(pictures)]

    def _unchanged(self, pictures: Pictures) -> tf.data.Dataset:
        """Batches of unchanged pictures, made once for those of all epochs and of the page."""
        if self._last_unchanged is None or self._last_unchanged[0] is not pictures:
            dataset = input_pipeline.validation_batches(pictures, self.config)
            self._last_unchanged = pictures, dataset
        return self._last_unchanged[1]

    def state(self) -> dict[str, dict[str, np.ndarray]]:
        """The variables of the 'model', with the random state of dropout, and the 'optimizer'."""
        return {
            part: {f"{n:03}": keras.ops.convert_to_numpy(v) for n, v in enumerate(variables)}
            for part, variables in self._variables().items()
        }

    def restore(self, state: State) -> None:
        """Set the variables of one part or both as `state` returned them."""
        for part, variables in self._variables().items():
            for name, value in state.get(part, {}).items():
                variables[int(name)].assign(value)

    def weights(self) -> Weights:
        """The present convolutions, with batch norm folded in.

        It is exact: gamma * (conv(x) - mean) / deviation + beta is a convolution with another
        kernel and bias.
        """
        kernels, biases = {}, {}
        for conv in vgg.convolutions(self.start.backbone, channels=self.start.channels):
            kernel, *rest = self.model.get_layer(conv.name).get_weights()
            if rest:
                bias = rest[0]
            else:
                norm = self.model.get_layer(f"{conv.name}_norm")
                gamma, beta, mean, variance = (w.astype(np.float64) for w in norm.get_weights())
                scale = gamma / np.sqrt(variance + norm.epsilon)
                kernel, bias = kernel * scale, beta - mean * scale
            kernels[conv.name] = kernel.astype(np.float32)
            biases[conv.name] = bias.astype(np.float32)
        return dataclasses.replace(self.start, kernels=kernels, biases=biases, sha256="")

    def _variables(self) -> dict[str, list[keras.Variable]]:
        return {"model": self.model.variables, "optimizer": self.optimizer.variables}

    def _process_everywhere(self, images, labels, training: bool) -> list[tf.Tensor]:
        """Sum the losses of a batch, of which each device has a part, and count correct classes."""
        parts = self.strategy.run(self._process_here, args=(images, labels, training))
        return [self.strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in parts]

    def _process_here(self, images, labels, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
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


def build_classifier(config: TrainConfig, start: Weights, classes: int) -> keras.Model:
    """A model from images (N, size, size, 3), RGB in [0, 1], to logits (N, classes), float32.

    By default the head averages each feature over all positions. The flattened head of the paper
    has six times as many weights as all convolutions and is bound to one image size, and its dense
    layers learn what the features should learn, which are all that is kept here.

    `start` has channels, preprocessing, and the convolutions to start from; without these, they are
    random.
    """
    policy = "mixed_bfloat16" if config.precision == "bfloat16" else "float32"
    image = keras.Input((config.image_size, config.image_size, 3), dtype="float32")
    features = preprocess(image, start.channel_order, start.mean, start.std)
    for layer in (*_convolutions(config, start, policy), *_head(config, classes, policy)):
        features = layer(features)
    model = keras.Model(image, features, name=config.backbone)
    for name, kernel in start.kernels.items():
        model.get_layer(name).set_weights([kernel, start.biases[name]])
    return model


def forward_flops(start: Weights, size: int) -> float:
    """Floating-point operations of all convolutions in the forward pass of one image.

    A multiplication and an addition count as two. Forward and backward pass take three times as
    many.
    """
    layers = vgg.architecture(start.backbone, start.channels).layers.values()
    return sum(it.cost.flops * it.stride**2 * it.positions(size, size) for it in layers)


def _convolutions(config: TrainConfig, start: Weights, policy: str) -> Iterator[layers.Layer]:
    """All blocks, without the last pooling."""
    block = 1
    for number, conv in enumerate(vgg.convolutions(start.backbone, channels=start.channels)):
        if conv.block > block:
            yield layers.MaxPooling2D(data_format=_LAYOUT, dtype=policy)
            block = conv.block
        yield layers.Conv2D(
            conv.outputs,
            3,
            padding="same",
            data_format=_LAYOUT,
            use_bias=not config.batch_norm,
            kernel_initializer=HeNormal(seed=config.seed + number),
            name=conv.name,
            dtype=policy,
        )
        if config.batch_norm:
            # The running mean moves by a tenth of the way in each step. Keras' default, a
            # hundredth, would lag behind in a short training.
            yield layers.BatchNormalization(momentum=0.9, name=f"{conv.name}_norm", dtype=policy)
        yield layers.ReLU(name=f"{conv.name}_relu", dtype=policy)


def _head(config: TrainConfig, classes: int, policy: str) -> Iterator[layers.Layer]:
    if config.head == "flatten":
        yield layers.MaxPooling2D(data_format=_LAYOUT, dtype=policy)
        yield layers.Flatten(data_format=_LAYOUT, name="flatten", dtype=policy)
    else:
        yield layers.GlobalAveragePooling2D(data_format=_LAYOUT, dtype="float32")
    if config.dense_units:
        yield layers.Dense(
            config.dense_units,
            activation="relu",
            kernel_initializer=HeNormal(seed=config.seed + 100),
            name="dense",
            dtype=policy,
        )
    yield layers.Dropout(config.dropout, seed=config.seed, dtype=policy)
    initial = GlorotUniform(seed=config.seed + 101)
    yield layers.Dense(classes, kernel_initializer=initial, name="logits", dtype="float32")
