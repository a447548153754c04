"""Undamaged pictures: they repeat, and cover the formats that are read."""

import io
import time

import pytest
from PIL import Image

from nst_keras.imaging import images
from scripts.fuzzing import pictures


def formats_of(found):
    names = set()
    for data in found:
        if data[:4] in (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+"):  # Pillow reads not all of them
            names.add("TIFF")
            continue
        with Image.open(io.BytesIO(data)) as image:
            names.add(image.format)
    return names


def test_all_formats_that_runs_read_are_there():
    *others, heic = pictures.all_pictures()
    assert formats_of(others) == {*images.FORMATS, "MPO"}
    assert heic[4:12] == b"ftypheic"
    assert formats_of(pictures.training_pictures()) == {"PNG", "JPEG", "GIF"}


@pytest.mark.parametrize("kind", [pictures.all_pictures, pictures.training_pictures])
def test_pictures_differ_and_repeat_at_another_time(kind):
    first = kind()
    kind.cache_clear()
    time.sleep(1.1)  # color profiles would hold the second of their creation
    assert kind() == first and len({*first}) == len(first)
