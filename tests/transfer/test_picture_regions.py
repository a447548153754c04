"""Regions of a picture at any size, and colors matched region by region."""

import numpy as np
import pytest

from nst_keras.imaging.color_match import color_statistics, match_colors
from nst_keras.objective.regions import Region, StyleShare
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.mask_inputs import Masks
from nst_keras.transfer.picture_regions import PictureRegions, common_regions, given_regions
from tests.conftest import picture

PHOTO, STYLES = picture(40, 60, 1), [picture(50, 50, 2), picture(30, 70, 3)]
LEFT = np.zeros((40, 60), np.float32)
LEFT[:, :30] = 1.0
SETTINGS = resolve(Config(region_weights=(1.0, 3.0)))


def by_sides():
    return given_regions(Masks((LEFT, 1.0 - LEFT)), SETTINGS, PHOTO, STYLES)


def test_each_style_has_a_region_for_itself():
    first, second = by_sides().regions
    assert [own.share for own in first.styles] == [1.0, 0.0]
    assert [own.share for own in second.styles] == [0.0, 1.0]
    assert (first.weight, second.weight) == (1.0, 3.0)
    assert first.area == second.area == 0.5


def test_no_masks_make_no_regions():
    found = given_regions(Masks(), resolve(Config()), PHOTO, STYLES)
    assert found == PictureRegions((), None)


def test_parts_of_styles_alone_make_one_region_of_all():
    part = np.ones((50, 50), np.float32)
    settings = resolve(Config(style_blend=(1.0, 3.0)))
    (region,) = given_regions(Masks(of_styles=(part, None)), settings, PHOTO, STYLES).regions
    assert region.area == 1.0
    assert [own.share for own in region.styles] == [1.0, 3.0]
    assert region.styles[1].mask is None


def test_masks_get_the_sizes_of_a_scale():
    keep = np.ones((20, 30), np.float32)
    part = np.ones((25, 25), np.float32)
    masks = Masks((LEFT,), keep, (part,))
    regions = given_regions(masks, resolve(Config()), PHOTO, STYLES[:1])
    (region,) = regions.at((13, 19), [(11, 11)])
    assert region.mask.shape == (13, 19) and region.styles[0].mask.shape == (11, 11)
    assert (regions.keep_at(13, 19) == 1.0).all()


def test_a_part_counts_in_a_style_as_much_as_the_style_has_of_it():
    of_photo = [LEFT, 1.0 - LEFT]
    none, all_of_it = np.zeros((50, 50), np.float32), np.ones((50, 50), np.float32)
    third = np.full((30, 70), 0.25, np.float32)
    settings = resolve(Config())
    first, second = common_regions(
        of_photo, [[none, all_of_it], [third, 1.0 - third]], settings
    ).regions
    assert [own.share for own in first.styles] == [0.0, 0.25]
    assert [own.share for own in second.styles] == [1.0, 0.75]
    first, _ = common_regions(of_photo, [[none, all_of_it], [0 * third, third]], settings).regions
    # No style has anything of it.
    assert [(own.share, own.mask) for own in first.styles] == [(1.0, None), (1.0, None)]


def test_each_region_of_the_photo_gets_the_colors_of_its_style():
    found = by_sides().in_style_colors(PHOTO, STYLES, 1.0)
    for side, style in ((np.s_[:, :30], STYLES[0]), (np.s_[:, 30:], STYLES[1])):
        part = PHOTO[side]
        expected = match_colors(part, color_statistics([part]), color_statistics([style]))
        np.testing.assert_allclose(found[side], expected, atol=1e-5)


def test_what_belongs_to_no_region_keeps_its_colors():
    regions = given_regions(Masks((0.5 * LEFT, 0 * LEFT + 0)), SETTINGS, PHOTO, STYLES)
    found = regions.in_style_colors(PHOTO, STYLES, 1.0)
    np.testing.assert_array_equal(found[:, 30:], PHOTO[:, 30:])
    assert np.abs(found[:, :30] - PHOTO[:, :30]).max() > 0.01


def test_each_style_gets_the_colors_of_its_region_of_the_photo():
    found = by_sides().styles_in_photo_colors(PHOTO, STYLES, 1.0)
    for own, style, side in zip(found, STYLES, (np.s_[:, :30], np.s_[:, 30:]), strict=True):
        target = color_statistics([PHOTO[side]])
        expected = match_colors(style, color_statistics([style]), target)
        np.testing.assert_allclose(own, expected, atol=1e-5)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_statistics_of_a_mask_are_those_of_its_pixels(share):
    found = color_statistics([PHOTO], masks=[share * LEFT])
    expected = color_statistics([PHOTO[:, :30]])
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-12)


def test_a_style_that_several_regions_use_is_recolored_once():
    white = np.full_like(PHOTO, 0.8)
    shares = (StyleShare(1.0),), (StyleShare(1.0, np.ones((50, 50), np.float32)),)
    regions = PictureRegions(
        tuple(Region(mask, own) for mask, own in zip((LEFT, 1 - LEFT), shares, strict=True))
    )
    (found,) = regions.styles_in_photo_colors(white, STYLES[:1], 1.0)
    np.testing.assert_allclose(found.mean(), 0.8, atol=0.02)
