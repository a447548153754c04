"""Formats that consist of parts: what is written can be taken apart again."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from scripts.fuzzing import formats
from scripts.fuzzing.pictures import SIDE, save_picture


def test_a_picture_is_taken_apart_and_put_together():
    data = save_picture("PNG")
    chunks = formats.read_png(data)
    assert chunks[0][0] == b"IHDR" and chunks[-1] == (b"IEND", b"")
    assert formats.write_png(chunks) == data
    assert formats.read_png(data[:-1]) == chunks[:-1]
    with Image.open(io.BytesIO(formats.write_png(chunks))) as image:
        image.load()
        assert image.size == SIDE


@pytest.mark.parametrize("compress", [False, True])
def test_an_archive_of_arrays(compress):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = formats.write_zip([("a.npy", formats.npy(array))], compress)
    assert formats.read_zip(data) == {"a.npy": formats.npy(array)}
    np.testing.assert_array_equal(np.load(io.BytesIO(data))["a"], array)
    assert formats.read_zip(data[:-9]) == {}


def test_text_as_an_array():
    assert bytes(np.load(io.BytesIO(formats.npy_text(b"{}")))) == b"{}"


@pytest.mark.parametrize("kind", ["w", "w:bz2"])
def test_an_archive_of_files(kind):
    members = {"folder/a": b"one", "b": b""}
    with tarfile.open(fileobj=io.BytesIO(formats.write_tar(members, kind))) as archive:
        assert {m.name: formats.member_content(archive, m) for m in archive} == members
