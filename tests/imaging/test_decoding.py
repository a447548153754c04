"""From bytes to pixels: Pillow's limits, cut files, orientation, what files declare."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFile

from nst_keras.imaging.decoding import Decoder
from nst_keras.runtime.errors import InputError
from tests.imaging.conftest import encoded, png

ENDLESS = "the end mark of the file is missing; all of the picture was read"


def decode(data, **options):
    decoder = Decoder(10**6, 1, **options)
    return decoder.floats(data) * 255, decoder.notes


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [b"\xff", b""])
def test_a_jpeg_without_its_end_is_read_and_that_is_said(photo, progressive, kept):
    whole = encoded(Image.fromarray(photo), "JPEG", quality=95, progressive=progressive)
    pixels, notes = decode(whole.removesuffix(b"\xff\xd9") + kept)
    np.testing.assert_array_equal(pixels, decode(whole)[0])
    assert notes == [ENDLESS]


@pytest.mark.parametrize("rest", [b"", b"\0\0\0\0IE", b"\0\0\0\5IDAT"])
def test_a_png_without_its_end_is_read(photo, rest):
    whole = encoded(Image.fromarray(photo), "PNG")
    pixels, notes = decode(whole[:-12] + rest)
    np.testing.assert_array_equal(pixels, decode(whole)[0])
    assert notes == ([ENDLESS] if rest.endswith(b"IDAT") else [])  # Pillow passes over the rest
    with pytest.raises(InputError, match="damaged or cut short"):
        decode(whole[:-60] + rest)


def test_libtiff_writes_no_lines_of_its_own(photo):
    whole = encoded(Image.fromarray(photo), "TIFF", compression="tiff_lzw")
    code = """
import contextlib, sys
from nst_keras.imaging.decoding import Decoder
with contextlib.suppress(Exception):
    Decoder(10**6, 1).floats(sys.stdin.buffer.read())
"""
    damaged = whole[:8] + b"\0" * 200 + whole[208:]
    done = subprocess.run([sys.executable, "-c", code], input=damaged, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_pixels_is_refused_unless_asked_for(progressive):
    noise = np.random.default_rng(0).integers(0, 256, (256, 320, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), "JPEG", quality=95, progressive=progressive)
    for size in (len(whole) // 2, len(whole) - 40):
        with pytest.raises(InputError, match="damaged or cut short"):
            decode(whole[:size])
    pixels, notes = decode(whole[: len(whole) // 2], truncated=True)
    assert notes == ["the file is cut short; what is missing is one color"]
    if not progressive:
        np.testing.assert_array_equal(pixels[:64], decode(whole)[0][:64])
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_other_cut_files_are_read_as_far_as_they_go(photo):
    data = encoded(Image.fromarray(photo), "PNG")[:-600]
    with pytest.raises(InputError, match="damaged or cut short"):
        decode(data)
    pixels, _ = decode(data, truncated=True)
    np.testing.assert_array_equal(pixels[0], photo[0])


def test_xmp_alone_does_not_turn_a_picture(photo):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    image = Image.fromarray(photo)
    for kind in ("JPEG", "WEBP", "AVIF"):
        assert decode(encoded(image, kind, xmp=xmp))[0].shape == photo.shape
    chunk = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    rows = b"".join(b"\0" + row.tobytes() for row in photo)
    assert decode(png((40, 32, 8, 2), rows, chunk))[0].shape == photo.shape


def bmp(photo, alpha):
    """A BMP with the V4 header and a mask for alpha, which is the same everywhere."""
    height, width = photo.shape[:2]
    bgra = np.concatenate([photo[::-1, :, ::-1], np.full((height, width, 1), alpha, np.uint8)], -1)
    size = bgra.size
    info = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, size, 0, 0, 0, 0)
    info += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    start = 14 + len(info)
    return struct.pack("<2sIHHI", b"BM", start + size, 0, 0, start) + info + bgra.tobytes()


def test_no_alpha_at_all_in_a_bmp_means_opaque(photo):
    pixels, notes = decode(bmp(photo, 0))
    np.testing.assert_allclose(pixels, photo, atol=1e-4)
    assert notes == []
    pixels, notes = decode(bmp(photo, 51))
    np.testing.assert_allclose(pixels, photo * 0.2 + 255 * 0.8, atol=1e-3)
    assert notes == ["transparency was composited over white"]


@pytest.mark.parametrize(
    ("depth", "color", "samples", "key"),
    [(4, 0, [0x3A, 0x5B], [0xA]), (2, 0, [0b00011011], [2]), (16, 2, [0x1234] * 3, [0x1234] * 3)],
)
def test_the_transparent_color_of_a_png_of_any_depth(depth, color, samples, key):
    pixels = 2 * len(samples) if depth == 4 else 4 if depth == 2 else 1
    line = b"\0" + struct.pack(f">{len(samples)}{'H' if depth == 16 else 'B'}", *samples)
    trns = (b"tRNS", struct.pack(f">{len(key)}H", *key))
    found, _ = decode(png((pixels, 1, depth, color), line, trns))
    place = {4: 1, 2: 2, 16: 0}[depth]
    np.testing.assert_array_equal(found[0, place], 255)
    assert sum((found[0] == 255).all(-1)) == (2 if depth == 2 else 1)  # 2 bits: white, besides


def test_large_texts_and_profiles_do_not_matter(photo):
    rows = b"".join(b"\0" + row.tobytes() for row in photo)
    text = (b"tEXt", b"Comment\0" + bytes(range(32, 127)) * 15_000)
    pixels, notes = decode(png((40, 32, 8, 2), rows, text, text))
    np.testing.assert_allclose(pixels, photo, atol=1e-4)
    assert notes == []


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_large_picture_is_reduced_as_far_as_asked(kind):
    pixels = np.zeros((320, 640, 3), np.uint8)
    pixels[:, :320, 0] = pixels[160:, :, 1] = 200
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    data = encoded(Image.fromarray(pixels), kind, **options)
    whole, _ = decode(data)
    for enough, width in ((160, 160), (161, 320 if kind == "JPEG" else 161), (321, 640)):
        found, _ = decode(data, enough=enough)
        assert found.shape[1] == width
        side, height = 640 // width, found.shape[0]
        if 640 % width == 0:  # each pixel is the mean of a square
            means = whole.reshape(height, side, width, side, 3).mean((1, 3))
            np.testing.assert_allclose(found, means, atol=12)
        np.testing.assert_allclose(found.mean((0, 1)), whole.mean((0, 1)), atol=2)


def test_a_size_out_of_range_is_refused_before_decoding(photo):
    data = encoded(Image.fromarray(photo), "PNG")
    with pytest.raises(
        InputError, match="40x32 px is too large: at most 1,279 px are read"
    ) as raised:
        Decoder(1279, 1).floats(data)
    assert raised.value.flags == ("max_megapixels",)
    with pytest.raises(InputError, match="40x32 px is too small: at least 33 px a side"):
        Decoder(1280, 33).floats(data)


@pytest.mark.parametrize(("mode", "key"), [("RGB", (9, 9, 9)), ("L", 9), ("I;16", 2313)])
def test_a_transparent_color_is_one_before_a_picture_is_reduced(mode, key):
    """Of every four pixels, one is transparent, that is white; the others are black."""
    stripes = np.zeros((80, 80), np.uint16)
    stripes[:, ::4] = key if mode == "I;16" else 9
    values = stripes if mode == "I;16" else stripes.astype(np.uint8)
    values = np.repeat(values[..., None], 3, -1) if mode == "RGB" else values
    data = encoded(Image.fromarray(values), "PNG", transparency=key)
    pixels, notes = decode(data, enough=20)
    assert pixels.mean() == pytest.approx(255 / 4, abs=1)
    assert notes == ["transparency was composited over white"]


def test_no_side_is_reduced_below_the_shortest_that_is_read():
    data = encoded(Image.new("RGB", (3000, 40)), "PNG")
    assert Decoder(10**6, 16, 192).floats(data).shape == (16, 1200, 3)
    assert Decoder(10**6, 1, 192).floats(data).shape == (3, 192, 3)


def test_the_size_is_that_of_the_file(photo):
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    data = encoded(Image.fromarray(photo), "JPEG", exif=exif)
    for enough in (0, 10):
        decoder = Decoder(10**6, 1, enough)
        pixels = decoder.floats(data)
        assert decoder.size == (40, 32)
        assert pixels.shape[:2] == ((10, 8) if enough else (40, 32))


def test_reading_takes_no_more_memory_than_allowed():
    data = encoded(Image.new("RGB", (4000, 3000)), "PNG")
    needed = 12e6 * 25 + len(data)  # 5 bytes to decode and 20 to convert each pixel
    assert Decoder(10**8, 1, max_bytes=needed).floats(data).shape == (3000, 4000, 3)
    with pytest.raises(InputError, match="4000x3000 px takes about 0.28 GiB, but") as raised:
        Decoder(10**8, 1, max_bytes=needed - 1).floats(data)
    assert raised.value.flags == ("memory_limit",)
    assert Decoder(10**8, 1, 100, max_bytes=needed / 4).floats(data).shape == (75, 100, 3)


@pytest.mark.parametrize("has_key", [False, True])
def test_a_gif_is_transparent_around_a_frame_that_does_not_fill_it(has_key):
    frame = Image.new("P", (20, 10), 1)
    frame.putpalette([255, 0, 0, 0, 255, 0])
    frame.putpixel((0, 0), 0)
    data = bytearray(encoded(frame, "GIF", **({"transparency": 0} if has_key else {})))
    data[6:10] = struct.pack("<2H", 40, 30)  # of the canvas
    pixels, notes = decode(bytes(data))
    assert pixels.shape == (30, 40, 3)
    np.testing.assert_array_equal(pixels[9, 19], (0, 255, 0))
    np.testing.assert_array_equal(pixels[0, 0], (255, 255, 255) if has_key else (255, 0, 0))
    assert (pixels[10:] == 255).all() and (pixels[:, 20:] == 255).all()
    assert notes == ["transparency was composited over white"]
