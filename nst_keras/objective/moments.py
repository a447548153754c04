"""Statistics of features: Gram matrices and sums, over all positions or weighted by regions.

They are sums over positions, so those of a whole image are the sums of its parts'. They are float32
even for features in a lower precision; gradients have the precision of the features. Symbols: F are
features of N channels at M positions, R is the number of regions.
"""

import tensorflow as tf

from nst_keras.devices.xla_programs import is_for_xla
from nst_keras.objective.evaluation import Statistic


def gram_sums(features: tf.Tensor, weights: tf.Tensor | None = None) -> Statistic:
    """F F^T, summed over positions: (1, H, W, N) -> (N, N).

    Its pull-back takes one product where autodiff takes two, and needs no float32 copy of the
    features, which autodiff would keep until then.

    Args:
        weights: of positions in R regions, (1, H, W, R); sums are then those of each, (R, N, N).
    """
    rows, shape = _rows(features), tf.shape(features)
    if weights is None:
        sums, to_rows = _product_sums(rows), lambda upstream: _pulled_from_gram(rows, upstream)
    else:
        weighted_sums = _weighted_sums_at_once if is_for_xla() else _weighted_sums_by_owner
        sums, to_rows = weighted_sums(rows, _weights_of(weights, rows))
    return sums, lambda upstream: tf.reshape(to_rows(upstream), shape)


def moment_sums(features: tf.Tensor, weights: tf.Tensor | None = None) -> Statistic:
    """F F^T, and below it F 1, summed over positions: (1, H, W, N) -> (N + 1, N).

    With weights of positions in R regions as in `gram_sums`, (R, N + 1, N).
    """
    rows, shape = _rows(features), tf.shape(features)
    channels = rows.shape[1]
    products, from_products = gram_sums(features, weights)
    if weights is None:
        first = tf.reduce_sum(exact(rows), axis=0, keepdims=True)

        def from_first(upstream: tf.Tensor) -> tf.Tensor:
            return tf.cast(upstream, rows.dtype)
    else:
        of_positions = _weights_of(weights, rows)
        # Not a product, whose factors some GPUs round.
        summed = tf.reduce_sum(_beside(rows, of_positions), axis=0)
        first = tf.reshape(summed, (of_positions.shape[1], 1, channels))

        def from_first(upstream: tf.Tensor) -> tf.Tensor:
            by_region = tf.reshape(tf.cast(upstream, rows.dtype), (-1, channels))
            pulled = tf.matmul(tf.cast(of_positions, rows.dtype), by_region)
            return tf.reshape(pulled, shape)

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        at_products, at_first = tf.split(upstream, (channels, 1), axis=-2)
        return from_products(at_products) + from_first(at_first)

    return tf.concat([products, first], axis=-2), pull_back


def exact(features: tf.Tensor) -> tf.Tensor:
    """The features in float32, or in their own precision if that is higher."""
    low = tf.as_dtype(features.dtype).size < tf.float32.size
    return tf.cast(features, tf.float32) if low else features


def _product_sums(rows: tf.Tensor) -> tf.Tensor:
    """The sums of products of columns, in float32 even if the rows are not: (M, N) -> (N, N)."""
    if is_for_xla():  # without it, TensorFlow has no such product of bfloat16
        return tf.matmul(rows, rows, transpose_a=True, output_type=_exact_kind(rows))
    wide = exact(rows)
    return tf.matmul(wide, wide, transpose_a=True)


def _pulled_from_gram(rows: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """The gradient at rows from that at their Gram matrix; also of several, (R, M, N)."""
    return tf.matmul(rows, tf.cast(upstream + tf.linalg.matrix_transpose(upstream), rows.dtype))


# Sums of w F F^T for each region, in two forms: (M, N) and weights (M, R) -> (R, N, N).


def _weighted_sums_at_once(rows: tf.Tensor, weights: tf.Tensor) -> Statistic:
    """By products of all positions, whatever their weights are: for XLA, which compiles a program
    for each shape, and would compile one for each picture of masks otherwise."""
    roots = tf.transpose(tf.sqrt(weights))[:, :, None]
    # Both factors are rounded alike, which keeps the sums symmetric.
    parts = tf.cast(roots * exact(rows)[None], rows.dtype)
    sums = tf.matmul(parts, parts, transpose_a=True, output_type=_exact_kind(rows))
    return sums, lambda upstream: _pulled_from_regions(rows, weights, upstream)


def _weighted_sums_by_owner(rows: tf.Tensor, weights: tf.Tensor) -> Statistic:
    """By a product for each region of the positions that it owns alone.

    So masks cost next to nothing, whatever the number of regions, except where they overlap: the
    positions there take part in the products of all regions.
    """
    regions = weights.shape[1]
    groups = _positions_by_owner(weights)
    owned = [tf.gather(rows, group) for group in groups]
    own_weights = [tf.gather(weights, group) for group in groups]

    def own(region: int) -> tf.Tensor:
        return exact(owned[region]) * own_weights[region][:, region, None]

    def shared() -> tf.Tensor:
        return _beside(owned[regions], own_weights[regions])

    alone = [
        tf.matmul(own(region), exact(owned[region]), transpose_a=True) for region in range(regions)
    ]
    together = tf.matmul(shared(), exact(owned[regions]), transpose_a=True)
    sums = tf.stack(alone) + tf.reshape(together, (regions, rows.shape[1], rows.shape[1]))

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        pulled = [
            _pulled_from_gram(tf.cast(own(region), rows.dtype), upstream[region])
            for region in range(regions)
        ]
        pulled.append(_pulled_from_regions(owned[regions], own_weights[regions], upstream))
        pulled.append(tf.zeros_like(owned[-1]))
        order = tf.concat(groups, axis=0)
        count = tf.size(order, tf.int64)
        places = tf.scatter_nd(order[:, None], tf.range(count), [count])
        return tf.gather(tf.concat(pulled, axis=0), places)

    return sums, pull_back


def _positions_by_owner(weights: tf.Tensor) -> list[tf.Tensor]:
    """The numbers of the positions that each region has alone, that several share, and that none
    has: R + 2 tensors of int64, from weights (M, R)."""
    positive = weights > 0.0
    count = tf.math.count_nonzero(positive, axis=1)
    several = tf.constant(weights.shape[1], tf.int64)
    other = tf.where(count == 0, several + 1, several)
    owner = tf.where(count == 1, tf.argmax(tf.cast(positive, tf.float32), axis=1), other)
    return [tf.where(owner == number)[:, 0] for number in range(weights.shape[1] + 2)]


def _pulled_from_regions(rows: tf.Tensor, weights: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """The gradient at rows from those at the sums of all regions, as one product: no sum of several
    terms depends on their order."""
    both = tf.cast(upstream + tf.linalg.matrix_transpose(upstream), rows.dtype)
    beside = tf.cast(_beside(rows, weights), rows.dtype)
    return tf.matmul(beside, tf.reshape(both, (-1, rows.shape[1])))


def _beside(rows: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Rows (M, N) with the weights (M, R) of each region, side by side: (M, R N), not below
    float32."""
    weighted = exact(rows)[:, None] * weights[:, :, None]
    return tf.reshape(weighted, (-1, rows.shape[1] * weights.shape[1]))


def _weights_of(weights: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Weights of positions (1, H, W, R) as a matrix (H W, R), as exact as sums of the rows."""
    return tf.cast(_rows(weights), _exact_kind(rows))


def _rows(features: tf.Tensor) -> tf.Tensor:
    """Features (1, H, W, N) as a matrix (H W, N)."""
    return tf.reshape(features, (-1, features.shape[-1]))


def _exact_kind(rows: tf.Tensor) -> tf.DType:
    return exact(rows[:0]).dtype
