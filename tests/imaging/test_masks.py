"""Masks from pictures, from flat colors, and masks that share a picture."""

import numpy as np
import pytest

from nst_keras.imaging import geometry, masks

GRAY = np.linspace(0.0, 1.0, 20 * 30, dtype=np.float32).reshape(20, 30)


def colored(plane):
    return np.repeat(plane[..., None], 3, axis=-1)


def never():
    raise AssertionError("the picture need not be read again")


def test_a_gray_picture_is_its_mask():
    np.testing.assert_allclose(masks.mask_of(colored(GRAY), never), GRAY, atol=1e-6)


def test_black_paint_on_a_transparent_ground_is_the_mask():
    alpha = GRAY > 0.5
    over_white = colored(1.0 - alpha.astype(np.float32))
    found = masks.mask_of(np.zeros((20, 30, 3), np.float32), lambda: over_white)
    np.testing.assert_array_equal(found, alpha)


@pytest.mark.parametrize("over_white", [0.0, 1.0])  # opaque, transparent everywhere
def test_a_black_picture_is_an_empty_mask(over_white):
    black = np.zeros((20, 30, 3), np.float32)
    assert not masks.mask_of(black, lambda: np.full_like(black, over_white)).any()


def flat_picture(*colors):
    return np.repeat(np.array(colors, np.float32)[:, None], 10, axis=1) / 255


def test_each_color_is_a_mask():
    picture = flat_picture((255, 0, 0), (0, 128, 255), (255, 0, 0))
    red, blue = masks.color_masks(picture, [(255, 0, 0), (0, 128, 255)])
    np.testing.assert_array_equal(red[:, 0], [1, 0, 1])
    np.testing.assert_array_equal(blue[:, 0], [0, 1, 0])


def test_colors_that_are_no_region_are_refused_with_the_nearest():
    picture = flat_picture((255, 0, 0), (250, 4, 0), (0, 0, 255), (0, 0, 255))
    with pytest.raises(ValueError, match=r"10 of its pixels \(25 %\)") as caught:
        masks.color_masks(picture, [(0, 0, 255), (255, 0, 0)])
    assert "#fa0400, next to #ff0000" in str(caught.value) and "PNG" in str(caught.value)


def test_the_colors_of_a_picture_are_listed_by_their_area():
    picture = flat_picture((255, 0, 0), (0, 0, 255), (0, 0, 255), (1, 2, 3))
    assert masks.common_colors(picture, 2) == [("#0000ff", 0.5), ("#010203", 0.25)]


@pytest.mark.parametrize(
    ("mask", "picture", "fits"),
    [
        ((768, 1024), (768, 1024), True),
        ((384, 512), (768, 1024), True),
        ((33, 50), (437, 656), True),  # rounded
        ((1024, 768), (768, 1024), False),
        ((768, 1000), (768, 1024), False),
        ((512, 512), (768, 1024), False),
    ],
)
def test_masks_have_the_shape_of_their_picture(mask, picture, fits):
    assert masks.has_shape_of(mask, picture) is fits
    assert masks.has_shape_of(picture, mask) is fits


def test_masks_that_overlap_are_reduced_alike_and_what_is_kept_comes_first():
    one = np.array([[1.0, 1.0, 0.25, 0.0]], np.float32)
    two = np.array([[1.0, 0.5, 0.25, 0.0]], np.float32)
    keep = np.array([[0.0, 0.25, 0.0, 1.0]], np.float32)
    first, second = masks.shared_out([one, two], keep)
    np.testing.assert_allclose(first, [[0.5, 0.5, 0.25, 0.0]])
    np.testing.assert_allclose(second, [[0.5, 0.25, 0.25, 0.0]])
    alone, _ = masks.shared_out([one, 0 * one], None)
    np.testing.assert_array_equal(alone, one)


@pytest.mark.parametrize("size", [(17, 23), (40, 60), (113, 91)])
def test_a_full_mask_stays_full_when_it_is_resized(size):
    full = geometry.resize_mask(np.ones((20, 30), np.float32), *size)
    assert (masks.filled(full) == 1.0).all()


@pytest.mark.parametrize("size", [(13, 17), (40, 60), (77, 33)])
def test_masks_keep_their_sum_when_they_are_resized(size):
    rest = 1.0 - GRAY
    total = geometry.resize_mask(GRAY, *size) + geometry.resize_mask(rest, *size)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)
