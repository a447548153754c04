"""The progress of a run from Python: when it is shown, and what a notebook shows."""

import io

import numpy as np
import pytest
from PIL import Image

import nst_keras
from nst_keras.runs import python_progress
from nst_keras.runs.python_progress import Progress
from tests.conftest import picture


class Display:
    """In place of the notebook's."""

    made: list["Display"] = []

    def __init__(self):
        self.updates, self.last = [], ""
        Display.made.append(self)

    def is_due(self):
        return True

    def update(self, text, share, jpeg):
        self.updates.append((text, share, jpeg))

    def close(self, text):
        self.last = text


@pytest.fixture
def notebook(monkeypatch):
    """A notebook; returns the displays that are made in it."""
    monkeypatch.setattr(Display, "made", [])
    monkeypatch.setattr(python_progress, "in_notebook", lambda: True)
    monkeypatch.setattr(python_progress, "NotebookProgress", Display)
    return Display.made


def paint(tiny_weights_path, **options):
    settings = {"objective": "relative", "size": 48, "scales": 1, "iterations": 3, "log_every": 1}
    layers = {"content_layers": "block2_conv1", "style_layers": "block1_conv1"}
    return nst_keras.run(
        picture(40, 60), picture(50, 50), weights=tiny_weights_path, **settings, **layers, **options
    )


@pytest.mark.parametrize(
    ("asked", "kernel", "terminal", "shown"),
    [
        (None, False, False, 0),
        (None, True, False, 1),
        (None, False, True, 1),
        (True, False, False, 1),
        (False, True, True, 0),
    ],
)
def test_it_is_shown_where_somebody_sees_it(monkeypatch, asked, kernel, terminal, shown):
    monkeypatch.setattr(python_progress, "in_notebook", lambda: kernel)
    monkeypatch.setattr(python_progress, "on_terminal", lambda: terminal)
    assert len(Progress.wanted(asked)) == shown


def test_a_notebook_shows_steps_and_the_picture(notebook, tiny_weights_path):
    result = paint(tiny_weights_path)
    (display,) = notebook
    assert [share for _, share, _ in display.updates] == [1 / 3, 2 / 3, 1.0]
    text, _, jpeg = display.updates[-1]
    assert "step 3/3" in text and "48x32" in text
    shown = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.float32) / 255
    assert np.abs(shown - result.image).mean() < 0.05
    assert display.last.startswith("step 3 of 3, 0:")


def test_elsewhere_there_are_plain_lines_if_they_are_asked_for(tiny_weights_path, capsys):
    paint(tiny_weights_path)
    assert capsys.readouterr().err == ""
    paint(tiny_weights_path, progress=True)
    assert "nst_keras: scale 1/1 48x32  step 3/3" in capsys.readouterr().err
