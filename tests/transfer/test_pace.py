"""How long steps take: of other sizes, in one call, and until the end."""

import math

import pytest

from nst_keras.transfer.pace import Pace
from nst_keras.transfer.plan import Scale

SCALES = COARSE, FINE = Scale(0, 10, 20, 30, 1), Scale(1, 20, 40, 50, 31)


def paced(*calls, waiting=0):
    """A pace after calls of so many steps and seconds at the coarse scale."""
    pace = Pace(waiting)
    for steps, seconds in calls:
        pace.observe(COARSE, steps, seconds)
    return pace


def test_nothing_is_known_before_the_first_step():
    pace = paced()
    assert math.isnan(pace.seconds_per_step(COARSE)) and pace.steps_per_call(COARSE) == 1
    assert math.isnan(pace.seconds_left(SCALES, 0, COARSE))


def test_a_pace_grows_with_pixels():
    pace = paced((10, 2.0))  # 0.2 s a step for 200 px
    assert pace.seconds_per_step(COARSE) == pytest.approx(0.2)
    assert pace.seconds_per_step(FINE) == pytest.approx(0.8)


def test_what_does_not_grow_with_the_picture_is_part_of_a_step():
    pace = paced((10, 6.0), waiting=400)  # 0.6 s a step for 200 px and 400 more
    assert pace.seconds_per_step(FINE) == pytest.approx(0.6 / 600 * 1200)


@pytest.mark.parametrize(("seconds", "steps"), [(0.01, 100), (0.3, 3), (0.6, 1), (5.0, 1)])
def test_a_call_takes_about_a_second(seconds, steps):
    assert paced((1, seconds)).steps_per_call(COARSE) == steps


@pytest.mark.parametrize(
    ("step", "left"), [(0, 30 * 0.2 + 50 * 0.8), (10, 44.0), (30, 40.0), (31, 39.2), (80, 0.0)]
)
def test_what_is_left_is_the_steps_of_all_scales_to_come(step, left):
    present = FINE if step > 30 else COARSE
    assert paced((1, 0.2)).seconds_left(SCALES, step, present) == pytest.approx(left)


@pytest.mark.parametrize(
    ("present", "step", "ahead"), [(COARSE, 10, 1), (FINE, 30, 0), (FINE, 40, 0)]
)
def test_later_scales_take_time_to_set_up(present, step, ahead):
    pace = paced((1, 0.2))
    before = pace.seconds_left(SCALES, step, present)
    pace.setup_seconds = 9.0
    assert pace.seconds_left(SCALES, step, present) - before == pytest.approx(9.0 * ahead)


def test_a_pace_follows_a_change_of_load_and_may_be_forgotten():
    pace = paced((1, 1.0), (1, 2.0))
    assert pace.seconds_per_step(COARSE) == pytest.approx(0.7 * 1 + 0.3 * 2)
    for _ in range(20):
        pace.observe(COARSE, 1, 2.0)
    assert pace.seconds_per_step(COARSE) == pytest.approx(2.0, rel=1e-2)
    pace.forget()
    pace.observe(COARSE, 1, 5.0)
    assert pace.seconds_per_step(COARSE) == 5.0
