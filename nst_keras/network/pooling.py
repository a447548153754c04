"""Pooling of squares, with a form for XLA beside TensorFlow's own.

XLA would compute the gradient of a maximum pooling by scattering, and that of an average pooling by
summing windows. Cut into squares by their shape, both have an element-wise gradient, which XLA
fuses with what is around it; without XLA, these forms would be slower than TensorFlow's.
"""

import tensorflow as tf
from keras import layers

from nst_keras.devices.xla_programs import is_for_xla


class MaxPooling(layers.MaxPooling2D):
    """The largest value of each square of 2 x 2; an odd last row or column is dropped."""

    def call(self, features):
        if not is_for_xla():
            return super().call(features)
        of_rows = _largest(_squares(features, 2), 4)
        return tf.squeeze(_largest(of_rows, 2), (2, 4))


class AveragePooling(layers.AveragePooling2D):
    """The mean of each square of 2 x 2; an odd last row or column is dropped."""

    def call(self, features):
        return mean_of_squares(features, 2) if is_for_xla() else super().call(features)


def mean_of_squares(features: tf.Tensor, side: int) -> tf.Tensor:
    """The mean of each square of features (N, h, w, C); what fills no square is dropped."""
    if is_for_xla():
        return tf.reduce_mean(_squares(features, side), axis=(2, 4))
    return tf.nn.avg_pool2d(features, side, side, "VALID")


def _squares(features: tf.Tensor, side: int) -> tf.Tensor:
    """Features (N, h, w, C) cut into squares: (N, h / side, side, w / side, side, C)."""
    count, height, width, channels = features.shape
    rows, columns = height // side, width // side
    whole = features[:, : rows * side, : columns * side]
    return tf.reshape(whole, (count, rows, side, columns, side, channels))


def _largest(squares: tf.Tensor, axis: int) -> tf.Tensor:
    """The larger of two values along an axis; of equal ones the first, where the gradient goes."""
    first, second = tf.split(squares, 2, axis)
    return tf.where(second > first, second, first)
