"""Pure tensor math: the losses that published methods compute from statistics of features.

Losses are functions of sums over positions (`moments`) and of constants only. Symbols: F are
features of N channels at M positions, P the content's, G = F F^T / M the Gram matrix, A the
style's. Features are post-ReLU, of weights whose input is on 0..255.

With Gram matrices per position, a style keeps its own size and shape. Published formulas of the raw
F F^T assume a style of the image's size, so here M A takes the place of its Gram matrix.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from nst_keras.network import vgg
from nst_keras.objective import total_variation as variations
from nst_keras.objective import wasserstein
from nst_keras.objective.evaluation import Statistic, divided
from nst_keras.objective.moments import exact, gram_sums, moment_sums

_FLOOR = 1e-6  # a target whose mean square is below this counts as zero
# Torchvision's networks see pixels in units of this deviation, so their features are smaller.
TORCHVISION_SCALE = 255.0 * vgg.IMAGENET_DEVIATION

Count: TypeAlias = float | tf.Tensor  # float32 where a graph serves images of any size
StyleTarget = tuple[tf.Tensor, ...]


def squared_error_sum(
    features: tf.Tensor, target: tf.Tensor, weights: tf.Tensor | None = None
) -> Statistic:
    """Sum of (F - P)^2 over positions and channels, with weights of positions (1, h, w, 1)."""

    def weighted(values: tf.Tensor) -> tf.Tensor:
        return values if weights is None else weights * values

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        errors = weighted(exact(features) - exact(target))  # made anew, not kept
        return tf.cast(2.0 * upstream * errors, features.dtype)

    squares = tf.math.squared_difference(exact(features), exact(target))
    return tf.reduce_sum(weighted(squares)), pull_back


@dataclasses.dataclass(frozen=True)
class Size:
    """The counts that published formulas use at a layer."""

    positions: Count  # of the layer: M
    pixels: Count  # of the image


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

    content: Callable[[tf.Tensor, tf.Tensor, Count], tf.Tensor]
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


def relative_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: Count) -> tf.Tensor:
    """mean (F - P)^2 / mean P^2: 0 at the content and 1 without features, at any size."""
    return divided(error_sum, target_sum)


def half_sum_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: Count) -> tf.Tensor:
    """1/2 sum (F - P)^2: Gatys et al. 2016, equation 1."""
    return error_sum * 0.5


def sum_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: Count) -> tf.Tensor:
    """sum (F - P)^2."""
    return error_sum


def mean_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: Count) -> tf.Tensor:
    """mean (F - P)^2."""
    return divided(error_sum, count)


def torchvision_content(error_sum: tf.Tensor, target_sum: tf.Tensor, count: Count) -> tf.Tensor:
    """mean (F - P)^2 of features on torchvision's scale."""
    return divided(error_sum, count * TORCHVISION_SCALE**2)


# Style losses of the image's Gram matrix (or moments), the style's target, and the counts.


def _squared_distance(gram: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.math.squared_difference(gram, target))


def relative_target(gram: tf.Tensor) -> StyleTarget:
    """The Gram matrix A and the floored sum of its squares."""
    return gram, tf.maximum(*square_sum(gram))


def relative_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """|G - A|^2 / |A|^2 (Frobenius)."""
    return divided(_squared_distance(gram, target[0]), target[1])


def gatys_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """1 / (4 N^2 M^2) sum (FF^T - M A)^2: Gatys et al. 2016, equation 4; M cancels."""
    return divided(_squared_distance(gram, target[0]), 4.0 * gram.shape[-1] ** 2)


def mean_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """mean (G - A)^2 over channel pairs."""
    return divided(_squared_distance(gram, target[0]), gram.shape[-1] ** 2)


def mean_style_per_channel(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """mean (G / N - A / N)^2: F F^T divided by N M."""
    return divided(_squared_distance(gram, target[0]), gram.shape[-1] ** 4)


def keras_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """sum (FF^T - M A)^2 / (4 3^2 (H W)^2), where 3, H and W are those of the image."""
    return _squared_distance(gram, target[0]) * ((size.positions / size.pixels) ** 2 / 36.0)


def classroom_style(gram: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """mean (FF^T - M A)^2 / (C H W) of features on torchvision's scale."""
    factor = size.positions / gram.shape[-1] ** 3 / TORCHVISION_SCALE**4
    return _squared_distance(gram, target[0]) * factor


def wasserstein_target(moments: tf.Tensor) -> StyleTarget:
    """The mean, the covariance's trace and square root, of features on torchvision's scale."""
    return wasserstein.target(_torchvision_moments(moments))


def wasserstein_style(moments: tf.Tensor, target: StyleTarget, size: Size) -> tf.Tensor:
    """W2^2 / N between Gaussians of the features, on torchvision's scale."""
    return wasserstein.squared_distance(_torchvision_moments(moments), *target)


def _torchvision_moments(moments: tf.Tensor) -> tf.Tensor:
    factors = [TORCHVISION_SCALE**-2] * moments.shape[1] + [1.0 / TORCHVISION_SCALE]
    return moments * tf.constant(factors, moments.dtype, (len(factors), 1))


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
