"""The VGG networks as data: layer names, kernel shapes and architecture. Imports no TensorFlow.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014),
configurations D (VGG16) and E (VGG19). Names are those of `keras.applications`.
"""

import dataclasses
import functools
from collections.abc import Iterable

from nst_keras.network.architecture import Architecture, Cost, Layer

# Convolutions per block. Each block works at half the resolution of the one before it.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)
IMAGENET_DEVIATION = 0.226  # of pixels in [0, 1]: the unit of torchvision's inputs


@dataclasses.dataclass(frozen=True)
class Conv:
    """One 3x3 convolution with its ReLU."""

    name: str
    block: int  # 1-based
    inputs: int  # channels
    outputs: int  # channels

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        """(height, width, inputs, outputs), Keras' layout."""
        return (3, 3, self.inputs, self.outputs)


def convolutions(backbone: str, channels: tuple[int, ...] = CHANNELS) -> tuple[Conv, ...]:
    """The backbone's convolutions from the image upward, with so many outputs per block."""
    convs, inputs = [], 3
    for block, (count, outputs) in enumerate(zip(BLOCKS[backbone], channels, strict=True), start=1):
        for index in range(1, count + 1):
            convs.append(Conv(f"block{block}_conv{index}", block, inputs, outputs))
            inputs = outputs
    return tuple(convs)


def layer_names(backbone: str) -> tuple[str, ...]:
    """The names that content and style layers may have, from the image upward."""
    return tuple(architecture(backbone).layers)


@functools.cache
def architecture(backbone: str, channels: tuple[int, ...] = CHANNELS) -> Architecture:
    """The backbone's layers, with so many channels per block."""
    layers = {}
    stride, seen, block = 1, 1, 1  # pixels; those in a row that a position sees
    for conv in convolutions(backbone, channels):
        kept = 0.0
        if conv.block > block:  # a pooling of 2x2 by strides of 2
            seen, stride, block = seen + stride, stride * 2, conv.block
            kept = conv.inputs / stride**2
        seen += 2 * stride
        features = conv.outputs / stride**2
        cost = Cost(kept + features, 2 * 9 * conv.inputs * features, features)
        layers[conv.name] = Layer(stride, conv.outputs, (seen - stride) // 2, cost)
    return Architecture(backbone, layers)


def up_to_deepest(
    backbone: str, layers: Iterable[str], channels: tuple[int, ...] = CHANNELS
) -> list[Conv]:
    """The convolutions that the given layers need: all up to the deepest of them."""
    needed = architecture(backbone).up_to_deepest(layers)
    return [conv for conv in convolutions(backbone, channels) if conv.name in needed]
