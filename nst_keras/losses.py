"""Pure tensor maths: statistics of features and images, and the terms on them.

Statistics are sums over positions, so those of a whole image are the sums of its parts'. Terms
are functions of these sums and of constants alone. Symbols: F are features of N channels at M
positions, P the content's, G = F F^T / M the Gram matrix, A the style's. Features are post-ReLU;
images are RGB in [0, 1], NHWC with a batch of one.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

PIXEL_RANGE = 255.0  # published formulas are on 0..255


def gram_sum(features: tf.Tensor) -> tf.Tensor:
    """F F^T, summed over positions: (1, H, W, N) -> (N, N)."""
    return _gram_of_rows(tf.reshape(features, (-1, features.shape[-1])))


@tf.custom_gradient
def _gram_of_rows(rows: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """rows^T rows for (M, N), with a pull-back of one product where autodiff takes two."""

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        return tf.matmul(rows, upstream + tf.transpose(upstream))

    return tf.matmul(rows, rows, transpose_a=True), pull_back


def squared_error_sum(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Sum of (F - P)^2 over positions and channels."""
    return tf.reduce_sum(tf.math.squared_difference(features, target))


@tf.custom_gradient
def squared_variation_sums(
    image: tf.Tensor,
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Sums of squared differences of neighbours: (2,), along x and along y.

    Autodiff would add four gradients to that of the network by AddN, which takes three or more
    inputs in an order that depends on the moment; here they arrive as one, so that the same image
    gives the same bytes.
    """
    dx = image[:, :, 1:] - image[:, :, :-1]
    dy = image[:, 1:] - image[:, :-1]

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        along_x = tf.pad(dx, _BEFORE_X) - tf.pad(dx, _AFTER_X)
        along_y = tf.pad(dy, _BEFORE_Y) - tf.pad(dy, _AFTER_Y)
        # The product comes last: graph optimisation would merge a last sum into the AddN.
        return 2.0 * (upstream[0] * along_x + upstream[1] * along_y)

    return tf.stack([tf.reduce_sum(tf.square(dx)), tf.reduce_sum(tf.square(dy))]), pull_back


_BEFORE_X, _AFTER_X = ([0, 0], [0, 0], [1, 0], [0, 0]), ([0, 0], [0, 0], [0, 1], [0, 0])
_BEFORE_Y, _AFTER_Y = ([0, 0], [1, 0], [0, 0], [0, 0]), ([0, 0], [0, 1], [0, 0], [0, 0])


@dataclasses.dataclass(frozen=True)
class Formulas:
    """How an objective turns statistics into unweighted terms."""

    content: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # sum (F-P)^2, sum P^2
    style: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]  # G, A, sum A^2
    variation: Callable[[tf.Tensor, tuple[float, float]], tf.Tensor]  # sums, counts of differences


def relative_content(error_sum: tf.Tensor, target_sum: tf.Tensor) -> tf.Tensor:
    """mean (F-P)^2 / mean P^2: 0 at the content, 1 at no features, whatever size and network."""
    return error_sum / target_sum


def relative_style(gram: tf.Tensor, target: tf.Tensor, target_sum: tf.Tensor) -> tf.Tensor:
    """|G - A|^2 / |A|^2 (Frobenius)."""
    return tf.reduce_sum(tf.math.squared_difference(gram, target)) / target_sum


def mean_variation(sums: tf.Tensor, counts: tuple[float, float]) -> tf.Tensor:
    """mean dx^2 + mean dy^2 on [0, 1]."""
    return sums[0] / counts[0] + sums[1] / counts[1]


def gatys_content(error_sum: tf.Tensor, target_sum: tf.Tensor) -> tf.Tensor:
    """1/2 sum (F - P)^2: Gatys et al. 2016, equation 1."""
    del target_sum
    return error_sum / 2.0


def gatys_style(gram: tf.Tensor, target: tf.Tensor, target_sum: tf.Tensor) -> tf.Tensor:
    """1 / (4 N^2 M^2) sum (FF^T - A)^2: Gatys et al. 2016, equation 4.

    With Grams per position M cancels, which also lets the style keep its own size.
    """
    del target_sum
    channels = float(gram.shape[-1])
    return tf.reduce_sum(tf.math.squared_difference(gram, target)) / (4.0 * channels**2)


def sum_variation(sums: tf.Tensor, counts: tuple[float, float]) -> tf.Tensor:
    """sum dx^2 + sum dy^2 on 0..255. Not in the paper; grows with the picture's size."""
    del counts
    return PIXEL_RANGE**2 * (sums[0] + sums[1])


OBJECTIVES = {
    "relative": Formulas(relative_content, relative_style, mean_variation),
    "gatys": Formulas(gatys_content, gatys_style, sum_variation),
}
