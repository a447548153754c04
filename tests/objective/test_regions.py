"""Regions: shares of styles, areas, turned styles."""

import numpy as np

from nst_keras.objective.regions import Region, StyleShare

MASK = np.array([[0.0, 1.0, 1.0], [0.5, 0.0, 0.5]], np.float32)


def test_the_area_is_the_mean_of_the_mask():
    assert Region(MASK, ()).area == 0.5


def test_shares_are_scaled_to_a_sum_of_1():
    region = Region(MASK, (StyleShare(3.0), StyleShare(1.0, MASK)))
    assert [own.share for own in region.with_shares_of_1().styles] == [0.75, 0.25]
    assert region.with_shares_of_1().styles[1].mask is MASK


def test_masks_of_styles_turn_with_these():
    turned = Region(MASK, (StyleShare(2.0), StyleShare(1.0, MASK))).with_turned_styles()
    assert [own.share for own in turned.styles] == [2.0] * 4 + [1.0] * 4
    assert [own.mask for own in turned.styles[:4]] == [None] * 4
    for turns, own in enumerate(turned.styles[4:]):
        np.testing.assert_array_equal(own.mask, np.rot90(MASK, turns))
