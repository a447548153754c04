"""Pillow's global limits: lifted while any thread decodes, and restored after the last."""

import threading
import warnings

import pytest
from PIL import Image

from nst_keras.imaging import pillow


def test_the_limit_is_restored_when_the_last_thread_leaves(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    inside, leave = threading.Event(), threading.Event()

    def decode():
        with pillow.without_limits():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=decode)
    with pillow.without_limits():
        thread.start()
        assert inside.wait(20)  # two threads at the same time
    assert Image.MAX_IMAGE_PIXELS is None
    leave.set()
    thread.join()
    assert Image.MAX_IMAGE_PIXELS == 10


def test_warnings_are_silent_inside_only():
    with pytest.warns(UserWarning, match="heard"):
        with pillow.without_limits():
            warnings.warn("silenced", UserWarning, stacklevel=1)
        warnings.warn("heard", UserWarning, stacklevel=1)


def test_an_error_inside_restores_the_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match="damaged"), pillow.without_limits():
        raise ValueError("damaged")
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("brand", [b"avif", b"xxxx"])
def test_other_containers_need_no_heif_decoder(brand):
    assert pillow.formats_of(b"\0\0\0\x18ftyp" + brand + bytes(200)) == pillow.FORMATS
