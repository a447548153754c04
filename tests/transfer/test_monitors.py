"""Early stopping, and divergence: what is trouble, and what is only noise."""

import math

import numpy as np
import pytest

from nst_keras.transfer.monitors import DivergenceMonitor, EarlyStopping


def first_rest(totals, tolerance, patience, first_step=1):
    """The step after which a scale with these totals rests, or None."""
    plateau = EarlyStopping(tolerance, patience, first_step)
    for step, total in enumerate(totals, first_step):
        plateau.saw(step, total)
        if plateau.rests:
            return step
    return None


@pytest.mark.parametrize("patience", [1, 2, 7])
@pytest.mark.parametrize("first_step", [1, 2, 101])
def test_it_fires_at_multiples_of_patience_within_the_scale(patience, first_step):
    fall = [100.0 - step for step in range(3 * patience)]
    totals = [*fall, *[fall[-1]] * (4 * patience)]
    # The third comparison still sees a fall, the fourth does not.
    assert first_rest(totals, 1e-6, patience, first_step) == first_step - 1 + 4 * patience


def test_the_first_comparison_never_fires():
    for patience in (1, 5):
        assert first_rest([3.0] * patience, 0.5, patience) is None
        assert first_rest([3.0] * 99, 0.5, patience) == 2 * patience


@pytest.mark.parametrize(("fall", "fires"), [(0.0099, True), (0.0101, False), (0.0, True)])
def test_the_fall_is_compared_as_a_share_of_the_total(fall, fires):
    for size in (1e-6, 1.0, 1e9):
        rested = first_rest([size, size * (1 - fall)], 0.01, 1)
        assert (rested == 2) == fires


def test_a_fall_of_exactly_the_tolerance_goes_on():
    assert first_rest([8.0, 6.0, 4.5], 0.25, 1) is None


def test_the_fall_is_that_since_the_last_comparison():
    # 1 % in each two steps, 10 % over all.
    totals = [100 * 0.99 ** (step // 2) for step in range(20)]
    assert first_rest(totals, 0.009, 2) is None
    assert first_rest(totals, 0.011, 2) == 4
    assert first_rest(totals, 0.011, 4) is None


def test_totals_between_comparisons_do_not_matter():
    assert first_rest([9, 4.0, 1e9, 3.0, -5, 2.0, math.nan, 1.0], 0.1, 2) is None
    assert first_rest([9, 4.0, 0.1, 4.0], 0.1, 2) == 4


def test_a_rise_counts_as_rest():
    assert first_rest([1.0, 1.5], 1e-9, 1) == 2
    assert first_rest([1.0, math.inf], 1e-9, 1) == 2


def test_negative_totals_are_compared_by_their_size():
    assert first_rest([-100.0, -102.0], 0.01, 1) is None
    assert first_rest([-100.0, -100.5], 0.01, 1) == 2


def test_a_tolerance_of_zero_never_fires():
    assert first_rest([1.0] * 50, 0.0, 5) is None
    assert first_rest(np.linspace(1, 2, 50), 0.0, 1) is None
    assert EarlyStopping(0.0, 5, 1).next_step(3) == math.inf
    assert EarlyStopping(0.0, 5, 1).state() == {}


def test_the_next_comparison_is_the_next_multiple_of_patience():
    plateau = EarlyStopping(0.1, 10, first_step=101)
    steps = {100: 110, 101: 110, 109: 110, 110: 120, 111: 120, 119: 120, 120: 130}
    assert {step: plateau.next_step(step) for step in steps} == steps
    assert [EarlyStopping(0.1, 1, 5).next_step(step) for step in (4, 5, 6)] == [5, 6, 7]


@pytest.mark.parametrize(("patience", "first_step"), [(1, 1), (3, 1), (4, 10)])
def test_the_next_comparison_is_where_the_total_is_taken_note_of(patience, first_step):
    plateau = EarlyStopping(0.1, patience, first_step)
    for step in range(first_step, first_step + 15):
        due = plateau.next_step(step - 1) == step
        before = plateau.state()["plateau"].copy()
        plateau.saw(step, 1000.0 - step)
        changed = not np.array_equal(before, plateau.state()["plateau"], equal_nan=True)
        assert changed == due


def test_it_may_fall_again_after_a_rest():
    plateau = EarlyStopping(0.1, 1, 1)
    rests = []
    for step, total in enumerate([4.0, 4.0, 2.0, 2.0], 1):
        plateau.saw(step, total)
        rests.append(plateau.rests)
    assert rests == [False, True, False, True]


def test_a_state_goes_on_where_it_was():
    totals = [10.0, 9.0, 8.0, 7.0, 6.5, 6.49, 6.49, 6.49, 6.49, 6.49]
    whole = first_rest(totals, 0.05, 2)
    assert whole == 8
    for stop in range(whole + 1):
        first = EarlyStopping(0.05, 2, 1)
        for step in range(1, stop + 1):
            first.saw(step, totals[step - 1])
        second = EarlyStopping(0.05, 2, 1, first.state())
        assert second.rests == first.rests == (stop == whole)
        step = stop
        while not second.rests:
            step += 1
            second.saw(step, totals[step - 1])
        assert step == whole


def test_a_state_is_an_array_of_numbers():
    plateau = EarlyStopping(0.1, 1, 1)
    plateau.saw(1, 2.5)
    state = plateau.state()
    assert list(state) == ["plateau"]
    assert state["plateau"].dtype == np.float64 and state["plateau"].tolist() == [2.5, 0.0]


def test_a_state_of_other_things_is_a_fresh_start():
    plateau = EarlyStopping(0.1, 1, 1, {"image": np.zeros(3)})
    assert not plateau.rests
    plateau.saw(1, 5.0)
    assert not plateau.rests


FIRST = 41


def look(totals, watch=None, begin=0):
    """A watch that has seen these totals, each ten steps after the one before."""
    watch = watch or DivergenceMonitor(FIRST)
    for count, total in enumerate(totals, start=begin + 1):
        watch.saw(FIRST - 1 + 10 * count, {"total": total, "tv": 0.1})
    return watch


@pytest.mark.parametrize(
    "totals",
    [
        [5.0, 4.0, 3.0, 2.0],
        [0.0, 0.3, 0.2, 0.1, 0.05],  # from the content itself
        [1.0, 1.0, 1.0, 9e9, 9e9, 0.5, 9e9, 9e9, 0.4],  # it comes back
        [1.0, 2.0, 500.0, 900.0, 400_000.0, 400_000.0, 400_000.0],  # within a thousand times 500
        [0.0] * 10,
    ],
)
def test_noise_is_no_trouble(totals):
    look(totals)


EXPLODING = (
    [1.0, 2.0, 1.0, 2001.0, 2001.0, 2001.0],
    [1.0, 1.0, 1.0, 5e3, 0.5, 5e3, 5e4, 5e5],
)


@pytest.mark.parametrize("totals", EXPLODING)
def test_a_total_that_stays_a_thousand_times_as_large_has_exploded(totals):
    look(totals[:-1])
    step = FIRST - 1 + 10 * len(totals)
    with pytest.raises(FloatingPointError, match=rf"the total has grown from .* at step {step}"):
        look(totals)


@pytest.mark.parametrize("totals", EXPLODING)
def test_a_resumed_watch_goes_on(totals):
    for stop in range(len(totals)):
        resumed = DivergenceMonitor(FIRST, look(totals[:stop]).state())
        look(totals[stop:-1], resumed, begin=stop)
        with pytest.raises(FloatingPointError):
            look(totals[-1:], resumed, begin=len(totals) - 1)


def test_steps_between_do_not_count():
    watch = DivergenceMonitor(FIRST)
    for step in range(FIRST, FIRST + 100):
        watch.saw(step, {"total": 1.0 if watch.next_step(step - 1) == step else 1e9})
    assert [watch.next_step(FIRST + n) for n in (-1, 0, 8, 9)] == [50, 50, 50, 60]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named(bad):
    terms = {"total": bad, "content/block5_conv2": 1.0, "style/block1_conv1": bad, "tv": 0.0}
    with pytest.raises(FloatingPointError, match=r"^style/block1_conv1 not finite at step 7$"):
        DivergenceMonitor(1).saw(7, terms)
    with pytest.raises(FloatingPointError, match=r"^the gradient not finite at step 7$"):
        DivergenceMonitor(1).saw(7, {"total": bad, "tv": 0.0})
