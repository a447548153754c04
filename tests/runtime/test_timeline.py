"""Where the time of a job goes, by a clock that the tests set."""

import pytest

from nst_keras.runtime import timeline as timeline_lib
from nst_keras.runtime.timeline import Timeline, describe_parts
from tests.conftest import Clock


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timeline_lib, "time", clock)
    return clock


def test_a_part_within_another_is_not_counted_for_that(clock):
    timeline = Timeline()
    clock.now += 1
    with timeline.part("outer"):
        clock.now += 2
        with timeline.part("inner"):
            clock.now += 4
        clock.now += 8
    clock.now += 16
    assert timeline.seconds() == {"other": 17, "outer": 10, "inner": 4}


def test_tells_the_part_that_is_under_way(clock):
    timeline = Timeline()
    assert timeline.current() == ""
    with timeline.part("outer"):
        with timeline.part("inner"):
            assert timeline.current() == "inner"
        assert timeline.current() == "outer"


def test_parts_add_up_to_the_time_since_the_start_also_after_an_error(clock):
    timeline = Timeline(started=90.0)
    for _ in range(2):
        with pytest.raises(ValueError), timeline.part("a"):
            clock.now += 3
            raise ValueError
    with timeline.part("b"):
        clock.now += 1
        assert timeline.seconds() == {"other": 10, "a": 6, "b": 1}
        clock.now += 1
    assert timeline.seconds() == {"other": 10, "a": 6, "b": 2}


def test_short_parts_are_told_together():
    parts = {"other": 0.3, "import": 2.04, "reading": 0.4, "steps": 30.0}
    assert describe_parts(parts) == "steps 0:30, other 0:03"
    halves = {"steps": 1.3, "writing": 1.3, "reading": 0.1}
    assert describe_parts(halves) == "steps 0:01, writing 0:01, other 0:00"
