"""A VGG with a classifier on top, whose convolutions become weights of a feature extractor."""

import dataclasses

import keras
import numpy as np
from keras import layers

from nst_keras.network import vgg
from nst_keras.network.extractor import preprocess
from nst_keras.network.weights import CAFFE_MEAN, Weights

# The standard deviation of ImageNet: blue, green, red, on the scale of 0 to 255.
IMAGENET_STD = (57.375, 57.12, 58.395)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that decides the layers of the network and its preprocessing."""

    backbone: str
    channels: tuple[int, ...]  # outputs per block
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
        """The convolutions from the image upward."""
        return vgg.convolutions(self.backbone, channels=self.channels)


def scaled_channels(width: float) -> tuple[int, ...]:
    """Channels per block: those of VGG times `width`, at least four."""
    return tuple(max(4, round(channels * width)) for channels in vgg.CHANNELS)


def build_classifier(plan: Architecture) -> keras.Model:
    """A model from images (N, size, size, 3), RGB in [0, 1], to logits (N, classes), float32.

    By default the head averages each feature over all positions. The flattened head of the paper
    has six times as many weights as all convolutions and is bound to one image size, and its dense
    layers learn what the features should learn, which are all that is kept here.
    """
    image = keras.Input((plan.image_size, plan.image_size, 3), name="image", dtype="float32")
    features = preprocess(image, plan.channel_order, plan.mean, plan.std)
    block = 1
    for number, conv in enumerate(plan.convolutions):
        if conv.block > block:
            features = _pool(block, _policy(plan))(features)
            block = conv.block
        features = _convolution(features, conv, plan, number)
    logits = _head(features, plan)
    return keras.Model(image, logits, name=plan.backbone)


def fold(model: keras.Model, plan: Architecture) -> Weights:
    """The convolutions as weights, with batch norm folded in.

    It is exact: gamma * (conv(x) - mean) / deviation + beta is a convolution with another kernel
    and bias.
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
        sha256="",  # of the file, which is not written yet
        channel_order=plan.channel_order,
        mean=plan.mean,
        std=plan.std,
    )


def start_from(model: keras.Model, weights: Weights) -> None:
    """Replace the random convolutions of a model without batch norm."""
    for name, kernel in weights.kernels.items():
        model.get_layer(name).set_weights([kernel, weights.biases[name]])


def forward_flops(plan: Architecture) -> float:
    """Floating-point operations of all convolutions in the forward pass of one image.

    A multiplication and an addition count as two. Forward and backward pass take three times as
    many.
    """
    return 2.0 * sum(
        vgg.positions(conv.name, plan.image_size, plan.image_size) * np.prod(conv.kernel_shape)
        for conv in plan.convolutions
    )


def _policy(plan: Architecture) -> str:
    return "mixed_bfloat16" if plan.precision == "bfloat16" else "float32"


def _convolution(features, conv: vgg.Conv, plan: Architecture, number: int):
    """Apply a convolution, batch norm if the plan has it, and ReLU."""
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
        # The running mean moves by a tenth of the way in each step. Keras' default, a hundredth,
        # would lag behind in a short training.
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
