"""Losses against NumPy in float64, on features made up here."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import formulas as formulas_lib
from nst_keras.settings import presets

RNG = np.random.default_rng(0)
FEATURES = np.maximum(RNG.normal(0, 2, (1, 6, 8, 5)), 0).astype(np.float32)
TARGET = np.maximum(RNG.normal(0, 2, (1, 6, 8, 5)), 0).astype(np.float32)
GRAM, STYLE = (np.cov(RNG.normal(0, 3, (5, 40))).astype(np.float32) for _ in range(2))
SIZE = formulas_lib.Size(positions=48.0, pixels=768.0)
TORCHVISION = 255 * 0.226


def numpy_gram(features):
    rows = features.reshape(-1, features.shape[-1]).astype(np.float64)
    return rows.T @ rows


def squares(array):
    return (array.astype(np.float64) ** 2).sum()


def difference(a, b):
    return squares(a.astype(np.float64) - b)


def pulled_back(statistic, features, weights):
    """The gradient of a weighted sum of a statistic."""
    _, pull_back = statistic(tf.constant(features))
    return pull_back(tf.constant(weights)).numpy()


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
def test_squared_errors_add_up_over_parts(at):
    parts = [(FEATURES[:, :at], TARGET[:, :at]), (FEATURES[:, at:], TARGET[:, at:])]
    np.testing.assert_allclose(
        sum(squared_error_sum(f, p) for f, p in parts),
        squared_error_sum(FEATURES, TARGET),
        rtol=1e-5,
    )


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
