"""How far a sweep is, from the records of its trials."""

import math

import pytest

from nst_keras.runs.record import RunRecord
from nst_keras.sweeps.progress import SweepProgress


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_progress_says_what_is_left(clock):
    records = {name: RunRecord() for name in "abcd"}
    records["a"] = RunRecord(step=50, total_steps=100)
    progress = SweepProgress(records.__getitem__, list("abcd"))
    assert math.isnan(progress.seconds_left())
    assert progress.describe() == "0 of 4 trials done"

    clock[0] = 20.0
    progress.note("a", failed=False)  # its second half took 20 s
    assert progress.describe() == "1 of 4 trials done  2:00 left"

    clock[0] = 55.0
    progress.note("d", failed=True)
    records["b"] = RunRecord(step=60, total_steps=100)
    assert progress.describe() == "1 of 4 trials done  1 failed  1:10 left"
    assert progress.share() == pytest.approx((1 + 0.6 + 0) / 3)

    progress.note("b", failed=False)
    progress.note("c", failed=False)
    assert progress.describe() == "3 of 4 trials done  1 failed"
    assert progress.share() == 1.0


@pytest.mark.parametrize(
    ("record", "share"),
    [
        (RunRecord(), 0.0),
        (RunRecord(step=3), 0.0),
        (RunRecord(step=-3, total_steps=10), 0.0),
        (RunRecord(step=3, total_steps=0), 0.0),
        (RunRecord(step=3, total_steps=-10), 0.0),
        (RunRecord(step=5, total_steps=10), 0.5),
        (RunRecord(step=10, total_steps=10), 0.99),  # the result is still to be written
        (RunRecord(step=99, total_steps=10), 0.99),
    ],
)
def test_an_unfinished_trial_counts_by_its_steps(clock, record, share):
    assert SweepProgress(lambda _: record, ["a"]).share() == pytest.approx(share)
