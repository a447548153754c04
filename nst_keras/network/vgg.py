"""The VGG networks as data: layer names, kernel shapes and strides. Imports no TensorFlow.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014),
configurations D (VGG16) and E (VGG19). Names are those of `keras.applications`.
"""

import dataclasses
import re

from nst_keras.runtime.errors import InputError

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
    return tuple(conv.name for conv in convolutions(backbone))


def positions(layer: str, height: int, width: int) -> int:
    """The number of feature positions of a layer for an image of this size in pixels."""
    # Each block's pooling halves the size and drops an odd last row or column.
    return (height // stride(layer)) * (width // stride(layer))


def stride(layer: str) -> int:
    """Pixels per feature position of a layer along each side: 1, 2, 4, 8 or 16."""
    return 2 ** (int(layer[len("block")]) - 1)


def canonical_layer(name: str, backbone: str, flag: str) -> str:
    """The Keras name of a layer: `relu4_2` and `conv4_2` mean `block4_conv2` (post-ReLU).

    Raises InputError, which begins with `flag`, if the backbone has no such layer.
    """
    canonical = re.sub(r"^(?:relu|conv)(\d)_(\d)$", r"block\1_conv\2", name)
    if canonical not in layer_names(backbone):
        choices = ", ".join(layer_names(backbone))
        message = f"{flag}={name}: {backbone} has no such layer; choose from {choices}"
        raise InputError(message, flag.removeprefix("--"))
    return canonical


def up_to_deepest(convs: tuple[Conv, ...], layers: tuple[str, ...]) -> tuple[Conv, ...]:
    """The convolutions that the given layers need: all up to the deepest of them."""
    deepest = max(i for i, conv in enumerate(convs) if conv.name in layers)
    return convs[: deepest + 1]
