"""The pyramid holds every image, and its pull-back is the adjoint of its image."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.optimizers.pyramid import Pyramid

SIZES = [(16, 16), (33, 50), (37, 128), (9, 40)]


def noise(shape, seed):
    return tf.constant(np.random.default_rng(seed).normal(0, 1, shape))


@pytest.mark.parametrize("size", SIZES)
def test_the_image_of_an_images_coefficients_is_the_image(size):
    pyramid, image = Pyramid(*size), noise((1, *size, 3), 0)
    image = tf.cast(image, tf.float32)
    coefficients = pyramid.coefficients(image)
    assert coefficients.shape == pyramid.shape
    np.testing.assert_allclose(pyramid.image(coefficients), image, atol=1e-5)
    np.testing.assert_array_equal(pyramid.image(pyramid.finest(image)), image)


@pytest.mark.parametrize("size", SIZES)
def test_pull_back_is_the_adjoint(size):
    pyramid = Pyramid(*size)
    coefficients = tf.cast(noise(pyramid.shape, 1), tf.float32)
    gradient = tf.cast(noise((1, *size, 3), 2), tf.float32)
    left = np.vdot(pyramid.image(coefficients), gradient)
    right = np.vdot(coefficients, pyramid.pull_back(gradient))
    scale = np.linalg.norm(coefficients) * np.linalg.norm(gradient)
    assert abs(left - right) <= 1e-6 * scale


def test_bands_are_halved_while_they_are_large_enough():
    assert Pyramid(384, 512).sizes == [(384, 512), (192, 256), (96, 128), (48, 64), (24, 32)]
    assert Pyramid(33, 50).sizes == [(33, 50), (16, 25), (8, 12)]
    assert Pyramid(9, 40).sizes == [(9, 40)]


def test_a_flat_image_is_in_the_coarsest_band():
    pyramid = Pyramid(64, 48)
    coefficients = pyramid.coefficients(tf.fill((1, 64, 48, 3), 0.25)).numpy()
    coarsest = pyramid.sizes[-1][0] * pyramid.sizes[-1][1]
    np.testing.assert_allclose(coefficients[0, :-coarsest], 0, atol=1e-6)
    np.testing.assert_allclose(coefficients[0, -coarsest:], 0.25, atol=1e-6)


@pytest.mark.parametrize("is_clamped", [True, False])
def test_pixels_at_a_bound_do_not_move_a_pyramid_beyond_it(is_clamped):
    pyramid = Pyramid(16, 16)
    image = np.full((1, 16, 16, 3), 0.5, np.float32)
    image[:, :8], image[:, 8:12] = 1.0, 0.0
    gradient = np.random.default_rng(0).normal(0, 1, image.shape).astype(np.float32)
    losses, found = pyramid.value_and_grad(
        lambda _: ({}, tf.constant(gradient)), is_clamped, pyramid.coefficients(image)
    )
    kept = gradient.copy()
    if is_clamped:  # steps go against the gradient
        kept[:, :8] = np.maximum(kept[:, :8], 0)
        kept[:, 8:12] = np.minimum(kept[:, 8:12], 0)
    np.testing.assert_array_equal(found, pyramid.pull_back(tf.constant(kept)))
