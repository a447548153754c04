"""Pictures in memory: they are what a file of the same picture is, or are refused in one line."""

import io

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageCms

from nst_keras.imaging import images
from nst_keras.imaging.in_memory import read_object
from nst_keras.runtime.errors import InputError

RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (20, 30, 4), np.uint8)
RGB, GRAY, GRAY_ALPHA = RGBA[..., :3], RGBA[..., 0], RGBA[..., ::3]
MUTED = RGB // 4 + 96  # colors that every mode holds
DEEP = RNG.integers(0, 65536, (20, 30), np.uint16)
WHITE_ALPHA = "transparency was composited over white"


def png_of(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def as_file(image, tmp_path, **options):
    """What is read from a PNG of it."""
    path = tmp_path / "a.png"
    path.write_bytes(png_of(image, **options))
    return images.read_image(path)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_an_image_of_pillow_is_what_its_file_is(tmp_path, mode):
    image = Image.fromarray(DEEP) if mode == "I;16" else Image.fromarray(RGBA).convert(mode)
    before = image.mode, image.tobytes(), dict(image.info)
    found, expected = read_object(image, "content"), as_file(image, tmp_path)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.notes == expected.notes and found.sha256 == ""
    assert (image.mode, image.tobytes(), image.info) == before


LAB = ImageCms.buildTransform(
    ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
)


@pytest.mark.parametrize(
    ("image", "apart"),
    [
        (Image.fromarray(MUTED).convert("RGBX"), 0),
        (Image.fromarray(MUTED).convert("CMYK"), 1),
        (Image.fromarray(MUTED).convert("YCbCr"), 3),
        (Image.fromarray(MUTED).convert("HSV"), 8),
        (ImageCms.applyTransform(Image.fromarray(MUTED), LAB), 12),
        (Image.fromarray(MUTED).convert("P", palette=Image.Palette.WEB).convert("PA"), 90),
    ],
)
def test_other_modes_are_the_same_colors_as_far_as_they_hold_them(image, apart):
    pixels = read_object(image, "content").pixels
    assert pixels.shape == (20, 30, 3) and pixels.dtype == np.float32
    assert np.abs(pixels * 255 - MUTED).max() <= apart + 1e-3


@pytest.mark.parametrize("mode", ["I", "F"])
def test_gray_that_was_converted_to_more_bits_keeps_its_range(mode):
    found = read_object(Image.fromarray(GRAY).convert(mode), "content")
    np.testing.assert_allclose(found.pixels[..., 0], GRAY / 255, atol=1e-6)
    assert found.notes == ("gray values were taken for 8 bits, with white at 255",)


def test_deep_gray_in_memory_is_what_it_is_in_files():
    wide = Image.fromarray(DEEP.astype(np.int32))
    assert wide.mode == "I"
    np.testing.assert_allclose(read_object(wide, "a").pixels[..., 1], DEEP / 65535, atol=1e-6)
    floats = Image.fromarray((DEEP / 65535).astype(np.float32))
    np.testing.assert_allclose(read_object(floats, "a").pixels[..., 1], DEEP / 65535, atol=1e-6)


@pytest.mark.parametrize(("mode", "straight"), [("RGBa", "RGBA"), ("La", "LA")])
def test_premultiplied_alpha_is_composited(mode, straight):
    image = Image.fromarray(RGBA).convert(straight)
    found, expected = (read_object(one, "a").pixels for one in (image.convert(mode), image))
    np.testing.assert_allclose(found, expected, atol=1.01 / 255)


def test_an_image_that_was_opened_is_turned_and_converted_as_its_file(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    options = {"exif": exif, "icc_profile": profile}
    expected = as_file(Image.fromarray(RGB), tmp_path, **options)
    with Image.open(tmp_path / "a.png") as image:
        found = read_object(image, "content")
        assert image.size == (30, 20) and image.info["icc_profile"] == profile
    assert found.pixels.shape == (30, 20, 3)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.notes == expected.notes


@pytest.mark.parametrize(
    ("array", "image"),
    [
        (GRAY, Image.fromarray(GRAY)),
        (GRAY[..., None], Image.fromarray(GRAY)),
        (GRAY_ALPHA, Image.fromarray(GRAY_ALPHA)),
        (RGB, Image.fromarray(RGB)),
        (RGBA, Image.fromarray(RGBA)),
        (RGBA[None], Image.fromarray(RGBA)),
        (GRAY > 127, Image.fromarray(GRAY > 127)),
        (DEEP, Image.fromarray(DEEP)),
        (DEEP[..., None], Image.fromarray(DEEP)),
        (RGB.astype(np.int64), Image.fromarray(RGB)),
        (RGB.astype(np.int16), Image.fromarray(RGB)),
        (RGBA / np.float32(255), Image.fromarray(RGBA)),
        (RGBA / 255, Image.fromarray(RGBA)),
    ],
)
def test_an_array_is_what_the_file_of_its_picture_is(tmp_path, array, image):
    found, expected = read_object(array, "content"), as_file(image, tmp_path)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.notes == expected.notes


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ">f4", ">f8"])
def test_floats_of_any_kind_are_taken(dtype):
    values = (GRAY > 127).astype(dtype)  # exact in all of them
    np.testing.assert_array_equal(read_object(values, "a").pixels[..., 0], GRAY > 127)


def test_integers_of_either_byte_order_are_taken():
    np.testing.assert_array_equal(
        read_object(DEEP.astype(">u2"), "a").pixels, read_object(DEEP, "a").pixels
    )


def test_views_and_arrays_that_cannot_be_written_are_taken_and_left_alone():
    whole = RGBA / np.float32(255)
    before = whole.copy()
    whole.flags.writeable = False
    for view in (whole[::-1, ::-1], whole.swapaxes(0, 1), np.asfortranarray(whole)):
        found, expected = read_object(view, "a"), read_object(np.ascontiguousarray(view), "a")
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        assert not np.shares_memory(found.pixels, whole)
    np.testing.assert_array_equal(whole, before)


class Interface:
    """Another library's array."""

    def __init__(self, array):
        self.__array_interface__ = array.__array_interface__
        self._kept = array


class Capsule:
    """Likewise, with the protocol of tensors only."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


Interface.__array_interface__ = None  # NumPy asks the instance


@pytest.mark.parametrize("kind", [tf.constant, tf.Variable, Interface, Capsule])
def test_tensors_are_taken(kind):
    found = read_object(kind(RGB.copy()), "content")
    np.testing.assert_array_equal(found.pixels, read_object(RGB, "content").pixels)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_of_a_file_are_what_the_file_is(tmp_path, kind):
    data = png_of(Image.fromarray(RGBA))
    found, expected = read_object(kind(data), "a"), as_file(Image.fromarray(RGBA), tmp_path)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert (found.notes, found.sha256) == (expected.notes, expected.sha256)
    assert found.notes == (WHITE_ALPHA,)


def test_a_file_object_is_read_from_its_beginning_each_time(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")  # leaves it at its end
    first, second = (read_object(buffer, "a").pixels for _ in range(2))
    np.testing.assert_array_equal(first, second)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    with open(tmp_path / "a.png", "rb") as file:
        np.testing.assert_array_equal(read_object(file, "a").pixels, first)


class Broken:
    def __array__(self):
        raise TypeError("it is on a GPU")


def closed():
    file = io.BytesIO(b"data")
    file.close()
    return file


SECRET = "kept to itself"
FLOATS = RGB.astype(np.float32)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7, "is of type int; give a path, an image of Pillow, an array"),
        (None, "is of type NoneType"),
        ([[1, 2], [3, 4]], "is of type list"),
        ({"picture": SECRET}, "is of type dict"),
        (object, "is of type type"),
        (np.float32, "is of type type"),
        (np.zeros(40), r"has shape \(40,\); must be \(height, width\) or \(height, width, 1 to 4"),
        (np.float64(0.5), r"has shape \(\)"),
        (np.zeros((40, 60, 5)), r"has shape \(40, 60, 5\); must be"),
        (np.zeros((3, 40, 60)), r"\(3, 40, 60\).*; np.moveaxis puts channels last"),
        (np.zeros((1, 3, 40, 60)), r"\(1, 3, 40, 60\).*; np.moveaxis puts channels last"),
        (np.zeros((1, 40, 60)), "np.moveaxis puts channels last"),
        (np.zeros((2, 40, 60, 3)), "several pictures; give one of them"),
        (np.zeros((1, 1, 40, 60, 3)), "must be"),
        (np.zeros((8, 60, 3)), r"has shape \(8, 60, 3\); its sides must be at least 16 px"),
        (np.zeros((0, 60, 3)), "at least 16 px"),
        (np.full((20, 30), np.nan), "not finite"),
        (np.full((20, 30, 3), np.inf), "not finite"),
        (FLOATS, r"floats must be in \[0, 1\]: divide them by 255, or use uint8"),
        (FLOATS / 127.5 - 1, r"from -1 to 1, use \(x \+ 1\) / 2"),
        (FLOATS / 250, r"floats must be in \[0, 1\]: clip them"),
        (FLOATS / 255 - 0.1, r"floats from -0.1 to 0.9"),
        (RGB.astype(np.int32) - 1, r"integers from -1 to 25\d; must be in \[0, 255\]"),
        (DEEP.astype(np.int32), r"must be in \[0, 255\], or uint16 in \[0, 65535\]"),
        (RGB.astype(complex), "values of type complex128; must be numbers"),
        (np.full((20, 30), SECRET), "values of type"),
        (np.full((20, 30), SECRET, object), "values of type object"),
        (np.ma.masked_greater(GRAY, 9), "masked values"),
        (Broken(), "Broken cannot be used as an array .it is on a GPU"),
        (b"", "is empty"),
        (SECRET.encode(), "not a JPEG, PNG"),
        (png_of(Image.fromarray(RGB))[:400], "damaged or cut short"),
        (io.StringIO(SECRET), r"its read\(\) returns str, not bytes; open the file with mode 'rb'"),
        (closed(), "cannot be read .I/O operation on closed file"),
        (Image.new("RGB", (15, 40)), "15x40 px is too small"),
        (Image.new("RGB", (0, 0)), "0x0 px is too small"),
    ],
)
def test_anything_else_is_refused_in_one_line_that_shows_no_values(value, words):
    with pytest.raises(InputError, match=f"^style 2: .*{words}") as caught:
        read_object(value, "style 2")
    message = str(caught.value)
    assert "\n" not in message and SECRET not in message and len(message) < 200


def test_pictures_with_too_many_pixels_are_refused():
    large = Image.new("1", (400, 300))
    for value in (large, png_of(large)):
        with pytest.raises(InputError, match="^a: 400x300 px is too large: at most 100,000"):
            read_object(value, "a", 100_000)
