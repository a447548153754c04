"""Pictures in and out: formats, color, transparency, sizes, and files that are damaged or lie."""

import io
import os
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin

from nst_keras.imaging import images
from nst_keras.imaging.geometry import fit_size, resize, thumbnail
from nst_keras.imaging.images import check_writable_suffix, read_image, to_uint8, write_image
from nst_keras.runtime.errors import InputError

SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp"]


@pytest.fixture
def photo():
    """Smooth random colors, (32, 40, 3) uint8."""
    seeds = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(seeds).resize((40, 32), Image.Resampling.BILINEAR))


def save(path, image, **options):
    image.save(path, **options)
    return read_image(path)


def flat(mode, color):
    return Image.new(mode, (16, 16), color)


def png(header, data, *chunks):
    """A PNG from its parts: header = (width, height, bits, color type), data unfiltered rows."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def rows(samples):
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)


def icc(kind, space, connection, title, tags):
    """A version 2 ICC profile; Pillow itself can only build sRGB, Lab and XYZ."""
    text = title.encode() + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": xyz(0.9642, 1, 0.8249),
        **tags,
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data
    head = struct.pack(">II", 128 + len(table) + len(body), 0) + b"\x02\x40\0\0"
    head += kind + space + connection + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp"
    return head + bytes(28) + xyz(0.9642, 1, 0.8249)[8:] + bytes(48) + table + body


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def xyz(*values):
    return b"XYZ \0\0\0\0" + fixed(*values)


# Primaries adapted to the white D50, one row per primary: Adobe RGB (1998) and sRGB.
ADOBE = np.array(
    [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]
)
SRGB = np.array(
    [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
)


def adobe_profile():
    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.19921875 * 256))
    tags = {name + b"XYZ": xyz(*row) for name, row in zip((b"r", b"g", b"b"), ADOBE, strict=True)}
    tags |= {name + b"TRC": gamma for name in (b"r", b"g", b"b")}
    return icc(b"mntr", b"RGB ", b"XYZ ", "Adobe-like", tags)


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


# Reading: formats and orientation


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_written_format_reads_back(tmp_path, photo, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, photo / 255)
    picture = read_image(path)
    assert picture.pixels.shape == (32, 40, 3) and picture.pixels.dtype == np.float32
    assert picture.notes == ()
    error = np.abs(picture.pixels * 255 - photo)
    if suffix in (".png", ".tif", ".tiff", ".bmp"):
        assert error.max() < 1e-4
    else:
        assert error.mean() < (8 if suffix == ".webp" else 3)  # WebP halves the chroma
    assert sorted(os.listdir(tmp_path)) == [path.name]


def test_the_first_frame_of_an_animation(tmp_path, photo):
    first = Image.fromarray(photo).quantize(64)
    path = tmp_path / "a.gif"
    picture = save(path, first, save_all=True, append_images=[flat("RGB", "red").resize((40, 32))])
    np.testing.assert_allclose(picture.pixels * 255, np.asarray(first.convert("RGB")), atol=1e-4)
    assert picture.notes == ("only the first frame was read",)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, photo, suffix, orientation):
    upright = {
        1: photo,
        2: photo[:, ::-1],
        3: photo[::-1, ::-1],
        4: photo[::-1],
        5: photo.transpose(1, 0, 2),
        6: np.rot90(photo, -1),
        7: np.rot90(photo, 2).transpose(1, 0, 2),
        8: np.rot90(photo),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = save(tmp_path / f"a.{suffix}", Image.fromarray(photo), exif=exif, quality=95)
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels * 255 - upright).mean() < 8


def test_broken_exif_is_ignored_and_said(tmp_path, photo):
    picture = save(tmp_path / "a.png", Image.fromarray(photo), exif=b"Exif\0\0no TIFF header")
    assert picture.pixels.shape == (32, 40, 3)
    assert picture.notes == ("broken EXIF data were ignored",)


# Reading: modes, transparency and color


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


def test_color_of_16_bits_is_read_with_8(tmp_path, photo):
    path = tmp_path / "a.png"
    path.write_bytes(png((40, 32, 16, 2), rows(photo.astype(np.uint16) * 257)))
    picture = read_image(path)
    np.testing.assert_allclose(picture.pixels * 255, photo, atol=1e-4)
    assert picture.notes == ("16-bit color was read with 8 bits",)


def test_floats_inside_the_range_are_kept_and_others_stretched(tmp_path):
    ramp = np.linspace(0, 0.5, 256, dtype=np.float32).reshape(16, 16)
    picture = save(tmp_path / "a.tif", Image.fromarray(ramp))
    np.testing.assert_array_equal(picture.pixels[..., 0], ramp)
    assert picture.notes == ()
    picture = save(tmp_path / "b.tif", Image.fromarray(ramp * 40 - 10))
    np.testing.assert_allclose(picture.pixels[..., 2], ramp * 2, atol=1e-6)
    assert picture.notes == ("gray values from -10 to 10 were stretched to black and white",)
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
    assert picture.notes == ("transparency was composited over white",)


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


def test_one_bit_and_gray(tmp_path):
    board = np.indices((16, 16)).sum(0) % 2 == 0
    picture = save(tmp_path / "a.png", Image.fromarray(board))
    np.testing.assert_array_equal(picture.pixels, np.repeat(board[..., None], 3, 2))
    picture = save(tmp_path / "b.png", flat("L", 51))
    np.testing.assert_allclose(picture.pixels, 0.2, rtol=1e-6)


@pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
def test_other_color_modes(photo, mode):
    image = Image.fromarray(photo)
    pixels = images._color(image.convert(mode), [])
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
    assert picture.notes == ("a color profile that is broken or for other samples was ignored",)


# Reading: what is refused


def refusal(path, flag="--content", **options):
    with pytest.raises(InputError) as caught:
        read_image(path, flag, **options)
    message = str(caught.value)
    assert message.isprintable() and message.startswith(f"{flag}=")
    return message


def test_missing_file_and_folder(tmp_path):
    path = tmp_path / "foo.jpg"
    assert refusal(path) == f"--content={path}: no such file"
    assert refusal(tmp_path, "--style").endswith(": a folder; the path of one picture is needed")
    (tmp_path / "file").write_bytes(b"")
    assert refusal(tmp_path / "file" / "foo.jpg").endswith("no such file")
    assert "foo\\nbar.jpg: no such file" in refusal(tmp_path / "foo\nbar.jpg")
    assert "cannot be read" in refusal(tmp_path / ("long" * 1000))
    assert "cannot be read" in refusal("nul\0.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "pipe")


def test_no_permission(tmp_path):
    assert images._reason(PermissionError(13, "denied")) == "no permission to read this file"
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("the superuser may read every file")
    path = tmp_path / "a.png"
    flat("L", 0).save(path)
    path.chmod(0)
    assert refusal(path).endswith("no permission to read this file")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n" * 9, b"P6 16 16 255\n"]
)
def test_not_a_picture(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert "not a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or HEIC picture" in refusal(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_short(tmp_path, photo, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, photo / 255)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("size", [(100_000, 100_000), (20_000, 10_001)])
def test_a_bomb_is_refused_by_its_header(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(png((*size, 8, 2), b""))
    message = refusal(path)
    assert f"{size[0]}x{size[1]} px is too large: at most 200,000,000 px are read" in message
    assert message.endswith("(--max_megapixels)")


def test_pillows_own_limit_neither_warns_nor_changes(tmp_path, monkeypatch):
    flat("RGB", "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # 16x16 is beyond twice that: an error
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png", max_pixels=256).pixels.shape == (16, 16, 3)
        assert "at most 255 px" in refusal(tmp_path / "a.png", max_pixels=255)
        refusal(tmp_path / "b.png")
        assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15)])
def test_too_small(tmp_path, size):
    path = tmp_path / "a.png"
    Image.new("L", size).save(path)
    expected = f"{size[0]}x{size[1]} px is too small: at least 16 px a side are needed"
    assert refusal(path).endswith(expected)


def test_heic_without_its_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf")
    assert "pip install 'nst_keras[heif]'" in refusal(path)


def test_heic_with_its_package(tmp_path, photo):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.fromarray(photo)).save(tmp_path / "a.heic", quality=90)
    pixels = read_image(tmp_path / "a.heic").pixels
    assert np.abs(pixels * 255 - photo).mean() < 16  # with half the chroma


def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path, photo):
    seeds = []
    for suffix in (*SUFFIXES, ".gif"):
        buffer = io.BytesIO()
        kind = Image.registered_extensions()[suffix]
        exif = {} if suffix in (".gif", ".bmp") else {"exif": Image.Exif()}
        Image.fromarray(photo).save(buffer, kind, icc_profile=adobe_profile(), **exif)
        seeds.append(buffer.getvalue())
    rng = np.random.default_rng(1)
    path = tmp_path / "a"
    outcomes = set()
    for trial in range(360):
        data = bytearray(seeds[trial % len(seeds)])
        for position in rng.integers(len(data), size=rng.integers(1, 6)):
            data[position if rng.random() < 0.5 else position % 64] = rng.integers(256)
        path.write_bytes(data[: rng.integers(len(data))] if rng.random() < 0.2 else data)
        try:
            pixels = read_image(path, max_pixels=100_000).pixels
            assert pixels.dtype == np.float32 and 0 <= pixels.min() <= pixels.max() <= 1
            outcomes.add("read")
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


# Sizes


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((768, 1024), 512, (384, 512)),
        ((1024, 768), 512, (512, 384)),
        ((100, 100), 512, (512, 512)),
        ((333, 1000), 500, (167, 500)),  # 166.5: halves up
        ((20, 10_000), 512, (16, 512)),
        ((16, 16), 16, (16, 16)),
        ((5461, 8191), 8191, (5461, 8191)),
    ],
)
def test_fit_size(size, longest, expected):
    assert fit_size(size, longest) == expected


def test_fit_size_refuses_less_than_the_smallest_side():
    with pytest.raises(ValueError, match="at least 16"):
        fit_size((100, 100), 15)


def test_resize_to_the_same_size_is_exact_and_a_copy(photo):
    pixels = (photo / 255).astype(np.float32)
    same = resize(pixels, 32, 40)
    np.testing.assert_array_equal(same, pixels)
    assert same is not pixels and not np.shares_memory(same, pixels)


@pytest.mark.parametrize("size", [(16, 20), (31, 41), (64, 80), (100, 17)])
def test_resize_keeps_constants(size):
    pixels = np.broadcast_to(np.float32([0.25, 0.5, 1]), (32, 40, 3))
    resized = resize(pixels, *size)
    assert resized.shape == (*size, 3) and resized.dtype == np.float32
    np.testing.assert_allclose(resized, np.broadcast_to([0.25, 0.5, 1], resized.shape), atol=2e-7)


def test_resize_keeps_the_mean_and_linear_ramps():
    ramp = np.broadcast_to(((np.arange(64) + 0.5) / 64)[None, :, None], (64, 64, 3))
    for width in (16, 32, 128):
        resized = resize(ramp, 64, width)
        assert abs(resized.mean() - 0.5) < 1e-3
        inner = slice(width // 4, -(width // 4))  # beyond the reach of the borders
        expected = (np.arange(width) + 0.5) / width
        np.testing.assert_allclose(resized[5, inner, 1], expected[inner], atol=1e-4)


def test_resize_down_is_antialiased():
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2] = 1
    assert np.abs(resize(stripes, 8, 8)[:, 2:-2] - 0.5).max() < 0.02


def test_resize_up_by_hand():
    def keys(distance):  # Catmull-Rom's outer part, one to two pixels away
        return -0.5 * (distance**3 - 5 * distance**2 + 8 * distance - 4)

    step = np.zeros((1, 8, 1), np.float32)
    step[0, 4:] = 1
    beside = 1.5 * 0.75**3 - 2.5 * 0.75**2 + 1 + keys(1.75)
    expected = [keys(1.25), beside, 1 - beside, 1 - keys(1.25)]
    assert expected[0] < -0.05  # it overshoots, unless clipped
    between = resize(0.25 + step / 2, 1, 16)[0, 6:10, 0]
    np.testing.assert_allclose(between, 0.25 + np.array(expected) / 2, atol=1e-6)
    np.testing.assert_allclose(resize(step, 1, 16)[0, 6:10, 0], np.clip(expected, 0, 1), atol=1e-6)


def test_resize_takes_each_channel_alone():
    pixels = np.random.default_rng(0).random((20, 24, 5), np.float32)
    resized = resize(pixels, 40, 48)
    assert resized.shape == (40, 48, 5)
    np.testing.assert_array_equal(resized[..., 3:4], resize(pixels[..., 3:4], 40, 48))
    np.testing.assert_array_equal(resize(pixels, 20, 24), pixels)


def test_thumbnail_never_enlarges():
    assert thumbnail(np.zeros((30, 40, 3)), 20).shape == (15, 20, 3)
    assert thumbnail(np.zeros((30, 40, 3)), 100).shape == (30, 40, 3)
    assert thumbnail(np.zeros((2, 400, 3)), 40).shape == (1, 40, 3)


def test_to_uint8_rounds_halves_up_and_clips():
    values = np.array([-1, 0, 0.5 / 255, 0.499 / 255, 127.5 / 255, 254.5 / 255, 1, 7.0])
    assert to_uint8(values).tolist() == [0, 0, 1, 0, 128, 255, 255, 255]
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(every.astype(np.float32) / 255), every)


# Writing


def test_jpeg_has_full_chroma_and_quality_95(tmp_path, photo):
    write_image(tmp_path / "a.jpg", photo / 255)
    with Image.open(tmp_path / "a.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4
        # The standard's 16 11 10 16 24 40 51 61 at a tenth, rounded.
        assert image.quantization[0][:8] == [2, 1, 1, 2, 2, 4, 5, 6]


def test_png_metadata(tmp_path, photo):
    path = tmp_path / "secret-place.png"
    metadata = {
        "Software": "nst_keras",
        "flags": "--style=Müller/星月夜.jpg\n--seed=1",
        "odd": "a\udcffb",
    }
    write_image(path, photo / 255, metadata)
    with Image.open(path) as image:
        image.load()
        assert image.text == {**metadata, "odd": "a?b"}
        assert image.info["srgb"] == 0
    assert b"secret-place" not in path.read_bytes() and b"tIME" not in path.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_input_gives_the_same_bytes(tmp_path, photo, suffix):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}{suffix}", photo / 255, {"key": "value"})
    first = (tmp_path / f"a{suffix}").read_bytes()
    assert first == (tmp_path / f"b{suffix}").read_bytes()


def test_unknown_suffix(tmp_path):
    for name in ("a.psd", "a", ".png", "a.gif"):
        with pytest.raises(InputError, match=r"--output=.* must end in one of \.png \.jpg"):
            check_writable_suffix(name)
        with pytest.raises(InputError):
            write_image(tmp_path / name, np.zeros((16, 16, 3)))
    check_writable_suffix("folder.x/a.JPG")
    with pytest.raises(InputError, match="^--strip="):
        check_writable_suffix("a.psd", "--strip")
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, photo, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.webp"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match="a.webp: cannot be written as WEBP"):
        write_image(path, np.zeros((16, 16400, 3)))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_image(path, photo / 255)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.webp"]
