"""--xla=auto decides by times that the tests give."""

from types import SimpleNamespace

import pytest

from nst_keras.devices.xla import XlaFigures
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import xla_trial
from nst_keras.transfer.plan import Scale
from nst_keras.transfer.xla_trial import XlaTrial, program_kind


@pytest.fixture(autouse=True)
def first_figures(monkeypatch):
    """What counts before anything was measured: half the time, after 20 s."""

    def figures(gain=2.0, compile_seconds=20.0):
        return XlaFigures(gain, compile_seconds)

    monkeypatch.setattr(xla_trial, "XlaFigures", figures)


def make(known=None):
    """A trial, the steps that it steers, and what it remembers."""
    steps, kept = SimpleNamespace(xla=False), []
    return XlaTrial(steps, known, kept.append), steps, kept


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


def test_what_an_earlier_run_found_faster_is_used_from_the_start():
    trial, steps, kept = make(XlaFigures(gain=3.0, compile_seconds=25.0))
    assert steps.xla
    assert feed(trial, (1, 2.0), (10, 1.0), (10, 1.0), left=3) == [False] * 3
    assert steps.xla and not kept


SCALE = Scale(0, 96, 128, 100, 1)


def kind(scale=SCALE, precision="bfloat16", pictures=1, vectors=9, regions=0, **settings):
    keeps = settings.pop("keeps", False)
    given = resolve(Config(**settings)), scale, precision, pictures, vectors, regions
    return program_kind(*given, keeps=keeps)


@pytest.mark.parametrize(
    "settings",
    [
        {"content": "other.jpg", "style": ("a.jpg", "b.jpg")},
        {"style_weight": 3.0, "learning_rate": 0.5, "iterations": 7, "seed": 4},
        {"workdir": "elsewhere", "image_every": 3},
        {"style_mask": ("a.png",), "mask_erosion": 0.5, "region_weights": (2.0,)},
    ],
    ids=str,
)
def test_pictures_weights_and_rates_do_not_shape_a_program(settings):
    assert kind(**settings) == kind()


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "relative"},
        {"tv_weight": 0.0},
        {"content_focus": 0.0},
        {"optimizer": "lbfgs"},
        {"content_layers": ("block4_conv2",)},
        {"schedule": "cosine"},
        {"pictures": 2},
        {"vectors": 8},
        {"regions": 2},
        {"keeps": True},
        {"precision": "float32"},
        {"scale": Scale(0, 96, 120, 100, 1)},
    ],
    ids=str,
)
def test_what_is_computed_shapes_a_program(settings):
    assert kind(**settings) != kind()
