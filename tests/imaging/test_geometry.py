"""Sizes and resizing."""

import numpy as np
import pytest

from nst_keras.imaging.geometry import (
    crop_to_aspect,
    crop_to_fit,
    fit_size,
    least_longest,
    resize,
    thumbnail,
)


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((768, 1024), 512, (384, 512)),
        ((1024, 768), 512, (512, 384)),
        ((100, 100), 512, (512, 512)),
        ((333, 1000), 500, (167, 500)),  # 166.5: halves up
        ((20, 10_000), 512, (1, 512)),
        ((20, 10_000), 7750, (16, 7750)),  # 15.5
        ((2, 10_000), 512, (1, 512)),
        ((16, 16), 16, (16, 16)),
        ((5461, 8191), 8191, (5461, 8191)),
    ],
)
def test_fit_size(size, longest, expected):
    assert fit_size(size, longest) == expected


@pytest.mark.parametrize("least", [1, 2, 16])
@pytest.mark.parametrize("ratio", [1, 1.001, 1.5, 2.0, 7.99, 8.01, 23.7, 150, 1999])
def test_the_least_size_is_the_smallest_that_keeps_both_sides(ratio, least):
    for short in (16, 17, 20, 333):
        size = short, round(short * ratio)
        for shape in (size, size[::-1]):
            longest = least_longest(shape, least)
            assert min(fit_size(shape, longest)) >= least
            if longest > 1:
                exact = min(shape) * (longest - 1) / max(shape)
                assert exact < least - 0.5  # so one pixel less would be too small
            assert longest <= max(shape)  # no picture has to be enlarged


@pytest.mark.parametrize("longest", [16, 128, 181, 362, 512, 5000])
def test_sides_are_off_by_half_a_pixel_at_most(longest):
    for width in range(100, 10_000, 37):
        height, found = fit_size((100, width), longest)
        assert found == longest and (abs(height - 100 * longest / width) <= 0.5 or height == 1)


def test_resize_to_the_same_size_is_exact_and_a_copy(photo):
    pixels = (photo / 255).astype(np.float32)
    same = resize(pixels, 32, 40)
    np.testing.assert_array_equal(same, pixels)
    assert same is not pixels and not np.shares_memory(same, pixels)


@pytest.mark.parametrize("size", [(16, 20), (31, 41), (64, 80), (100, 17)])
def test_resize_keeps_constants(size):
    pixels = np.broadcast_to(np.float32([0.25, 0.5, 1]), (32, 40, 3))
    resized = resize(pixels, *size)
    assert resized.shape == (*size, 3) and resized.dtype == np.float32
    np.testing.assert_allclose(resized, np.broadcast_to([0.25, 0.5, 1], resized.shape), atol=2e-7)


def test_resize_keeps_the_mean_and_linear_ramps():
    ramp = np.broadcast_to(((np.arange(64) + 0.5) / 64)[None, :, None], (64, 64, 3))
    for width in (16, 32, 128):
        resized = resize(ramp, 64, width)
        assert abs(resized.mean() - 0.5) < 1e-3
        inner = slice(width // 4, -(width // 4))  # beyond the reach of the borders
        expected = (np.arange(width) + 0.5) / width
        np.testing.assert_allclose(resized[5, inner, 1], expected[inner], atol=1e-4)


def test_resize_down_is_antialiased():
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2] = 1
    assert np.abs(resize(stripes, 8, 8)[:, 2:-2] - 0.5).max() < 0.02


def test_resize_up_by_hand():
    def keys(distance):  # Catmull-Rom's outer part, one to two pixels away
        return -0.5 * (distance**3 - 5 * distance**2 + 8 * distance - 4)

    step = np.zeros((1, 8, 1), np.float32)
    step[0, 4:] = 1
    beside = 1.5 * 0.75**3 - 2.5 * 0.75**2 + 1 + keys(1.75)
    expected = [keys(1.25), beside, 1 - beside, 1 - keys(1.25)]
    assert expected[0] < -0.05  # it overshoots, unless clipped
    between = resize(0.25 + step / 2, 1, 16)[0, 6:10, 0]
    np.testing.assert_allclose(between, 0.25 + np.array(expected) / 2, atol=1e-6)
    np.testing.assert_allclose(resize(step, 1, 16)[0, 6:10, 0], np.clip(expected, 0, 1), atol=1e-6)


def test_resize_takes_each_channel_alone():
    pixels = np.random.default_rng(0).random((20, 24, 5), np.float32)
    resized = resize(pixels, 40, 48)
    assert resized.shape == (40, 48, 5)
    np.testing.assert_array_equal(resized[..., 3:4], resize(pixels[..., 3:4], 40, 48))
    np.testing.assert_array_equal(resize(pixels, 20, 24), pixels)


def test_thumbnail_never_enlarges():
    assert thumbnail(np.zeros((30, 40, 3)), 20).shape == (15, 20, 3)
    assert thumbnail(np.zeros((30, 40, 3)), 100).shape == (30, 40, 3)
    assert thumbnail(np.zeros((2, 400, 3)), 40).shape == (1, 40, 3)


@pytest.mark.parametrize(
    ("aspect", "expected"),
    [
        ((1, 1), np.s_[:, 5:35]),
        ((10, 5), np.s_[:, 12:27]),
        ((2, 4), np.s_[5:25, :]),
        ((3, 4), np.s_[:, :]),
        ((1, 1000), np.s_[14:15, :]),
        ((1000, 1), np.s_[:, 19:20]),
    ],
)
def test_a_crop_is_the_largest_centered_part_and_a_view(aspect, expected):
    pixels = np.random.default_rng(0).random((30, 40, 3), np.float32)
    cropped = crop_to_aspect(pixels, *aspect)
    np.testing.assert_array_equal(cropped, pixels[expected])
    assert np.shares_memory(cropped, pixels)


def test_only_fit_crop_makes_the_content_square():
    pixels = np.random.default_rng(0).random((30, 40, 3), np.float32)
    assert crop_to_fit(pixels, "scale") is pixels
    np.testing.assert_array_equal(crop_to_fit(pixels, "crop"), pixels[:, 5:35])
