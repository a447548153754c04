"""VGG in NumPy, and what rounding to few bits may change of it."""

import dataclasses

import numpy as np


def convolve(image, kernel, bias):
    """A 3x3 convolution of an image that is padded already, and its ReLU."""
    height, width = image.shape[0] - 2, image.shape[1] - 2
    total = np.zeros((height, width, kernel.shape[-1])) + bias
    for y in range(3):
        for x in range(3):
            total += image[y : y + height, x : x + width] @ kernel[y, x].astype(np.float64)
    return np.maximum(total, 0)


def pool(image, reduce):
    height, width = image.shape[0] // 2, image.shape[1] // 2
    blocks = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
    return reduce(blocks, axis=(1, 3))


def reference(network, image, pooling="max", padding="zero"):
    """All features of a VGG in NumPy with float64: {layer: (h, w, N)}."""
    image = image.astype(np.float64) * 255
    if network.channel_order == "bgr":
        image = image[..., ::-1]
    values, found, block = (image - network.mean) / network.std, {}, "1"
    for name, kernel in network.kernels.items():
        if name[len("block")] != block:
            values, block = pool(values, {"max": np.max, "avg": np.mean}[pooling]), name[5]
        mode = "edge" if padding == "replicate" and not found else "constant"
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode=mode)
        values = found[name] = convolve(padded, kernel, network.biases[name])
    return found


def strengthened(network, factor):
    """The network whose features are `factor` times as large, by its first kernel and biases."""
    name = "block1_conv1"
    kernels = {**network.kernels, name: network.kernels[name] * np.float32(factor)}
    biases = {name: bias * np.float32(factor) for name, bias in network.biases.items()}
    return dataclasses.replace(network, kernels=kernels, biases=biases)


SPACING = {"bfloat16": 2.0**-7, "float16": 2.0**-10}  # of numbers from 1 to 2


def rounding(precision, convolutions):
    """The largest relative error of features after so many convolutions, on any processor.

    Each convolution rounds its inputs, its kernel and its outputs, each by a third of a spacing
    (root mean square); such errors are independent, so their squares add up. That is doubled.
    """
    return SPACING[precision] * (4 / 3 * convolutions) ** 0.5


def distance_error(precision, convolutions, positions):
    """The largest relative error of a distance of features, or of their Gram matrices.

    Gram matrices, squares of features, have about twice the relative error of these, and so has
    their target. In float32 the sum over positions weighs more: by as many roundings.
    """
    if precision == "float32":
        return positions * 2.0**-24
    return 4 * rounding(precision, convolutions)


def switching(error, convolutions):
    """The relative error of a gradient through features of this relative error.

    At each ReLU about this share of the inputs changes its sign, and with it that share of the
    squared gradient comes or goes; maxima of poolings change their places as seldom.
    """
    return (2 * error * convolutions) ** 0.5
