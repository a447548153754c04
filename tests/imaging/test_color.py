"""From samples of all kinds to sRGB: depths, transparency, color profiles."""

import struct
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from nst_keras.imaging import color
from nst_keras.imaging.images import read_image
from tests.imaging.conftest import ADOBE, adobe_profile, fixed, flat, icc, png, rows, save

# Primaries of sRGB, adapted to the white D50, one row each.
SRGB = np.array(
    [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
)


NOTES = {
    "some": "transparency was composited over white",
    "all": "it is transparent everywhere, so all of it is white",
}


def cmyk_profile():
    """No ink is white, cyan alone is Lab (60, -20, -20), every other corner black."""
    corners = np.zeros((2, 2, 2, 2, 3), np.uint8) + np.uint8([0, 128, 128])
    corners[0, 0, 0, 0] = 255, 128, 128
    corners[1, 0, 0, 0] = 153, 108, 108
    identity = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += identity * 4 + corners.tobytes() + identity * 3
    return icc(b"prtr", b"CMYK", b"Lab ", "Four inks", {b"A2B0": lut})


def xyz_to_srgb(values):
    linear = np.clip(np.asarray(values) @ np.linalg.inv(SRGB), 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def lab_to_srgb(lightness, a, b):
    y = (lightness + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    return xyz_to_srgb(np.where(f > 6 / 29, f**3, (f - 16 / 116) * 108 / 841) * [0.9642, 1, 0.8249])


def test_gray_of_16_bits_keeps_its_steps(tmp_path):
    values = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    for name in ("a.png", "a.tif"):
        picture = save(tmp_path / name, Image.fromarray(values))
        assert picture.notes == ()
        for channel in range(3):
            np.testing.assert_array_equal(
                picture.pixels[..., channel], (values / 65535).astype(np.float32)
            )


def test_gray_of_16_bits_with_a_transparent_value(tmp_path):
    values = np.full((16, 16), 6553, np.uint16)
    values[0] = 1000
    path = tmp_path / "a.png"
    path.write_bytes(png((16, 16, 16, 0), rows(values), (b"tRNS", struct.pack(">H", 1000))))
    picture = read_image(path)
    np.testing.assert_array_equal(picture.pixels[0], 1)
    np.testing.assert_allclose(picture.pixels[1:], 6553 / 65535, rtol=1e-6)
    assert picture.notes == ("transparency was composited over white",)


def test_without_its_decoder_color_of_16_bits_is_read_with_8(tmp_path, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    path = tmp_path / "a.png"
    path.write_bytes(png((40, 32, 16, 2), rows(photo.astype(np.uint16) * 257)))
    picture = read_image(path)
    np.testing.assert_allclose(picture.pixels * 255, photo, atol=1e-4)
    (note,) = picture.notes
    assert note.startswith("16-bit color was read with 8 bits; after pip install '.[tiff]'")


def test_floats_inside_the_range_are_kept_and_others_stretched(tmp_path):
    ramp = np.linspace(0, 0.5, 256, dtype=np.float32).reshape(16, 16)
    picture = save(tmp_path / "a.tif", Image.fromarray(ramp))
    np.testing.assert_array_equal(picture.pixels[..., 0], ramp)
    assert picture.notes == ()
    picture = save(tmp_path / "b.tif", Image.fromarray(ramp * 40 - 10))
    np.testing.assert_allclose(picture.pixels[..., 2], ramp * 2, atol=1e-6)
    assert picture.notes == ("gray values from -10 to 10 were scaled to run from black to white",)
    ramp[0, 0] = np.nan
    assert save(tmp_path / "c.tif", Image.fromarray(ramp)).pixels[0, 0, 0] == 0


def test_whole_numbers_of_32_bits(tmp_path):
    values = np.full((16, 16), 13107, np.int32)
    np.testing.assert_allclose(save(tmp_path / "a.tif", Image.fromarray(values)).pixels, 0.2)
    values[0, 0], values[0, 1] = -100, 100_000
    picture = save(tmp_path / "b.tif", Image.fromarray(values))
    np.testing.assert_allclose(picture.pixels[0, :3, 0], [0, 1, 13207 / 100_100], rtol=1e-6)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("RGBA", (100, 200, 0, 51), (224, 244, 204)),  # 255 - (255 - c) / 5
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("LA", (55, 102), (175, 175, 175)),  # 55 * 0.4 + 255 * 0.6
    ],
)
def test_transparency_over_white(tmp_path, mode, color, expected):
    picture = save(tmp_path / "a.png", flat(mode, color))
    np.testing.assert_allclose(picture.pixels[3, 4] * 255, expected, atol=1e-4)
    assert picture.notes == (NOTES["some" if color[-1] else "all"],)


def test_an_opaque_alpha_changes_nothing(tmp_path, photo):
    image = Image.fromarray(photo).convert("RGBA")
    picture = save(tmp_path / "a.png", image)
    np.testing.assert_allclose(picture.pixels * 255, photo, atol=1e-4)
    assert picture.notes == ()


@pytest.mark.parametrize(
    ("name", "transparency", "expected"),
    [
        ("a.gif", 1, (255, 255, 255)),
        ("a.png", 1, (255, 255, 255)),
        ("a.png", bytes([255, 51]), (224, 244, 204)),
    ],
)
def test_palette_with_transparency(tmp_path, name, transparency, expected):
    image = flat("P", 0)
    image.putpalette([10, 20, 30, 100, 200, 0])
    image.paste(1, (0, 0, 8, 16))
    picture = save(tmp_path / name, image, transparency=transparency)
    np.testing.assert_allclose(picture.pixels[5, 3] * 255, expected, atol=1e-4)
    np.testing.assert_allclose(picture.pixels[5, 12] * 255, (10, 20, 30), atol=1e-4)


def test_an_rgb_picture_without_a_profile_is_not_copied(photo):
    image = Image.fromarray(photo)
    assert color._without_profile(image, []) is image


def test_one_bit_and_gray(tmp_path):
    board = np.indices((16, 16)).sum(0) % 2 == 0
    picture = save(tmp_path / "a.png", Image.fromarray(board))
    np.testing.assert_array_equal(picture.pixels, np.repeat(board[..., None], 3, 2))
    picture = save(tmp_path / "b.png", flat("L", 51))
    np.testing.assert_allclose(picture.pixels, 0.2, rtol=1e-6)


@pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
def test_other_color_modes(photo, mode):
    image = Image.fromarray(photo)
    pixels = color.to_srgb(image.convert(mode), [])
    assert np.abs(pixels * 255 - photo).mean() < 2


def test_cmyk_without_a_profile(tmp_path):
    for name in ("a.tif", "a.jpg"):
        picture = save(tmp_path / name, flat("CMYK", (0, 255, 51, 0)))
        np.testing.assert_allclose(picture.pixels[8, 8] * 255, (255, 0, 204), atol=2)
        assert picture.notes[0].startswith("CMYK without a profile")


def test_cmyk_with_a_profile(tmp_path):
    image = flat("CMYK", (255, 0, 0, 0))
    image.paste((0, 0, 0, 0), (0, 0, 8, 16))
    picture = save(tmp_path / "a.tif", image, icc_profile=cmyk_profile())
    np.testing.assert_allclose(picture.pixels[8, 3], 1, atol=1.5 / 255)
    np.testing.assert_allclose(picture.pixels[8, 12], lab_to_srgb(60, -20, -20), atol=2 / 255)
    assert picture.notes == ("the color profile 'Four inks' was converted to sRGB",)


def test_lab(tmp_path):
    picture = save(tmp_path / "a.tif", flat("LAB", (153, 148, 108)))
    np.testing.assert_allclose(picture.pixels[0, 0], lab_to_srgb(60, 20, -20), atol=2 / 255)


def test_a_wide_profile_is_converted_to_srgb(tmp_path, photo):
    muted = (photo // 4 + 90).astype(np.uint8)  # inside sRGB, so that nothing clips
    expected = xyz_to_srgb((muted / 255) ** 2.19921875 @ ADOBE)
    assert np.abs(expected - muted / 255).max() > 0.03
    for name in ("a.png", "a.tif"):
        picture = save(tmp_path / name, Image.fromarray(muted), icc_profile=adobe_profile())
        np.testing.assert_allclose(picture.pixels, expected, atol=1.5 / 255)
        assert picture.notes == ("the color profile 'Adobe-like' was converted to sRGB",)


def test_profile_first_then_white_behind(tmp_path):
    image = flat("RGBA", (120, 160, 100, 51))
    picture = save(tmp_path / "a.png", image, icc_profile=adobe_profile())
    color = xyz_to_srgb((np.array([120, 160, 100]) / 255) ** 2.19921875 @ ADOBE)
    np.testing.assert_allclose(picture.pixels[0, 0], 0.2 * color + 0.8, atol=0.5 / 255)
    assert len(picture.notes) == 2


def test_an_srgb_profile_changes_nothing(tmp_path, photo):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = save(tmp_path / "a.png", Image.fromarray(photo), icc_profile=profile)
    np.testing.assert_allclose(picture.pixels * 255, photo, atol=1)
    assert picture.notes == ()


@pytest.mark.parametrize("profile", [b"no profile at all", adobe_profile()[:200], cmyk_profile()])
def test_a_profile_that_does_not_fit_is_ignored_and_said(tmp_path, photo, profile):
    picture = save(tmp_path / "a.png", Image.fromarray(photo), icc_profile=profile)
    np.testing.assert_allclose(picture.pixels * 255, photo, atol=1e-4)
    assert picture.notes == (
        "a color profile was ignored because it is damaged or does not match the pixel format",
    )


def gray_profile(exponent):
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))
    return icc(b"mntr", b"GRAY", b"XYZ ", "Dark gray", {b"kTRC": curve})


def test_a_profile_of_deep_gray_is_applied_at_full_depth(tmp_path):
    values = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    for name in ("a.png", "a.tif"):
        picture = save(tmp_path / name, Image.fromarray(values), icc_profile=gray_profile(1.0))
        light = values / 65535
        expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        np.testing.assert_allclose(picture.pixels[..., 1], expected, atol=1e-6)
        assert picture.notes == ("the color profile was converted to sRGB",)


def test_deep_gray_stays_deep_where_a_profile_of_color_does_not_fit(tmp_path):
    values = np.arange(16 * 16, dtype=np.uint16).reshape(16, 16) + 20_000
    for name in ("a.png", "a.tif"):
        picture = save(tmp_path / name, Image.fromarray(values), icc_profile=adobe_profile())
        np.testing.assert_allclose(picture.pixels[..., 1], values / 65535, atol=1e-7)
        assert len(picture.notes) == 1 and "does not match the pixel format" in picture.notes[0]


def test_the_curve_of_a_gray_profile_gives_lightness_if_it_says_so(tmp_path):
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256)  # a gamma of 1
    profile = icc(b"mntr", b"GRAY", b"Lab ", "Lightness", {b"kTRC": curve})
    pixels = {}
    for kind, white in ((np.uint8, 255), (np.uint16, 65535)):
        values = (np.linspace(0, 1, 256).reshape(16, 16) * white).round().astype(kind)
        picture = save(tmp_path / "a.png", Image.fromarray(values), icc_profile=profile)
        pixels[kind] = picture.pixels
    np.testing.assert_allclose(pixels[np.uint16], pixels[np.uint8], atol=2 / 255)
