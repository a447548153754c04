"""Masks from flags and in memory: what they mean, and what is refused, in one line each."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from nst_keras.imaging import images
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.inputs import read_inputs, sources
from tests.conftest import picture

PHOTO, FIRST, SECOND = picture(40, 60, 1), picture(50, 50, 2), picture(30, 70, 3)
LEFT = np.zeros((40, 60), np.float32)
LEFT[:, :30] = 1.0
BASE = Config(size=48, objective="relative", style_layers=("block1_conv1",))


def read(tiny_weights, styles=(FIRST, SECOND), config=BASE, **masks):
    return read_inputs(resolve(config), PHOTO, list(styles), tiny_weights, **masks)


def refusal(tiny_weights, *arguments, **options):
    with pytest.raises(InputError) as caught:
        read(tiny_weights, *arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_masks_there_are_none(tiny_weights):
    found = read(tiny_weights).masks
    assert (found.regions, found.keep, found.of_styles, found.automatic) == ((), None, (), 0)
    assert found.all == []


def test_each_style_has_its_mask_and_rest_is_what_is_left(tiny_weights):
    found = read(tiny_weights, style_mask=[LEFT, "rest"]).masks
    np.testing.assert_array_equal(found.regions[0], LEFT)
    np.testing.assert_array_equal(found.regions[1], 1.0 - LEFT)
    assert found.keep is None


def test_keep_takes_its_part_from_the_styles(tiny_weights):
    found = read(tiny_weights, [FIRST, "keep"], style_mask=["rest", LEFT]).masks
    np.testing.assert_array_equal(found.keep, LEFT)
    np.testing.assert_array_equal(found.regions[0], 1.0 - LEFT)
    everywhere = np.ones_like(LEFT)
    found = read(tiny_weights, [FIRST, "keep"], style_mask=[everywhere, LEFT]).masks
    np.testing.assert_array_equal(found.regions[0], 1.0 - LEFT)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.uint16, np.float64])
def test_masks_are_arrays_of_any_kind(tiny_weights, kind):
    top = {bool: 1, np.uint8: 255, np.uint16: 65535, np.float64: 1}[kind]
    found = read(tiny_weights, style_mask=[(LEFT * top).astype(kind), "rest"]).masks
    np.testing.assert_allclose(found.regions[0], LEFT, atol=1e-6)


def test_a_mask_of_another_size_is_used(tiny_weights):
    small, large = LEFT[::2, ::2], np.repeat(np.repeat(LEFT, 3, 0), 3, 1)
    for mask in (small, large):
        found = read(tiny_weights, style_mask=[mask, "rest"]).masks
        # Borders are at whole pixels of all three.
        np.testing.assert_allclose(found.regions[0].mean(), 0.5, atol=1e-3)


def test_masks_are_cropped_with_the_content(tiny_weights):
    config = dataclasses.replace(BASE, fit="crop")
    found = read(tiny_weights, config=config, style_mask=[LEFT, "rest"]).masks
    np.testing.assert_array_equal(found.regions[0], LEFT[:, 10:50])
    again = read(tiny_weights, config=config, style_mask=[found.regions[0], "rest"]).masks
    np.testing.assert_array_equal(again.regions[0], found.regions[0])


def test_parts_of_styles(tiny_weights):
    part = np.zeros((50, 50), np.float32)
    part[:20] = 1.0
    found = read(tiny_weights, style_region=[part, "all"]).masks
    np.testing.assert_array_equal(found.of_styles[0], part)
    assert found.of_styles[1] is None and found.regions == ()


def test_a_picture_of_flat_colors(tiny_weights):
    colors = np.where(LEFT[..., None] > 0, (255, 0, 0), (0, 0, 255)).astype(np.uint8)
    config = dataclasses.replace(BASE, region_colors=("blue", "#ff0000"))
    found = read(tiny_weights, config=config, regions=colors).masks
    np.testing.assert_array_equal(found.regions[0], 1.0 - LEFT)
    np.testing.assert_array_equal(found.regions[1], LEFT)


def test_files_are_hashed_turned_and_read_with_their_alpha(tiny_weights, tmp_path):
    paths = {name: str(tmp_path / f"{name}.png") for name in ("photo", "first", "paint", "turned")}
    images.write_image(paths["photo"], PHOTO)
    images.write_image(paths["first"], FIRST)
    paint = np.zeros((40, 60, 4), np.uint8)
    paint[:, :30, 3] = 255  # black on a transparent ground
    Image.fromarray(paint).save(paths["paint"])
    turned = Image.fromarray((LEFT * 255).astype(np.uint8)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 270 degrees
    turned.save(paths["turned"], exif=exif)
    for name in ("paint", "turned"):
        config = dataclasses.replace(
            BASE,
            content=paths["photo"],
            style=(paths["first"], "keep"),
            style_mask=("rest", paths[name]),
        )
        settings = resolve(config)
        assert [own.name for own in sources(settings)[:3]] == [
            *("content", "style 1", "style mask 2")
        ]
        found = read_inputs(settings, weights=tiny_weights)
        np.testing.assert_allclose(found.masks.keep, LEFT, atol=0.01)
        assert {"content", "style 1", "style mask 2"} <= found.hashes.keys()


def test_automatic_regions_are_counted(tiny_weights):
    assert read(tiny_weights, regions="auto").masks.automatic == 3
    assert read(tiny_weights, regions="auto:5").masks.automatic == 5


BLACK = np.zeros((40, 60), np.float32)
EDGE = BLACK.copy()
EDGE[:, :5] = 1.0


@pytest.mark.parametrize(
    ("styles", "settings", "masks", "said"),
    [
        ((FIRST, SECOND), {}, {"style_mask": [LEFT]}, "has 1 mask, but --style has 2 entries"),
        ((FIRST,), {}, {"style_mask": [LEFT, LEFT]}, "has 2 masks, but --style has 1 entry"),
        ((FIRST,), {}, {"style_mask": [LEFT.T]}, "is 40x60, but the content is 60x40"),
        ((FIRST,), {}, {"style_mask": [BLACK]}, "style mask 1: is black everywhere"),
        ((FIRST,), {}, {"style_region": [LEFT]}, "is 60x40, but the style 1 is 50x50"),
        ((FIRST, "keep"), {}, {"style_mask": [LEFT, LEFT]}, "nothing is left for entry 1 of"),
        ((FIRST, "keep"), {}, {}, "keep needs --style_mask"),
        (("keep",), {}, {"style_mask": [LEFT]}, "give at least one picture"),
        ((FIRST, "keep", "keep"), {}, {"style_mask": [LEFT] * 3}, "keep twice"),
        ((FIRST, SECOND), {}, {"style_mask": ["rest", "rest"]}, "rest twice"),
        ((FIRST,), {}, {"style_mask": ["all"]}, "all is not a mask here; rest is"),
        ((FIRST,), {}, {"style_region": ["rest"]}, "rest is not a mask here; all is"),
        ((FIRST,), {}, {"style_mask": [LEFT], "regions": "auto"}, "give one of them"),
        ((FIRST,), {}, {"regions": "auto:9"}, "must be one of auto, auto:2"),
        ((FIRST, SECOND), {"style_blend": (1, 2)}, {"style_mask": [LEFT, "rest"]}, "--style_blend"),
        ((FIRST,), {"region_weights": (1, 2)}, {"style_mask": [LEFT]}, "2 values, but there is 1"),
        ((FIRST,), {"region_weights": (0,)}, {"style_mask": [LEFT]}, "at least one must be above"),
        ((FIRST,), {}, {"style_mask": [LEFT.astype(int)]}, "has 0.0039 as its largest value"),
        (
            (FIRST,),
            {},
            {"style_region": ["all"], "regions": "auto"},
            "finds the parts of the styles",
        ),
        ((FIRST,), {"fit": "crop"}, {"style_mask": [EDGE]}, "has no white in the part"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tiny_weights, styles, settings, masks, said):
    config = dataclasses.replace(BASE, **settings)
    assert said in refusal(tiny_weights, styles, config, **masks)


FLAT = np.where(LEFT[..., None] > 0, (255, 0, 0), (0, 0, 255)).astype(np.uint8)
JPEG_LIKE = FLAT.copy()
JPEG_LIKE[:, 29:31] = (130, 0, 120)


@pytest.mark.parametrize(
    ("regions", "colors", "said"),
    [
        (FLAT, (), "give one color for each entry of --style, of which there are 2; regions has #"),
        (FLAT, ("red",), "#0000ff (50%)"),
        (FLAT, ("red", "red"), "names a color twice"),
        (FLAT, ("red", "bleu"), "bleu: is no color; give #rrggbb"),
        (FLAT[:, 30:].repeat(2, axis=1), ("red", "blue"), "red is nowhere in regions"),
        (JPEG_LIKE, ("red", "blue"), "such as #820078, next to #"),
        (FLAT.swapaxes(0, 1), ("red", "blue"), "is 40x60, but the content is 60x40"),
    ],
)
def test_region_pictures_that_do_not_fit_are_refused(tiny_weights, regions, colors, said):
    config = dataclasses.replace(BASE, region_colors=colors)
    assert said in refusal(tiny_weights, config=config, regions=regions)


def test_a_small_region_is_noted(tiny_weights):
    small = np.zeros((40, 60), np.float32)
    small[:5, :5] = 1.0
    config = dataclasses.replace(BASE, style_layers=("block5_conv1",))
    (note,) = read(tiny_weights, config=config, style_mask=[small, "rest"]).notes
    assert "style 1 is small: 1.0% of the picture" in note and "block5_conv1" in note


def test_masks_much_larger_than_the_run_needs_are_reduced(tiny_weights):
    large = np.repeat(np.repeat(FLAT, 10, 0), 10, 1)
    config = dataclasses.replace(BASE, region_colors=("red", "blue"))
    found = read(tiny_weights, config=config, regions=large).masks
    assert [mask.shape for mask in found.regions] == [(96, 144)] * 2  # three times the size
    np.testing.assert_allclose(sum(found.regions), 1.0, atol=1e-6)
