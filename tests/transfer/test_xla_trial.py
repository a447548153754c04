"""--xla=auto decides by times that the tests give."""

from types import SimpleNamespace

import pytest

from nst_keras.devices.xla import XlaFigures
from nst_keras.transfer.xla_trial import XlaTrial

FIGURES = XlaFigures(gain=2.0, compile_seconds=20.0)


def make(figures=FIGURES):
    """A trial, the steps that it steers, and what it remembers."""
    steps, kept = SimpleNamespace(xla=False), []
    return XlaTrial(steps, figures, kept.append), steps, kept


def feed(trial, *calls, left):
    return [trial.observe(*call, left) for call in calls]


def test_it_waits_for_calls_after_the_first_and_compiles_where_that_saves_time():
    """Half of 0.1 s for 501 steps is just above 1.25 times 20 s."""
    trial, steps, _ = make()
    assert feed(trial, (1, 9.0), (10, 1.0), left=501) == [False, False] and not steps.xla
    assert trial.observe(10, 1.0, 501) and steps.xla


def test_a_short_job_is_never_compiled():
    trial, steps, kept = make()
    for left in range(499, 0, -10):
        assert not trial.observe(10, 1.0, left)
    assert not steps.xla and not kept


def test_the_faster_of_two_calls_counts_since_others_may_have_taken_the_device():
    trial, steps, _ = make()
    feed(trial, (1, 9.0), (10, 100.0), (10, 0.5), left=501)
    assert not steps.xla


def test_the_gain_and_the_seconds_of_compiling_are_remembered():
    trial, steps, kept = make()
    feed(trial, (1, 9.0), (10, 1.0), (10, 1.0), left=10_000)
    assert feed(trial, (1, 15.04), (10, 0.4), (10, 0.4), left=9_000) == [False] * 3
    (figures,) = kept
    assert steps.xla
    assert (figures.gain, figures.compile_seconds) == pytest.approx((2.5, 15.0))
    assert not trial.observe(10, 99.0, 9_000) and steps.xla and len(kept) == 1  # decided once


@pytest.mark.parametrize("per_step", [0.1, 0.3])
def test_it_goes_back_where_steps_are_no_faster(per_step):
    trial, steps, kept = make()
    feed(trial, (1, 9.0), (10, 1.0), (10, 1.0), left=10_000)
    feed(trial, (1, 15.0), (10, 10 * per_step), (10, 10 * per_step), left=9_000)
    assert not steps.xla and kept[0].gain <= 1.0
    again, others, _ = make(kept[0])
    feed(again, (1, 9.0), (10, 1.0), (10, 1.0), left=10**6)
    assert not others.xla
