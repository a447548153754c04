"""Learning rates over the steps of a scale, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.optimizers.schedules import make_schedule

NAMES = ("constant", "linear", "cosine", "exponential", "piecewise")
AT = ((4, 0.5), (7, 0.1))  # from the 1-based 4th and 7th step on


def expected(name, step, *, over, end=0.2):
    """Factor at a 0-based step, falling over so many steps."""
    part = np.minimum(step / over, 1.0)
    return {
        "constant": np.ones_like(part),
        "linear": 1.0 - (1.0 - end) * part,
        "cosine": end + (1.0 - end) * 0.5 * (1.0 + np.cos(np.pi * part)),
        "exponential": end ** (step / over),
        "piecewise": np.where(step + 1 >= 7, 0.1, np.where(step + 1 >= 4, 0.5, 1.0)),
    }[name]


def schedule_of(name, learning_rate=3.0, *, steps=21, end=0.2, **options):
    at = AT if name == "piecewise" else ()
    return make_schedule(name, learning_rate, steps=steps, end=end, at=at, **options)


def rates(schedule, count):
    return np.array([schedule(tf.constant(step, tf.int64)) for step in range(count)])


@pytest.mark.parametrize("name", NAMES)
def test_rates_are_those_of_the_formula(name):
    steps = np.arange(40)  # the last 19 of them beyond the scale
    found = rates(schedule_of(name), 40)
    np.testing.assert_allclose(found, 3.0 * expected(name, steps, over=20), rtol=1e-5)


@pytest.mark.parametrize("name", ["linear", "cosine", "exponential"])
@pytest.mark.parametrize("steps", [2, 3, 50, 1000])
def test_the_end_is_reached_at_the_last_step(name, steps):
    schedule = schedule_of(name, steps=steps, end=0.1)
    np.testing.assert_allclose(schedule(tf.constant(0)), 3.0, rtol=1e-5)
    np.testing.assert_allclose(schedule(tf.constant(steps - 1)), 0.3, rtol=1e-4)
    assert schedule(tf.constant(steps - 2)) > schedule(tf.constant(steps - 1))


@pytest.mark.parametrize("name", ["linear", "cosine", "exponential"])
@pytest.mark.parametrize("fall_steps", [5, 100])
def test_a_fall_may_be_shorter_or_longer_than_the_scale(name, fall_steps):
    found = rates(schedule_of(name, fall_steps=fall_steps), 30)
    np.testing.assert_allclose(
        found, 3.0 * expected(name, np.arange(30), over=fall_steps), rtol=1e-5
    )


def test_linear_and_cosine_stay_at_their_end():
    for name in ("linear", "cosine"):
        np.testing.assert_allclose(rates(schedule_of(name, fall_steps=4), 30)[4:], 0.6, rtol=1e-5)


def test_an_exponential_fall_continues_after_its_end():
    schedule = schedule_of("exponential", 100.0, steps=4000, end=0.96, fall_steps=100)
    steps = np.array([0, 1, 50, 100, 200, 1000, 3999])
    found = [float(schedule(tf.constant(step, tf.int64))) for step in steps]
    np.testing.assert_allclose(found, 100.0 * 0.96 ** (steps / 100), rtol=1e-5)


def test_a_piece_begins_exactly_at_its_step():
    for first in (2, 3, 10):
        schedule = make_schedule("piecewise", 2.0, steps=20, end=1.0, at=[(first, 0.25)])
        found = rates(schedule, 20)  # found[k] is of the 1-based step k + 1
        np.testing.assert_allclose(found[: first - 1], 2.0, rtol=1e-6)
        np.testing.assert_allclose(found[first - 1 :], 0.5, rtol=1e-6)


def test_a_piece_may_begin_at_the_first_step_or_be_zero_or_higher():
    at = [(1, 0.5), (2, 3.0), (3, 0.0)]
    found = rates(make_schedule("piecewise", 2.0, steps=5, end=1.0, at=at), 5)
    np.testing.assert_allclose(found, [1.0, 6.0, 0.0, 0.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup", [1, 5, 30])
def test_a_warm_up_multiplies_any_schedule(name, warmup):
    steps = np.arange(40)
    risen = np.minimum((steps + 1) / warmup, 1.0)
    found = rates(schedule_of(name, warmup_steps=warmup), 40)
    np.testing.assert_allclose(found, 3.0 * risen * expected(name, steps, over=20), rtol=1e-5)
    assert found[0] > 0  # no step is wasted


@pytest.mark.parametrize("name", NAMES)
def test_a_scale_of_one_step_has_the_full_rate(name):
    np.testing.assert_allclose(schedule_of(name, steps=1)(tf.constant(0, tf.int64)), 3.0, rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_graph_gives_the_same_rates_as_float32(name, warmup, dtype):
    schedule = schedule_of(name, warmup_steps=warmup)
    compiled = tf.function(schedule, input_signature=[tf.TensorSpec([], dtype)])
    for step in (0, 2, 3, 5, 6, 20):
        rate = compiled(tf.constant(step, dtype))
        assert rate.dtype == tf.float32
        np.testing.assert_allclose(rate, schedule(tf.constant(step, dtype)), rtol=1e-6)
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_keras_optimizer_takes_the_rate_of_each_step(name, warmup):
    schedule = schedule_of(name, warmup_steps=warmup)
    optimizer, pixels = keras.optimizers.SGD(schedule), keras.Variable(np.zeros(2, np.float32))
    step = tf.function(lambda: optimizer.apply([tf.ones(2)], [pixels]))
    optimizer.build([pixels])
    moved = []
    for _ in range(9):
        before = pixels.numpy()
        step()
        moved.append((before - pixels.numpy())[0])
    np.testing.assert_allclose(moved, rates(schedule, 9), rtol=1e-4)
