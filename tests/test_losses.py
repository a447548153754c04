"""Statistics and terms against NumPy in float64, on features made up here."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import losses

RNG = np.random.default_rng(0)
FEATURES = np.maximum(RNG.normal(0, 2, (1, 6, 8, 5)), 0).astype(np.float32)
TARGET = np.maximum(RNG.normal(0, 2, (1, 6, 8, 5)), 0).astype(np.float32)
IMAGE = RNG.random((1, 7, 9, 3), dtype=np.float32)
GRAM, STYLE = (np.cov(RNG.normal(0, 3, (5, 40))).astype(np.float32) for _ in range(2))


def numpy_gram(features):
    total = np.zeros((features.shape[-1],) * 2)
    for position in features.astype(np.float64).reshape(-1, features.shape[-1]):
        total += np.outer(position, position)
    return total


def numpy_variation(image):
    image = image[0].astype(np.float64)
    return (np.diff(image, axis=1) ** 2).sum(), (np.diff(image, axis=0) ** 2).sum()


def squares(array):
    return (array.astype(np.float64) ** 2).sum()


def difference(a, b):
    return squares(a.astype(np.float64) - b)


def test_gram_sum_is_the_sum_of_outer_products():
    np.testing.assert_allclose(losses.gram_sum(FEATURES), numpy_gram(FEATURES), rtol=1e-5)


def test_squared_error_sum():
    np.testing.assert_allclose(
        losses.squared_error_sum(FEATURES, TARGET), difference(FEATURES, TARGET), rtol=1e-5
    )


def test_squared_variation_sums_are_along_x_and_y():
    found = losses.squared_variation_sums(IMAGE)
    np.testing.assert_allclose(found, numpy_variation(IMAGE), rtol=1e-5)
    stripes = np.zeros((1, 4, 6, 3), np.float32)
    stripes[:, :, ::2] = 1  # 5 steps in each of 4 rows and 3 channels; none down
    np.testing.assert_allclose(losses.squared_variation_sums(stripes), (60, 0))


@pytest.mark.parametrize("at", [1, 3])
def test_statistics_of_features_add_up_over_parts(at):
    halves = FEATURES[:, :at], FEATURES[:, at:]
    np.testing.assert_allclose(
        sum(losses.gram_sum(half) for half in halves), losses.gram_sum(FEATURES), rtol=1e-5
    )
    parts = zip(halves, (TARGET[:, :at], TARGET[:, at:]), strict=True)
    np.testing.assert_allclose(
        sum(losses.squared_error_sum(f, p) for f, p in parts),
        losses.squared_error_sum(FEATURES, TARGET),
        rtol=1e-5,
    )


def test_the_pull_back_of_a_gram_is_that_of_the_plain_product():
    weights = tf.constant(RNG.normal(0, 1, (5, 5)).astype(np.float32))  # not symmetric
    features = tf.constant(FEATURES)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        ours = tf.reduce_sum(weights * losses.gram_sum(features))
        rows = tf.reshape(features, (-1, 5))
        plain = tf.reduce_sum(weights * tf.matmul(rows, rows, transpose_a=True))
    found, expected = tape.gradient(ours, features), tape.gradient(plain, features)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    by_hand = FEATURES.reshape(-1, 5).astype(np.float64) @ (weights.numpy() + weights.numpy().T)
    np.testing.assert_allclose(found.numpy().reshape(-1, 5), by_hand, rtol=1e-4, atol=1e-4)


def test_relative_content_is_the_error_over_the_mean_square():
    found = losses.relative_content(difference(FEATURES, TARGET), squares(TARGET))
    mean = ((FEATURES.astype(np.float64) - TARGET) ** 2).mean()
    np.testing.assert_allclose(found, mean / (TARGET.astype(np.float64) ** 2).mean(), rtol=1e-6)


def test_relative_content_is_zero_at_the_content_and_one_at_no_features():
    total = squares(TARGET)
    assert losses.relative_content(losses.squared_error_sum(TARGET, TARGET), total) == 0
    nothing = losses.squared_error_sum(np.zeros_like(TARGET), TARGET)
    np.testing.assert_allclose(losses.relative_content(nothing, total), 1, rtol=1e-6)


def test_relative_style_is_the_squared_frobenius_ratio():
    expected = difference(GRAM, STYLE) / squares(STYLE)
    np.testing.assert_allclose(
        losses.relative_style(GRAM, STYLE, np.float32(squares(STYLE))), expected, rtol=1e-5
    )


def test_relative_terms_do_not_depend_on_the_scale_of_features():
    np.testing.assert_allclose(
        losses.relative_style(100 * GRAM, 100 * STYLE, np.float32(squares(100 * STYLE))),
        losses.relative_style(GRAM, STYLE, np.float32(squares(STYLE))),
        1e-5,
    )


def test_mean_variation_is_over_all_differences():
    sums, counts = numpy_variation(IMAGE), (3.0 * 7 * 8, 3.0 * 6 * 9)
    expected = np.diff(IMAGE, axis=2) ** 2, np.diff(IMAGE, axis=1) ** 2
    found = losses.mean_variation(tf.constant(sums), counts)
    np.testing.assert_allclose(found, sum(one.mean() for one in expected), rtol=1e-5)


def test_gatys_content_is_half_the_sum():
    assert losses.gatys_content(7.0, 123.0) == 3.5


def test_gatys_style_is_equation_4_with_its_positions():
    positions, channels = FEATURES.shape[1] * FEATURES.shape[2], 5
    error = difference(numpy_gram(FEATURES), numpy_gram(TARGET))
    equation = error / (4 * channels**2 * positions**2)
    grams = [
        tf.constant((numpy_gram(f) / positions).astype(np.float32)) for f in (FEATURES, TARGET)
    ]
    np.testing.assert_allclose(losses.gatys_style(*grams, None), equation, rtol=1e-4)


def test_sum_variation_is_on_0_to_255():
    expected = sum(numpy_variation(255 * IMAGE))
    found = losses.sum_variation(tf.constant(numpy_variation(IMAGE)), (1.0, 1.0))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_objectives_name_their_formulas():
    relative, gatys = losses.OBJECTIVES["relative"], losses.OBJECTIVES["gatys"]
    assert (relative.content(8.0, 4.0), gatys.content(8.0, 4.0)) == (2.0, 4.0)
    one, two = tf.ones((2, 2)), tf.fill((2, 2), 2.0)
    assert (float(relative.style(one, two, 16.0)), float(gatys.style(one, two, None))) == (
        0.25,
        0.25,
    )
    assert float(relative.style(two, one, 4.0)) == 1.0
    sums, counts = tf.constant([6.0, 8.0]), (2.0, 4.0)
    assert float(relative.variation(sums, counts)) == 5.0
    assert float(gatys.variation(sums, counts)) == 255**2 * 14
