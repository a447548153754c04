"""Matched colors have the mean and covariance of the others, by the map that moves them least."""

import numpy as np
import pytest

from nst_keras.imaging import color_match
from nst_keras.imaging.color_match import (
    ColorStatistics,
    color_map,
    color_statistics,
    match_colors,
)

BEFORE = ColorStatistics(
    np.array([0.5, 0.4, 0.3]),
    np.array([[0.05, 0.02, 0.01], [0.02, 0.04, 0.015], [0.01, 0.015, 0.03]]),
)
AFTER = ColorStatistics(
    np.array([0.3, 0.4, 0.6]),
    np.array([[0.02, 0.01, 0.0], [0.01, 0.06, 0.02], [0.0, 0.02, 0.05]]),
)


def picture(seed, height=40, width=30, spread=0.05):
    """A picture well inside of [0, 1], so that nothing is clipped."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(0, spread, (height, width, 3)) @ rng.normal(0, 1, (3, 3))
    return np.clip(rng.uniform(0.4, 0.6, 3) + mixed, 0.05, 0.95).astype(np.float32)


def test_the_map_of_a_small_example(monkeypatch):
    monkeypatch.setattr(color_match, "_LEAST_VARIANCE", 0.0)
    expected = [
        [0.668168, -0.058776, -0.10546],
        [-0.058776, 1.261171, -0.02307],
        [-0.10546, -0.02307, 1.329793],
    ]
    found = color_map(BEFORE, AFTER)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found @ BEFORE.covariance @ found.T, AFTER.covariance, atol=1e-12)


def test_statistics_are_those_of_numpy_and_of_pictures_side_by_side(monkeypatch):
    monkeypatch.setattr(color_match, "_STRIP_PIXELS", 100)
    one, other = picture(0), picture(1)
    found = color_statistics([one])
    np.testing.assert_allclose(found.mean, one.reshape(-1, 3).mean(0, np.float64), rtol=1e-6)
    covariance = np.cov(one.reshape(-1, 3).astype(np.float64).T, bias=True)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)
    both = color_statistics([np.concatenate([one, one, other]), one[:1]], [1, 0])
    shared = color_statistics([one, other], [2, 1])
    np.testing.assert_allclose(shared.mean, both.mean, rtol=1e-12)
    np.testing.assert_allclose(shared.covariance, both.covariance, atol=1e-15)


def test_a_matched_picture_has_the_statistics_of_the_other(monkeypatch):
    monkeypatch.setattr(color_match, "_STRIP_PIXELS", 100)
    source, target = color_statistics([picture(2)]), color_statistics([picture(3, spread=0.03)])
    found = color_statistics([match_colors(picture(2), source, target)])
    np.testing.assert_allclose(found.mean, target.mean, atol=1e-6)
    # Both had 1e-5 added, which the map takes for colors.
    np.testing.assert_allclose(found.covariance, target.covariance, atol=2e-5)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_is_that_part_of_the_way_to_a_target_of_as_much_color(share):
    photo = picture(4, spread=0.02)
    source, target = color_statistics([photo]), color_statistics([picture(5, spread=0.03)])
    whole = match_colors(photo, source, target)
    found = match_colors(photo, source, target, share)
    np.testing.assert_allclose(found, photo + share * (whole - photo), atol=1e-6)


@pytest.mark.parametrize("rest", [0.25, 0.0])
def test_colors_go_further_to_a_target_of_less_color_and_lightness_does_not(rest):
    """With so much of the deviation of chroma; 1e-5 is added to all variances."""
    photo, share = picture(4, spread=0.02).astype(np.float64), 0.3
    gray = photo.mean(axis=2, keepdims=True)
    chroma = photo - gray
    source = color_statistics([photo])
    target = color_statistics([gray + rest * chroma])
    whole, found = (match_colors(photo, source, target, it) for it in (1.0, share))
    whole_gray, found_gray = (one.mean(axis=2, keepdims=True) for one in (whole, found))
    np.testing.assert_allclose(found_gray, gray + share * (whole_gray - gray), atol=1e-12)
    variance = (chroma**2).sum(axis=2).mean() - (chroma.mean(axis=(0, 1)) ** 2).sum()
    further = share ** np.sqrt((rest**2 * variance + 1e-5) / (variance + 1e-5))
    expected = chroma + further * (whole - whole_gray - chroma)
    np.testing.assert_allclose(found - found_gray, expected, atol=1e-12)


def test_gray_and_flat_pictures_do_no_harm():
    gray = np.repeat(picture(6)[..., :1], 3, axis=2)
    flat, colors = np.full_like(gray, 0.5), color_statistics([picture(7)])
    for one in (gray, flat):
        found = match_colors(one, color_statistics([one]), colors)
        np.testing.assert_allclose(found.reshape(-1, 3).mean(0), colors.mean, atol=1e-5)
    found = match_colors(picture(7), colors, color_statistics([flat]))
    assert np.abs(found - 0.5).max() < 0.1  # 1e-5 is added to the variance of the flat picture


def test_the_noise_of_a_nearly_gray_photo_is_no_color():
    gray = np.repeat(picture(8)[..., :1], 3, axis=2)
    noise = np.random.default_rng(0).uniform(-0.004, 0.004, gray.shape).astype(np.float32)
    source, colors = color_statistics([gray + noise]), color_statistics([picture(9, spread=0.1)])
    found = match_colors(gray + noise, source, colors)
    assert np.abs(found - match_colors(gray, source, colors)).max() <= 3.001 * np.sqrt(3) * 0.004
