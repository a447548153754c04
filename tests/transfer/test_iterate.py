"""Reported steps."""

import io

import numpy as np
import pytest
from PIL import Image

from nst_keras.transfer import iterate as iterate_lib
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.plan import Scale

SCALES = (Scale(0, 10, 20, 30, 1), Scale(1, 20, 40, 50, 31))


def iterate(step, **changes):
    settings = {
        "total_steps": 80,
        "scale": SCALES[0] if step <= 30 else SCALES[1],
        "scales": SCALES,
        "terms": {"total": 6.0, "tv": 0.5},
        "seconds": 0.0,
        "seconds_left": 65.0,
        "steps_per_second": 2.5,
    }
    return Iterate(step=step, **{**settings, **changes})


class FakeSource:
    profile = b""

    def picture(self):
        return np.ones((2, 2, 3), np.float32)

    def value(self):
        return {"total": 5.0}

    def references(self):
        return "references"


@pytest.mark.parametrize(
    ("step", "ends_scale", "is_last"),
    [(1, False, False), (30, True, False), (31, False, False), (80, True, True)],
)
def test_an_iterate_knows_whether_it_ends_its_scale_and_the_run(step, ends_scale, is_last):
    assert (iterate(step).ends_scale, iterate(step).is_last) == (ends_scale, is_last)


def test_an_iterate_that_stopped_early_ends_its_scale_and_in_the_finest_one_the_run():
    assert iterate(7, stopped=True).ends_scale and not iterate(7, stopped=True).is_last
    assert iterate(47, stopped=True).ends_scale and iterate(47, stopped=True).is_last


def test_an_iterate_at_which_the_run_is_to_end_is_the_last_one():
    assert iterate(7, ends_run=True).is_last and iterate(7, ends_run=True).ends_scale
    assert iterate(7, ends_run=True).is_logged(10)
    assert iterate(7, ends_run=True).is_pictured(10)


def test_an_iterate_reads_its_source_until_that_has_gone_on():
    one = iterate(5, source=FakeSource())
    assert one.image.shape == (2, 2, 3) and one.evaluate() == {"total": 5.0}
    assert one.references() == "references"
    one.source = None
    for read in (lambda: one.image, one.evaluate, one.references):
        with pytest.raises(RuntimeError, match="before asking for the next"):
            read()


def test_an_iterate_shows_its_picture_while_it_can_be_read():
    one = iterate(5, source=FakeSource())
    shown = Image.open(io.BytesIO(one._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), np.full((2, 2, 3), 255))
    one.source = None
    assert one._repr_png_() is None


@pytest.mark.parametrize(
    ("step", "every", "due"), [(10, 5, True), (11, 5, False), (10, 0, False), (7, 1, True)]
)
def test_is_due(step, every, due):
    assert iterate_lib.is_due(step, every) is due


def test_losses_are_logged_at_multiples_and_where_a_scale_ends():
    assert [step for step in range(1, 81) if iterate(step).is_logged(25)] == [
        *(1, 25, 30),
        *(31, 50, 75, 80),
    ]
    assert iterate(7, stopped=True).is_logged(25)


def test_pictures_are_kept_at_multiples_at_given_steps_and_at_the_end():
    def pictured(*arguments):
        return [step for step in range(1, 81) if iterate(step).is_pictured(*arguments)]

    assert pictured(30) == [30, 60, 80]
    assert pictured(30, (7, 30)) == [7, 30, 60, 80]
    assert pictured(0) == [] and pictured(0, (7,)) == [7]
