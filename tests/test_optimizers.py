"""Adam and its schedules."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import picture

from nst_keras import backbones, losses, objective, optimizers


def quadratic(seed=0, shape=(1, 4, 5, 3)):
    """A random convex function of an image, as a value_and_grad."""
    rng = np.random.default_rng(seed)
    curvature = tf.constant(rng.uniform(1e-3, 10, shape).astype(np.float32))
    centre = tf.constant(rng.random(shape, dtype=np.float32))

    def value_and_grad(image):
        gap = image - centre
        return {"total": 0.5 * tf.reduce_sum(curvature * gap**2)}, curvature * gap

    return value_and_grad


def constant(steps=100):
    return optimizers.make_schedule("constant", steps, 0.2)


def adam(schedule=None, shape=(1, 4, 5, 3), learning_rate=0.02, **options):
    schedule = schedule or constant()
    return optimizers.Adam(shape, learning_rate=learning_rate, schedule=schedule, **options)


@pytest.mark.parametrize(
    "options",
    [{"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8}, {"epsilon": 0.1}, {"beta_2": 0.999}],
)
def test_twenty_steps_are_those_of_keras(options):
    value_and_grad, start = quadratic(), picture(4, 5)[None]
    ours, image = adam(**options), tf.Variable(start)
    theirs = keras.optimizers.Adam(0.02, **{"beta_2": 0.99, "epsilon": 1e-8, **options})
    variable = keras.Variable(start)
    for step in range(20):
        ours.step(image, value_and_grad)
        theirs.apply([value_and_grad(variable.value)[1]], [variable])
        np.testing.assert_allclose(image, variable, rtol=1e-5, atol=1e-6, err_msg=f"{step}")


def test_the_first_step_is_the_learning_rate_against_the_gradients_sign():
    image = tf.Variable(np.zeros((1, 1, 2, 3), np.float32))
    gradient = np.float32([[[[1e-3, -5, 2], [-1e-4, 7, -0.1]]]])
    adam(shape=image.shape).step(image, lambda _: ({}, tf.constant(gradient)))
    np.testing.assert_allclose(image, -0.02 * np.sign(gradient), rtol=1e-3)


def test_a_step_returns_the_terms_before_it():
    value_and_grad, image = quadratic(), tf.Variable(picture(4, 5)[None])
    before = float(value_and_grad(image.read_value())[0]["total"])
    assert float(adam().step(image, value_and_grad)["total"]) == before
    assert float(value_and_grad(image.read_value())[0]["total"]) < before


@pytest.mark.parametrize(
    ("name", "steps", "values"),
    [
        ("constant", 5, {0: 1.0, 2: 1.0, 4: 1.0}),
        ("linear", 5, {0: 1.0, 1: 0.8, 2: 0.6, 4: 0.2}),
        ("cosine", 5, {0: 1.0, 1: 0.2 + 0.4 * (1 + 0.5**0.5), 2: 0.6, 4: 0.2}),
        ("linear", 1, {0: 1.0}),
        ("cosine", 2, {0: 1.0, 1: 0.2}),
        ("linear", 3, {2: 0.2, 3: 0.2, 99: 0.2}),
    ],
)
def test_schedules(name, steps, values):
    schedule = optimizers.make_schedule(name, steps, 0.2)
    for step, value in values.items():
        np.testing.assert_allclose(schedule(tf.constant(step, tf.int64)), value, rtol=1e-5)


def test_the_schedule_scales_each_step():
    image = tf.Variable(np.zeros((1, 1, 1, 3), np.float32))
    one = adam(optimizers.make_schedule("linear", 3, 0.2), image.shape)
    moved = []
    for _ in range(3):
        before = image.numpy()
        one.step(image, lambda _: ({}, tf.ones((1, 1, 1, 3))))
        moved.append((before - image.numpy()).mean())
    np.testing.assert_allclose(moved, [0.02, 0.012, 0.004], rtol=1e-3)


def test_an_unknown_schedule_is_an_error():
    with pytest.raises(KeyError):
        optimizers.make_schedule("step", 5, 0.2)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_restored_state_goes_on_bit_for_bit(compiled):
    value_and_grad, schedule = quadratic(), optimizers.make_schedule("cosine", 12, 0.1)

    def advance(one, image, steps):
        step = tf.function(one.step) if compiled else one.step
        for _ in range(steps):
            step(image, value_and_grad)

    whole, image = adam(schedule), tf.Variable(picture(4, 5)[None])
    advance(whole, image, 5)
    state = {name: variable.numpy() for name, variable in whole.variables().items()}
    halfway = tf.Variable(image)
    advance(whole, image, 5)
    resumed = adam(schedule)
    for name, variable in resumed.variables().items():
        variable.assign(state[name])
    advance(resumed, halfway, 5)
    np.testing.assert_array_equal(image, halfway)
    for name, variable in whole.variables().items():
        np.testing.assert_array_equal(variable, resumed.variables()[name])


def test_the_state_counts_steps():
    one, image = adam(), tf.Variable(picture(4, 5)[None])
    one.step(image, quadratic())
    one.step(image, quadratic())
    state = {name: variable.numpy() for name, variable in one.variables().items()}
    assert state["adam_steps"] == 2
    assert state["adam_first"].shape == state["adam_second"].shape == (1, 4, 5, 3)
    assert (state["adam_second"] >= 0).all() and state["adam_second"].max() > 0


def test_a_few_steps_improve_a_small_objective(tiny_weights):
    layers = ("block1_conv1", "block2_conv1")
    extractor = backbones.feature_extractor(tiny_weights, layers)
    weights = objective.TermWeights(1.0, 8.0, 0.5, {"block2_conv1": 1.0}, {"block1_conv1": 1.0})
    content, style = (tf.constant(picture(24, 32, seed)[None]) for seed in (1, 2))
    targets = objective.capture_targets(extractor, content, [style], [1.0], weights)
    formulas = losses.OBJECTIVES["relative"]
    value_and_grad = objective.Objective(extractor, targets, weights, formulas).value_and_grad
    one, image = adam(shape=content.shape), tf.Variable(content)
    totals = [float(one.step(image, value_and_grad)["total"]) for _ in range(4)]
    assert totals == sorted(totals, reverse=True)
    assert totals[3] < 0.95 * totals[0]
