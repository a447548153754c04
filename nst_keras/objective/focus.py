"""Focus: weights of the content's positions, higher where the content has more detail.

Detail is what people recognize a scene by, such as the eyes of a face; flat areas, such as a sky,
can be given to the style. With such weights, a strong content term keeps the one and frees the
other.
"""

import tensorflow as tf

from nst_keras.network.pooling import mean_of_squares

_SQUARE = 8  # pixels; detail is averaged over squares of this side
_REACH = 24 / 512  # of a position's surroundings on each side, relative to the longest side
_LEAST, _MOST = 0.05, 3.0  # of a weight, relative to the mean


def position_weights(content: tf.Tensor, focus: float) -> tf.Tensor:
    """The weight of each pixel (1, H, W, 1), 1 in the mean.

    Args:
        content: (1, H, W, 3), RGB in [0, 1].
        focus: from 0, all alike, to 1, in proportion to the detail around the pixel.
    """
    height, width = content.shape[1:3]
    detail = _detail(content)
    reach = max(1, round(_REACH * max(height, width) / _SQUARE))
    for _ in range(2):  # two boxes make a smooth window
        detail = tf.nn.avg_pool2d(detail, 2 * reach + 1, 1, "SAME")
    mean = tf.reduce_mean(detail)
    relative = tf.where(mean > 0.0, tf.math.divide_no_nan(detail, mean), tf.ones_like(detail))
    relative = tf.image.resize(tf.clip_by_value(relative, _LEAST, _MOST), (height, width))
    weights = tf.cast(relative / tf.reduce_mean(relative), content.dtype)
    return (1.0 - focus) + focus * weights


def at_stride(weights: tf.Tensor, stride: int) -> tf.Tensor:
    """The weights (1, h, w, 1) of features with a stride, from those of pixels."""
    return mean_of_squares(weights, stride)


def _detail(content: tf.Tensor) -> tf.Tensor:
    """Mean absolute differences of neighboring pixels' lightness in squares of 8 px."""
    lightness = tf.reduce_mean(content, axis=3, keepdims=True)
    along_x = tf.abs(lightness[:, :, 1:] - lightness[:, :, :-1])
    along_y = tf.abs(lightness[:, 1:] - lightness[:, :-1])
    both = tf.pad(along_x, ((0, 0), (0, 0), (0, 1), (0, 0)))
    both += tf.pad(along_y, ((0, 0), (0, 1), (0, 0), (0, 0)))
    return tf.nn.avg_pool2d(both, _SQUARE, _SQUARE, "SAME")
