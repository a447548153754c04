"""Convolution with a ReLU, in as few operations of TensorFlow as it takes."""

from typing import Any

import tensorflow as tf
from keras import layers


class Convolution(layers.Conv2D):
    """A convolution with a stride of 1, a bias and a ReLU.

    The base class would reshape the bias and back, which is two operations more, and take several
    times as long to trace.

    Args:
        given: what the base class takes besides, but for its activation.
    """

    def __init__(self, filters: int, kernel_size: int, *, padding: str, **given: Any):
        super().__init__(filters, kernel_size, padding=padding, activation="relu", **given)

    def call(self, features):
        found = tf.nn.conv2d(features, self.kernel, 1, self.padding.upper())
        return tf.nn.relu(tf.nn.bias_add(found, self.bias))
