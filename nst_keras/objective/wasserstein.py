"""The Wasserstein-2 distance between Gaussians with the features' means and covariances.

Computed in float64 from the covariances on: their eigenvalues span twelve orders of magnitude, and
the smaller half of them, which float32 loses, determines the gradient.
"""

import tensorflow as tf

_RIDGE = 1e-4  # added to the covariances' diagonals, in the units of their features
_FLOOR = 1e-14  # share of the largest eigenvalue; below it, a root's slope would be mere rounding


def target(moments: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The mean (N,), the covariance (N, N) and its square root (N, N) of a style, in float64.

    Moments (N + 1, N) are F F^T / M and below it F 1 / M, as `formulas.moment_sums` orders them.
    """
    mean, covariance = _gaussian(moments)
    values, vectors = _eigen(covariance)
    return mean, covariance, tf.matmul(vectors * tf.sqrt(values), vectors, transpose_b=True)


def squared_distance(
    moments: tf.Tensor, mean: tf.Tensor, covariance: tf.Tensor, root: tf.Tensor
) -> tf.Tensor:
    """(|m - m'|^2 + tr(S + S' - 2 (S'^1/2 S S'^1/2)^1/2)) / N, in the precision of the moments.

    Moments are those of the image, the rest is what `target` makes of those of the style.
    """
    mean_now, covariance_now = _gaussian(moments)
    product = tf.matmul(tf.matmul(root, covariance_now), root)
    apart = tf.reduce_sum(tf.math.squared_difference(mean_now, mean))
    traces = tf.linalg.trace(covariance_now) + tf.linalg.trace(covariance)
    # Graph optimization would merge a chain of sums into an AddN (see `total_variation`).
    distance = tf.reduce_sum(tf.stack([apart, traces, -2.0 * trace_of_root(product)]))
    return tf.cast(distance / mean.shape[0], moments.dtype)


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
    """The mean (N,) and the covariance (N, N), with the ridge, in float64."""
    moments = tf.cast(moments, tf.float64)
    second, mean = moments[:-1], moments[-1]
    covariance = second - _outer(mean)
    return mean, covariance + _RIDGE * tf.eye(mean.shape[0], dtype=tf.float64)


def _outer(vector: tf.Tensor) -> tf.Tensor:
    """v v^T, for which autodiff returns one gradient, (U + U^T) v, and not two.

    With a third one, it would add them by AddN, in an order that varies between runs.
    """
    half = tf.matmul(vector[:, None], tf.stop_gradient(vector)[None, :])
    return half + tf.transpose(half) - tf.stop_gradient(half)


def _eigen(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The eigenvalues in ascending order, not below a floor, and the eigenvectors as columns."""
    values, vectors = tf.linalg.eigh(matrix)
    return tf.maximum(values, _FLOOR * values[-1]), vectors
