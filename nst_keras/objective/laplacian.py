"""The Laplacian of lightness in squares of 4 pixels: edges and fine forms, without a network.

The features of a network at a stride of 8 or 16 hold too little of a face of 60 pixels to keep it
whole. After Li et al., "Laplacian-Steered Neural Style Transfer" (2017). Departures: the sum is a
mean; lightness takes the place of colors, which are the style's; and only squares count where the
content has more detail than in the mean, so that flat areas stay free for the style.
"""

import tensorflow as tf

from nst_keras.network.pooling import mean_of_squares
from nst_keras.objective.evaluation import Statistic, vjp
from nst_keras.objective.focus import at_stride, position_weights
from nst_keras.objective.tiles import LAPLACIAN_STRIDE


def laplacian(image: tf.Tensor) -> Statistic:
    """How far each square's lightness is from that of the squares beside it: sums of differences.

    Args:
        image: (1, H, W, 3), RGB in [0, 1].

    Returns:
        (1, H / 4, W / 4, 1); rows and columns of pixels that fill no square are left out.
    """
    means, to_image = vjp(_means, image)
    # A symmetric matrix, so its own transpose.
    return _differences(means), lambda upstream: to_image(_differences(upstream))


def detail_weights(content: tf.Tensor) -> tf.Tensor:
    """Weights of squares (1, H / 4, W / 4, 1): how much their detail is above the mean, or 0."""
    relative = at_stride(position_weights(content, 1.0), LAPLACIAN_STRIDE)
    return tf.maximum(relative - 1.0, 0.0)


def _means(image: tf.Tensor) -> tf.Tensor:
    lightness = tf.reduce_mean(image, axis=3, keepdims=True)
    return mean_of_squares(lightness, LAPLACIAN_STRIDE)


def _differences(plane: tf.Tensor) -> tf.Tensor:
    framed = tf.pad(plane, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
    # Differences only: graph optimization would merge sums into an AddN (see `total_variation`).
    return (
        4.0 * plane
        - framed[:, :-2, 1:-1]
        - framed[:, 2:, 1:-1]
        - framed[:, 1:-1, :-2]
        - framed[:, 1:-1, 2:]
    )
