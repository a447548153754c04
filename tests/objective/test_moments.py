"""Statistics of features against NumPy in float64, on features made up here."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices.xla_programs import Program
from nst_keras.objective import moments
from nst_keras.objective.evaluation import vjp
from tests.conftest import require_precision

RNG = np.random.default_rng(0)
FEATURES = np.maximum(RNG.normal(0, 2, (1, 6, 8, 5)), 0).astype(np.float32)


def numpy_gram(features):
    rows = features.reshape(-1, features.shape[-1]).astype(np.float64)
    return sum(np.outer(position, position) for position in rows)


def numpy_moments(features):
    rows = features.reshape(-1, features.shape[-1]).astype(np.float64)
    return np.vstack([numpy_gram(features), rows.sum(0)])


def pulled_back(statistic, features, weights):
    """The gradient of a weighted sum of a statistic."""
    _, pull_back = statistic(tf.constant(features))
    return pull_back(tf.constant(weights)).numpy()


def test_gram_sums_are_the_sum_of_outer_products():
    found, _ = moments.gram_sums(FEATURES)
    np.testing.assert_allclose(found, numpy_gram(FEATURES), rtol=1e-5)


def test_moment_sums_are_outer_products_above_plain_sums():
    found, _ = moments.moment_sums(FEATURES)
    assert found.shape == (6, 5)
    np.testing.assert_allclose(found, numpy_moments(FEATURES), rtol=1e-5)


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("name", ["gram_sums", "moment_sums"])
def test_statistics_of_features_add_up_over_parts(name, at):
    statistic = getattr(moments, name)
    parts = FEATURES, FEATURES[:, :at], FEATURES[:, at:]
    whole, first, second = (statistic(part)[0] for part in parts)
    np.testing.assert_allclose(first + second, whole, rtol=1e-5)


def test_the_pull_back_of_a_gram_is_that_of_the_plain_product():
    weights = RNG.normal(0, 1, (5, 5)).astype(np.float32)  # not symmetric
    found = pulled_back(moments.gram_sums, FEATURES, weights)

    def plain(features):
        rows = tf.reshape(features, (-1, 5))
        return tf.matmul(rows, rows, transpose_a=True)

    by_autodiff = pulled_back(functools.partial(vjp, plain), FEATURES, weights)
    np.testing.assert_allclose(found, by_autodiff, rtol=1e-5, atol=1e-5)
    by_hand = FEATURES.reshape(-1, 5).astype(np.float64) @ (weights + weights.T)
    np.testing.assert_allclose(found.reshape(-1, 5), by_hand, rtol=1e-4, atol=1e-4)


def test_the_pull_back_of_moments_is_that_by_hand():
    weights = RNG.normal(0, 1, (6, 5)).astype(np.float32)
    found = pulled_back(moments.moment_sums, FEATURES, weights)
    second, first = weights[:5], weights[5]
    by_hand = FEATURES.reshape(-1, 5).astype(np.float64) @ (second + second.T) + first
    np.testing.assert_allclose(found.reshape(-1, 5), by_hand, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gram_sums", "moment_sums"])
def test_sums_of_bfloat16_features_are_float32_and_their_gradients_bfloat16(name):
    require_precision("bfloat16")
    statistic = getattr(moments, name)
    low = tf.cast(FEATURES, tf.bfloat16)
    found, gradients = [], []
    for features in (low, tf.cast(low, tf.float32)):
        sums, pull_back = statistic(features)
        found.append(sums)
        gradients.append(pull_back(2.0 * sums))
    assert (found[0].dtype, gradients[0].dtype) == (tf.float32, tf.bfloat16)
    # Sums of positive products: not rounded to bfloat16 on the way.
    rows = FEATURES.shape[1] * FEATURES.shape[2]
    np.testing.assert_allclose(found[0], found[1], rtol=rows * 2.0**-24)
    error = np.linalg.norm(tf.cast(gradients[0], tf.float32) - gradients[1])
    assert error < 0.01 * np.linalg.norm(gradients[1])


def weighted_moments(features, weights):
    """S of each region in NumPy, with the sums of features in a last row."""
    rows = features.reshape(-1, features.shape[-1]).astype(np.float64)
    found = []
    for own in weights.reshape(len(rows), -1).T.astype(np.float64):
        found.append(np.vstack([rows.T @ (own[:, None] * rows), own @ rows]))
    return np.array(found)


def test_moments_of_a_region_of_a_small_example():
    features = np.array([[1, 0], [2, 1], [0, 3], [1, 1]], np.float32).reshape(1, 2, 2, 2)
    weights = np.array([1, 0.5, 0.25, 0], np.float32).reshape(1, 2, 2, 1)
    sums, _ = moments.moment_sums(tf.constant(features), tf.constant(weights))
    np.testing.assert_array_equal(sums, [[[3, 1], [1, 2.75], [2, 1.25]]])
    np.testing.assert_allclose(sums[0, 2] / weights.sum(), [1.142857, 0.714286], rtol=1e-6)


def soft(rng, regions):
    """Weights of regions that overlap everywhere."""
    return rng.random((1, 9, 11, regions), np.float32)


def mostly_hard(rng, regions):
    """Weights of regions of which positions have one, several or none."""
    return np.where(rng.random((1, 9, 11, regions)) < 1 / regions, soft(rng, regions), 0)


def hard(rng, regions):
    """Weights of regions that share no position."""
    return np.eye(regions, dtype=np.float32)[rng.integers(regions, size=(1, 9, 11))]


def first_alone(rng, regions):
    """Weights of regions of which all but one are empty."""
    return np.eye(regions, dtype=np.float32)[np.zeros((1, 9, 11), int)]


@pytest.mark.parametrize("kind", [soft, mostly_hard, hard, first_alone])
@pytest.mark.parametrize("regions", [1, 2, 4])
def test_moments_of_regions_are_weighted_sums(regions, kind):
    rng = np.random.default_rng(regions)
    features = rng.random((1, 9, 11, 5), np.float32)
    weights = kind(rng, regions).astype(np.float32)
    expected = weighted_moments(features, weights)
    given = tf.constant(features), tf.constant(weights)
    sums, _ = moments.moment_sums(*given)
    np.testing.assert_allclose(sums, expected, rtol=1e-6)
    grams, _ = moments.gram_sums(*given)
    np.testing.assert_allclose(grams, expected[:, :-1], rtol=1e-6)


def test_the_form_for_xla_has_the_same_sums_and_gradients():
    rng = np.random.default_rng(0)
    features = tf.constant(rng.random((1, 9, 11, 4), np.float32))
    weights = tf.constant(mostly_hard(rng, 3).astype(np.float32))
    upstream = tf.constant(rng.normal(size=(3, 5, 4)).astype(np.float32))

    def both(features, weights, upstream):
        sums, pull_back = moments.moment_sums(features, weights)
        return sums, pull_back(upstream)

    given = features, weights, upstream
    for found, expected in zip(Program(both)(*given), both(*given), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [soft, mostly_hard, hard, first_alone])
@pytest.mark.parametrize("statistic", [moments.gram_sums, moments.moment_sums])
def test_the_pull_back_of_regions_is_that_of_autodiff(statistic, kind):
    rng = np.random.default_rng(0)
    features = tf.constant(rng.random((1, 9, 11, 4)))
    weights = tf.constant(kind(rng, 3).astype(np.float64))
    upstream = tf.constant(rng.normal(size=statistic(features, weights)[0].shape))
    pulled = statistic(features, weights)[1](upstream)
    with tf.GradientTape() as tape:
        tape.watch(features)
        rows = tf.reshape(features, (-1, 4))
        own = tf.reshape(weights, (-1, 3))
        plain = tf.einsum("pr,pn,pm->rnm", own, rows, rows)
        first = tf.einsum("pr,pn->rn", own, rows)[:, None]
        sums = plain if statistic is moments.gram_sums else tf.concat([plain, first], 1)
        total = tf.reduce_sum(upstream * sums)
    np.testing.assert_allclose(pulled, tape.gradient(total, features), rtol=1e-12)


def test_a_region_that_is_the_whole_has_the_same_moments():
    features = tf.constant(np.random.default_rng(1).random((1, 8, 9, 6), np.float32))
    ones = tf.ones((1, 8, 9, 1))
    for statistic in (moments.gram_sums, moments.moment_sums):
        plain, weighted = statistic(features)[0], statistic(features, ones)[0][0]
        np.testing.assert_allclose(weighted, plain, rtol=1e-6)
