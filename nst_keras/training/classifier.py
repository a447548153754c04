"""A VGG with a classifier on top, and its convolutions as weights for the feature extractor."""

import dataclasses

import keras
import numpy as np
from keras import layers

from nst_keras.network import vgg
from nst_keras.network.extractor import Preprocess
from nst_keras.network.weights import CAFFE_MEAN, Weights

# ImageNet's deviation, in the order blue, green, red, on the scale of 0..255.
IMAGENET_STD = (57.375, 57.12, 58.395)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """All that decides the network's shape and the preprocessing that it learns with."""

    backbone: str
    channels: tuple[int, ...]  # output channels per block
    classes: int
    image_size: int  # pixels
    batch_norm: bool = True
    head: str = "average"  # or 'flatten'
    dense_units: int = 0
    dropout: float = 0.0
    precision: str = "float32"  # or 'bfloat16'
    channel_order: str = "bgr"
    mean: tuple[float, ...] = CAFFE_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    seed: int = 0

    @property
    def convolutions(self) -> tuple[vgg.Conv, ...]:
        return vgg.convolutions(self.backbone, channels=self.channels)


def scaled_channels(width: float) -> tuple[int, ...]:
    """VGG's channels per block times `width`, at least four."""
    return tuple(max(4, round(channels * width)) for channels in vgg.CHANNELS)


def build_classifier(plan: Architecture) -> keras.Model:
    """Images (N, size, size, 3), RGB in [0, 1] -> logits (N, classes), float32.

    The head averages each feature over all positions unless told otherwise: the paper's flattened
    head has six times the weights of all convolutions, is bound to one image size, and leaves to
    its dense layers what should be learned by the features, which are all that is kept here.
    """
    image = keras.Input((plan.image_size, plan.image_size, 3), name="image", dtype="float32")
    features = Preprocess(
        plan.channel_order, plan.mean, plan.std, name="preprocess", dtype="float32"
    )(image)
    block = 1
    for number, conv in enumerate(plan.convolutions):
        if conv.block > block:
            features = _pool(block, _policy(plan))(features)
            block = conv.block
        features = _convolution(features, conv, plan, number)
    logits = _head(features, plan)
    return keras.Model(image, logits, name=plan.backbone)


def fold(model: keras.Model, plan: Architecture) -> Weights:
    """The convolutions as weights, batch norm folded into them: exact, for it follows directly.

    gamma * (conv(x) - mean) / deviation + beta is a convolution with other kernel and bias.
    """
    kernels, biases = {}, {}
    for conv in plan.convolutions:
        layer = model.get_layer(conv.name)
        kernel = keras.ops.convert_to_numpy(layer.kernel).astype(np.float64)
        if plan.batch_norm:
            norm = model.get_layer(f"{conv.name}_norm")
            gamma, beta, mean, variance = (w.astype(np.float64) for w in norm.get_weights())
            scale = gamma / np.sqrt(variance + norm.epsilon)
            kernel, bias = kernel * scale, beta - mean * scale
        else:
            bias = keras.ops.convert_to_numpy(layer.bias)
        kernels[conv.name] = kernel.astype(np.float32)
        biases[conv.name] = bias.astype(np.float32)
    return Weights(
        plan.backbone,
        plan.channels,
        kernels,
        biases,
        sha256="",  # that of the file, once there is one
        channel_order=plan.channel_order,
        mean=plan.mean,
        std=plan.std,
    )


def start_from(model: keras.Model, weights: Weights) -> None:
    """Put given convolutions in the place of the random ones; only for a net without batch norm."""
    for name, kernel in weights.kernels.items():
        model.get_layer(name).set_weights([kernel, weights.biases[name]])


def forward_flops(plan: Architecture) -> float:
    """Floating-point operations of all convolutions for one image; forward and backward is three
    times as many. An addition and a multiplication are two."""
    return 2.0 * sum(
        vgg.positions(conv.name, plan.image_size, plan.image_size) * np.prod(conv.kernel_shape)
        for conv in plan.convolutions
    )


def _policy(plan: Architecture) -> str:
    return "mixed_bfloat16" if plan.precision == "bfloat16" else "float32"


def _convolution(features, conv: vgg.Conv, plan: Architecture, number: int):
    """Convolution, batch norm where asked for, and ReLU."""
    policy = _policy(plan)
    features = layers.Conv2D(
        conv.outputs,
        3,
        padding="same",
        use_bias=not plan.batch_norm,
        kernel_initializer=keras.initializers.HeNormal(seed=plan.seed + number),
        name=conv.name,
        dtype=policy,
    )(features)
    if plan.batch_norm:
        # A tenth of the mean is new in each step: with batches of 25 that is known well enough
        # after some dozens, and Keras' hundredth would lag behind in a short training.
        features = layers.BatchNormalization(momentum=0.9, name=f"{conv.name}_norm", dtype=policy)(
            features
        )
    return layers.ReLU(name=f"{conv.name}_relu", dtype=policy)(features)


def _head(features, plan: Architecture):
    policy = _policy(plan)
    if plan.head == "flatten":
        features = layers.Flatten(name="flatten", dtype=policy)(_pool(5, policy)(features))
    else:
        features = layers.GlobalAveragePooling2D(name="average", dtype="float32")(features)
    if plan.dense_units:
        features = layers.Dense(
            plan.dense_units,
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=plan.seed + 100),
            name="dense",
            dtype=policy,
        )(features)
    features = layers.Dropout(plan.dropout, seed=plan.seed, name="dropout", dtype=policy)(features)
    return layers.Dense(
        plan.classes,
        kernel_initializer=keras.initializers.GlorotUniform(seed=plan.seed + 101),
        name="logits",
        dtype="float32",
    )(features)


def _pool(block: int, policy: str) -> layers.Layer:
    return layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool", dtype=policy)
