"""The result of a run in Python: what it shows and saves."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_keras.imaging import images
from nst_keras.imaging.color import to_uint8
from nst_keras.runs import result as result_lib
from nst_keras.runs.result import Result, losses_by_term
from nst_keras.runtime.errors import InputError
from tests.conftest import picture

PIXELS = picture(20, 30)
RESULT = Result(PIXELS, {"step": [1], "total": [0.5]}, 1, 2, finished=False)


def test_it_shows_itself_as_a_picture():
    shown = Image.open(io.BytesIO(RESULT._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), to_uint8(PIXELS))
    assert repr(RESULT) == "Result(30x20, step 1 of 2)"


def test_its_page_is_in_its_folder():
    found = Result(PIXELS, {}, 2, 2, True, Path("runs/x"))
    assert found.page == Path("runs/x/index.html")
    assert "page=" in repr(found)


def test_it_is_saved_by_its_suffix_with_8_or_16_bits(tmp_path):
    RESULT.save(tmp_path / "a.png")
    found = images.read_image(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(to_uint8(found), to_uint8(PIXELS))
    RESULT.save(str(tmp_path / "a.tif"), bits=16)
    deep = images.read_image(tmp_path / "a.tif").pixels
    assert np.abs(deep - PIXELS).max() < 1e-5 < np.abs(found - PIXELS).max()
    for bits in (8, 16):  # in the words of Python, which has no --output
        with pytest.raises(InputError, match="^/.*a.xyz:? must end in one of"):
            RESULT.save(tmp_path / "a.xyz", bits=bits)
    with pytest.raises(InputError, match="^bits=12: must be 8 or 16"):
        RESULT.save(tmp_path / "a.tif", bits=12)


def test_show_opens_a_window_or_shows_it_below_the_cell(monkeypatch):
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda image: shown.append(image.size))
    monkeypatch.setattr(result_lib.notebook, "show", shown.append)
    monkeypatch.setattr(result_lib.notebook, "in_notebook", lambda: False)
    RESULT.show()
    monkeypatch.setattr(result_lib.notebook, "in_notebook", lambda: True)
    RESULT.show()
    assert shown == [(30, 20), RESULT]


def test_losses_are_lists_by_term():
    rows = [{"step": 1, "terms": {"total": 3.0, "tv": 1.0}}, {"step": 5, "terms": {"total": 2.0}}]
    found = losses_by_term(rows)
    assert found["step"] == [1, 5] and found["total"] == [3.0, 2.0]
    assert found["tv"][0] == 1.0 and math.isnan(found["tv"][1])
    assert losses_by_term([]) == {"step": []}
