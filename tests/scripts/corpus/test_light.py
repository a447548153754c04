"""Color spaces of the made pictures, against values of their standards."""

import numpy as np
import pytest

from scripts.corpus import light


def test_srgb_joins_its_two_parts_and_has_middle_gray_where_the_standard_has_it():
    np.testing.assert_allclose(light.srgb_curve(np.array([0.0, 1.0])), [0, 1], atol=1e-12)
    assert light.srgb_curve(np.array([0.735357])) == pytest.approx([0.5], abs=1e-5)
    below, above = light.srgb_curve(np.array([0.04045 - 1e-9, 0.04045 + 1e-9]))
    assert above - below == pytest.approx(0, abs=1e-7)


def test_pq_has_the_luminances_of_its_table():
    # ITU-R BT.2100 in cd/m2 by signal; 10,000 is the top.
    found = light.pq(np.array([0.0, 0.508078, 0.751827, 1.0])) / light.pq(np.array(1.0))
    np.testing.assert_allclose(found, [0, 0.01, 0.1, 1], rtol=2e-4, atol=1e-12)


def test_hlg_is_a_square_below_and_a_logarithm_above():
    signal = np.array([0.0, 0.25, 0.5])
    scene, brightest = (light.hlg(it) ** (1 / 1.2) for it in (signal, np.array([1.0])))
    np.testing.assert_allclose(scene / scene[2], signal**2 * 4, atol=1e-9)
    assert brightest / scene[2] == pytest.approx([12], rel=1e-3)


def test_gamma_is_a_power():
    assert light.power(2.0)(np.array([0.5])) == pytest.approx([0.25])
