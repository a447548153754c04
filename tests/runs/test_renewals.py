"""When a page is written again."""

import pytest

from nst_keras.runs import renewals
from nst_keras.runs.renewals import Renewals


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(renewals.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_the_first_renewals_come_soon(clock):
    found, pauses = Renewals(), []
    for _ in range(5):
        waited = 0
        while not found.is_due(0.0):
            clock(1)
            waited += 1
        found.note()
        pauses.append(waited)
    assert pauses == [2, 5, 10, 20, 20]


def test_a_long_job_renews_less_often(clock):
    found = Renewals()
    clock(30)
    assert not found.is_due(3600.0)
    clock(6)
    assert found.is_due(3600.0)


def test_a_pause_is_no_time_between_renewals(clock):
    found = Renewals()
    found.note()
    clock(7200)
    found.skip()
    clock(5)
    found.note()
    assert found.within(0.0) == 10.0


def test_news_are_expected_later_where_steps_are_long(clock):
    found = Renewals()
    assert found.within(0.0) == renewals.SETUP_SECONDS
    clock(40)
    found.note()
    assert found.within(0.0) == 5.0  # the setup does not count
    clock(50)
    found.note()
    assert found.within(0.0) == 100.0
