"""Neighbors by hypercolumns: the features of all layers at one position, compared at once."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from nst_keras.devices.variables import Variables
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
_BY_LAYER = (-1, 1, 1, 1, 1)  # the shape of factors on statistics of several layers


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
        variables: Variables | None = None,
    ):
        super().__init__(vectors, height, width, tiles, regions, variables)
        self._vectors = {
            layer: self._constant(f"vectors of {layer}", own, (None, own.shape[1]))
            for layer, own in vectors.by_layer.items()
        }
        self._factors = {
            layer: _to_mean_square_1(own[: self.vector_count])
            for layer, own in vectors.by_layer.items()
        }
        # By the side of the squares of positions that share a feature: layers, and their factors on
        # products and squares.
        sides = {layer: _side(self._strides[layer]) for layer in self.layers}
        self._by_side = {
            side: [layer for layer, own in sides.items() if own == side]
            for side in sorted(set(sides.values()))
        }
        self._square_factors = {
            side: self._constant(f"factors on squares of {side}", self._squared_factors(own))
            for side, own in self._by_side.items()
        }
        squares = [
            tf.reduce_sum(tf.square(self._part(layer, own)), axis=1)
            for layer, own in vectors.by_layer.items()
        ]
        lengths = tf.sqrt(tf.reduce_sum(tf.stack(squares), axis=0))
        # A factor on the pull of a vector is one on its cosines.
        inverse = tf.math.divide_no_nan(tf.cast(self._pulls, lengths.dtype), lengths)
        self._inverse_lengths = self._constant("inverse lengths", inverse, (None,))
        for part, known in zip(self._parts, self.known, strict=True):
            rows, columns = shape_of(part)
            for side in set(self._by_side) - {1}:
                squares_of_part = rows // side, columns // side
                known[_map_name(side)] = self._map(_map_name(side), *squares_of_part, side * side)

    def _squared_factors(self, layers: Sequence[str]) -> tf.Tensor:
        return tf.reshape(tf.stack([self._factors[layer] ** 2 for layer in layers]), _BY_LAYER)

    def _maps(self) -> tuple[str, ...]:
        return (NEIGHBORS,)

    def _set(self, own: Mapping[str, tf.Variable], name: str, numbers: np.ndarray) -> None:
        super()._set(own, name, numbers)
        for side in set(self._by_side) - {1}:
            own[_map_name(side)].assign(_in_squares(numbers, side).astype(np.int64)[None])

    @staticmethod
    def at_positions(features: tf.Tensor, stride: int, rows: int, columns: int) -> tf.Tensor:
        side = _side(stride)
        own = _averaged(features, stride, rows // side, columns // side)
        if side > 1:
            own = tf.repeat(tf.repeat(own, side, axis=1), side, axis=2)
        return tf.reshape(own, (-1, own.shape[-1]))

    def statistics(
        self, layer: str, features: tf.Tensor, known: Mapping[str, tf.Tensor]
    ) -> Statistic:
        """Products with the k neighbors of the positions that share a feature, and the square of
        that feature: (1, h, w, k + 1), without the layer's factor."""
        stride = self._strides[layer]
        numbers = tf.convert_to_tensor(known[_map_name(_side(stride))])  # (1, h, w, k)
        _, rows, columns, _ = sizes_of(numbers)
        averaged = functools.partial(_averaged, stride=stride, rows=rows, columns=columns)
        own, to_features = vjp(averaged, features)

        def neighbors() -> tf.Tensor:  # made twice, because they take much memory
            return tf.gather(tf.convert_to_tensor(self._vectors[layer]), numbers)

        products = _products(neighbors(), own)
        squares = tf.reduce_sum(tf.square(exact(own)), axis=-1, keepdims=True)

        def pull_back(upstream: tf.Tensor) -> tf.Tensor:
            of_products, of_squares = tf.split(upstream, (numbers.shape[-1], 1), axis=-1)
            of_products = tf.expand_dims(tf.cast(of_products, own.dtype), 3)
            pulled = tf.squeeze(tf.matmul(of_products, neighbors()), 3)
            return to_features(pulled + own * tf.cast(2.0 * of_squares, own.dtype))

        return tf.concat([products, squares], axis=-1), pull_back

    def joined(self, parts: Sequence[tf.Tensor], known: Mapping[str, tf.Tensor]) -> Statistic:
        # Products and squares are sums over channels, so those of hypercolumns are over layers.
        by_layer = dict(zip(self.layers, parts, strict=True))
        numbers = tf.convert_to_tensor(known[NEIGHBORS])
        sums = []
        for side, layers in self._by_side.items():
            # Not add_n, which adds in an order that varies between runs.
            stacked = tf.stack([by_layer[layer] for layer in layers]) * self._square_factors[side]
            sums.append(_from_squares(tf.reduce_sum(stacked, axis=0), side))
        product, square = tf.split(functools.reduce(tf.add, sums), 2, axis=-1)
        inverse = tf.gather(tf.convert_to_tensor(self._inverse_lengths), numbers)
        summed, to_both = distance_sum(product * inverse, square)

        def pull_back(upstream: tf.Tensor) -> list[tf.Tensor]:
            of_product, of_square = to_both(upstream)
            of_both = tf.concat([of_product * inverse, of_square], axis=-1)
            pulled: dict[str, tf.Tensor] = {}
            for side, layers in self._by_side.items():
                of_layers = _to_squares(of_both, side) * self._square_factors[side]
                pulled.update(zip(layers, tf.unstack(of_layers), strict=True))
            return [pulled[layer] for layer in self.layers]

        return tf.squeeze(summed, 0), pull_back

    def _found(self, features_of: Callable[[], FeaturesInTiles]) -> Iterator[dict[str, np.ndarray]]:
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
            yield {NEIGHBORS: np.concatenate(found)}

    def _means(self, features_in_tiles: FeaturesInTiles) -> list[tf.Tensor]:
        """The mean hypercolumn of the image in each set."""
        belongs = np.stack([self._sets == number for number in range(len(self._sizes))])
        sums = dict.fromkeys(self.layers, 0.0)
        for part, (_, features) in zip(self._parts, features_in_tiles, strict=True):
            of_part = belongs[:, part[0], part[1]]
            for layer in self.layers:
                stride = self._strides[layer]
                # How often each feature occurs, which may be at several positions.
                counts = _in_squares(of_part, _side(stride)).sum(-1)
                own = exact(_averaged(features[layer], stride, *counts.shape[1:])[0])
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
            yield self._part(layer, tf.gather(tf.convert_to_tensor(own), numbers + start))

    def _part(self, layer: str, vectors: tf.Tensor) -> tf.Tensor:
        """A layer's vectors (M, N) as they are in hypercolumns, not below float32."""
        return exact(vectors) * self._factors[layer]


def _averaged(features: tf.Tensor, stride: int, rows: int, columns: int) -> tf.Tensor:
    """Features (1, h, w, N) averaged over squares of 4 px, if their stride is smaller: as many as
    rows and columns say."""
    pooled = HypercolumnNeighbors.spacing // stride
    if pooled > 1:
        features = mean_of_squares(features, pooled)
    if isinstance(rows, int) and features.shape[1:3] == (rows, columns):
        return features
    # Not by indexing, whose gradient takes time even where nothing is left out.
    return tf.slice(features, (0, 0, 0, 0), (1, rows, columns, features.shape[-1]))


def _products(vectors: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """The products of vectors (1, h, w, k, N) with one at each place (1, h, w, N): (1, h, w, k),
    float32.

    In a low precision as products of matrices, which need no wider copy of the vectors; their
    results are rounded, by less than the features are.
    """
    if own.dtype == exact(own).dtype:
        return tf.reduce_sum(vectors * tf.expand_dims(own, 3), axis=-1)
    return exact(tf.squeeze(tf.matmul(vectors, tf.expand_dims(own, -1)), -1))


def _side(stride: int) -> int:
    """The side of the squares of positions of a hypercolumn that share a feature."""
    return max(1, stride // HypercolumnNeighbors.spacing)


def _map_name(side: int) -> str:
    """The name of the map of neighbors by the positions of each square of this side."""
    return NEIGHBORS if side == 1 else f"{NEIGHBORS} in squares of {side}"


def _in_squares(values: np.ndarray, side: int) -> np.ndarray:
    """Values (..., rows, columns) with the positions of each square on the last axis:
    (..., rows / side, columns / side, side^2)."""
    *others, rows, columns = values.shape
    h, w = rows // side, columns // side
    cut = values.reshape(*others, h, side, w, side).swapaxes(-3, -2)
    return cut.reshape(*others, h, w, side * side)


def _from_squares(values: tf.Tensor, side: int) -> tf.Tensor:
    """The product and the square of each position (1, rows, columns, 2), from the products and the
    one square of all positions of a square (1, h, w, side^2 + 1)."""
    if side == 1:
        return values
    _, h, w, _ = sizes_of(values)
    count = side * side
    products, squares = tf.split(values, (count, 1), axis=-1)
    both = tf.stack([products, tf.tile(squares, (1, 1, 1, count))], axis=-1)
    rows = tf.transpose(tf.reshape(both, (h, w, side, side, 2)), (0, 2, 1, 3, 4))
    return tf.reshape(rows, (1, h * side, w * side, 2))


def _to_squares(gradient: tf.Tensor, side: int) -> tf.Tensor:
    """The pull-back of `_from_squares`."""
    if side == 1:
        return gradient
    _, rows, columns, _ = sizes_of(gradient)
    h, w = rows // side, columns // side
    squares = tf.transpose(tf.reshape(gradient, (h, side, w, side, 2)), (0, 2, 1, 3, 4))
    of_products, of_squares = tf.unstack(tf.reshape(squares, (1, h, w, side * side, 2)), axis=-1)
    return tf.concat([of_products, tf.reduce_sum(of_squares, axis=-1, keepdims=True)], axis=-1)


def _to_mean_square_1(vectors: tf.Tensor) -> tf.Tensor:
    """The factor that makes the mean square of vectors (M, N) 1, unless it vanishes."""
    mean = tf.reduce_mean(tf.reduce_sum(tf.square(exact(vectors)), axis=1))
    return 1.0 / tf.sqrt(tf.maximum(mean, LEAST_SQUARE))
