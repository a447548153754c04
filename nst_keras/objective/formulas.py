"""Pure tensor math: statistics of features, and the losses that published methods compute.

Statistics are sums over positions, so those of a whole image are the sums of its parts'. They are
float32 even for features in a lower precision; gradients have the precision of the features.
Losses are functions of these sums and of constants only. Symbols: F are features of N channels at M
positions, P the content's, G = F F^T / M the Gram matrix, A the style's. Features are post-ReLU, of
weights whose input is on 0..255.

With Gram matrices per position, a style keeps its own size and shape. Published formulas of the raw
F F^T assume a style of the image's size, so here M A takes the place of its Gram matrix.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from nst_keras.devices.xla_programs import is_for_xla
from nst_keras.network import vgg
from nst_keras.objective import total_variation as variations
from nst_keras.objective import wasserstein
from nst_keras.objective.evaluation import Statistic, vjp

_FLOOR = 1e-6  # a target whose mean square is below this counts as zero
# Torchvision's networks see pixels in units of this deviation, so their features are smaller.
TORCHVISION_SCALE = 255.0 * vgg.IMAGENET_DEVIATION

StyleTarget = tuple[tf.Tensor, ...]


def gram_sums(features: tf.Tensor, weights: tf.Tensor | None = None) -> Statistic:
    """F F^T, summed over positions: (1, H, W, N) -> (N, N).

    Its pull-back takes one product where autodiff takes two, and needs no float32 copy of the
    features, which autodiff would keep until then.

    Args:
        weights: of positions in R regions, (1, H, W, R); sums are then those of each, (R, N, N).
    """
    rows = _rows(features)
    if weights is not None:
        return _weighted_gram_sums(rows, _weights_of(weights, rows), tf.shape(features))

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        return tf.reshape(_pulled_from_gram(rows, upstream), tf.shape(features))

    return _product_sums(rows), pull_back


def moment_sums(features: tf.Tensor, weights: tf.Tensor | None = None) -> Statistic:
    """F F^T, and below it F 1, summed over positions: (1, H, W, N) -> (N + 1, N).

    With weights of positions in R regions as in `gram_sums`, (R, N + 1, N).
    """
    rows, shape = _rows(features), tf.shape(features)
    products, from_products = gram_sums(features, weights)
    if weights is None:
        first = tf.reduce_sum(exact(rows), axis=0)

        def from_first(upstream: tf.Tensor) -> tf.Tensor:
            return tf.cast(upstream, rows.dtype)
    else:
        of_positions = _weights_of(weights, rows)
        # Not a product, whose factors some GPUs round.
        summed = tf.reduce_sum(_beside(rows, of_positions), axis=0)
        first = tf.reshape(summed, (of_positions.shape[1], rows.shape[1]))

        def from_first(upstream: tf.Tensor) -> tf.Tensor:
            pulled = tf.matmul(tf.cast(of_positions, rows.dtype), tf.cast(upstream, rows.dtype))
            return tf.reshape(pulled, shape)

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        return from_products(upstream[..., :-1, :]) + from_first(upstream[..., -1, :])

    return tf.concat([products, first[..., None, :]], axis=-2), pull_back


def _weighted_gram_sums(rows: tf.Tensor, weights: tf.Tensor, shape: tf.Tensor) -> Statistic:
    """Sums of w F F^T for each region: (M, N) and weights (M, R) -> (R, N, N).

    By one product for all regions, so that no sum of several terms depends on their order. `shape`
    is that of the features.
    """
    channels, regions = rows.shape[1], weights.shape[1]
    if is_for_xla():  # as in `_product_sums`; both factors are rounded alike, which keeps symmetry
        roots = tf.transpose(tf.sqrt(weights))[:, :, None]
        parts = tf.cast(roots * exact(rows)[None], rows.dtype)
        kind = exact(rows[:0]).dtype
        sums = tf.matmul(parts, parts, transpose_a=True, output_type=kind)
    else:
        flat = tf.matmul(_beside(rows, weights), exact(rows), transpose_a=True)
        sums = tf.reshape(flat, (regions, channels, channels))

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        both = tf.cast(upstream + tf.linalg.matrix_transpose(upstream), rows.dtype)
        beside = tf.cast(_beside(rows, weights), rows.dtype)
        return tf.reshape(tf.matmul(beside, tf.reshape(both, (-1, channels))), shape)

    return sums, pull_back


def _beside(rows: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Rows (M, N) with the weights (M, R) of each region, side by side: (M, R N), not below
    float32."""
    weighted = exact(rows)[:, None] * weights[:, :, None]
    return tf.reshape(weighted, (-1, rows.shape[1] * weights.shape[1]))


def _weights_of(weights: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Weights of positions (1, H, W, R) as a matrix (H W, R), as exact as sums of the rows."""
    return tf.cast(_rows(weights), exact(rows[:0]).dtype)


def _rows(features: tf.Tensor) -> tf.Tensor:
    """Features (1, H, W, N) as a matrix (H W, N)."""
    return tf.reshape(features, (-1, features.shape[-1]))


def _product_sums(rows: tf.Tensor) -> tf.Tensor:
    """The sums of products of columns, in float32 even if the rows are not: (M, N) -> (N, N)."""
    if is_for_xla():  # without it, TensorFlow has no such product of bfloat16
        return tf.matmul(rows, rows, transpose_a=True, output_type=exact(rows[:0]).dtype)
    wide = exact(rows)
    return tf.matmul(wide, wide, transpose_a=True)


def _pulled_from_gram(rows: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    return tf.matmul(rows, tf.cast(upstream + tf.transpose(upstream), rows.dtype))


def squared_error_sum(
    features: tf.Tensor, target: tf.Tensor, weights: tf.Tensor | None = None
) -> Statistic:
    """Sum of (F - P)^2 over positions and channels, with weights of positions (1, h, w, 1)."""

    def error_sum(features: tf.Tensor) -> tf.Tensor:
        errors = tf.math.squared_difference(exact(features), exact(target))
        return tf.reduce_sum(errors if weights is None else weights * errors)

    return vjp(error_sum, features)


def exact(features: tf.Tensor) -> tf.Tensor:
    """The features in float32, or in their own precision if that is higher."""
    low = tf.as_dtype(features.dtype).size < tf.float32.size
    return tf.cast(features, tf.float32) if low else features


@dataclasses.dataclass(frozen=True)
class Size:
    """The counts that published formulas use at a layer."""

    positions: float  # of the layer: M
    pixels: float  # of the image


@dataclasses.dataclass(frozen=True)
class Formulas:
    """How a published method turns statistics into losses, before their weights.

    Attributes:
        content: makes the loss from sum (F - P)^2, the floored sum of P^2, and N M.
        style: makes the loss from moments per position, the style's target and the counts.
        variation: the kind of total variation.
        style_sums: the moments summed over positions, of features (1, H, W, N), and of regions
            if weights of positions (1, H, W, R) are given.
        style_target: what a step needs of the blended styles' moments, computed once.
    """

    content: Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]
    style: Callable[[tf.Tensor, StyleTarget, Size], tf.Tensor]
    variation: variations.Variation
    style_sums: Callable[..., Statistic] = gram_sums
    style_target: Callable[[tf.Tensor], StyleTarget] = lambda moments: (moments,)


def square_sum(*parts: tf.Tensor) -> tuple[tf.Tensor, float]:
    """The sum of the squares of a target given in parts, and the floor to use if it is smaller.

    Relative losses divide by it.
    """
    return weighted_square_sum([(part, None) for part in parts])


def weighted_square_sum(
    parts: Sequence[tuple[tf.Tensor, tf.Tensor | None]],
) -> tuple[tf.Tensor, float]:
    """The same with weights of positions (1, h, w, 1), 1 in the mean, beside each part."""
    size = sum(tf.TensorShape(part.shape).num_elements() for part, _ in parts)
    squares = [
        tf.square(exact(part)) if weights is None else weights * tf.square(exact(part))
        for part, weights in parts
    ]
    return sum(map(tf.reduce_sum, squares)), _FLOOR * float(size)


# Content losses of sum (F - P)^2, the floored sum of P^2 and the number of features N M.


def relative_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: float) -> tf.Tensor:
    """mean (F - P)^2 / mean P^2: 0 at the content and 1 without features, at any size."""
    return error_sum / target_sum


def half_sum_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: float) -> tf.Tensor:
    """1/2 sum (F - P)^2: Gatys et al. 2016, equation 1."""
    return error_sum / 2.0


def sum_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: float) -> tf.Tensor:
    """sum (F - P)^2."""
    return error_sum


def mean_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: float) -> tf.Tensor:
    """mean (F - P)^2."""
    return error_sum / count


def torchvision_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: float) -> tf.Tensor:
    """mean (F - P)^2 of features on torchvision's scale."""
    return error_sum / (count * TORCHVISION_SCALE**2)


# Style losses of the image's Gram matrix (or moments), the style's target, and the counts.


def _squared_distance(gram: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.math.squared_difference(gram, target))


def relative_target(gram: tf.Tensor) -> StyleTarget:
    """The Gram matrix A and the floored sum of its squares."""
    return gram, tf.maximum(*square_sum(gram))


def relative_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """|G - A|^2 / |A|^2 (Frobenius)."""
    return _squared_distance(gram, target[0]) / target[1]


def gatys_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """1 / (4 N^2 M^2) sum (FF^T - M A)^2: Gatys et al. 2016, equation 4; M cancels."""
    return _squared_distance(gram, target[0]) / (4.0 * gram.shape[-1] ** 2)


def mean_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """mean (G - A)^2 over channel pairs."""
    return _squared_distance(gram, target[0]) / gram.shape[-1] ** 2


def mean_style_per_channel(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """mean (G / N - A / N)^2: F F^T divided by N M."""
    return _squared_distance(gram, target[0]) / gram.shape[-1] ** 4


def keras_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """sum (FF^T - M A)^2 / (4 3^2 (H W)^2), where 3, H and W are those of the image."""
    return _squared_distance(gram, target[0]) * (size.positions / size.pixels) ** 2 / 36.0


def classroom_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """mean (FF^T - M A)^2 / (C H W) of features on torchvision's scale."""
    mean = _squared_distance(gram, target[0]) * size.positions**2 / gram.shape[-1] ** 2
    return mean / (gram.shape[-1] * size.positions) / TORCHVISION_SCALE**4


def wasserstein_target(moments: tf.Tensor) -> StyleTarget:
    """The mean, the covariance and its square root, of features on torchvision's scale."""
    return wasserstein.target(_torchvision_moments(moments))


def wasserstein_style(moments: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """W2^2 / N between Gaussians of the features, on torchvision's scale."""
    return wasserstein.squared_distance(_torchvision_moments(moments), *target)


def _torchvision_moments(moments: tf.Tensor) -> tf.Tensor:
    second, first = moments[:-1] / TORCHVISION_SCALE**2, moments[-1:] / TORCHVISION_SCALE
    return tf.concat([second, first], axis=0)


# Weights, layers and other settings published with each are in `settings.presets`.
_RELATIVE = Formulas(
    relative_content, relative_style, variations.MEAN_SQUARES, style_target=relative_target
)
FORMULAS = {
    "relative": _RELATIVE,
    "neighbors": _RELATIVE,
    "gatys": Formulas(half_sum_content, gatys_style, variations.SQUARES_255),
    "jcjohnson": Formulas(mean_content, mean_style_per_channel, variations.HALF_SQUARES_255),
    "tf_tutorial": Formulas(mean_content, mean_style, variations.ABSOLUTE),
    "keras_example": Formulas(sum_content, keras_style, variations.POWER_255),
    "anishathalye": Formulas(mean_content, mean_style_per_channel, variations.MEAN_SQUARES_255),
    "pytorch_tutorial": Formulas(torchvision_content, classroom_style, variations.MEAN_SQUARES),
    "crowsonkb": Formulas(
        torchvision_content,
        wasserstein_style,
        variations.NINE_POINT,
        style_sums=moment_sums,
        style_target=wasserstein_target,
    ),
}
