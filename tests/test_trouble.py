"""What is trouble, and what is only noise."""

import math

import pytest

from nst_keras.trouble import Watch

FIRST = 41


def look(totals, watch=None, begin=0):
    """A watch that has seen these totals, each ten steps after the one before."""
    watch = watch or Watch(FIRST)
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
        resumed = Watch(FIRST, look(totals[:stop]).state())
        look(totals[stop:-1], resumed, begin=stop)
        with pytest.raises(FloatingPointError):
            look(totals[-1:], resumed, begin=len(totals) - 1)


def test_steps_between_do_not_count():
    watch = Watch(FIRST)
    for step in range(FIRST, FIRST + 100):
        watch.saw(step, {"total": 1.0 if watch.next_step(step - 1) == step else 1e9})
    assert [watch.next_step(FIRST + n) for n in (-1, 0, 8, 9)] == [50, 50, 50, 60]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named(bad):
    terms = {"total": bad, "content/block5_conv2": 1.0, "style/block1_conv1": bad, "tv": 0.0}
    with pytest.raises(FloatingPointError, match=r"^style/block1_conv1 not finite at step 7$"):
        Watch(1).saw(7, terms)
    with pytest.raises(FloatingPointError, match=r"^the gradient not finite at step 7$"):
        Watch(1).saw(7, {"total": bad, "tv": 0.0})
