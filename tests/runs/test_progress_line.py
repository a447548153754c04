"""The line that shows how far a run has come."""

import math

from nst_keras.runs.progress_line import ProgressWriter, describe
from tests.runs.conftest import iterate


def test_a_line_says_scale_step_losses_speed_and_time_left():
    assert describe(iterate(31)) == (
        "scale 2/2 40x20  step 31/80  total 6  content 1  style 4.5  tv 0.5  2.5 steps/s  1:05 left"
    )


def test_a_line_without_an_estimate_leaves_speed_and_time_out():
    line = describe(iterate(1, seconds_left=math.nan, steps_per_second=math.nan))
    assert line.endswith("tv 0.5") and "nan" not in line


def test_the_newest_iterate_is_shown_at_the_start_and_at_the_end(capsys):
    writer = ProgressWriter()
    for number in (1, 2, 3, 80):
        writer(iterate(number))
    writer.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("step ")[2].partition(" ")[0] for line in lines] == ["1/80", "80/80"]
