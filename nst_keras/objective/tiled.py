"""An objective tile by tile: exactly its value and gradient, in the memory of one tile.

A first pass sums up the statistics of all tiles; the terms are differentiated by these sums once; a
second pass pulls that back through each tile and adds the gradients where tiles overlap (Galerne et
al., "Scaling Painting Style Transfer", 2024, have the two passes; adding up overlaps needs a halo
half as wide as theirs). Tiles are run from Python, one after the other on each device, so an image
of any size costs the memory of itself, its gradient and one tile's features.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.objective.backprop import Features, Sums
from nst_keras.objective.objective import Objective, Pick, Terms, picking, tainted, total
from nst_keras.objective.tiles import Tile, assign
from nst_keras.optimizers.strips import aligned_array, shared_tensor, strips
from nst_keras.runtime.errors import InputError

Report = Callable[[int, int], None]  # tiles done, tiles in all


class TiledObjective:
    """As `Objective`, whose targets are those of the same tiles; to be called outside graphs.

    Args:
        objectives: the same one for each device of this host, its network on that device.
        replicas: among which the tiles are dealt.
        report: told how many tiles of an evaluation are done here, both passes counted.
        xla: compiles the work on a tile, once for each shape and what is owned of it.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        tiles: Sequence[Tile],
        replicas: Replicas = ALONE,
        report: Report = lambda done, in_all: None,
        xla: bool = False,
    ):
        self._xla = xla
        self._objectives, self._tiles = tuple(objectives), tuple(tiles)
        self._objective, self._replicas, self._report = objectives[0], replicas, report
        self.height = max(tile.rows.stop for tile in tiles)
        self.width = max(tile.columns.stop for tile in tiles)
        if len(tiles) < replicas.count:
            raise InputError(
                f"--distribute: {self.width}x{self.height} makes {len(tiles)} tiles, too few for "
                f"{replicas.count} devices"
            )
        hands = assign(tiles, replicas.count)
        own = {replicas.own(index): hand for index, hand in enumerate(hands)}
        # Each of the devices takes the next tile of its hand at a time.
        self._rounds = list(itertools.zip_longest(*(own[n] for n in range(len(replicas.devices)))))
        self._count = sum(len(own[n]) for n in range(len(replicas.devices)))
        self._sums_of_tile = [self._traced(one.statistics_of_tile) for one in objectives]
        self._gradient_of_tile = [self._traced(one.gradient_of_tile) for one in objectives]
        self._cotangents = tf.function(self._objective.cotangents, autograph=False)
        variation = self._objective.formulas.variation
        self._variation_sums = _traced_for_strips(variation.sums)
        self._variation_gradient = _traced_for_strips(self._pull_back_variation)

    @property
    def weights(self) -> dict[str, float]:
        """Of the terms."""
        return self._objective.weights

    @property
    def term_names(self) -> tuple[str, ...]:
        """Keys of the terms, 'total' first."""
        return self._objective.term_names

    def reweighted(self, weights: Mapping[str, float]) -> "TiledObjective":
        """The same with other weights of the terms."""
        changed = [one.reweighted(weights) for one in self._objectives]
        return type(self)(changed, self._tiles, self._replicas, self._report, self._xla)

    def value(self, image: tf.Tensor) -> Terms:
        """The terms of an image (1, H, W, 3), RGB in [0, 1]."""
        return self._objective.terms(self._sum_up(image, passes=1), self.height, self.width)

    def value_and_grad(self, image: tf.Tensor) -> tuple[Terms, tf.Tensor]:
        """The terms of an image (1, H, W, 3) and the gradient of their total, of the same shape.

        Where the gradient is not finite, the total is NaN.
        """
        terms, gradient = self._differentiate(image, total)
        return tainted(terms, gradient), gradient

    def gradient_norm(self, image: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        """Euclidean norm of the gradient of some terms: `chosen` is 1 for these, 0 for others."""
        return tf.norm(self._differentiate(image, picking(self.weights, chosen))[1])

    def _differentiate(self, image: tf.Tensor, pick: Pick) -> tuple[Terms, tf.Tensor]:
        sums = self._sum_up(image, passes=2)
        terms, cotangents = self._cotangents(sums, self.height, self.width, pick)
        # Not a variable: after an update of a part TensorFlow copies all of it at every read.
        gradient = aligned_array(image.shape, image.dtype.as_numpy_dtype)
        self._start_with_variation(gradient, image, cotangents["tv"])
        pulled_back = self._over_tiles(self._gradient_of_tile, image, cotangents)
        for done, (tile, pulled) in enumerate(pulled_back, start=1):
            gradient[tile.region] += np.asarray(pulled)
            self._report(self._count + done, 2 * self._count)
        return terms, self._replicas.total(shared_tensor(gradient))

    def _sum_up(self, image: tf.Tensor, passes: int) -> Sums:
        sums: Sums = {}
        found_all = self._over_tiles(self._sums_of_tile, image)
        for done, (_, found) in enumerate(found_all, start=1):
            sums = {name: sums[name] + one for name, one in found.items()} if sums else found
            self._report(done, passes * self._count)
        return {"tv": self._sum_up_variation(image), **self._replicas.total(sums)}

    def _over_tiles(
        self, functions: Sequence[Callable], image: tf.Tensor, *more: Sums
    ) -> Iterator[tuple[Tile, Any]]:
        """What the devices' functions make of this host's tiles, in a fixed order."""
        workers = list(zip(self._replicas.devices, functions, strict=True))
        with ThreadPoolExecutor(len(workers)) as threads:
            for numbers in self._rounds:
                dealt = [
                    (self._tiles[number], threads.submit(self._run, *worker, number, image, *more))
                    for worker, number in zip(workers, numbers, strict=True)
                    if number is not None
                ]
                yield from ((tile, result.result()) for tile, result in dealt)

    def _run(
        self, device: str, function: Callable, number: int, image: tf.Tensor, *more: Sums
    ) -> Any:
        tile = self._tiles[number]
        part, content = image[tile.region], self._objective.targets.content[number]
        # Or it would run on the first device, whichever has its weights.
        with tf.device(device or None):
            return function(part, content, tile.window, *more)

    def _traced(self, function: Callable) -> Callable:
        """A function of a tile, its content, its window and more as graphs."""
        if self._xla:  # which knows static shapes only: a window of Python's numbers is one, too
            return tf.function(function, jit_compile=True, autograph=False)
        return self._traced_for_all_sizes(function)

    def _traced_for_all_sizes(self, function: Callable) -> Callable:
        layers = self._objective.targets.content[0].items()
        content = {name: _of_any_size(features) for name, features in layers}
        traces: dict[tf.DType, Callable] = {}  # by the precision of the image

        def call(part: tf.Tensor, content_there: Features, window: tuple[int, ...], *more: Sums):
            if part.dtype not in traces:
                given = [tf.nest.map_structure(tf.TensorSpec.from_tensor, one) for one in more]
                signature = [_of_any_size(part), content, tf.TensorSpec((4,), tf.int32), *given]
                traces[part.dtype] = tf.function(
                    function, input_signature=signature, autograph=False
                )
            return traces[part.dtype](part, content_there, tf.constant(window), *more)

        return call

    def _sum_up_variation(self, image: tf.Tensor) -> tf.Tensor:
        """Over strips that share a row with the next, less what these rows are by themselves."""
        found = []
        for start, stop in strips(self.height, self.width):
            found.append(self._variation_sums(image[:, start : stop + 1]))
            if stop < self.height:
                found.append(-self._variation_sums(image[:, stop : stop + 1]))
        return tf.reduce_sum(tf.stack(found), axis=0)

    def _start_with_variation(
        self, gradient: np.ndarray, image: tf.Tensor, cotangent: tf.Tensor
    ) -> None:
        """Fill it with the variation's gradient, which a row beyond a strip makes exact."""
        for start, stop in strips(self.height, self.width):
            above = min(start, 1)
            strip = image[:, start - above : stop + 1]
            pulled = self._variation_gradient(strip, cotangent)
            own = np.asarray(pulled)[:, above : above + stop - start]
            # Once, though all hosts add theirs up.
            gradient[:, start:stop] = own if self._replicas.is_chief else 0.0

    def _pull_back_variation(self, strip: tf.Tensor, cotangent: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(strip)
            sums = self._objective.formulas.variation.sums(strip)
        return tape.gradient(sums, strip, output_gradients=cotangent)


def _traced_for_strips(function: Callable) -> Callable:
    """A function of a strip of an image of any size, and more, as a graph."""
    traces: dict[tf.DType, Callable] = {}  # by the precision of the image

    def call(strip: tf.Tensor, *more: tf.Tensor) -> tf.Tensor:
        if strip.dtype not in traces:
            signature = [_of_any_size(strip), *map(tf.TensorSpec.from_tensor, more)]
            traces[strip.dtype] = tf.function(function, input_signature=signature, autograph=False)
        return traces[strip.dtype](strip, *more)

    return call


def _of_any_size(features: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec((1, None, None, features.shape[-1]), features.dtype)
