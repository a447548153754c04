"""Neighbors in each layer by itself, for fine structure at the end of a run."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from nst_keras.devices.variables import Variables
from nst_keras.objective.evaluation import Statistic, divided, vjp
from nst_keras.objective.moments import exact
from nst_keras.objective.nearest import VectorSearch
from nst_keras.objective.neighbors import (
    LEAST_SQUARE,
    FeaturesInTiles,
    Neighbors,
    Vectors,
    distance_sum,
    shape_of,
    sizes_of,
)
from nst_keras.objective.regions import Region
from nst_keras.objective.term_names import NEIGHBORS
from nst_keras.objective.tiles import NEIGHBORS_STRIDE, Tile


class LayerNeighbors(Neighbors):
    """Compares each position's features in each layer with those of its neighbor in that layer.

    By their cosine, after the styles' mean has been subtracted from both. Positions are the centers
    of squares of 8 pixels.
    """

    spacing, most_vectors = 8, 1 << 12

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
        self._means = {
            layer: self._constant(
                f"mean of {layer}", tf.reduce_mean(exact(own[: vectors.count]), 0)
            )
            for layer, own in vectors.by_layer.items()
        }
        self._directions = {}
        for layer, own in vectors.by_layer.items():
            apart = exact(own) - self._means[layer]
            pulls = tf.cast(self._pulls, apart.dtype)[:, None]  # factors on cosines
            self._directions[layer] = self._constant(
                f"directions of {layer}",
                pulls * tf.math.l2_normalize(apart, 1, LEAST_SQUARE),
                (None, own.shape[1]),
            )
        self._searches = {
            layer: [
                VectorSearch(functools.partial(_at, own[start : start + size]), size, exact=True)
                for start, size in zip(self._starts, self._sizes, strict=True)
            ]
            for layer, own in vectors.by_layer.items()
        }

    def _maps(self) -> tuple[str, ...]:
        return tuple(map(_map_name, self.layers))

    @staticmethod
    def at_positions(features: tf.Tensor, stride: int, rows: int, columns: int) -> tf.Tensor:
        return tf.reshape(_at_centers(features, stride, rows, columns), (-1, features.shape[-1]))

    def statistics(
        self, layer: str, features: tf.Tensor, known: Mapping[str, tf.Tensor]
    ) -> Statistic:
        """Products with the neighbors, and squares: (rows, columns, 2)."""
        numbers = tf.squeeze(tf.convert_to_tensor(known[_map_name(layer)]), (0, 3))
        rows, columns = sizes_of(numbers)
        at_centers = functools.partial(
            _at_centers, stride=self._strides[layer], rows=rows, columns=columns
        )
        centers, to_features = vjp(at_centers, features)
        own = exact(centers) - self._means[layer]
        directions = tf.gather(tf.convert_to_tensor(self._directions[layer]), numbers)
        product = tf.reduce_sum(own * directions, axis=-1)
        square = tf.reduce_sum(tf.square(own), axis=-1)

        def pull_back(upstream: tf.Tensor) -> tf.Tensor:
            at_product, at_square = tf.split(upstream, 2, axis=-1)
            pulled = directions * at_product + own * (2.0 * at_square)
            return to_features(tf.cast(pulled, centers.dtype))

        return tf.stack([product, square], axis=-1), pull_back

    def joined(self, parts: Sequence[tf.Tensor], known: Mapping[str, tf.Tensor]) -> Statistic:
        sums, to_both = distance_sum(*tf.split(tf.stack(parts), 2, axis=-1))

        def pull_back(upstream: tf.Tensor) -> list[tf.Tensor]:
            shares = tf.stack([divided(upstream, len(parts))] * len(parts))
            return tf.unstack(tf.concat(to_both(shares), axis=-1))

        return tf.reduce_mean(sums, axis=0), pull_back

    def _found(self, features_of: Callable[[], FeaturesInTiles]) -> Iterator[dict[str, np.ndarray]]:
        for part, (_, features) in zip(self._parts, features_of(), strict=True):
            found = {}
            for layer in self.layers:
                own = exact(self._at_positions(features[layer], layer, *shape_of(part)))
                means = [self._means[layer]] * len(self._sizes)
                sets = self._sets[part].reshape(-1)
                found[_map_name(layer)] = self._nearest(self._searches[layer], own, means, sets)
            yield found


def _at(vectors: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor]:
    return (exact(tf.gather(vectors, numbers)),)


def _at_centers(features: tf.Tensor, stride: int, rows: int, columns: int) -> tf.Tensor:
    """Features (1, h, w, N) at the centers of squares of 8 px: (rows, columns, N)."""
    step = NEIGHBORS_STRIDE // stride
    first = step // 2
    return features[0, first : first + rows * step : step, first : first + columns * step : step]


def _map_name(layer: str) -> str:
    return f"{NEIGHBORS}/{layer}"
