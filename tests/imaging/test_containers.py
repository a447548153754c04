"""Declarations of PNG, AVIF and HEIF: chunks, boxes, and damaged ones."""

import struct
import zlib

import numpy as np
import pytest

from nst_keras.imaging import containers
from tests.imaging.conftest import adobe_profile, png

GAMMA = (b"gAMA", struct.pack(">I", 100_000))
SRGB = (b"sRGB", b"\0")
PQ = (b"cICP", bytes((9, 16, 0, 1)))
PROFILE = (b"iCCP", b"name\0\0" + zlib.compress(adobe_profile()))


def simple_png(*chunks):
    return png((1, 1, 8, 2), b"\0abc", *chunks)


def test_texts_and_profiles_are_left_out():
    plain = simple_png(GAMMA)
    texts = [(name, b"key\0" + bytes(99)) for name in (b"tEXt", b"zTXt", b"iTXt")]
    assert containers.png_without_texts(simple_png(*texts, GAMMA, PROFILE)) == plain
    assert containers.png_without_texts(plain) is plain
    assert containers.png_without_texts(b"no PNG") == b"no PNG"
    cut = simple_png(texts[0])[:60]
    assert containers.png_without_texts(cut) == cut  # damaged before the end of the text


def test_the_profile_of_a_png():
    assert containers.png_profile(simple_png(PROFILE)) == adobe_profile()
    assert containers.png_profile(simple_png()) is None
    assert containers.png_profile(simple_png((b"iCCP", b"name\0\0not packed"))) is None


@pytest.mark.parametrize(
    ("chunks", "name"),
    [
        ((GAMMA,), "linear light"),
        ((GAMMA, SRGB), None),
        ((GAMMA, PROFILE), None),
        ((PQ, SRGB, PROFILE, GAMMA), "BT.2020 with PQ"),
        (((b"gAMA", b"x"),), None),
        ((), None),
    ],
)
def test_the_descriptions_of_a_png_have_an_order(chunks, name):
    space = containers.color_space(simple_png(*chunks))
    assert (space and space.name) == name
    assert containers.overrides_profile(simple_png(*chunks)) == (PQ in chunks)


def box(name, *parts):
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def avif(*properties, item=1, wide=False):
    """The boxes of an AVIF whose main picture has these properties."""
    count = len(properties)
    entries = struct.pack(f">{count}{'H' if wide else 'B'}", *range(1, count + 1))
    ipma = box(b"ipma", bytes((0, 0, 0, wide)), struct.pack(">IHB", 1, item, count), entries)
    iprp = box(b"iprp", box(b"ipco", *properties), ipma)
    meta = box(b"meta", bytes(4), box(b"pitm", bytes(4), struct.pack(">H", 1)), iprp)
    return box(b"ftyp", b"avif", bytes(4)) + meta


NCLX = box(b"colr", b"nclx", struct.pack(">HHHB", 12, 13, 6, 128))


@pytest.mark.parametrize("wide", [False, True])
def test_the_color_space_of_an_avif(wide):
    assert containers.color_space(avif(NCLX, wide=wide)).name == "Display P3"
    assert containers.color_space(avif(box(b"colr", b"prof", b"an ICC profile"))) is None
    assert containers.color_space(avif(NCLX, item=2)) is None  # that of another picture
    unknown = box(b"colr", b"nclx", struct.pack(">HHHB", 12, 99, 6, 128))
    with pytest.raises(ValueError, match="transfer 99"):
        containers.color_space(avif(unknown))


def clap(*numbers):
    return avif(box(b"clap", struct.pack(">IIIIiIiI", *numbers)))


def test_the_clean_aperture():
    # 60x40 of 100x80, its center 10 to the right of and 5 above that of the picture.
    data = clap(60, 1, 40, 1, 10, 1, -5, 1)
    assert containers.clean_aperture(data, (100, 80)) == (30, 15, 90, 55)
    assert containers.clean_aperture(data, (70, 80)) is None  # not inside
    assert containers.clean_aperture(clap(60, 0, 40, 1, 0, 1, 0, 1), (100, 80)) is None
    assert containers.clean_aperture(avif(NCLX), (100, 80)) is None


def test_damaged_boxes_count_as_absent():
    random = np.random.default_rng(0)
    data = avif(NCLX, box(b"clap", struct.pack(">IIIIiIiI", 60, 1, 40, 1, 0, 1, 0, 1)))
    for _ in range(2000):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 3):
            damaged[place] = random.integers(256)
        found = bytes(damaged[: random.integers(1, len(data) + 1)])
        containers.clean_aperture(found, (100, 80))
        try:
            containers.color_space(found)
        except ValueError as error:
            assert "color primaries" in str(error)


def jpeg_frame(marker, bits):
    """The start of a JPEG: a comment, and a frame of this kind."""
    return b"\xff\xd8\xff\xfe\0\4ab" + bytes([0xFF, marker, 0, 17, bits]) + bytes(20)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (jpeg_frame(0xC0, 8), None),
        (jpeg_frame(0xC2, 8), None),
        (jpeg_frame(0xC1, 12), "12 bits"),
        (jpeg_frame(0xC3, 16), "frame type 3, 16 bits"),
        (jpeg_frame(0xC4, 9), None),  # a table
        (jpeg_frame(0xC1, 12)[2:], None),
        (b"\xff\xd8\xff", None),
    ],
)
def test_rare_kinds_of_jpegs_are_named(data, kind):
    assert containers.jpeg_kind(data) == kind


def test_a_png_gets_the_end_that_it_lacks():
    whole = png((2, 2, 8, 0), b"\0ab\0cd")
    assert containers.png_with_end(whole[:-12]) == containers.png_with_end(whole[:-1]) == whole
    assert containers.png_with_end(whole[:-13]) is None
    assert containers.png_with_end(b"GIF89a") is None
