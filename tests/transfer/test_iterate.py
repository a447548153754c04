"""Iterates, the time that is left, and the progress inside a long step."""

import math

import pytest

from nst_keras.transfer import iterate as iterate_lib
from nst_keras.transfer.iterate import Pace
from tests.runs.conftest import SCALES, FakeStage, iterate


@pytest.mark.parametrize(
    ("step", "ends_scale", "is_last"),
    [(1, False, False), (30, True, False), (31, False, False), (80, True, True)],
)
def test_an_iterate_knows_whether_it_ends_its_scale_and_the_job(step, ends_scale, is_last):
    assert (iterate(step).ends_scale, iterate(step).is_last) == (ends_scale, is_last)


def test_an_iterate_reads_its_stage_until_that_has_gone_on():
    one = iterate(5, stage=FakeStage())
    assert one.image.shape == (20, 30, 3) and one.evaluate() == {"total": 5.0}
    one.stage = None
    for read in (lambda: one.image, one.evaluate):
        with pytest.raises(RuntimeError, match="before asking for the next"):
            read()


@pytest.mark.parametrize(
    ("step", "every", "due"), [(10, 5, True), (11, 5, False), (10, 0, False), (7, 1, True)]
)
def test_is_due(step, every, due):
    assert iterate_lib.is_due(step, every) is due


def test_a_pace_knows_nothing_before_the_first_step():
    pace = Pace(SCALES)
    assert math.isnan(pace.seconds_left(0)) and math.isnan(pace.seconds_per_step(SCALES[0]))


def test_a_pace_grows_with_pixels():
    pace = Pace(SCALES)
    pace.saw(SCALES[0], steps=10, seconds=2.0)  # 0.2 s a step for 200 px
    assert pace.seconds_per_step(SCALES[0]) == pytest.approx(0.2)
    assert pace.seconds_per_step(SCALES[1]) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("step", "left"), [(0, 30 * 0.2 + 50 * 0.8), (10, 44.0), (30, 40.0), (31, 39.2), (80, 0.0)]
)
def test_what_is_left_is_the_steps_of_all_scales_to_come(step, left):
    pace = Pace(SCALES)
    pace.saw(SCALES[0], steps=1, seconds=0.2)
    assert pace.seconds_left(step) == pytest.approx(left)


def test_a_pace_follows_a_change_of_load():
    pace = Pace(SCALES)
    pace.saw(SCALES[0], 1, 1.0)
    pace.saw(SCALES[0], 1, 2.0)
    assert pace.seconds_per_step(SCALES[0]) == pytest.approx(0.7 * 1 + 0.3 * 2)
    for _ in range(20):
        pace.saw(SCALES[0], 5, 10.0)
    assert pace.seconds_per_step(SCALES[0]) == pytest.approx(2.0, rel=1e-2)


def test_a_long_evaluation_tells_how_far_it_is(monkeypatch, caplog):
    caplog.set_level("INFO")
    now = [100.0]
    monkeypatch.setattr(iterate_lib.time, "monotonic", lambda: now[0])
    tell = iterate_lib.TileProgress()
    for done, seconds in ((1, 10), (2, 25), (3, 5), (4, 31), (5, 40), (6, 40), (1, 29), (2, 2)):
        now[0] += seconds
        tell(done, 6)
    assert [record.getMessage().split("tile ")[1] for record in caplog.records] == [
        *("2 of 6", "4 of 6", "5 of 6", "2 of 6")
    ]
