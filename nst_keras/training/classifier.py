"""A VGG with a classifier on top, whose convolutions become weights of a feature extractor."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
from keras import layers
from keras.initializers import GlorotUniform, HeNormal

from nst_keras.network import vgg
from nst_keras.network.extractor import Preprocess
from nst_keras.network.weights import Weights
from nst_keras.training.config import TrainConfig


def build_classifier(config: TrainConfig, start: Weights, classes: int) -> keras.Model:
    """A model from images (N, size, size, 3), RGB in [0, 1], to logits (N, classes), float32.

    By default the head averages each feature over all positions. The flattened head of the paper
    has six times as many weights as all convolutions and is bound to one image size, and its dense
    layers learn what the features should learn, which are all that is kept here.

    Args:
        start: channels, preprocessing, and the convolutions to start from; if there are none, they
            are random.
    """
    policy = "mixed_bfloat16" if config.precision == "bfloat16" else "float32"
    image = keras.Input((config.image_size, config.image_size, 3), name="image", dtype="float32")
    features = Preprocess(
        start.channel_order, start.mean, start.std, name="preprocess", dtype="float32"
    )(image)
    for layer in (*_convolutions(config, start, policy), *_head(config, classes, policy)):
        features = layer(features)
    model = keras.Model(image, features, name=config.backbone)
    for name, kernel in start.kernels.items():
        model.get_layer(name).set_weights([kernel, start.biases[name]])
    return model


def fold(model: keras.Model, start: Weights) -> Weights:
    """The present convolutions as weights, with batch norm folded in.

    It is exact: gamma * (conv(x) - mean) / deviation + beta is a convolution with another kernel
    and bias.
    """
    kernels, biases = {}, {}
    for conv in vgg.convolutions(start.backbone, channels=start.channels):
        kernel, *rest = model.get_layer(conv.name).get_weights()
        if rest:
            bias = rest[0]
        else:
            norm = model.get_layer(f"{conv.name}_norm")
            gamma, beta, mean, variance = (w.astype(np.float64) for w in norm.get_weights())
            scale = gamma / np.sqrt(variance + norm.epsilon)
            kernel, bias = kernel * scale, beta - mean * scale
        kernels[conv.name] = kernel.astype(np.float32)
        biases[conv.name] = bias.astype(np.float32)
    return dataclasses.replace(start, kernels=kernels, biases=biases, sha256="")


def forward_flops(start: Weights, size: int) -> float:
    """Floating-point operations of all convolutions in the forward pass of one image.

    A multiplication and an addition count as two. Forward and backward pass take three times as
    many.
    """
    return 2.0 * sum(
        vgg.positions(conv.name, size, size) * np.prod(conv.kernel_shape)
        for conv in vgg.convolutions(start.backbone, channels=start.channels)
    )


def _convolutions(config: TrainConfig, start: Weights, policy: str) -> Iterator[layers.Layer]:
    """All blocks, without the last pooling."""
    block = 1
    for number, conv in enumerate(vgg.convolutions(start.backbone, channels=start.channels)):
        if conv.block > block:
            yield _pool(block, policy)
            block = conv.block
        yield layers.Conv2D(
            conv.outputs,
            3,
            padding="same",
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
        yield _pool(5, policy)
        yield layers.Flatten(name="flatten", dtype=policy)
    else:
        yield layers.GlobalAveragePooling2D(name="average", dtype="float32")
    if config.dense_units:
        yield layers.Dense(
            config.dense_units,
            activation="relu",
            kernel_initializer=HeNormal(seed=config.seed + 100),
            name="dense",
            dtype=policy,
        )
    yield layers.Dropout(config.dropout, seed=config.seed, name="dropout", dtype=policy)
    initial = GlorotUniform(seed=config.seed + 101)
    yield layers.Dense(classes, kernel_initializer=initial, name="logits", dtype="float32")


def _pool(block: int, policy: str) -> layers.Layer:
    return layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool", dtype=policy)
