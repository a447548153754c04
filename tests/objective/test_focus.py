"""Weights of positions follow the detail of the content."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import focus
from tests.conftest import picture


def half_detailed():
    """Flat on the left, noise on the right."""
    content = np.full((1, 96, 160, 3), 0.5, np.float32)
    content[:, :, 80:] = np.random.default_rng(0).random((1, 96, 80, 3), np.float32)
    return tf.constant(content)


def weights(content, amount=1.0):
    return focus.position_weights(content, amount).numpy()[0, :, :, 0]


def test_detail_has_more_weight_than_flat_areas_and_the_mean_is_1():
    found = weights(half_detailed())
    assert found.shape == (96, 160)
    np.testing.assert_allclose(found.mean(), 1.0, rtol=1e-5)
    assert found[:, :40].max() < 0.1 < 1.5 < found[:, 120:].min()


def test_focus_mixes_with_equal_weights():
    full = weights(half_detailed())
    np.testing.assert_allclose(weights(half_detailed(), 0.25), 0.75 + 0.25 * full, rtol=1e-5)
    np.testing.assert_array_equal(weights(half_detailed(), 0.0), np.ones((96, 160)))


def test_a_flat_content_has_equal_weights():
    np.testing.assert_allclose(weights(tf.fill((1, 40, 56, 3), 0.3)), 1.0, rtol=1e-6)


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
def test_weights_of_features_are_means_over_their_pixels(stride):
    found = weights(tf.constant(picture(45, 70)[None]))
    rows, columns = 45 // stride, 70 // stride
    cut = found[: rows * stride, : columns * stride].reshape(rows, stride, columns, stride)
    strided = focus.at_stride(tf.constant(found[None, :, :, None]), stride)
    np.testing.assert_allclose(strided[0, :, :, 0], cut.mean(axis=(1, 3)), rtol=1e-5)


def test_weights_do_not_depend_on_the_size_of_the_picture():
    """As little as smoothing allows: the same scene at twice the size."""
    small = half_detailed()
    large = tf.repeat(tf.repeat(small, 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(weights(large)[::2, ::2], weights(small), atol=0.15)
