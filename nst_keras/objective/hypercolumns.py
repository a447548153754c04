"""Neighbors by hypercolumns: the features of all layers at one position, compared at once."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from nst_keras.network.pooling import mean_of_squares
from nst_keras.objective.evaluation import Features, Statistic, vjp
from nst_keras.objective.moments import exact
from nst_keras.objective.nearest import VectorSearch
from nst_keras.objective.neighbors import (
    LEAST_SQUARE,
    FeaturesInTiles,
    Neighbors,
    Part,
    Vectors,
    distance_sum,
    shape_of,
    sizes_of,
)
from nst_keras.objective.regions import Region
from nst_keras.objective.term_names import NEIGHBORS
from nst_keras.objective.tiles import NEIGHBORS_STRIDE, Tile

_MOST_QUERIES = 2048  # hypercolumns of an image in memory at once, about


class HypercolumnNeighbors(Neighbors):
    """Compares each position's hypercolumn with that of its neighbor, by their cosine.

    A hypercolumn holds the features of all layers, with the same share of its mean square for each
    layer: averages over squares of 4 pixels, and for a stride of 8 the same for 2 x 2 positions.
    """

    spacing, most_vectors = 4, 1 << 14

    def __init__(
        self,
        vectors: Vectors,
        height: int,
        width: int,
        tiles: Sequence[Tile],
        regions: Sequence[Region] = (),
    ):
        super().__init__(vectors, height, width, tiles, regions)
        self._vectors = vectors.by_layer
        self._factors = {
            layer: _to_mean_square_1(own[: self.vector_count])
            for layer, own in self._vectors.items()
        }
        self._square_factors = {layer: factor**2 for layer, factor in self._factors.items()}
        squares = [
            self._square_factors[layer] * tf.reduce_sum(tf.square(exact(own)), axis=1)
            for layer, own in self._vectors.items()
        ]
        lengths = tf.sqrt(tf.reduce_sum(tf.stack(squares), axis=0))
        # A factor on the pull of a vector is one on its cosines.
        self._inverse_lengths = tf.math.divide_no_nan(tf.cast(self._pulls, lengths.dtype), lengths)

    def _maps(self) -> tuple[str, ...]:
        return (NEIGHBORS,)

    @staticmethod
    def at_positions(features: tf.Tensor, stride: int, rows: int, columns: int) -> tf.Tensor:
        own = _averaged(features, stride, rows, columns)
        if (side := _side(stride)) > 1:
            own = tf.repeat(tf.repeat(own, side, axis=0), side, axis=1)
        return tf.reshape(own, (-1, own.shape[-1]))

    def statistics(
        self, layer: str, features: tf.Tensor, known: Mapping[str, tf.Tensor]
    ) -> Statistic:
        """Products with the neighbors, and squares: (rows, columns, 2).

        Both are sums over channels, so those of hypercolumns are sums over layers.
        """
        numbers = self.numbers_of(known[NEIGHBORS])
        rows, columns = sizes_of(numbers)
        stride = self._strides[layer]
        averaged = functools.partial(_averaged, stride=stride, rows=rows, columns=columns)
        own, to_features = vjp(averaged, features)
        side = _side(stride)
        numbers = _to_squares(numbers, side)
        square_factor = self._square_factors[layer]
        factors = square_factor * tf.gather(self._inverse_lengths, numbers)

        def neighbors() -> tf.Tensor:  # made twice, because they take much memory
            return tf.gather(self._vectors[layer], numbers)

        product = factors * _products(neighbors(), own)
        square = square_factor * tf.reduce_sum(tf.square(exact(own)), axis=-1, keepdims=True)
        both = tf.stack([product, tf.broadcast_to(square, tf.shape(product))], axis=-1)

        def pull_back(upstream: tf.Tensor) -> tf.Tensor:
            of_product, of_square = tf.unstack(_to_squares(upstream, side), axis=-1)
            of_product = tf.expand_dims(tf.cast(factors * of_product, own.dtype), 2)
            pulled = tf.squeeze(tf.matmul(of_product, neighbors()), 2)
            of_square = 2.0 * square_factor * tf.reduce_sum(of_square, axis=-1, keepdims=True)
            return to_features(pulled + own * tf.cast(of_square, own.dtype))

        return _from_squares(both, side), pull_back

    def joined(self, parts: Sequence[tf.Tensor]) -> Statistic:
        # Not add_n, which adds in an order that varies between runs.
        product, square = tf.unstack(tf.reduce_sum(tf.stack(parts), axis=0), axis=-1)
        summed, to_both = distance_sum(product, square)
        return summed, lambda upstream: [tf.stack(to_both(upstream), axis=-1)] * len(parts)

    def _found(self, features_of: Callable[[], FeaturesInTiles]) -> Iterator[Features]:
        if len(self.tiles) == 1:  # whose features fit in memory and need to be computed only once
            features_of = functools.partial(tuple, tuple(features_of()))
        means = self._means(features_of())
        searches = [
            VectorSearch(functools.partial(self._vectors_from, start), size)
            for start, size in zip(self._starts, self._sizes, strict=True)
        ]
        for part, (_, features) in zip(self._parts, features_of(), strict=True):
            found = [
                self._nearest(searches, queries, means, sets)
                for queries, sets in self._queries(features, part)
            ]
            yield {NEIGHBORS: tf.concat(found, axis=0)}

    def _means(self, features_in_tiles: FeaturesInTiles) -> list[tf.Tensor]:
        """The mean hypercolumn of the image in each set."""
        belongs = np.stack([self._sets == number for number in range(len(self._sizes))])
        sums = dict.fromkeys(self.layers, 0.0)
        for part, (_, features) in zip(self._parts, features_in_tiles, strict=True):
            of_part = belongs[:, part[0], part[1]]
            for layer in self.layers:
                stride = self._strides[layer]
                own = exact(_averaged(features[layer], stride, *shape_of(part)))
                # How often each feature occurs, which may be at several positions.
                counts = _square_sums(of_part, _side(stride))
                sums[layer] += tf.tensordot(tf.constant(counts, own.dtype), own, axes=2)
        whole = tf.concat([self._part(layer, own) for layer, own in sums.items()], axis=1)
        positions = tf.constant(np.maximum(1, belongs.sum((1, 2))), whole.dtype)
        return tf.unstack(whole / positions[:, None])

    def _queries(self, features: Features, part: Part) -> Iterator[tuple[tf.Tensor, np.ndarray]]:
        """The hypercolumns of a tile (n, all channels), and their sets (n,), some rows of squares
        at a time."""
        rows, columns = shape_of(part)
        squares = rows * self.spacing // NEIGHBORS_STRIDE
        step = max(1, _MOST_QUERIES * squares // (rows * columns))
        for start in range(0, squares, step):
            count = min(step, squares - start)
            found = {}
            for layer in self.layers:
                per_square = NEIGHBORS_STRIDE // self._strides[layer]
                strip = features[layer][:, start * per_square : (start + count) * per_square]
                found[layer] = self._at_positions(strip, layer, count * rows // squares, columns)
            first, last = (n * rows // squares for n in (start, start + count))
            hypercolumns = [self._part(layer, own) for layer, own in found.items()]
            yield tf.concat(hypercolumns, axis=1), self._sets[part][first:last].reshape(-1)

    def _vectors_from(self, start: int, numbers: tf.Tensor) -> Iterator[tf.Tensor]:
        """The hypercolumns of the styles of some numbers, counted from `start`, by layer."""
        for layer, own in self._vectors.items():
            yield self._part(layer, tf.gather(own, numbers + start))

    def _part(self, layer: str, vectors: tf.Tensor) -> tf.Tensor:
        """A layer's vectors (M, N) as they are in hypercolumns, not below float32."""
        return exact(vectors) * self._factors[layer]


def _averaged(features: tf.Tensor, stride: int, rows: int, columns: int) -> tf.Tensor:
    """Features (1, h, w, N) averaged over squares of 4 px: (rows, columns, N).

    Those of a stride of 8 stay as they are: (rows / 2, columns / 2, N).
    """
    pooled = HypercolumnNeighbors.spacing // stride
    if pooled > 1:
        features = mean_of_squares(features, pooled)
    side = _side(stride)
    rows, columns = rows // side, columns // side
    if isinstance(rows, int) and features.shape[1:3] == (rows, columns):
        return tf.squeeze(features, axis=0)  # the gradient of a slice takes time
    return features[0, :rows, :columns]


def _products(vectors: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """The products of vectors (h, w, k, N) with one at each place (h, w, N): (h, w, k), float32.

    In a low precision as products of matrices, which need no wider copy of the vectors; their
    results are rounded, by less than the features are.
    """
    if own.dtype == exact(own).dtype:
        return tf.reduce_sum(vectors * tf.expand_dims(own, 2), axis=-1)
    return exact(tf.squeeze(tf.matmul(vectors, tf.expand_dims(own, -1)), -1))


def _side(stride: int) -> int:
    """The side of the squares of positions of a hypercolumn that share a feature."""
    return max(1, stride // HypercolumnNeighbors.spacing)


def _square_sums(values: np.ndarray, side: int) -> np.ndarray:
    """The sums of values (N, rows, columns) in squares: (N, rows / side, columns / side)."""
    count, rows, columns = values.shape
    return values.reshape(count, rows // side, side, columns // side, side).sum((2, 4))


def _to_squares(values: tf.Tensor, side: int) -> tf.Tensor:
    """Values of positions (rows, columns, ...) with the positions of each square on an axis:
    (rows / side, columns / side, side^2, ...)."""
    if side == 1:
        return tf.expand_dims(values, axis=2)
    rows, columns, *others = sizes_of(values)
    cut = tf.reshape(values, (rows // side, side, columns // side, side, *others))
    return tf.reshape(_swapped(cut), (rows // side, columns // side, side * side, *others))


def _from_squares(values: tf.Tensor, side: int) -> tf.Tensor:
    """The inverse of `_to_squares`."""
    if side == 1:
        return tf.squeeze(values, axis=2)
    rows, columns, _, *others = sizes_of(values)
    cut = tf.reshape(values, (rows, columns, side, side, *others))
    return tf.reshape(_swapped(cut), (rows * side, columns * side, *others))


def _swapped(values: tf.Tensor) -> tf.Tensor:
    """With the second and the third axis exchanged."""
    return tf.transpose(values, (0, 2, 1, *range(3, values.shape.rank)))


def _to_mean_square_1(vectors: tf.Tensor) -> tf.Tensor:
    """The factor that makes the mean square of vectors (M, N) 1, unless it vanishes."""
    mean = tf.reduce_mean(tf.reduce_sum(tf.square(exact(vectors)), axis=1))
    return 1.0 / tf.sqrt(tf.maximum(mean, LEAST_SQUARE))
