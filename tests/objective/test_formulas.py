"""Statistics and terms against NumPy in float64, on features made up here."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.evaluation import vjp
from nst_keras.settings import presets
from tests.conftest import require_precision

RNG = np.random.default_rng(0)
FEATURES = np.maximum(RNG.normal(0, 2, (1, 6, 8, 5)), 0).astype(np.float32)
TARGET = np.maximum(RNG.normal(0, 2, (1, 6, 8, 5)), 0).astype(np.float32)
GRAM, STYLE = (np.cov(RNG.normal(0, 3, (5, 40))).astype(np.float32) for _ in range(2))
SIZE = formulas_lib.Size(positions=48.0, pixels=768.0)
TORCHVISION = 255 * 0.226


def numpy_gram(features):
    total = np.zeros((features.shape[-1],) * 2)
    for position in features.astype(np.float64).reshape(-1, features.shape[-1]):
        total += np.outer(position, position)
    return total


def numpy_moments(features):
    rows = features.astype(np.float64).reshape(-1, features.shape[-1])
    return np.vstack([numpy_gram(features), rows.sum(0)])


def squares(array):
    return (array.astype(np.float64) ** 2).sum()


def difference(a, b):
    return squares(a.astype(np.float64) - b)


def pulled_back(statistic, features, weights):
    """The gradient of a weighted sum of a statistic."""
    _, pull_back = statistic(tf.constant(features))
    return pull_back(tf.constant(weights)).numpy()


def test_gram_sums_are_the_sum_of_outer_products():
    found, _ = formulas_lib.gram_sums(FEATURES)
    np.testing.assert_allclose(found, numpy_gram(FEATURES), rtol=1e-5)


def test_moment_sums_are_outer_products_above_plain_sums():
    found, _ = formulas_lib.moment_sums(FEATURES)
    assert found.shape == (6, 5)
    np.testing.assert_allclose(found, numpy_moments(FEATURES), rtol=1e-5)


def squared_error_sum(features, target):
    return formulas_lib.squared_error_sum(tf.constant(features), target)[0]


def test_squared_error_sum():
    found = squared_error_sum(FEATURES, TARGET)
    np.testing.assert_allclose(found, difference(FEATURES, TARGET), rtol=1e-5)


def test_the_pull_back_of_squared_errors_is_twice_the_error():
    found = pulled_back(
        lambda features: formulas_lib.squared_error_sum(features, TARGET), FEATURES, np.float32(3.0)
    )
    np.testing.assert_allclose(found, 6.0 * (FEATURES - TARGET), rtol=1e-6)


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("name", ["gram_sums", "moment_sums"])
def test_statistics_of_features_add_up_over_parts(name, at):
    statistic = getattr(formulas_lib, name)
    parts = FEATURES, FEATURES[:, :at], FEATURES[:, at:]
    whole, first, second = (statistic(part)[0] for part in parts)
    np.testing.assert_allclose(first + second, whole, rtol=1e-5)


@pytest.mark.parametrize("at", [1, 3])
def test_squared_errors_add_up_over_parts(at):
    parts = [(FEATURES[:, :at], TARGET[:, :at]), (FEATURES[:, at:], TARGET[:, at:])]
    np.testing.assert_allclose(
        sum(squared_error_sum(f, p) for f, p in parts),
        squared_error_sum(FEATURES, TARGET),
        rtol=1e-5,
    )


def test_the_pull_back_of_a_gram_is_that_of_the_plain_product():
    weights = RNG.normal(0, 1, (5, 5)).astype(np.float32)  # not symmetric
    found = pulled_back(formulas_lib.gram_sums, FEATURES, weights)

    def plain(features):
        rows = tf.reshape(features, (-1, 5))
        return tf.matmul(rows, rows, transpose_a=True)

    by_autodiff = pulled_back(functools.partial(vjp, plain), FEATURES, weights)
    np.testing.assert_allclose(found, by_autodiff, rtol=1e-5, atol=1e-5)
    by_hand = FEATURES.reshape(-1, 5).astype(np.float64) @ (weights + weights.T)
    np.testing.assert_allclose(found.reshape(-1, 5), by_hand, rtol=1e-4, atol=1e-4)


def test_the_pull_back_of_moments_is_that_by_hand():
    weights = RNG.normal(0, 1, (6, 5)).astype(np.float32)
    found = pulled_back(formulas_lib.moment_sums, FEATURES, weights)
    second, first = weights[:5], weights[5]
    by_hand = FEATURES.reshape(-1, 5).astype(np.float64) @ (second + second.T) + first
    np.testing.assert_allclose(found.reshape(-1, 5), by_hand, rtol=1e-4, atol=1e-4)


def test_a_square_sum_is_floored_at_a_mean_square_of_a_millionth():
    np.testing.assert_allclose(
        tf.maximum(*formulas_lib.square_sum(TARGET)), squares(TARGET), rtol=1e-5
    )
    nothing = tf.maximum(*formulas_lib.square_sum(np.zeros((4, 5), np.float32)))
    np.testing.assert_allclose(nothing, 20 * 1e-6, rtol=1e-6)


MEAN = difference(FEATURES, TARGET) / FEATURES.size
CONTENT = {
    "relative": MEAN / (TARGET.astype(np.float64) ** 2).mean(),
    "gatys": difference(FEATURES, TARGET) / 2,
    "jcjohnson": MEAN,
    "tf_tutorial": MEAN,
    "keras_example": difference(FEATURES, TARGET),
    "anishathalye": MEAN,
    "pytorch_tutorial": MEAN / TORCHVISION**2,
    "crowsonkb": MEAN / TORCHVISION**2,
}


@pytest.mark.parametrize("name", CONTENT)
def test_content_is_that_of_the_published_formula(name):
    error = squared_error_sum(FEATURES, TARGET)
    found = formulas_lib.FORMULAS[name].content(error, squares(TARGET), float(FEATURES.size))
    np.testing.assert_allclose(found, CONTENT[name], rtol=1e-5)


def test_relative_content_is_zero_at_the_content_and_one_at_no_features():
    total, count = squares(TARGET), float(TARGET.size)
    assert formulas_lib.relative_content(squared_error_sum(TARGET, TARGET), total, count) == 0
    nothing = squared_error_sum(np.zeros_like(TARGET), TARGET)
    np.testing.assert_allclose(formulas_lib.relative_content(nothing, total, count), 1, rtol=1e-6)


RAW, RAW_STYLE = (48 * gram.astype(np.float64) for gram in (GRAM, STYLE))  # F F^T, M A
APART = ((RAW - RAW_STYLE) ** 2).sum()
STYLES = {
    "relative": APART / (RAW_STYLE**2).sum(),
    "gatys": APART / (4 * 5**2 * 48**2),
    "jcjohnson": ((RAW / (5 * 48) - RAW_STYLE / (5 * 48)) ** 2).mean(),
    "tf_tutorial": ((RAW / 48 - RAW_STYLE / 48) ** 2).mean(),
    "keras_example": APART / (4 * 3**2 * 768**2),
    "anishathalye": ((RAW / (5 * 48) - RAW_STYLE / (5 * 48)) ** 2).mean(),
    "pytorch_tutorial": ((RAW / TORCHVISION**2 - RAW_STYLE / TORCHVISION**2) ** 2).mean()
    / (5 * 48),
}


@pytest.mark.parametrize("name", STYLES)
def test_style_is_that_of_the_published_formula(name):
    formulas = formulas_lib.FORMULAS[name]
    target = formulas.style_target(tf.constant(STYLE))
    found = formulas.style(tf.constant(GRAM), target, SIZE)
    np.testing.assert_allclose(found, STYLES[name], rtol=1e-4)


def test_relative_style_does_not_depend_on_the_scale_of_features():
    found = [
        formulas_lib.relative_style(scale * GRAM, formulas_lib.relative_target(scale * STYLE), SIZE)
        for scale in (1, 100)
    ]
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_gatys_style_is_equation_4_with_its_positions():
    positions, channels = FEATURES.shape[1] * FEATURES.shape[2], 5
    error = difference(numpy_gram(FEATURES), numpy_gram(TARGET))
    equation = error / (4 * channels**2 * positions**2)
    grams = [
        tf.constant((numpy_gram(f) / positions).astype(np.float32)) for f in (FEATURES, TARGET)
    ]
    np.testing.assert_allclose(
        formulas_lib.gatys_style(grams[0], (grams[1],), SIZE), equation, rtol=1e-4
    )


def test_wasserstein_style_is_that_of_features_on_torchvisions_scale():
    """Of one channel: means 2 and 1, variances 4 and 9 in that unit, and the ridge."""

    def moments(mean, variance):
        second, first = TORCHVISION**2 * (variance + mean**2), TORCHVISION * mean
        return tf.constant([[second], [first]], tf.float32)

    target = formulas_lib.wasserstein_target(moments(1.0, 9.0))
    found = formulas_lib.wasserstein_style(moments(2.0, 4.0), target, SIZE)
    np.testing.assert_allclose(found, 1 + (np.sqrt(9.0001) - np.sqrt(4.0001)) ** 2, rtol=1e-5)


def test_every_objective_has_formulas_and_a_preset():
    assert (
        set(formulas_lib.FORMULAS)
        == set(presets.PRESETS)
        == {
            *STYLES,
            "crowsonkb",
            "neighbors",
        }
    )


@pytest.mark.parametrize("name", ["gram_sums", "moment_sums"])
def test_sums_of_bfloat16_features_are_float32_and_their_gradients_bfloat16(name):
    require_precision("bfloat16")
    statistic = getattr(formulas_lib, name)
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


# Of regions.


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
    sums, _ = formulas_lib.moment_sums(tf.constant(features), tf.constant(weights))
    np.testing.assert_array_equal(sums, [[[3, 1], [1, 2.75], [2, 1.25]]])
    np.testing.assert_allclose(sums[0, 2] / weights.sum(), [1.142857, 0.714286], rtol=1e-6)


@pytest.mark.parametrize("regions", [1, 2, 4])
def test_moments_of_regions_are_weighted_sums(regions):
    rng = np.random.default_rng(regions)
    features = rng.random((1, 9, 11, 5), np.float32)
    weights = rng.random((1, 9, 11, regions), np.float32)
    expected = weighted_moments(features, weights)
    given = tf.constant(features), tf.constant(weights)
    sums, _ = formulas_lib.moment_sums(*given)
    np.testing.assert_allclose(sums, expected, rtol=1e-6)
    grams, _ = formulas_lib.gram_sums(*given)
    np.testing.assert_allclose(grams, expected[:, :-1], rtol=1e-6)


@pytest.mark.parametrize("statistic", [formulas_lib.gram_sums, formulas_lib.moment_sums])
def test_the_pull_back_of_regions_is_that_of_autodiff(statistic):
    rng = np.random.default_rng(0)
    features = tf.constant(rng.random((1, 6, 7, 4)))
    weights = tf.constant(rng.random((1, 6, 7, 3)))
    upstream = tf.constant(rng.normal(size=statistic(features, weights)[0].shape))
    pulled = statistic(features, weights)[1](upstream)
    with tf.GradientTape() as tape:
        tape.watch(features)
        rows = tf.reshape(features, (-1, 4))
        own = tf.reshape(weights, (-1, 3))
        plain = tf.einsum("pr,pn,pm->rnm", own, rows, rows)
        first = tf.einsum("pr,pn->rn", own, rows)[:, None]
        sums = plain if statistic is formulas_lib.gram_sums else tf.concat([plain, first], 1)
        total = tf.reduce_sum(upstream * sums)
    np.testing.assert_allclose(pulled, tape.gradient(total, features), rtol=1e-12)


def test_a_region_that_is_the_whole_has_the_same_moments():
    features = tf.constant(np.random.default_rng(1).random((1, 8, 9, 6), np.float32))
    ones = tf.ones((1, 8, 9, 1))
    for statistic in (formulas_lib.gram_sums, formulas_lib.moment_sums):
        plain, weighted = statistic(features)[0], statistic(features, ones)[0][0]
        np.testing.assert_allclose(weighted, plain, rtol=1e-6)
