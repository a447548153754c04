"""The nearest vectors are those of a search by NumPy over all vectors, the first of equal ones."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import nearest
from nst_keras.objective.nearest import VectorSearch

# Computed by hand from the definition: each set centered by its own mean.
QUERIES = np.array([[4, 4, 1], [3, 4, 3], [4, 3, 3]], np.float32)
VECTORS = np.array([[1, 4, 0], [2, 3, 4], [2, 1, 1]], np.float32)


def find(vectors, queries, mean=None, **options):
    queries = tf.constant(queries)
    mean = tf.reduce_mean(queries, axis=0) if mean is None else mean
    halves = tf.constant(vectors[:, :2]), tf.constant(vectors[:, 2:])

    def parts_at(numbers):
        return [tf.gather(half, numbers) for half in halves]

    return VectorSearch(parts_at, len(vectors), **options)(queries, mean).numpy()


def by_numpy(vectors, queries):
    vectors, queries = vectors.astype(np.float64), queries.astype(np.float64)
    vectors, queries = vectors - vectors.mean(0), queries - queries.mean(0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (queries @ (vectors / np.maximum(lengths, 1e-30)).T).argmax(1)


def test_a_small_example():
    assert find(VECTORS, QUERIES).tolist() == [0, 1, 1]
    x = np.array([[1, 0, 2], [0, 3, 1], [2, 2, 0], [1, 1, 1]], np.float32)
    s = np.array([[1, 0, 1], [0, 2, 0], [3, 1, 0]], np.float32)
    assert find(s, x).tolist() == [0, 1, 2, 0]


def test_the_mean_is_that_of_all_queries_which_may_be_searched_in_parts():
    mean = tf.constant(QUERIES.mean(0))
    parts = [find(VECTORS, QUERIES[:1], mean), find(VECTORS, QUERIES[1:], mean)]
    assert np.concatenate(parts).tolist() == [0, 1, 1]
    assert find(VECTORS, QUERIES, tf.zeros(3)).tolist() != [0, 1, 1]


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_every_query_finds_the_vector_that_brute_force_finds(rows, monkeypatch):
    monkeypatch.setattr(nearest, "_MOST_QUERIES", rows)
    monkeypatch.setattr(nearest, "_BLOCK", 3 * rows)
    rng = np.random.default_rng(rows)
    vectors = np.maximum(rng.normal(0, 1, (300, 40)), 0).astype(np.float32)
    queries = np.maximum(rng.normal(0.2, 2, (250, 40)), 0).astype(np.float32)
    assert find(vectors, queries).tolist() == by_numpy(vectors, queries).tolist()


def test_of_equal_vectors_the_first_is_found_however_many_there_are():
    rng = np.random.default_rng(0)
    vectors = rng.random((12, 30), np.float32)[np.tile(np.arange(12), 9)]
    queries = rng.random((50, 30), np.float32)
    found = find(vectors, queries)
    assert found.max() < 12
    assert found.tolist() == by_numpy(vectors[:12], queries).tolist()


def low_rank(rng, count):
    """Vectors of 300 dimensions whose variance falls fast, as that of features does."""
    mixed = rng.normal(0, 1, (count, 300)) * 0.98 ** np.arange(300)
    turned, _ = np.linalg.qr(np.random.default_rng(9).normal(0, 1, (300, 300)))
    return (mixed @ turned).astype(np.float32)


def test_in_fewer_dimensions_nearly_all_queries_find_the_same_vector():
    rng = np.random.default_rng(1)
    vectors, queries = low_rank(rng, nearest._ALL_DIMENSIONS + 100), low_rank(rng, 400)
    expected = by_numpy(vectors, queries)
    found = find(vectors, queries)
    assert (found == expected).mean() >= 0.98
    assert find(vectors, queries, exact=True).tolist() == expected.tolist()


def test_in_fewer_dimensions_vectors_that_fill_a_group_are_those_they_repeat():
    vectors = low_rank(np.random.default_rng(2), nearest._ALL_DIMENSIONS + 5)  # 3 repeat
    assert find(vectors, vectors[:10], tf.constant(vectors.mean(0))).tolist() == list(range(10))


@pytest.mark.parametrize("rows", [8, 40, 800])
def test_candidates_are_the_best_of_the_best_groups(rows):
    scores = np.random.default_rng(rows).normal(0, 1, (rows, 30)).astype(np.float32)
    found = nearest._best_of_groups(tf.constant(scores)).numpy()
    groups = rows // 8
    assert found.shape == (30, min(8, groups))
    for column, candidates in zip(scores.T, found, strict=True):
        by_group = column.reshape(8, groups)
        best = np.argsort(-by_group.max(axis=0))[:8]  # groups, the one with the best row first
        assert candidates.tolist() == (best + groups * by_group.argmax(axis=0)[best]).tolist()


def test_vectors_without_a_direction_do_no_harm():
    same = np.ones((5, 4), np.float32)
    assert find(same, QUERIES[:, [0, 1, 2, 0]]).tolist() == [0, 0, 0]
    assert find(np.concatenate([same, np.eye(4, dtype=np.float32)]), same).tolist() == [0] * 5
