"""Neighbors: a target for each position of the image, taken from the styles.

Each position is matched with the position of the styles whose features resemble its own the most;
the features there are its target until the next match. So the loss is a sum over positions with
fixed targets. After Kolkin et al., "Neural Neighbor Style Transfer" (2022).

There are two kinds. `HypercolumnNeighbors` compares the features of all layers at once, on a grid
of 4 pixels. `LayerNeighbors` matches each layer by itself, on a grid of 8 pixels, for fine
structure at the end of a run.

Departures from the paper and its code, besides VGG19: all layers have the same share; positions do
not depend on the size of the image, so that its tiles have the same ones; and `LayerNeighbors`
subtracts the mean of the styles, which is constant, from the image's features, too.
"""

import abc
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from nst_keras.network import vgg
from nst_keras.objective.evaluation import Features, Statistic, vjp
from nst_keras.objective.formulas import exact
from nst_keras.objective.nearest import VectorSearch
from nst_keras.objective.term_names import NEIGHBORS
from nst_keras.objective.tiles import Span, Tile

DEEPEST_STRIDE = 8  # of layers that can be compared; positions cover whole squares of 8 px
_LEAST_SQUARE = 1e-6  # sums of squares below it count as zero

FeaturesInTiles = Iterable[tuple[Tile, Features]]  # of a picture: each tile, and what it owns
Part = tuple[slice, slice]  # rows and columns of a grid


class Neighbors(abc.ABC):
    """The neighbors of the positions of an image of one size, cut into tiles.

    Args:
        vectors: features of the styles by layer, (M, N) each.
        height, width: of the image in pixels.
        tiles: of the image.

    Attributes:
        layers: whose features are compared.
        known: for each tile, the numbers of its positions' neighbors by the name of their map,
            variables (1, rows, columns, 1).
    """

    spacing: ClassVar[int]  # pixels between positions
    most_vectors: ClassVar[int]  # of more positions of the styles, so many are drawn

    def __init__(self, vectors: Features, height: int, width: int, tiles: Sequence[Tile]):
        self.layers, self.tiles = tuple(vectors), tuple(tiles)
        self._grid = self.grid(height, width)
        self._parts = [self.owned_part(tile) for tile in tiles]
        self.known = tuple(
            {name: _zeros(*_shape(part)) for name in self._maps()} for part in self._parts
        )

    @property
    def count(self) -> int:
        """The number of positions."""
        return self._grid[0] * self._grid[1]

    @classmethod
    def grid(cls, height: int, width: int) -> tuple[int, int]:
        """The rows and columns of positions in an image."""
        per_square = DEEPEST_STRIDE // cls.spacing
        return height // DEEPEST_STRIDE * per_square, width // DEEPEST_STRIDE * per_square

    @classmethod
    def owned_part(cls, tile: Tile) -> Part:
        """The part of the grid that a tile owns."""

        def owned(span: Span) -> slice:
            return slice(*cls.grid(span.own_start, span.own_stop))

        return owned(tile.rows), owned(tile.columns)

    @staticmethod
    @abc.abstractmethod
    def at_positions(features: tf.Tensor, layer: str, rows: int, columns: int) -> tf.Tensor:
        """The features of a layer (1, h, w, N) at each position, (rows * columns, N)."""

    @abc.abstractmethod
    def statistics(
        self, layer: str, features: tf.Tensor, known: Mapping[str, tf.Tensor]
    ) -> Statistic:
        """What comes of comparing a layer's features (1, h, w, N) with those of their neighbors."""

    @abc.abstractmethod
    def joined(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """The loss summed over positions, from the statistics of all layers.

        These, and the loss, may have further axes in front.
        """

    @abc.abstractmethod
    def _maps(self) -> tuple[str, ...]:
        """The names of the maps of numbers."""

    @abc.abstractmethod
    def _found(self, features_of: Callable[[], FeaturesInTiles]) -> Iterator[Features]:
        """The numbers of the neighbors by the name of their map, for each tile."""

    def match(self, features_of: Callable[[], FeaturesInTiles]) -> None:
        """Match every position anew, by the features of an image in the same tiles."""
        for own, found in zip(self.known, self._found(features_of), strict=True):
            for name, variable in own.items():
                variable.assign(tf.reshape(found[name], variable.shape))

    def state(self) -> dict[str, np.ndarray]:
        """The numbers by the name of their map, for the whole grid, whatever the tiles are."""
        state = {name: np.zeros(self._grid, np.int32) for name in self._maps()}
        for part, own in zip(self._parts, self.known, strict=True):
            for name, variable in own.items():
                state[name][part] = variable.numpy()[0, :, :, 0]
        return state

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the numbers to a `state` of the same grid."""
        for part, own in zip(self._parts, self.known, strict=True):
            for name, variable in own.items():
                variable.assign(state[name][part][None, :, :, None])


class HypercolumnNeighbors(Neighbors):
    """Compares each position's hypercolumn with that of its neighbor, by their cosine.

    A hypercolumn holds the features of all layers, with the same share of its mean square for each
    layer: averages over squares of 4 pixels, and for a stride of 8 the same for 2 x 2 positions.
    """

    spacing, most_vectors = 4, 1 << 14

    def __init__(self, vectors: Features, height: int, width: int, tiles: Sequence[Tile]):
        super().__init__(vectors, height, width, tiles)
        self._vectors = vectors
        self._factors = {layer: _to_mean_square_1(own) for layer, own in vectors.items()}
        lengths = tf.norm(self._hypercolumns(vectors), axis=1)
        self._inverse_lengths = tf.math.divide_no_nan(tf.ones_like(lengths), lengths)

    def _maps(self) -> tuple[str, ...]:
        return (NEIGHBORS,)

    @staticmethod
    def at_positions(features: tf.Tensor, layer: str, rows: int, columns: int) -> tf.Tensor:
        own = _averaged(features, layer, rows, columns)
        if (side := _side(layer)) > 1:
            own = tf.repeat(tf.repeat(own, side, axis=0), side, axis=1)
        return tf.reshape(own, (-1, own.shape[-1]))

    def statistics(
        self, layer: str, features: tf.Tensor, known: Mapping[str, tf.Tensor]
    ) -> Statistic:
        """Products with the neighbors, and squares: (rows, columns, 2).

        Both are sums over channels, so those of hypercolumns are sums over layers.
        """
        numbers = tf.convert_to_tensor(known[NEIGHBORS])[0, :, :, 0]
        rows, columns = tf.unstack(tf.shape(numbers))
        averaged = functools.partial(_averaged, layer=layer, rows=rows, columns=columns)
        own, to_features = vjp(averaged, features)
        side = _side(layer)
        numbers = _to_squares(numbers, side)
        square_factor = self._factors[layer] ** 2
        factors = square_factor * tf.gather(self._inverse_lengths, numbers)

        def neighbors() -> tf.Tensor:  # made twice, because they take much memory
            return tf.gather(self._vectors[layer], numbers)

        wide = exact(own)[:, :, None]
        product = factors * tf.reduce_sum(exact(neighbors()) * wide, axis=-1)
        square = square_factor * tf.reduce_sum(tf.square(wide), axis=-1)
        both = tf.stack([product, tf.broadcast_to(square, tf.shape(product))], axis=-1)

        def pull_back(upstream: tf.Tensor) -> tf.Tensor:
            of_product, of_square = tf.unstack(_to_squares(upstream, side), axis=-1)
            of_product = tf.cast(factors * of_product, own.dtype)[:, :, None]
            pulled = tf.matmul(of_product, neighbors())[:, :, 0]
            of_square = 2.0 * square_factor * tf.reduce_sum(of_square, axis=-1, keepdims=True)
            return to_features(pulled + own * tf.cast(of_square, own.dtype))

        return _from_squares(both, side), pull_back

    def joined(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        # Not add_n, which adds in an order that varies between runs.
        product, square = tf.unstack(tf.reduce_sum(tf.stack(parts), axis=0), axis=-1)
        return _distance_sum(product, square)

    def _found(self, features_of: Callable[[], FeaturesInTiles]) -> Iterator[Features]:
        sums = [
            tf.reduce_sum(self._queries(features, part), axis=0)
            for part, (_, features) in zip(self._parts, features_of(), strict=True)
        ]
        mean = tf.reduce_sum(tf.stack(sums), axis=0) / float(self.count)
        search = VectorSearch(self._hypercolumns(self._vectors))
        for part, (_, features) in zip(self._parts, features_of(), strict=True):
            yield {NEIGHBORS: search(self._queries(features, part), mean)}

    def _queries(self, features: Features, part: Part) -> tf.Tensor:
        return self._hypercolumns(
            {
                layer: self.at_positions(features[layer], layer, *_shape(part))
                for layer in self.layers
            }
        )

    def _hypercolumns(self, vectors: Features) -> tf.Tensor:
        """Vectors of all layers, (M, all channels), not below float32."""
        own = [self._factors[layer] * exact(vectors[layer]) for layer in self.layers]
        return tf.concat(own, axis=1)


class LayerNeighbors(Neighbors):
    """Compares each position's features in each layer with those of its neighbor in that layer.

    By their cosine, after the styles' mean has been subtracted from both. Positions are the centers
    of squares of 8 pixels.
    """

    spacing, most_vectors = 8, 1 << 12

    def __init__(self, vectors: Features, height: int, width: int, tiles: Sequence[Tile]):
        super().__init__(vectors, height, width, tiles)
        self._means = {layer: tf.reduce_mean(exact(own), 0) for layer, own in vectors.items()}
        self._directions = {
            layer: tf.math.l2_normalize(exact(own) - self._means[layer], 1, _LEAST_SQUARE)
            for layer, own in vectors.items()
        }
        self._searches = {
            layer: VectorSearch(exact(own), exact=True) for layer, own in vectors.items()
        }

    def _maps(self) -> tuple[str, ...]:
        return tuple(map(_map_name, self.layers))

    @staticmethod
    def at_positions(features: tf.Tensor, layer: str, rows: int, columns: int) -> tf.Tensor:
        return tf.reshape(_at_centers(features, layer, rows, columns), (-1, features.shape[-1]))

    def statistics(
        self, layer: str, features: tf.Tensor, known: Mapping[str, tf.Tensor]
    ) -> Statistic:
        """The distance summed over positions, a scalar."""
        numbers = tf.convert_to_tensor(known[_map_name(layer)])[0, :, :, 0]
        rows, columns = tf.unstack(tf.shape(numbers))

        def distance_sum(features: tf.Tensor) -> tf.Tensor:
            own = exact(_at_centers(features, layer, rows, columns)) - self._means[layer]
            product = tf.reduce_sum(own * tf.gather(self._directions[layer], numbers), axis=-1)
            return _distance_sum(product, tf.reduce_sum(tf.square(own), axis=-1))

        return vjp(distance_sum, features)

    def joined(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.reduce_mean(tf.stack(parts), axis=0)

    def _found(self, features_of: Callable[[], FeaturesInTiles]) -> Iterator[Features]:
        for part, (_, features) in zip(self._parts, features_of(), strict=True):
            found = {}
            for layer in self.layers:
                own = exact(self.at_positions(features[layer], layer, *_shape(part)))
                found[_map_name(layer)] = self._searches[layer](own, self._means[layer])
            yield found


def capture_vectors(
    kind: type[Neighbors],
    features_of: Callable[[tf.Tensor], FeaturesInTiles],
    styles: Sequence[tf.Tensor],
    style_blend: Sequence[float],
    layers: Sequence[str],
    seed: int,
) -> Features:
    """The features of the styles at positions of a kind of neighbors by layer, (M, N) each.

    Each style has a number of positions in proportion to its weight: all of them, or as many drawn
    at random. In all there are at most `kind.most_vectors`.

    Args:
        styles: (1, h, w, 3) each.
        style_blend: one weight per style; their sum does not matter.
    """
    weighted = [pair for pair in zip(styles, style_blend, strict=True) if pair[1]]
    grids = [kind.grid(*style.shape[1:3]) for style, _ in weighted]
    weights = [weight for _, weight in weighted]
    most = [math.prod(grid) / weight for grid, weight in zip(grids, weights, strict=True)]
    per_weight = min(kind.most_vectors / sum(weights), *most)
    found: dict[str, list[tf.Tensor]] = {layer: [] for layer in layers}
    for (style, weight), grid in zip(weighted, grids, strict=True):
        count = max(1, math.floor(per_weight * weight))
        is_drawn = _draw(grid, count, seed)
        for layer, own in _drawn_vectors(kind, features_of(style), is_drawn, layers).items():
            found[layer].append(own)
    return {layer: tf.concat(parts, axis=0) for layer, parts in found.items()}


def _draw(grid: tuple[int, int], count: int, seed: int) -> np.ndarray:
    """Whether each position of a grid is among `count` that are drawn at random."""
    order = np.random.default_rng(seed).permutation(math.prod(grid))
    return (order < count).reshape(grid)


def _drawn_vectors(
    kind: type[Neighbors],
    features_in_tiles: FeaturesInTiles,
    is_drawn: np.ndarray,
    layers: Sequence[str],
) -> Features:
    """The features of one style at the positions that are drawn, in the order of their rows."""
    numbers = np.arange(is_drawn.size).reshape(is_drawn.shape)
    order: list[np.ndarray] = []
    found: dict[str, list[tf.Tensor]] = {layer: [] for layer in layers}
    for tile, features in features_in_tiles:
        part = kind.owned_part(tile)
        order.append(numbers[part][is_drawn[part]])
        for layer, parts in found.items():
            own = kind.at_positions(features[layer], layer, *_shape(part))
            parts.append(tf.boolean_mask(own, is_drawn[part].reshape(-1)))
    ascending = np.argsort(np.concatenate(order))
    return {layer: tf.gather(tf.concat(parts, axis=0), ascending) for layer, parts in found.items()}


def _averaged(features: tf.Tensor, layer: str, rows: int, columns: int) -> tf.Tensor:
    """Features (1, h, w, N) averaged over squares of 4 px: (rows, columns, N).

    Those of a stride of 8 stay as they are: (rows / 2, columns / 2, N).
    """
    if (pooled := HypercolumnNeighbors.spacing // vgg.stride(layer)) > 1:
        features = tf.nn.avg_pool2d(features, pooled, pooled, "VALID")
    side = _side(layer)
    return features[0, : rows // side, : columns // side]


def _side(layer: str) -> int:
    """The side of the squares of positions of a hypercolumn that share a feature of the layer."""
    return max(1, vgg.stride(layer) // HypercolumnNeighbors.spacing)


def _to_squares(values: tf.Tensor, side: int) -> tf.Tensor:
    """Values of positions (rows, columns, ...) with the positions of each square on an axis:
    (rows / side, columns / side, side^2, ...)."""
    rows, columns, *others = tf.unstack(tf.shape(values))
    cut = tf.reshape(values, (rows // side, side, columns // side, side, *others))
    return tf.reshape(_swapped(cut), (rows // side, columns // side, side * side, *others))


def _from_squares(values: tf.Tensor, side: int) -> tf.Tensor:
    """The inverse of `_to_squares`."""
    rows, columns, _, *others = tf.unstack(tf.shape(values))
    cut = tf.reshape(values, (rows, columns, side, side, *others))
    return tf.reshape(_swapped(cut), (rows * side, columns * side, *others))


def _swapped(values: tf.Tensor) -> tf.Tensor:
    """With the second and the third axis exchanged."""
    return tf.transpose(values, (0, 2, 1, *range(3, values.shape.rank)))


def _at_centers(features: tf.Tensor, layer: str, rows: int, columns: int) -> tf.Tensor:
    """Features (1, h, w, N) at the centers of squares of 8 px: (rows, columns, N)."""
    step = DEEPEST_STRIDE // vgg.stride(layer)
    return features[0, step // 2 :: step, step // 2 :: step][:rows, :columns]


def _distance_sum(product: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
    """The sum of 1 - cos over the last two axes.

    Where the square vanishes, the cosine is 0, and so is its gradient.

    Args:
        product: with vectors of length 1.
        square: of the vectors that are compared with these.
    """
    vanishes = square < _LEAST_SQUARE
    cosine = product * tf.math.rsqrt(tf.where(vanishes, tf.ones_like(square), square))
    return tf.reduce_sum(1.0 - tf.where(vanishes, tf.zeros_like(cosine), cosine), axis=(-2, -1))


def _to_mean_square_1(vectors: tf.Tensor) -> float:
    """The factor that makes the mean square of vectors (M, N) 1, unless it vanishes."""
    mean = tf.reduce_mean(tf.reduce_sum(tf.square(exact(vectors)), axis=1))
    return 1.0 / math.sqrt(max(float(mean), _LEAST_SQUARE))


def _map_name(layer: str) -> str:
    return f"{NEIGHBORS}/{layer}"


def _shape(part: Part) -> tuple[int, int]:
    return part[0].stop - part[0].start, part[1].stop - part[1].start


def _zeros(rows: int, columns: int) -> tf.Variable:
    return tf.Variable(tf.zeros((1, rows, columns, 1), tf.int32), trainable=False)
