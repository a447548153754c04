"""Weights of positions against NumPy, erosion by brute force, and the regions of positions."""

import numpy as np
import pytest

from nst_keras.objective.region_weights import eroded, places, region_weights
from nst_keras.objective.regions import MaskOptions
from nst_keras.objective.tiles import receptive_field
from tests.objective.conftest import NETWORK, TILED_STYLES

LAYER_OF_STRIDE_4 = NETWORK["block3_conv1"]


def soft_masks(height=70, width=90, count=3, seed=0):
    """Masks that add up to 1 at every place."""
    shares = np.random.default_rng(seed).random((count, height, width)) ** 3
    return list((shares / shares.sum(axis=0)).astype(np.float32))


def half(height=64, width=64):
    """The left half of a picture."""
    mask = np.zeros((height, width), np.float32)
    mask[:, : width // 2] = 1.0
    return mask


@pytest.mark.parametrize("layer", TILED_STYLES)
def test_a_position_weighs_the_mean_of_its_square(layer):
    masks, stride = soft_masks(), NETWORK[layer].stride
    found = region_weights(masks, NETWORK[layer], MaskOptions()).numpy()
    rows, columns = 70 // stride, 90 // stride
    assert found.shape == (1, rows, columns, 3)
    for number, mask in enumerate(masks):
        cut = mask[: rows * stride, : columns * stride].astype(np.float64)
        means = cut.reshape(rows, stride, columns, stride).mean(axis=(1, 3))
        np.testing.assert_allclose(found[0, ..., number], means, rtol=1e-6, atol=1e-7)


def test_guides_weigh_by_their_square():
    masks = soft_masks()
    plain = region_weights(masks, LAYER_OF_STRIDE_4, MaskOptions()).numpy()
    squared = region_weights(masks, LAYER_OF_STRIDE_4, MaskOptions(squared=True)).numpy()
    np.testing.assert_allclose(squared, plain**2, rtol=1e-6)


@pytest.mark.parametrize("radius", [1, 2, 3, 7, 40])
def test_erosion_takes_the_least_value_around(radius):
    (mask, _) = soft_masks(23, 31, 2)
    found = eroded(mask, radius)
    assert found.shape == mask.shape
    for row in range(0, 23, 3):
        for column in range(0, 31, 3):
            top, left = max(0, row - radius), max(0, column - radius)
            around = mask[top : row + radius + 1, left : column + radius + 1]
            assert found[row, column] == around.min()


def test_erosion_is_a_share_of_what_a_layer_sees():
    masks, halo = [half()], receptive_field([LAYER_OF_STRIDE_4]).halo
    found = region_weights(masks, LAYER_OF_STRIDE_4, MaskOptions(erosion=0.5)).numpy()[0, ..., 0]
    expected = half()
    expected[:, 32 - round(0.5 * halo) : 32] = 0.0
    means = expected.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    np.testing.assert_array_equal(found, means)


def test_thin_regions_stay_whole():
    mask = np.zeros((64, 64), np.float32)
    mask[:, 30:34] = 1.0
    plain = region_weights([mask], LAYER_OF_STRIDE_4, MaskOptions()).numpy()
    found = region_weights([mask], LAYER_OF_STRIDE_4, MaskOptions(erosion=1.0)).numpy()
    np.testing.assert_array_equal(found, plain)


def test_positions_belong_to_the_region_that_they_lie_in():
    found = places([half(), 1.0 - half()], 4, 16, 16)
    assert (found[:, :8] == 0).all() and (found[:, 8:] == 1).all()


def test_positions_where_nothing_is_belong_to_none():
    found = places([half() * 0.0, half()], 8, 8, 8)
    assert (found[:, :4] == 1).all() and (found[:, 4:] == -1).all()


@pytest.mark.parametrize("shares", [(0.3, 0.6), (0.5, 0.5), (0.05, 0.2)])
def test_soft_masks_share_positions_evenly(shares):
    masks = [np.full((256, 256), share, np.float32) for share in shares]
    found = places(masks, 4, 64, 64)
    for number, share in enumerate(shares):
        assert abs((found == number).mean() - share) < 0.01
        for quarter in (found[:32, :32], found[32:, 32:]):  # everywhere, not only in the mean
            assert abs((quarter == number).mean() - share) < 0.03
    none = 1.0 - sum(shares)
    assert abs((found == -1).mean() - none) < 0.01
