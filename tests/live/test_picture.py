import io

import numpy as np
import pytest
from PIL import Image

from nst_keras.live import picture as picture_lib
from nst_keras.live.picture import LivePicture
from tests.conftest import Clock, picture
from tests.imaging.conftest import p3_profile


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(picture_lib, "time", clock)
    return clock


def test_is_due_once_a_second_while_somebody_looks_and_now_and_then_otherwise(clock):
    live = LivePicture()
    live.look()
    assert live.is_due()
    live.take(lambda: picture(8, 8))
    assert not live.is_due()
    clock.now += 1.1
    assert live.is_due()
    clock.now += 10
    assert not live.is_due() and not live.is_watched()
    clock.now += 10
    assert live.is_due()


def test_costly_pictures_are_taken_less_often(clock):
    def read():
        clock.now += 0.5
        return picture(8, 8)

    live = LivePicture()
    live.take(read)
    clock.now += 20
    live.look()
    assert not live.is_due()
    clock.now += 11
    live.look()
    assert live.is_due()


def test_is_encoded_once(monkeypatch):
    live, saved = LivePicture(), []
    normal = Image.Image.save

    def save(self, *arguments, **options):
        saved.append(self.size)
        return normal(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", save)
    assert live.jpeg() == (0, b"")
    live.take(lambda: picture(20, 30))
    first = live.jpeg()
    assert live.jpeg() == first and first[0] == 1
    assert saved == [(30, 20)]
    live.take(lambda: picture(10, 10, seed=3))
    number, jpeg = live.jpeg()
    assert number == 2 and jpeg != first[1] and len(saved) == 2


def test_shows_the_picture_small_and_in_its_color_space():
    pixels = np.ones((700, 1500, 3), np.float32) * np.float32([0.8, 0.4, 0.2])
    live = LivePicture(p3_profile())
    live.take(lambda: pixels)
    image = Image.open(io.BytesIO(live.jpeg()[1]))
    assert image.size == (1024, 478)
    assert image.info["icc_profile"] == p3_profile()
    assert np.abs(np.asarray(image)[100, 100] - [204, 102, 51]).max() <= 3
