"""The scene, and what samples of it look like."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from scripts.corpus import scene


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_are_those_that_pillow_shows(orientation):
    stored = scene.quantized(scene.color(), "uint8")
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(stream, "PNG", exif=exif)
    with Image.open(stream) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(scene.turned(stored, orientation), shown)


def test_samples_of_all_types_are_the_same_values():
    for dtype, step in (("uint8", 255), ("uint16", 65535), ("float16", 1024), ("float32", 2**23)):
        found = scene.unit(scene.quantized(scene.color(), dtype))
        np.testing.assert_allclose(found, scene.color(), atol=0.5001 / step)


def test_opacity_mixes_with_white():
    gray, opacity = np.array([[0.2, 0.2]]), np.array([[0.5, 0.0]])
    np.testing.assert_allclose(scene.over_white(gray, opacity)[0, :, 0], [0.6, 1.0])
    np.testing.assert_allclose(scene.over_white(gray, opacity, True)[0, :, 0], [0.7, 1.0])


def test_ink_darkens():
    ink = np.array([[[0.0, 0.0, 0.0, 0.0], [0.0, 0.5, 1.0, 0.0], [0.0, 0.5, 1.0, 0.5]]])
    found = scene.from_cmyk(ink)
    np.testing.assert_allclose(found, [[[1, 1, 1], [1, 0.5, 0], [0.5, 0.25, 0]]])
