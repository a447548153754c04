"""The first image."""

import numpy as np
import pytest
from conftest import picture

from nst_keras import inits

CONTENT = picture(24, 32, seed=1)
STYLE = picture(40, 30, seed=2)


def make(init, image=None, seed=0):
    return inits.initial_image(init, CONTENT, STYLE, image, seed)


@pytest.mark.parametrize("init", ["content", "noise", "gray", "style", "a.png"])
def test_every_start_is_float32_in_range_and_of_the_contents_size(init):
    image = make(init, picture(50, 20))
    assert (image.dtype, image.shape) == (np.float32, CONTENT.shape)
    assert image.min() >= 0 and image.max() <= 1


def test_content_is_a_copy():
    image = make("content")
    np.testing.assert_array_equal(image, CONTENT)
    assert not np.shares_memory(image, CONTENT)


def test_noise_is_uniform_and_repeats_with_its_seed_only():
    image = inits.initial_image("noise", picture(64, 64), STYLE, None, 3)
    assert abs(image.mean() - 0.5) < 0.02 and abs(image.var() - 1 / 12) < 0.01
    np.testing.assert_array_equal(make("noise", seed=3), make("noise", seed=3))
    assert (make("noise", seed=3) != make("noise", seed=4)).mean() > 0.99


def test_gray_is_flat_at_the_contents_mean():
    image = make("gray")
    assert np.ptp(image) == 0
    np.testing.assert_allclose(image[0, 0, 0], CONTENT.astype(np.float64).mean(), rtol=1e-5)


def test_a_style_of_the_right_aspect_is_resized_whole():
    small = np.repeat(np.repeat(CONTENT[::2, ::2], 4, axis=0), 4, axis=1)  # 48x64
    image = inits.initial_image("style", CONTENT, small, None, 0)
    assert abs(image.mean() - small.mean()) < 0.01


@pytest.mark.parametrize(("height", "width"), [(24, 96), (72, 32)])
def test_a_picture_is_cut_from_its_middle_and_not_stretched(height, width):
    image = np.zeros((height, width, 3), np.float32)
    top, left = (height - 24) // 2, (width - 32) // 2
    image[top : top + 24, left : left + 32] = CONTENT
    np.testing.assert_array_equal(make("a.png", image), CONTENT)


def test_a_picture_wins_over_the_style_unless_the_style_is_asked_for():
    red = np.zeros((24, 32, 3), np.float32) + np.float32([1, 0, 0])
    np.testing.assert_array_equal(make("red.png", red), red)
    assert np.abs(make("style", red) - red).mean() > 0.1
