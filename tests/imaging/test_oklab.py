"""Oklab: published values, the way back, and colors that sRGB does not have."""

import numpy as np
import pytest

from nst_keras.imaging import oklab
from nst_keras.imaging.color_spaces import srgb_values


@pytest.mark.parametrize(
    ("xyz", "lab"),  # the table of Ottosson's article, rounded there to three digits
    [
        ((0.950, 1.000, 1.089), (1.000, 0.000, 0.000)),
        ((1.000, 0.000, 0.000), (0.450, 1.236, -0.019)),
        ((0.000, 1.000, 0.000), (0.922, -0.671, 0.263)),
        ((0.000, 0.000, 1.000), (0.153, -1.415, -0.449)),
    ],
)
def test_the_examples_of_its_author(xyz, lab):
    to_srgb = np.linalg.inv(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750]]
        + [[0.0193339, 0.1191920, 0.9503041]]
    )
    light = to_srgb @ xyz
    found = np.cbrt(light @ oklab._TO_CONES.T) @ oklab._TO_LAB.T
    np.testing.assert_allclose(found, lab, atol=2e-3)


def test_it_leads_back_to_all_colors_of_srgb():
    axis = np.linspace(0, 1, 18)
    colors = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 1, 3)
    found = oklab.to_srgb(oklab.to_oklab(colors))
    # Light may be 1e-4 outside of its range before it is clipped; float32 rounds to 6e-8.
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, colors, atol=1e-6)


def test_grays_have_no_color():
    grays = np.repeat(np.linspace(0, 1, 50), 3).reshape(-1, 3)
    np.testing.assert_allclose(oklab.to_oklab(grays)[:, 1:], 0.0, atol=1e-7)


def test_a_color_out_of_gamut_keeps_its_lightness_and_hue():
    wanted = np.array([[0.7, 0.3, 0.1], [0.5, -0.3, 0.0], [0.2, 0.0, -0.4]])
    found = oklab.to_oklab(oklab.to_srgb(wanted))
    np.testing.assert_allclose(found[:, 0], wanted[:, 0], atol=5e-3)  # of the tolerated light
    angles = [np.arctan2(it[:, 2], it[:, 1]) for it in (found, wanted)]
    np.testing.assert_allclose(*angles, atol=2e-2)
    chroma = [np.hypot(it[:, 1], it[:, 2]) for it in (found, wanted)]
    assert (chroma[0] < 0.9 * chroma[1]).all() and (chroma[0] > 0.05).all()


def test_light_of_srgb_values():
    np.testing.assert_allclose(srgb_values(np.array([0.0, 0.2140411, 1.0])), [0, 0.5, 1], atol=1e-6)
