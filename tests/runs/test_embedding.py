"""Pictures inside a page."""

import io

import numpy as np
from PIL import Image

from nst_keras.runs import embedding
from tests.runs.conftest import decoded, save


def noise(path, width, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def test_a_small_jpeg_is_embedded_as_it_is_and_a_large_one_reduced(tmp_path):
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    save(small, 60, 40)
    save(large, 2048, 100)

    assert decoded(embedding.picture(small)) == small.read_bytes()
    picture = embedding.picture(large)
    assert (picture["width"], picture["height"]) == (2048, 100)
    with Image.open(io.BytesIO(decoded(picture))) as image:
        assert (image.format, image.size) == ("WEBP", (1024, 50))


def test_a_picture_keeps_to_its_bytes(tmp_path):
    noise(tmp_path / "a.png", 300, 200)

    assert len(decoded(embedding.picture(tmp_path / "a.png", most=9000))) <= 9000
    assert embedding.length(embedding.picture(tmp_path / "a.png", most=9000)) <= 12100


def test_an_original_keeps_its_bytes_or_is_left_out(tmp_path):
    noise(tmp_path / "a.png", 30, 20)
    data = (tmp_path / "a.png").read_bytes()

    found = embedding.original(tmp_path / "a.png", len(data))
    assert decoded(found) == data
    assert (found["width"], found["height"]) == (30, 20)
    assert found["uri"].startswith("data:image/png;base64,")
    assert embedding.original(tmp_path / "a.png", len(data) - 1) is None
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    assert embedding.original(tmp_path / "a.png", len(data)) is None  # cut short
    assert embedding.length(None) == 0
