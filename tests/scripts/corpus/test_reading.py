"""Reading a file in a process of its own, whatever it does there."""

import os
import time

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.runtime.errors import InputError
from scripts.corpus import reading
from tests.conftest import picture


def read(path, monkeypatch=None, reader=None, timeout=20.0):
    if reader:
        monkeypatch.setattr(reading, "read_image", reader)
    return reading.read_in_process(path, 10**6, timeout)


def test_a_picture_is_read(tmp_path):
    images.write_image(tmp_path / "a.png", picture(20, 30))
    outcome = read(tmp_path / "a.png")
    np.testing.assert_allclose(outcome.pixels, picture(20, 30), atol=0.51 / 255)
    assert outcome.problems == [] and outcome.seconds > 0 and outcome.megabytes > 10


def test_a_refusal_is_kept_without_the_path(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    outcome = read(tmp_path / "a.png")
    assert outcome.refusal.startswith("not a JPEG") and outcome.problems == []


def fail(text):
    raise InputError(text)


@pytest.mark.parametrize(
    ("reader", "problem"),
    [
        (lambda *_: 1 // 0, "ZeroDivisionError"),
        (lambda *_: fail("two\nlines"), "not one line"),
        (lambda *_: fail("without the flag"), "not one line"),
        (lambda *_: os._exit(3), "died: status 3"),
        (lambda *_: os.write(2, b"libtiff: hello") and fail("--content=x: y"), "printed"),
        (
            lambda *_: images.Picture(np.full((2, 2, 3), np.nan, np.float32), (), "", (2, 2)),
            "values from nan",
        ),
        (lambda *_: images.Picture(np.zeros((2, 2), np.float32), (), "", (2, 2)), "has the shape"),
    ],
)
def test_anything_else_is_a_problem(monkeypatch, reader, problem):
    outcome = read("x", monkeypatch, reader)
    assert problem in outcome.problems[0]


def test_what_takes_too_long_is_killed(monkeypatch):
    outcome = read("x", monkeypatch, lambda *_: time.sleep(60), timeout=0.2)
    assert outcome.problems == ["took more than 0.2 s"] and outcome.seconds < 30
