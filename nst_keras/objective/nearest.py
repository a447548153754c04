"""Searches for the nearest vectors: those whose direction is the most similar, by brute force.

A vector holds the features at one position; it is a row of a matrix. Similarity is the cosine
between a query and a vector after the mean of its own set has been subtracted from each, as in
Kolkin et al., "Neural Neighbor Style Transfer" (2022).
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

_ALL_DIMENSIONS = 4096  # vectors up to this number are compared in all dimensions at once
_DIMENSIONS = 256  # in which more of them are compared first
_CANDIDATES = 8  # which are then compared in all dimensions
_GROUP = 8  # vectors of which at most one is a candidate
_BASIS_VECTORS = 1024  # from which the main dimensions are computed
_BLOCK = 1024  # vectors in memory at once
_MOST_QUERIES = 256  # compared at once
_LEAST_LENGTH = 1e-6  # vectors shorter than this share of the longest have no direction
_LEAST_VARIANCE = 1e-6  # of a main dimension

# The vectors of some numbers (n,), int32, in parts (n, N1), (n, N2) and so on, float32.
PartsAt = Callable[[tf.Tensor], Iterable[tf.Tensor]]


class VectorSearch:
    """Finds the nearest of some vectors.

    Of equal vectors, it finds the first. More than 4096 vectors are first compared in their 256
    main dimensions, and eight of the most similar ones then exactly; between photos and paintings,
    these include the nearest one for at least 98 % of the queries.

    Args:
        parts_at: returns some of the vectors at a time, because all may take much memory.
        count: of the vectors, whose numbers are those below it.
        exact: whether to compare all vectors in all dimensions, whatever their number.
    """

    def __init__(self, parts_at: PartsAt, count: int, exact: bool = False):
        self._parts_at, self._count = parts_at, count
        self._widths = [part.shape[1] for part in parts_at(tf.range(1))]
        blocks = [tf.range(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
        keys, sums = [], []
        for block in blocks:
            vectors = self._vectors_at(block)
            keys += _keys(vectors.numpy())
            sums.append(tf.reduce_sum(vectors, axis=0))
        self._first = tf.constant(_first_of_equal(keys))
        self._mean = tf.reduce_sum(tf.stack(sums), axis=0) / float(count)
        self._basis: tf.Tensor | None = None
        if count > _ALL_DIMENSIONS and self._mean.shape[0] > _DIMENSIONS and not exact:
            some = tf.range(0, count, -(-count // _BASIS_VECTORS))
            self._basis = _main_dimensions(self._vectors_at(some) - self._mean)
        lengths, reduced = [], []
        for block in blocks:
            centered = self._vectors_at(block) - self._mean
            lengths.append(tf.norm(centered, axis=1))
            reduced.append(self._reduced(centered))
        self._inverse_lengths = _inverse(tf.concat(lengths, axis=0))
        # The main dimensions of directions: of the centered vectors at a length of 1.
        self._compared = tf.concat(reduced, axis=0) * self._inverse_lengths[:, None]
        if self._basis is not None:  # so that groups are full; a vector may come twice
            more = tf.range(-count % _GROUP)
            self._compared = tf.concat([self._compared, tf.gather(self._compared, more)], axis=0)

    def __call__(self, queries: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """The numbers of the nearest vectors, int32 (n,).

        Args:
            queries: (n, N), float32.
            mean: of all queries, which may be more than these: (N,).
        """
        starts = range(0, queries.shape[0], _MOST_QUERIES)
        found = [self._nearest(queries[start : start + _MOST_QUERIES] - mean) for start in starts]
        return tf.gather(self._first, tf.concat(found, axis=0))

    def _nearest(self, queries: tf.Tensor) -> tf.Tensor:
        # In this order, since TensorFlow's products on CPUs are slow if the left matrix is small.
        scores = tf.matmul(self._compared, self._reduced(queries), transpose_b=True)
        if self._basis is None:
            return tf.argmax(scores, axis=0, output_type=tf.int32)
        candidates = _best_of_groups(scores) % self._count
        products = self._products(queries, candidates)
        best = tf.argmax(products * tf.gather(self._inverse_lengths, candidates), axis=1)
        return tf.gather(candidates, best, axis=1, batch_dims=1)

    def _products(self, queries: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        """The products of queries (n, N) with the centered vectors of some numbers (n, k): (n, k).

        Without making these: a query's product with the mean is the same for all. Part by part,
        which stays in the processor's cache.
        """
        products = -tf.linalg.matvec(queries, self._mean)[:, None]
        parts = self._parts_at(tf.reshape(candidates, [-1]))
        for part, own in zip(parts, tf.split(queries, self._widths, axis=1), strict=True):
            products += tf.linalg.matvec(tf.reshape(part, (*candidates.shape, -1)), own)
        return products

    def _vectors_at(self, numbers: tf.Tensor) -> tf.Tensor:
        parts = tuple(self._parts_at(numbers))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)

    def _reduced(self, vectors: tf.Tensor) -> tf.Tensor:
        """In the main dimensions, if these are used."""
        return vectors if self._basis is None else tf.matmul(vectors, self._basis)


def _best_of_groups(scores: tf.Tensor) -> tf.Tensor:
    """The rows of the best scores (M, n) in each column, at most one of each group: int32 (n, 8).

    A group is of rows as far apart as possible, because those of neighboring positions resemble
    each other. The best row of all is one of the eight, and they are close to the best eight of
    all, which would take longer to find than the scores took to compute.
    """
    groups = scores.shape[0] // _GROUP
    apart = tf.reshape(scores, (_GROUP, groups, -1))
    of_groups = tf.transpose(tf.reduce_max(apart, axis=0))
    best = tf.math.top_k(of_groups, min(_CANDIDATES, groups)).indices
    # All rows of these groups, (n, 8, 8), and the best of each.
    rows = best[:, :, None] + groups * tf.range(_GROUP)
    columns = tf.range(scores.shape[1])[:, None, None]
    found = tf.gather(tf.reshape(scores, [-1]), rows * scores.shape[1] + columns)
    return best + groups * tf.argmax(found, axis=2, output_type=tf.int32)


def _keys(vectors: np.ndarray) -> list[int]:
    """A number for each vector (M, N): the same for equal ones, but hardly for others."""
    return [hash(vector.tobytes()) for vector in vectors + 0.0]  # which has no -0.0


def _first_of_equal(keys: Sequence[int]) -> np.ndarray:
    """For each key, the number of the first one that is equal: int32 (M,)."""
    first: dict[int, int] = {}
    return np.array([first.setdefault(key, number) for number, key in enumerate(keys)], np.int32)


def _inverse(lengths: tf.Tensor) -> tf.Tensor:
    """1 / length, or 0 for vectors so short that they have no direction."""
    least = tf.maximum(_LEAST_LENGTH * tf.reduce_max(lengths), np.finfo(np.float32).tiny)
    return tf.where(lengths > least, 1.0 / tf.maximum(lengths, least), 0.0)


def _main_dimensions(centered: tf.Tensor) -> tf.Tensor:
    """The 256 principal axes of the directions of some centered vectors (M, N): (N, 256)."""
    directions = centered * _inverse(tf.norm(centered, axis=1))[:, None]
    # By NumPy: on a GPU, TensorFlow would load cuSOLVER for this alone.
    products = tf.matmul(directions, directions, transpose_b=True).numpy()
    values, vectors = np.linalg.eigh(products)
    values, vectors = values[-_DIMENSIONS:], vectors[:, -_DIMENSIONS:]
    lengths = np.sqrt(np.maximum(values, _LEAST_VARIANCE))
    return tf.matmul(directions, tf.constant(vectors / lengths), transpose_a=True)
