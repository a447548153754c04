"""Early stopping, and divergence: what is taken for it, and what is only noise."""

import math

import numpy as np
import pytest

from nst_keras.transfer.monitors import DivergenceMonitor, EarlyStopping


def stopped_at(totals, tolerance, patience, first_step=1):
    """The step after which a scale with these totals stops, or None."""
    monitor = EarlyStopping(tolerance, patience, first_step, {})
    for step, total in enumerate(totals, first_step):
        monitor.update(step, total)
        if monitor.stopped:
            return step
    return None


@pytest.mark.parametrize("patience", [1, 2, 7])
@pytest.mark.parametrize("first_step", [1, 2, 101])
def test_it_stops_at_multiples_of_patience_within_the_scale(patience, first_step):
    fall = [100.0 - step for step in range(3 * patience)]
    totals = [*fall, *[fall[-1]] * (4 * patience)]
    # The third comparison still sees a fall, the fourth does not.
    assert stopped_at(totals, 1e-6, patience, first_step) == first_step - 1 + 4 * patience


def test_the_first_comparison_never_stops():
    for patience in (1, 5):
        assert stopped_at([3.0] * patience, 0.5, patience) is None
        assert stopped_at([3.0] * 99, 0.5, patience) == 2 * patience


@pytest.mark.parametrize(("fall", "stops"), [(0.0099, True), (0.0101, False), (0.0, True)])
def test_the_fall_is_compared_as_a_share_of_the_total(fall, stops):
    for size in (1e-6, 1.0, 1e9):
        stopped = stopped_at([size, size * (1 - fall)], 0.01, 1)
        assert (stopped == 2) == stops


def test_a_fall_of_exactly_the_tolerance_does_not_stop():
    assert stopped_at([8.0, 6.0, 4.5], 0.25, 1) is None


def test_the_fall_is_that_since_the_last_comparison():
    # 1 % in each two steps, 10 % over all.
    totals = [100 * 0.99 ** (step // 2) for step in range(20)]
    assert stopped_at(totals, 0.009, 2) is None
    assert stopped_at(totals, 0.011, 2) == 4
    assert stopped_at(totals, 0.011, 4) is None


def test_totals_between_comparisons_do_not_matter():
    assert stopped_at([9, 4.0, 1e9, 3.0, -5, 2.0, math.nan, 1.0], 0.1, 2) is None
    assert stopped_at([9, 4.0, 0.1, 4.0], 0.1, 2) == 4


def test_a_rise_stops():
    assert stopped_at([1.0, 1.5], 1e-9, 1) == 2
    assert stopped_at([1.0, math.inf], 1e-9, 1) == 2


def test_negative_totals_are_compared_by_their_size():
    assert stopped_at([-100.0, -102.0], 0.01, 1) is None
    assert stopped_at([-100.0, -100.5], 0.01, 1) == 2


def test_a_tolerance_of_zero_never_stops():
    assert stopped_at([1.0] * 50, 0.0, 5) is None
    assert stopped_at(np.linspace(1, 2, 50), 0.0, 1) is None
    assert EarlyStopping(0.0, 5, 1, {}).next_check(3) == math.inf
    assert EarlyStopping(0.0, 5, 1, {}).state() == {}


def test_the_next_comparison_is_the_next_multiple_of_patience():
    monitor = EarlyStopping(0.1, 10, 101, {})
    steps = {100: 110, 101: 110, 109: 110, 110: 120, 111: 120, 119: 120, 120: 130}
    assert {step: monitor.next_check(step) for step in steps} == steps
    assert [EarlyStopping(0.1, 1, 5, {}).next_check(step) for step in (4, 5, 6)] == [5, 6, 7]


@pytest.mark.parametrize(("patience", "first_step"), [(1, 1), (3, 1), (4, 10)])
def test_the_next_comparison_is_where_the_state_changes(patience, first_step):
    monitor = EarlyStopping(0.1, patience, first_step, {})
    for step in range(first_step, first_step + 15):
        due = monitor.next_check(step - 1) == step
        before = monitor.state()["early_stopping"].copy()
        monitor.update(step, 1000.0 - step)
        changed = not np.array_equal(before, monitor.state()["early_stopping"], equal_nan=True)
        assert changed == due


def test_totals_may_fall_again_after_a_stop():
    monitor = EarlyStopping(0.1, 1, 1, {})
    stops = []
    for step, total in enumerate([4.0, 4.0, 2.0, 2.0], 1):
        monitor.update(step, total)
        stops.append(monitor.stopped)
    assert stops == [False, True, False, True]


def test_a_resumed_monitor_stops_at_the_same_step():
    totals = [10.0, 9.0, 8.0, 7.0, 6.5, 6.49, 6.49, 6.49, 6.49, 6.49]
    whole = stopped_at(totals, 0.05, 2)
    assert whole == 8
    for stop in range(whole + 1):
        first = EarlyStopping(0.05, 2, 1, {})
        for step in range(1, stop + 1):
            first.update(step, totals[step - 1])
        second = EarlyStopping(0.05, 2, 1, first.state())
        assert second.stopped == first.stopped == (stop == whole)
        step = stop
        while not second.stopped:
            step += 1
            second.update(step, totals[step - 1])
        assert step == whole


def test_a_state_is_an_array_of_numbers():
    monitor = EarlyStopping(0.1, 1, 1, {})
    monitor.update(1, 2.5)
    state = monitor.state()
    assert list(state) == ["early_stopping"]
    assert state["early_stopping"].dtype == np.float64 and state["early_stopping"].tolist() == [
        2.5,
        0.0,
    ]


def test_a_state_of_other_owners_is_a_fresh_start():
    monitor = EarlyStopping(0.1, 1, 1, {"image": np.zeros(3)})
    assert not monitor.stopped
    monitor.update(1, 5.0)
    assert not monitor.stopped


FIRST = 41


def new(state=None, last_step=10_000):
    return DivergenceMonitor(FIRST, last_step, state or {})


def look(totals, monitor=None, begin=0):
    """A monitor that has seen these totals, each ten steps after the one before."""
    monitor = monitor or new()
    for count, total in enumerate(totals, start=begin + 1):
        monitor.update(FIRST - 1 + 10 * count, {"total": total, "tv": 0.1})
    return monitor


@pytest.mark.parametrize(
    "totals",
    [
        [5.0, 4.0, 3.0, 2.0],
        [0.0, 0.3, 0.2, 0.1, 0.05],  # from the content itself
        [1.0, 1.0, 1.0, 9e9, 9e9, 0.5, 9e9, 9e9, 0.4],  # it comes back
        [1.0, 2.0, 500.0, 900.0, 400_000.0, 400_000.0, 400_000.0],  # within a thousand times 500
        [0.0] * 10,
        [-2.4, -3.0, -4.0, -5.0, -5.0, -5.0, -5.0],  # by a term of the user's
        [-2.4, -3.0, -4.0, 900.0, 900.0, 900.0],
    ],
)
def test_noise_is_not_divergence(totals):
    look(totals)


EXPLODING = (
    [1.0, 2.0, 1.0, 2001.0, 2001.0, 2001.0],
    [1.0, 1.0, 1.0, 5e3, 0.5, 5e3, 5e4, 5e5],
    [-1.0, -2.0, -1.0, 2001.0, 2001.0, 2001.0],
)


@pytest.mark.parametrize("totals", EXPLODING)
def test_a_total_that_stays_a_thousand_times_as_large_has_exploded(totals):
    look(totals[:-1])
    step = FIRST - 1 + 10 * len(totals)
    with pytest.raises(FloatingPointError, match=rf"the total has grown from .* at step {step}"):
        look(totals)


@pytest.mark.parametrize("totals", EXPLODING)
def test_a_resumed_monitor_finds_the_same_divergence(totals):
    for stop in range(len(totals)):
        resumed = new(look(totals[:stop]).state())
        look(totals[stop:-1], resumed, begin=stop)
        with pytest.raises(FloatingPointError):
            look(totals[-1:], resumed, begin=len(totals) - 1)


def test_totals_between_checks_do_not_count():
    monitor = new()
    monitor.update(FIRST, {"total": 1.0})
    for step in range(FIRST + 1, FIRST + 100):
        monitor.update(step, {"total": 1.0 if monitor.next_check(step - 1) == step else 1e9})
    assert [monitor.next_check(FIRST + n) for n in (-1, 0, 8, 9)] == [50, 50, 50, 60]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_are_named(bad):
    terms = {"total": bad, "content/block5_conv2": 1.0, "style/block1_conv1": bad, "tv": 0.0}
    with pytest.raises(FloatingPointError, match=r"^style/block1_conv1 not finite at step 7$"):
        DivergenceMonitor(1, 99, {}).update(7, terms)
    with pytest.raises(FloatingPointError, match=r"^the gradient not finite at step 7$"):
        DivergenceMonitor(1, 99, {}).update(7, {"total": bad, "tv": 0.0})


def after_the_first(total, state=None):
    monitor = new(state)
    monitor.update(FIRST, {"total": total})
    return monitor


def test_a_total_that_explodes_at_once_is_compared_with_that_of_the_first_step():
    monitor = look([2001.0, 3e7], after_the_first(2.0))
    resumed = new(monitor.state())
    for one in (monitor, resumed):
        with pytest.raises(FloatingPointError, match=r"grown from 2 to 9e\+09 at step 70"):
            look([9e9], one, begin=2)
    look([2001.0, 3e7, 5.0, 4.0, 3e7, 3e7], after_the_first(2.0))  # it comes back
    look([1999.0] * 9, after_the_first(2.0))


def test_a_first_total_of_nearly_nothing_is_no_measure():  # the content is the style
    look([0.3, 0.2, 0.1, 0.3, 0.2], after_the_first(1e-7))


def test_after_the_last_step_a_large_total_does_not_come_back():
    monitor = new(last_step=FIRST + 4)
    monitor.update(FIRST, {"total": 2.0})
    monitor.update(FIRST + 3, {"total": 1e9})
    with pytest.raises(FloatingPointError, match="from 2 to 1e.09 at step 45"):
        monitor.update(FIRST + 4, {"total": 1e9})


def test_the_last_good_step_is_before_the_total_became_large():
    monitor = new()
    assert monitor.last_good is None
    totals = {FIRST: 2.0, FIRST + 7: 3.0, FIRST + 8: 1e9, FIRST + 9: 1e12, FIRST + 15: 1e14}
    for step, total in totals.items():
        monitor.update(step, {"total": total})
    assert monitor.last_good == FIRST + 7
    monitor.update(FIRST + 16, {"total": 4.0})
    assert monitor.last_good == FIRST + 16
