"""Soft proofs: what a printer has no color for comes out duller; what it has stays."""

import numpy as np
import pytest
from PIL import Image

from nst_keras.imaging import images, proof
from nst_keras.runtime.errors import InputError
from tests.imaging.conftest import ADOBE, adobe_profile, fixed, icc, xyz


def dull_profile():
    """A printer whose primaries are half as colorful as those of Adobe RGB."""
    white = ADOBE.sum(axis=0)
    rows = 0.5 * ADOBE + 0.5 * ADOBE.sum(axis=1, keepdims=True) * white / white.sum()
    rows *= white / rows.sum(axis=0)
    curve = b"para\0\0\0\0" + b"\0\0\0\0" + fixed(2.2)
    tags = {name + b"XYZ": xyz(*row) for name, row in zip((b"r", b"g", b"b"), rows, strict=True)}
    tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    return icc(b"prtr", b"RGB ", b"XYZ ", "Dull", tags)


@pytest.fixture
def result(tmp_path):
    pixels = np.zeros((20, 30, 3), np.float32)
    pixels[:, :10], pixels[:, 10:20], pixels[:, 20:] = (1, 0, 0), (0.5, 0.5, 0.5), (0.55, 0.5, 0.5)
    images.write_image(tmp_path / "result.png", pixels)
    return tmp_path / "result.png"


def written(tmp_path, result, profile):
    (tmp_path / "printer.icc").write_bytes(profile)
    proof.check_profile(str(tmp_path / "printer.icc"))
    proof.write_proof(tmp_path / "proof.png", result, str(tmp_path / "printer.icc"))
    return np.asarray(Image.open(tmp_path / "proof.png"), int)[10]


def test_a_proof_shows_what_the_printer_lacks(tmp_path, result):
    red, gray, rosy = written(tmp_path, result, dull_profile())[[5, 15, 25]]
    assert np.ptp(red) < 200  # of 255
    np.testing.assert_allclose(gray, 128, atol=3)
    np.testing.assert_allclose(rosy, (140, 128, 128), atol=3)


def test_a_printer_of_all_colors_changes_nothing(tmp_path, result):
    found = written(tmp_path, result, adobe_profile())
    np.testing.assert_allclose(found[[5, 15]], [(255, 0, 0), (128, 128, 128)], atol=3)


@pytest.mark.parametrize("content", [None, b"", b"not a profile", adobe_profile()[:200]])
def test_profiles_that_cannot_be_read_are_refused(tmp_path, content):
    path = tmp_path / "printer.icc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="--proof=.*printer.icc: .*ICC profile"):
        proof.check_profile(str(path))
