"""PNGs of 16-bit color keep all of their levels."""

import struct
import sys
import zlib

import numpy as np
import pytest

from nst_keras.imaging import color_spaces
from nst_keras.imaging.deep import write_deep
from nst_keras.imaging.deep_png import is_deep_png
from nst_keras.imaging.images import read_image
from nst_keras.runtime.errors import InputError
from tests.imaging.conftest import png, rows

pytest.importorskip("imagecodecs")

LEVELS = np.arange(65536, dtype=np.uint16).reshape(256, 256)
COLORS = np.stack([LEVELS, LEVELS[::-1], LEVELS.T], -1)
RGB, GRAY_ALPHA, RGB_ALPHA = 2, 4, 6  # color types
EXIF_TURNED = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6


def read(folder, kind, samples, *chunks, **options):
    path = folder / "deep.png"
    height, width = samples.shape[:2]
    path.write_bytes(png((width, height, 16, kind), rows(samples), *chunks))
    return read_image(path, **options)


def test_all_levels_are_kept(tmp_path):
    picture = read(tmp_path, RGB, COLORS)
    # Floats of 24 bits: half of a 16-bit level is many times their rounding.
    np.testing.assert_array_equal(np.rint(picture.pixels * 65535), COLORS)
    assert picture.notes == ()


def test_what_is_written_with_16_bits_comes_back(tmp_path):
    pixels = (COLORS / np.float32(65535)).astype(np.float32)
    write_deep(tmp_path / "a.png", pixels)
    found = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(np.rint(found.pixels * 65535), COLORS)
    assert found.notes == ()


def test_transparency_is_composited_over_white(tmp_path):
    alpha = np.full((256, 256, 1), 16384, np.uint16)
    picture = read(tmp_path, RGB_ALPHA, np.dstack([COLORS, alpha]))
    share = 16384 / 65535
    np.testing.assert_allclose(picture.pixels, 1 - share * (1 - COLORS / 65535), atol=1e-6)
    assert picture.notes == ("transparency was composited over white",)
    gray = read(tmp_path, GRAY_ALPHA, np.dstack([LEVELS, alpha]))
    expected = np.repeat((1 - share * (1 - LEVELS / 65535))[..., None], 3, 2)
    np.testing.assert_allclose(gray.pixels, expected, atol=1e-6)


def test_light_in_other_units_is_converted_at_full_depth(tmp_path):
    picture = read(tmp_path, RGB, COLORS, (b"gAMA", struct.pack(">I", 100000)))  # linear light
    expected = color_spaces.srgb_values(COLORS / 65535)
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)
    assert picture.notes == ("colors were converted from linear light to sRGB",)


def test_a_photo_of_display_p3_is_converted_as_its_definition_says(tmp_path):
    chunk = (b"cICP", bytes([12, 13, 0, 1]))  # the primaries of P3, and the curve of sRGB
    colors = (0.2 + 0.5 * np.random.default_rng(2).random((40, 50, 3))) * 65535
    picture = read(tmp_path, RGB, colors.astype(np.uint16), chunk)
    space = color_spaces.from_cicp(12, 13)
    expected = space.to_srgb((colors.astype(np.uint16) / 65535).astype(np.float32))
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)


def test_it_is_turned_as_its_exif_data_say(tmp_path):
    samples = COLORS[:40, :60]
    picture = read(tmp_path, RGB, samples, (b"eXIf", EXIF_TURNED))
    expected = np.rot90(samples, -1)
    assert picture.size == (60, 40)
    np.testing.assert_array_equal(np.rint(picture.pixels * 65535), expected)


def test_a_large_one_is_averaged_to_what_is_enough(tmp_path):
    picture = read(tmp_path, RGB, COLORS, enough=64)
    expected = COLORS.reshape(64, 4, 64, 4, 3).mean((1, 3)) / 65535
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-5)
    assert picture.size == (256, 256)
    # What is transparent has no part in a mean.
    hidden = np.dstack([COLORS, np.full((256, 256), 65535, np.uint16)])
    hidden[::2, :, :3], hidden[::2, :, 3] = 0, 0
    picture = read(tmp_path, RGB_ALPHA, hidden, enough=128)
    own = COLORS[1::2].reshape(128, 128, 2, 3).mean(2) / 65535
    np.testing.assert_allclose(picture.pixels, 0.5 + 0.5 * own, atol=1e-5)


def test_damaged_and_cut_ones_are_refused_as_others_are(tmp_path):
    data = png((256, 256, 16, RGB), rows(COLORS))
    for name, bad in (("cut", data[: len(data) // 2]), ("short", data[:200])):
        path = tmp_path / f"{name}.png"
        path.write_bytes(bad)
        with pytest.raises(InputError, match="damaged or cut short"):
            read_image(path)


def test_it_is_refused_where_memory_does_not_hold_it(tmp_path):
    with pytest.raises(InputError, match="256x256 px takes about"):
        read(tmp_path, RGB, COLORS, max_bytes=1 << 20)


def test_others_are_left_to_pillow(monkeypatch):
    deep = png((256, 256, 16, RGB), rows(COLORS))
    assert is_deep_png(deep)
    assert not is_deep_png(png((256, 256, 16, 0), rows(LEVELS[..., None])))
    assert not is_deep_png(png((2, 2, 8, RGB), zlib.compress(bytes(14))))
    assert not is_deep_png(deep[:-12])  # without its end mark
    interlaced = bytearray(deep)
    interlaced[28] = 1
    assert not is_deep_png(bytes(interlaced))
    key = (b"tRNS", struct.pack(">3H", 1, 2, 3))
    assert not is_deep_png(png((256, 256, 16, RGB), rows(COLORS), key))
    assert not is_deep_png(b"\x89PNG\r\n\x1a\n") and not is_deep_png(b"")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert not is_deep_png(deep)
