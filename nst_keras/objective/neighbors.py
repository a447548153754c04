"""Neighbors: a target for each position of the image, taken from the styles.

Each position is matched with the position of the styles whose features resemble its own the most;
the features there are its target until the next match. So the loss is a sum over positions with
fixed targets. After Kolkin et al., "Neural Neighbor Style Transfer" (2022).

There are two kinds: `HypercolumnNeighbors` in `hypercolumns`, and `LayerNeighbors` in `layerwise`.
Departures from the paper and its code, besides VGG19: all layers have the same share; positions do
not depend on the size of the image, so that its tiles have the same ones; and `LayerNeighbors`
subtracts the mean of the styles, which is constant, from the image's features, too.

With regions (see `regions`), the styles' features are in sets, one for each region, and a position
is matched within the set of its region only.
"""

import abc
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from nst_keras.devices.variables import Shape, Variables
from nst_keras.objective.evaluation import Features, Statistic
from nst_keras.objective.nearest import VectorSearch
from nst_keras.objective.region_weights import places
from nst_keras.objective.regions import Region, StyleShare
from nst_keras.objective.term_names import NEIGHBORS
from nst_keras.objective.tiles import NEIGHBORS_STRIDE, Span, Tile

LEAST_SQUARE = 1e-6  # sums of squares below it count as zero

FeaturesInTiles = Iterable[tuple[Tile, Features]]  # of a picture: each tile, and what it owns
Part = tuple[slice, slice]  # rows and columns of a grid


@dataclasses.dataclass(frozen=True)
class Vectors:
    """Features of the styles at positions of a kind of neighbors.

    Attributes:
        by_layer: (M, N) each. The last row is zero if there are regions: the neighbor of positions
            that belong to none, which has no pull.
        strides: pixels per position of each layer.
        sizes: the number of vectors in the set of each region; of all where there are no regions.
    """

    by_layer: Features
    strides: Mapping[str, int]
    sizes: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of vectors, without the one that is zero."""
        return sum(self.sizes)

    @property
    def starts(self) -> list[int]:
        """The number of the first vector of each set."""
        return [0, *itertools.accumulate(self.sizes)][:-1]


class Neighbors(abc.ABC):
    """The neighbors of the positions of an image of one size, cut into tiles.

    Args:
        vectors: of the styles.
        height, width: of the image in pixels.
        tiles: of the image.
        regions: at the size of the image, as many as there are sets of vectors; none: every
            position is matched with all vectors.
        variables: in which values are that depend on the scale.

    Attributes:
        layers: whose features are compared.
        vector_count: of the styles: M.
        constant: what the sum of distances is at least, as positions differ in their weight.
        positions: their number, float32.
        known: for each tile, the numbers of its positions' neighbors by the name of their map,
            variables (1, rows, columns, 1), and what else statistics need of them.
    """

    spacing: ClassVar[int]  # pixels between positions
    most_vectors: ClassVar[int]  # of more positions of the styles, so many are drawn

    def __init__(
        self,
        vectors: Vectors,
        height: int,
        width: int,
        tiles: Sequence[Tile],
        regions: Sequence[Region] = (),
        variables: Variables | None = None,
    ):
        self._variables = variables or Variables()
        self.layers, self.tiles = tuple(vectors.by_layer), tuple(tiles)
        self._strides = vectors.strides
        self.vector_count, self._sizes, self._starts = vectors.count, vectors.sizes, vectors.starts
        self._grid = self.grid(height, width)
        # The set of each position, -1 for none; and by vector, a factor on its pull.
        self._sets = np.zeros(self._grid, np.int64)
        factors = [1.0]
        if regions:
            self._sets = places([region.mask for region in regions], self.spacing, *self._grid)
            factors = [*(region.weight for region in regions), 0.0]
        self._pulls = np.repeat(
            np.array(factors, np.float32), [*self._sizes, *([1] if regions else [])]
        )
        pull = np.array(factors)[self._sets].sum()
        # A tensor, so that images of other masks share compiled programs.
        self.constant = self._constant("constant", tf.constant(self.count - pull, tf.float32))
        self.positions = self._constant("positions", tf.constant(self.count, tf.float32))
        self._parts = [self.owned_part(tile) for tile in tiles]
        self.known = tuple(
            {name: self._map(name, *shape_of(part)) for name in self._maps()}
            for part in self._parts
        )

    @property
    def count(self) -> int:
        """The number of positions."""
        return self._grid[0] * self._grid[1]

    def _constant(
        self, name: str, value: tf.Tensor, shape: Shape | None = None
    ) -> tf.Tensor | tf.Variable:
        return self._variables.constant(f"{NEIGHBORS}: {name}", value, shape)

    def _map(self, name: str, rows: int, columns: int, count: int = 1) -> tf.Variable:
        """A variable for some numbers at each position: (1, rows, columns, count)."""
        # Not int32: those are in the host's memory, where XLA cannot use them.
        zeros = tf.zeros((1, rows, columns, count), tf.int64)
        return self._variables.variable(name, zeros)

    @classmethod
    def grid(cls, height: int, width: int) -> tuple[int, int]:
        """The rows and columns of positions in an image."""
        per_square = NEIGHBORS_STRIDE // cls.spacing
        return height // NEIGHBORS_STRIDE * per_square, width // NEIGHBORS_STRIDE * per_square

    @classmethod
    def owned_part(cls, tile: Tile) -> Part:
        """The part of the grid that a tile owns."""

        def owned(span: Span) -> slice:
            return slice(*cls.grid(span.own_start, span.own_stop))

        return owned(tile.rows), owned(tile.columns)

    @staticmethod
    @abc.abstractmethod
    def at_positions(features: tf.Tensor, stride: int, rows: int, columns: int) -> tf.Tensor:
        """The features (1, h, w, N) of a stride at each position, (rows * columns, N)."""

    def _at_positions(self, features: tf.Tensor, layer: str, rows: int, columns: int) -> tf.Tensor:
        return self.at_positions(features, self._strides[layer], rows, columns)

    @abc.abstractmethod
    def statistics(
        self, layer: str, features: tf.Tensor, known: Mapping[str, tf.Tensor]
    ) -> Statistic:
        """What comes of comparing a layer's features (1, h, w, N) with those of their neighbors."""

    @abc.abstractmethod
    def joined(self, parts: Sequence[tf.Tensor], known: Mapping[str, tf.Tensor]) -> Statistic:
        """The loss summed over positions, from the statistics of all layers."""

    @abc.abstractmethod
    def _maps(self) -> tuple[str, ...]:
        """The names of the maps of numbers."""

    @abc.abstractmethod
    def _found(self, features_of: Callable[[], FeaturesInTiles]) -> Iterator[dict[str, np.ndarray]]:
        """The numbers of the neighbors (n,) by the name of their map, for each tile."""

    def match(self, features_of: Callable[[], FeaturesInTiles]) -> None:
        """Match every position anew, by the features of an image in the same tiles."""
        all_found = zip(self._parts, self.known, self._found(features_of), strict=True)
        for part, own, found in all_found:
            for name, numbers in found.items():
                self._set(own, name, numbers.reshape(shape_of(part)))

    def _set(self, own: Mapping[str, tf.Variable], name: str, numbers: np.ndarray) -> None:
        """Set a map of a tile to numbers (rows, columns)."""
        own[name].assign(numbers.astype(np.int64)[None, :, :, None])

    def _nearest(
        self,
        searches: Sequence[VectorSearch],
        queries: tf.Tensor,
        means: Sequence,
        sets: np.ndarray,
    ) -> np.ndarray:
        """The numbers of the nearest vectors, each in the set of its query, int64 (n,).

        Args:
            searches: in each set of vectors.
            queries: (n, N), float32.
            means: of the queries of each set.
            sets: of the queries, (n,).
        """
        found = np.full(len(sets), self.vector_count)  # the vector that is zero
        for number, search in enumerate(searches):
            chosen = np.flatnonzero(sets == number)
            if len(chosen):
                own = search(_rows_of(queries, chosen), means[number])
                found[chosen] = own.numpy() + self._starts[number]
        return found

    def state(self) -> dict[str, np.ndarray]:
        """The numbers by the name of their map, for the whole grid, whatever the tiles are."""
        state = {name: np.zeros(self._grid, np.int32) for name in self._maps()}
        for part, own in zip(self._parts, self.known, strict=True):
            for name, numbers in state.items():
                numbers[part] = own[name].numpy()[0, :, :, 0]
        return state

    def restore(self, state: Mapping[str, np.ndarray | tf.Tensor]) -> None:
        """Set the numbers to a `state` of the same grid; other hosts send tensors."""
        for part, own in zip(self._parts, self.known, strict=True):
            for name in self._maps():
                self._set(own, name, np.asarray(state[name])[part])


def capture_vectors(
    kind: type[Neighbors],
    features_of: Callable[[tf.Tensor], FeaturesInTiles],
    styles: Sequence[tf.Tensor],
    style_blend: Sequence[float],
    strides: Mapping[str, int],
    seed: int,
    regions: Sequence[Region] = (),
) -> Vectors:
    """The features of the styles at positions of a kind of neighbors.

    Each style has a number of positions in proportion to its weight: all of them, or as many drawn
    at random. In all there are at most `kind.most_vectors`, the same number for each region.

    Args:
        styles: (1, h, w, 3) each.
        style_blend: one weight per style, where there are no regions; their sum does not matter.
        strides: of the layers that are compared, each a divisor of 8.
        regions: with masks at the sizes of the styles.
    """
    everywhere = tuple(map(StyleShare, style_blend))
    sets = [region.styles for region in regions] or [everywhere]
    most = kind.most_vectors // len(sets)
    parts = [_capture_set(kind, features_of, styles, own, strides, seed, most) for own in sets]
    sizes = tuple(next(iter(part.values())).shape[0] for part in parts)
    if regions:
        parts.append({layer: tf.zeros_like(own[:1]) for layer, own in parts[0].items()})
    return Vectors(
        {layer: _concatenated([part[layer] for part in parts]) for layer in strides},
        strides,
        sizes,
    )


def _capture_set(
    kind: type[Neighbors],
    features_of: Callable[[tf.Tensor], FeaturesInTiles],
    styles: Sequence[tf.Tensor],
    shares: Sequence[StyleShare],
    strides: Mapping[str, int],
    seed: int,
    most: int,
) -> Features:
    """The vectors of one region by layer, at most so many."""
    weighted = [pair for pair in zip(styles, shares, strict=True) if pair[1].share]
    eligible = [_eligible(kind, style, own.mask) for style, own in weighted]
    counts = [int(own.sum()) for own in eligible]
    weights = [own.share for _, own in weighted]
    available = [count / weight for count, weight in zip(counts, weights, strict=True)]
    per_weight = min(most / sum(weights), *available)
    found: dict[str, list[tf.Tensor]] = {layer: [] for layer in strides}
    for (style, own), allowed in zip(weighted, eligible, strict=True):
        is_drawn = _draw(allowed, max(1, math.floor(per_weight * own.share)), seed)
        for layer, drawn in _drawn_vectors(kind, features_of(style), is_drawn, strides).items():
            found[layer].append(drawn)
    return {layer: _concatenated(parts) for layer, parts in found.items()}


def _eligible(kind: type[Neighbors], style: tf.Tensor, mask: np.ndarray | None) -> np.ndarray:
    """Whether each position of a style may be a neighbor: at least one of them, anyway."""
    grid = kind.grid(*style.shape[1:3])
    if mask is None:
        return np.ones(grid, bool)
    inside = places([mask], kind.spacing, *grid) == 0
    return inside if inside.any() else np.ones(grid, bool)


def _draw(allowed: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Whether each position of a grid is among `count` that are drawn at random from those that
    are allowed."""
    order = np.random.default_rng(seed).permutation(int(allowed.sum()))
    drawn = np.zeros(allowed.shape, bool)
    drawn[allowed] = order < count
    return drawn


def _concatenated(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)


def _rows_of(queries: tf.Tensor, chosen: np.ndarray) -> tf.Tensor:
    return queries if len(chosen) == queries.shape[0] else tf.gather(queries, chosen)


def _drawn_vectors(
    kind: type[Neighbors],
    features_in_tiles: FeaturesInTiles,
    is_drawn: np.ndarray,
    strides: Mapping[str, int],
) -> Features:
    """The features of one style at the positions that are drawn, in the order of their rows."""
    numbers = np.arange(is_drawn.size).reshape(is_drawn.shape)
    order: list[np.ndarray] = []
    found: dict[str, list[tf.Tensor]] = {layer: [] for layer in strides}
    for tile, features in features_in_tiles:
        part = kind.owned_part(tile)
        drawn = is_drawn[part].reshape(-1)
        order.append(numbers[part].reshape(-1)[drawn])
        for layer, parts in found.items():
            own = kind.at_positions(features[layer], strides[layer], *shape_of(part))
            parts.append(own if drawn.all() else tf.boolean_mask(own, drawn))
    if len(order) == 1:
        return {layer: parts[0] for layer, parts in found.items()}
    ascending = np.argsort(np.concatenate(order))
    return {layer: tf.gather(tf.concat(parts, axis=0), ascending) for layer, parts in found.items()}


def distance_sum(product: tf.Tensor, square: tf.Tensor) -> Statistic:
    """The sum of 1 - cos over all axes but the first; pulls back to the product and to the square.

    Where the square vanishes, the cosine is 0, and so is its gradient.

    Args:
        product: with vectors of length 1.
        square: of the vectors that are compared with these.
    """
    zero = tf.constant(0.0, square.dtype)
    inverse = tf.where(square < LEAST_SQUARE, zero, tf.math.rsqrt(square))  # of the length
    cosine = product * inverse

    def pull_back(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        upstream = tf.reshape(upstream, (-1, *[1] * (product.shape.rank - 1)))
        at_cosine = -upstream * inverse
        return at_cosine, at_cosine * (-0.5 * cosine * inverse)

    return tf.reduce_sum(1.0 - cosine, axis=tuple(range(1, product.shape.rank))), pull_back


def sizes_of(values: tf.Tensor) -> list[int] | list[tf.Tensor]:
    """The lengths of the axes: numbers if all are known, as those of the whole image are."""
    if values.shape.is_fully_defined():
        return list(values.shape)
    return tf.unstack(tf.shape(values))


def shape_of(part: Part) -> tuple[int, int]:
    return part[0].stop - part[0].start, part[1].stop - part[1].start
