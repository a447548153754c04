"""The Wasserstein-2 distance between Gaussians with the features' means and covariances.

Computed in float64 from the covariances on: their eigenvalues span twelve orders of magnitude, and
the smaller half of them, which float32 loses, determines the gradient.
"""

import math

import tensorflow as tf

from nst_keras.objective.evaluation import divided

_RIDGE = 1e-4  # added to the covariances' diagonals, in the units of their features
_FLOOR = 1e-14  # share of the largest eigenvalue; below it, a root's slope would be mere rounding


def target(moments: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The mean (1, N) of a style, its covariance's trace () and square root (N, N), in float64.

    Moments (N + 1, N) are F F^T / M and below it F 1 / M, as `formulas.moment_sums` orders them.
    """
    mean, covariance = _gaussian(moments)
    values, vectors = _eigen(covariance)
    root = tf.matmul(vectors * tf.sqrt(values), vectors, transpose_b=True)
    return mean, tf.linalg.trace(covariance), root


def squared_distance(
    moments: tf.Tensor, mean: tf.Tensor, trace: tf.Tensor, root: tf.Tensor
) -> tf.Tensor:
    """(|m - m'|^2 + tr(S + S' - 2 (S'^1/2 S S'^1/2)^1/2)) / N, in the precision of the moments.

    Moments are those of the image, the rest is what `target` makes of those of the style.
    """
    mean_now, covariance_now = _gaussian(moments)
    product = tf.matmul(tf.matmul(root, covariance_now), root)
    apart = tf.reduce_sum(tf.math.squared_difference(mean_now, mean))
    traces = tf.linalg.trace(covariance_now) + trace
    # Graph optimization would merge a chain of sums into an AddN (see `total_variation`).
    distance = tf.reduce_sum(tf.stack([apart, traces, trace_of_root(product) * -2.0]))
    return tf.cast(divided(distance, mean.shape[1]), moments.dtype)


def trace_of_root(matrix: tf.Tensor) -> tf.Tensor:
    """tr(A^1/2) of a symmetric positive matrix (N, N), with its gradient A^-1/2 / 2.

    Autodiff through the eigenvectors would divide by differences of eigenvalues, which may be zero.
    So it sees a constant plus the gradient times A - A, which is zero. (For the reason why this is
    no `tf.custom_gradient`, see `evaluation`.)
    """
    constant = tf.stop_gradient(matrix)
    values, vectors = _eigen(constant)
    gradient = 0.5 * tf.matmul(vectors / tf.sqrt(values), vectors, transpose_b=True)
    return tf.reduce_sum(tf.sqrt(values)) + tf.reduce_sum(gradient * (matrix - constant))


def _gaussian(moments: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean (1, N) and the covariance (N, N), with the ridge, in float64."""
    channels = moments.shape[1]
    second, mean = tf.split(tf.cast(moments, tf.float64), (channels, 1))
    ridge = tf.linalg.diag(tf.constant(_RIDGE, tf.float64, (channels,)))
    return mean, second - _product(mean) + ridge


def _product(row: tf.Tensor) -> tf.Tensor:
    """v v^T of a row (1, N), for which autodiff returns one gradient, 2 U v, and not two.

    With a third one, it would add them by AddN, in an order that varies between runs. U, the
    gradient by the product, is symmetric, as that of every function of a covariance.
    """
    product = tf.matmul(row, tf.stop_gradient(row), transpose_a=True)
    return product * 2.0 - tf.stop_gradient(product)


def _eigen(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The eigenvalues in ascending order, not below a floor, and the eigenvectors as columns.

    Those of a matrix that is not finite are NaN.
    """
    # Which would be an error of the operation on CPUs, where other losses become NaN.
    is_finite = tf.reduce_all(tf.math.is_finite(matrix))
    identity = tf.eye(matrix.shape[0], dtype=matrix.dtype)
    values, vectors = tf.linalg.eigh(tf.where(is_finite, matrix, identity))
    values = tf.where(is_finite, values, math.nan)
    return tf.maximum(values, _FLOOR * tf.reduce_max(values)), vectors
