"""An objective tile by tile: exactly its value and gradient, in the memory of one tile.

A first pass sums up the statistics of all tiles; the terms are differentiated by these sums once; a
second pass pulls that back through each tile and adds the gradients where tiles overlap (Galerne et
al., "Scaling Painting Style Transfer", 2024, have the two passes; adding up overlaps needs a halo
half as wide as theirs). Tiles are run from Python, one after the other, so an image of any size
costs the memory of itself, its gradient and one tile's features.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf

from nst_keras.objective import Features, Objective, Pick, Sums, Terms, picking, total
from nst_keras.tiles import Tile

_STRIP_PIXELS = 1 << 20  # of the strips in which the variation is computed

Report = Callable[[int, int], None]  # tiles done, tiles in all


class TiledObjective:
    """As `Objective`, whose targets are those of the same tiles; to be called outside graphs.

    Args:
        report: told how many tiles of an evaluation are done, both passes counted.
    """

    def __init__(
        self,
        objective: Objective,
        tiles: Sequence[Tile],
        report: Report = lambda done, in_all: None,
    ):
        self._objective, self._tiles, self._report = objective, tuple(tiles), report
        self.height = max(tile.rows.stop for tile in tiles)
        self.width = max(tile.columns.stop for tile in tiles)
        self._sums_of_tile = self._traced(objective.statistics_of_tile)
        self._gradient_of_tile = self._traced(objective.gradient_of_tile)
        self._cotangents = tf.function(objective.cotangents, autograph=False)
        self._variation_sums = tf.function(objective.formulas.variation.sums, autograph=False)
        self._variation_gradient = tf.function(self._pull_back_variation, autograph=False)
        self._gradient: tf.Variable | None = None

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
        return TiledObjective(self._objective.reweighted(weights), self._tiles, self._report)

    def value(self, image: tf.Tensor) -> Terms:
        """The terms of an image (1, H, W, 3), RGB in [0, 1]."""
        return self._objective.terms(self._sum_up(image, passes=1), self.height, self.width)

    def value_and_grad(self, image: tf.Tensor) -> tuple[Terms, tf.Tensor]:
        """The terms of an image (1, H, W, 3) and the gradient of their total, of the same shape.

        The gradient lies in a buffer that the next call overwrites.
        """
        return self._differentiate(image, total)

    def gradient_norm(self, image: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        """Euclidean norm of the gradient of some terms: `chosen` is 1 for these, 0 for others."""
        return tf.norm(self._differentiate(image, picking(self.weights, chosen))[1])

    def _differentiate(self, image: tf.Tensor, pick: Pick) -> tuple[Terms, tf.Tensor]:
        sums = self._sum_up(image, passes=2)
        terms, cotangents = self._cotangents(sums, self.height, self.width, pick)
        gradient = self._buffer(image)
        self._start_with_variation(gradient, image, cotangents["tv"])
        low = self._objective.largest_cotangent is not None
        for done, (tile, part, content) in enumerate(self._parts(image), start=1):
            pulled = self._gradient_of_tile(part, content, tf.constant(tile.window), cotangents)
            region = gradient[tile.region]
            region.assign(region + pulled)
            if low and not tf.reduce_all(tf.math.is_finite(pulled)):  # see `Objective`
                terms = {**terms, "total": tf.constant(math.nan)}
            self._report(len(self._tiles) + done, 2 * len(self._tiles))
        return terms, gradient.read_value()

    def _sum_up(self, image: tf.Tensor, passes: int) -> Sums:
        sums: Sums = {}
        for done, (tile, part, content) in enumerate(self._parts(image), start=1):
            found = self._sums_of_tile(part, content, tf.constant(tile.window))
            sums = {name: sums[name] + one for name, one in found.items()} if sums else found
            self._report(done, passes * len(self._tiles))
        return {"tv": self._sum_up_variation(image), **sums}

    def _traced(self, function: Callable) -> Callable:
        """A function of a tile, its content, its window and more as one graph for all sizes."""
        layers = self._objective.targets.content[0].items()
        content = {name: _of_any_size(features) for name, features in layers}
        traces: dict[tf.DType, Callable] = {}  # by the precision of the image

        def call(part: tf.Tensor, content_there: Features, window: tf.Tensor, *more: Sums):
            if part.dtype not in traces:
                given = [tf.nest.map_structure(tf.TensorSpec.from_tensor, one) for one in more]
                signature = [_of_any_size(part), content, tf.TensorSpec((4,), tf.int32), *given]
                traces[part.dtype] = tf.function(
                    function, input_signature=signature, autograph=False
                )
            return traces[part.dtype](part, content_there, window, *more)

        return call

    def _parts(self, image: tf.Tensor) -> Iterator[tuple[Tile, tf.Tensor, Features]]:
        contents = self._objective.targets.content
        for tile, content in zip(self._tiles, contents, strict=True):
            yield tile, image[tile.region], content

    def _buffer(self, image: tf.Tensor) -> tf.Variable:
        if self._gradient is None:
            self._gradient = tf.Variable(tf.zeros_like(image), trainable=False)
        return self._gradient

    def _sum_up_variation(self, image: tf.Tensor) -> tf.Tensor:
        """Over strips that share a row with the next, less what these rows are by themselves."""
        found = []
        for start, stop in strips(self.height, self.width):
            found.append(self._variation_sums(image[:, start : stop + 1]))
            if stop < self.height:
                found.append(-self._variation_sums(image[:, stop : stop + 1]))
        return tf.reduce_sum(tf.stack(found), axis=0)

    def _start_with_variation(
        self, gradient: tf.Variable, image: tf.Tensor, cotangent: tf.Tensor
    ) -> None:
        """Fill the buffer with the variation's gradient, which a row beyond a strip makes exact."""
        for start, stop in strips(self.height, self.width):
            above = min(start, 1)
            strip = image[:, start - above : stop + 1]
            pulled = self._variation_gradient(strip, cotangent)
            gradient[:, start:stop].assign(pulled[:, above : above + stop - start])

    def _pull_back_variation(self, strip: tf.Tensor, cotangent: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(strip)
            sums = self._objective.formulas.variation.sums(strip)
        return tape.gradient(sums, strip, output_gradients=cotangent)


def strips(height: int, width: int) -> list[tuple[int, int]]:
    """Rows from, to and without, of about `_STRIP_PIXELS` each."""
    count = max(1, round(height * width / _STRIP_PIXELS))
    rows = -(-height // count)
    return [(start, min(start + rows, height)) for start in range(0, height, rows)]


def _of_any_size(features: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec((1, None, None, features.shape[-1]), features.dtype)
