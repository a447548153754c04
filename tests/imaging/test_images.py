"""Picture files: formats, orientation, damaged and hostile files, writing."""

import hashlib
import io
import os
import struct
import sys
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, JpegImagePlugin

from nst_keras.imaging import color_spaces, images
from nst_keras.imaging.decoding import Decoder
from nst_keras.imaging.images import check_writable_suffix, read_image, to_uint8, write_image
from nst_keras.runtime.errors import InputError
from tests.conftest import picture
from tests.imaging.conftest import adobe_profile, flat, p3_profile, png, save

SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp"]


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


def test_the_hash_is_of_the_bytes_that_were_decoded(tmp_path, monkeypatch):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    flat("RGB", "red").save(first)
    flat("RGB", "blue").save(second)
    expected = hashlib.sha256(first.read_bytes()).hexdigest()
    decode = Decoder.floats

    def replace_the_file(decoder, data):
        os.replace(second, first)
        return decode(decoder, data)

    monkeypatch.setattr(Decoder, "floats", replace_the_file)
    picture = read_image(first)
    assert picture.sha256 == expected
    np.testing.assert_array_equal(picture.pixels[0, 0], [1, 0, 0])


def test_a_file_too_large_for_its_pixels_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_BYTES_MORE", 10_000)
    path = tmp_path / "a.png"
    flat("RGB", "red").save(path)
    os.truncate(path, 8 * 256 + 10_000)
    assert read_image(path, max_pixels=256).pixels.shape == (16, 16, 3)
    os.truncate(path, 8 * 256 + 10_000 + 1)
    message = "a file of 12,049 bytes is too large: at most 12,048 are read"
    assert refusal(path, max_pixels=256).endswith(f"{message}; --max_megapixels allows more")


def test_a_picture_of_its_own_is_not_opened_where_its_header_has_impossible_sides(tmp_path):
    path = tmp_path / "a.bmp"
    flat("RGB", "red").save(path)
    data = bytearray(path.read_bytes())
    for size in ((24, 16_711_700), (40_000, 40_000)):
        struct.pack_into("<ii", data, 18, *size)
        path.write_bytes(data)
        with pytest.raises(InputError, match=f"{size[0]}x{size[1]} px"), images.opened(path):
            pass


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
    for name in ("a.jpg", "long" * 100):  # longer than a file's name may be
        said = refusal(f"https://example.com/{name}")
        assert said.endswith(": URLs are not read; download the file")
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    assert refusal(tmp_path / "link.jpg").endswith("to nowhere.jpg, which does not exist")
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
    assert message.endswith("; --max_megapixels allows more")


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
    assert "pip install '.[heif]'" in refusal(path)


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


def test_to_uint8_rounds_halves_up_and_clips():
    values = np.array([-1, 0, 0.5 / 255, 0.499 / 255, 127.5 / 255, 254.5 / 255, 1, 7.0])
    assert to_uint8(values).tolist() == [0, 0, 1, 0, 128, 255, 255, 255]
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(every.astype(np.float32) / 255), every)


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


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16", "F"])
def test_8_bits_are_those_of_the_floats(tmp_path, mode):
    path = tmp_path / "a.tiff"
    Image.effect_noise((20, 18), 99).convert(mode).save(path)
    picture = images.read_rgb(path)
    assert picture.pixels.dtype == np.uint8 and picture.sha256 == read_image(path).sha256
    np.testing.assert_array_equal(picture.pixels, images.to_uint8(read_image(path).pixels))


def test_a_reduced_jpeg_shows_the_same(tmp_path):
    pixels = np.zeros((320, 640, 3), np.uint8)
    pixels[:, :320, 0] = pixels[160:, :, 1] = 200
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    whole, reduced = (images.read_rgb(tmp_path / "a.jpg", least).pixels for least in (0, 80))
    assert whole.shape == (320, 640, 3) and reduced.shape == (80, 160, 3)
    mean = whole.reshape(80, 4, 160, 4, 3).mean((1, 3))
    np.testing.assert_allclose(reduced, mean, atol=4)


# Profiles that are kept.


def wide_files(folder):
    """A Display P3 picture of 8 bits and one of 16, and its values in [0, 1]."""
    values = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    Image.fromarray(values).save(folder / "p3.png", icc_profile=p3_profile())
    deep = values.astype(np.uint16) * 257
    tifffile.imwrite(folder / "p3.tif", deep, photometric="rgb", iccprofile=p3_profile())
    return (folder / "p3.png", folder / "p3.tif"), values


def test_a_display_p3_photo_is_converted_as_the_reference_does(tmp_path):
    paths, values = wide_files(tmp_path)
    srgb = ImageCms.createProfile("sRGB")
    source = ImageCms.ImageCmsProfile(io.BytesIO(p3_profile()))
    reference = np.asarray(
        ImageCms.profileToProfile(Image.fromarray(values), source, srgb, renderingIntent=1), float
    )
    for path in paths:
        found = images.read_image(path).pixels * 255
        assert np.abs(found - reference).max() <= 1.01
        assert np.abs(values - reference).max() > 20  # P3 is not sRGB


def test_a_profile_is_kept_where_that_is_asked_for(tmp_path):
    paths, values = wide_files(tmp_path)
    for path in paths:
        found = images.read_image(path, keep_profile=True)
        np.testing.assert_allclose(found.pixels * 255, values, atol=1e-3)
        assert found.profile == p3_profile() and found.notes == ()
        assert images.read_image(path).profile == b""


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif"])
def test_pictures_are_written_with_their_profile(tmp_path, suffix):
    pixels = picture(24, 32)
    path = tmp_path / f"out{suffix}"
    images.write_image(path, pixels, profile=p3_profile())
    back = images.read_image(path, keep_profile=True)
    assert back.profile == p3_profile()
    assert np.abs(back.pixels - pixels).mean() < 0.03
    with images.opened(path) as opened:
        shown = np.asarray(images.in_srgb(opened), np.float32) / 255
    expected = color_spaces.from_icc(p3_profile()).to_srgb(back.pixels)
    assert np.abs(shown - expected).max() < 2.01 / 255
