"""Pictures of 16 bits: all levels come back, and the files are what they say."""

import io
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from nst_keras.imaging import deep, images
from nst_keras.imaging.deep import write_deep
from nst_keras.runtime.errors import InputError
from tests.conftest import picture
from tests.imaging.conftest import p3_profile

LEVELS = np.arange(65536, dtype=np.uint16).reshape(128, 512)
PICTURE = np.stack([LEVELS, LEVELS[::-1], LEVELS[:, ::-1]], -1)


@pytest.mark.parametrize("strip", [1 << 20, 6 * 512 * 5])
def test_all_levels_come_back_from_a_tiff(tmp_path, monkeypatch, strip):
    monkeypatch.setattr(deep, "_STRIP_BYTES", strip)
    path = tmp_path / "deep.tif"
    write_deep(path, (PICTURE / np.float32(65535)).astype(np.float32))
    np.testing.assert_array_equal(tifffile.imread(path), PICTURE)
    # Read by this project, to half of a level.
    found = images.read_image(path).pixels
    np.testing.assert_allclose(found * 65535, PICTURE, atol=0.5)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert page.photometric == tifffile.PHOTOMETRIC.RGB and not file.is_bigtiff
        assert len(page.dataoffsets) == -(-128 // max(1, strip // (6 * 512)))
        profile = ImageCms.ImageCmsProfile(io.BytesIO(page.iccprofile))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_a_png_has_all_levels_and_says_srgb(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    path = tmp_path / "deep.png"
    write_deep(path, (PICTURE / np.float32(65535)).astype(np.float32))
    np.testing.assert_array_equal(imagecodecs.png_decode(path.read_bytes()), PICTURE)
    with Image.open(path) as image:
        image.load()
        assert image.info["srgb"] == 0


def test_the_same_picture_gives_the_same_bytes_and_values_are_clipped(tmp_path):
    paths = [tmp_path / name for name in ("a.tif", "b.tiff")]
    for path in paths:
        write_deep(path, np.float32([[[-0.2, 0.5, 1.7]]]))
    assert len({path.read_bytes() for path in paths}) == 1
    assert tifffile.imread(paths[0]).tolist() == [[[0, 32768, 65535]]]  # rounded to even: 32767.5


def test_above_the_limit_of_a_tiff_it_is_a_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(deep, "_MOST_BYTES", 100)
    write_deep(tmp_path / "big.tif", np.full((24, 18, 3), 0.25, np.float32))
    with tifffile.TiffFile(tmp_path / "big.tif") as file:
        assert file.is_bigtiff and file.asarray()[3, 3, 1] == 16384
    assert images.read_image(tmp_path / "big.tif").pixels.shape == (24, 18, 3)


@pytest.mark.parametrize("name", ["x.jpg", "x.webp", "x"])
def test_formats_without_16_bits_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=f"--bits=16: --output=.*{name} must end in one of .tif"):
        write_deep(tmp_path / name, np.zeros((2, 2, 3), np.float32))
    assert not list(tmp_path.iterdir())


def test_without_its_encoder_a_png_is_refused_before_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(InputError, match=r"--bits=16: .*PNGs of 16 bits need pip install"):
        deep.check_place(tmp_path / "x.png")
    deep.check_place(tmp_path / "x.tif")


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_profile_is_written_in_place_of_srgb(tmp_path, suffix):
    pixels = picture(24, 32)
    path = tmp_path / f"out{suffix}"
    write_deep(path, pixels, p3_profile())
    found = images.read_image(path, keep_profile=True)
    assert found.profile == p3_profile()
    np.testing.assert_allclose(found.pixels, pixels, atol=0.51 / 65535)
