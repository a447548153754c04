"""What is trouble, and what is only noise."""

import math

import pytest

from nst_keras.trouble import Watch


def look(totals, **others):
    """The steps that a watch takes without a complaint."""
    watch = Watch()
    for step, total in enumerate(totals, start=1):
        watch.saw(step, {"total": total, **others})


@pytest.mark.parametrize(
    "totals",
    [
        [5.0, 4.0, 3.0, 2.0],
        [0.0, 0.3, 0.2, 0.1, 0.05],  # from the content itself
        [1.0, 1.0, 1.0, 9e9, 9e9, 0.5, 9e9, 9e9, 0.4],  # it comes back
        [1.0, 2.0, 500.0, 900.0, 400_000.0, 400_000.0, 400_000.0],  # within a thousand times 900
        [0.0] * 10,
    ],
)
def test_noise_is_no_trouble(totals):
    look(totals, tv=0.1)


@pytest.mark.parametrize(
    ("totals", "step"),
    [
        ([1.0, 2.0, 1.0, 2001.0, 2001.0, 2001.0], 6),
        ([1.0, 1.0, 1.0, 5e3, 0.5, 5e3, 5e4, 5e5], 8),
    ],
)
def test_a_total_that_stays_a_thousand_times_as_large_has_exploded(totals, step):
    look(totals[:-1])
    with pytest.raises(FloatingPointError, match=rf"the total has grown from .* at step {step}"):
        look(totals)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named(bad):
    terms = {"total": bad, "content/block5_conv2": 1.0, "style/block1_conv1": bad, "tv": 0.0}
    with pytest.raises(FloatingPointError, match=r"^style/block1_conv1 not finite at step 7$"):
        Watch().saw(7, terms)
    with pytest.raises(FloatingPointError, match=r"^the gradient not finite at step 7$"):
        Watch().saw(7, {"total": bad, "tv": 0.0})
