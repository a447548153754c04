"""Pillow's limits, formats, and kinds of pictures that it does not know."""

import re
import struct
import threading
import warnings

import pytest
from PIL import Image

from nst_keras.imaging import opening
from nst_keras.runtime.errors import InputError
from tests.imaging.conftest import encoded


def with_precision(bits):
    """A JPEG whose header claims so many bits."""
    data = bytearray(encoded(Image.new("RGB", (32, 32)), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = bits
    return bytes(data)


BITFIELDS = struct.pack("<IiiHHIIiiIIIII", 40, 20, 20, 1, 32, 3, 0, 0, 0, 0, 0, 1, 2, 4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (with_precision(12), "a JPEG of a kind that is not read (12 bits)"),
        (
            b"BM" + struct.pack("<IHHI", 0, 0, 0, 66) + BITFIELDS + bytes(1600),
            "a BMP of a kind that is not read (bitfields layout)",
        ),
    ],
)
def test_rare_kinds_are_not_called_damaged(data, words):
    with pytest.raises(InputError, match=re.escape(words)):
        opening.identified(data, opening.FORMATS)


def test_the_limit_is_restored_when_the_last_thread_leaves(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    inside, leave = threading.Event(), threading.Event()

    def decode():
        with opening.without_limits():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=decode)
    with opening.without_limits():
        thread.start()
        assert inside.wait(20)  # two threads at the same time
    assert Image.MAX_IMAGE_PIXELS is None
    leave.set()
    thread.join()
    assert Image.MAX_IMAGE_PIXELS == 10


def test_warnings_are_silent_inside_only():
    with pytest.warns(UserWarning, match="heard"):
        with opening.without_limits():
            warnings.warn("silenced", UserWarning, stacklevel=1)
        warnings.warn("heard", UserWarning, stacklevel=1)


def test_an_error_inside_restores_the_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match="damaged"), opening.without_limits():
        raise ValueError("damaged")
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("brand", [b"avif", b"xxxx"])
def test_other_containers_need_no_heif_decoder(brand):
    assert opening.formats_of(b"\0\0\0\x18ftyp" + brand + bytes(200)) == opening.FORMATS
