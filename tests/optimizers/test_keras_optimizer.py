"""Keras' optimizers on an image, against the same by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.optimizers.facts import FACTS
from tests.conftest import picture
from tests.optimizers.conftest import EVERYTHING, KERAS, advance, made, quadratic, rate_of

# What a picture needs in place of Keras' default.
OURS = {"adamw": {"weight_decay": 0.0}, "adagrad": {"initial_accumulator_value": 1e-12}}


@pytest.mark.parametrize("name", KERAS)
def test_an_optimizer_does_what_keras_does_by_hand(name):
    rate, kind = KERAS[name]
    pixel_range = 255.0
    rate *= pixel_range
    ours = made(name, rate_of(rate, "linear"), pixel_range)
    options = {option: EVERYTHING[option] for option in FACTS[name].takes}
    options |= OURS.get(name, {})
    theirs = kind(rate_of(rate, "linear"), **options)
    value_and_grad, start = quadratic(), picture(4, 5)[None]
    image, pixels = tf.Variable(start), keras.Variable(start * pixel_range)
    for step in range(8):
        before = value_and_grad(image.read_value())[0]["total"]
        terms = ours.step(image, value_and_grad)
        assert float(terms["total"]) == float(before)
        gradient = value_and_grad(pixels.value / pixel_range)[1] / pixel_range
        theirs.apply([gradient], [pixels])
        same = pixels.numpy() / pixel_range
        np.testing.assert_allclose(image, same, rtol=1e-4, atol=1e-5, err_msg=f"{step}")
    assert np.abs(image.numpy() - start).mean() > 1e-4


@pytest.mark.parametrize("name", KERAS)
def test_each_setting_that_facts_name_reaches_keras(name):
    """All together is in the test above; here each alone has an effect."""
    rate = rate_of(KERAS[name][0])
    for option in FACTS[name].takes:
        # Some way from its value, and from what makes no difference in a few steps.
        other = {"beta_1": 0.3, "beta_2": 0.5, "epsilon": 0.05, "momentum": 0.9}[option]
        ends = []
        for changes in ({}, {option: other}):
            image = tf.Variable(picture(4, 5)[None])
            advance(made(name, rate, **changes), image, 4)
            ends.append(image.numpy())
        assert np.abs(ends[0] - ends[1]).max() > 1e-5, option


@pytest.mark.parametrize("name", KERAS)
def test_an_image_changed_from_outside_is_what_the_next_step_starts_from(name):
    # As by --clamp: what it set is not undone by pixels that the optimizer remembers.
    optimizer, image = made(name, rate_of(1e-6), 255.0), tf.Variable(picture(4, 5)[None])
    advance(optimizer, image, 2)
    image.assign(tf.fill(image.shape, 0.25))
    advance(optimizer, image, 1)
    np.testing.assert_allclose(image, 0.25, atol=1e-4)


@pytest.mark.parametrize("name", KERAS)
def test_the_state_is_that_of_keras_with_its_steps(name):
    optimizer, image = made(name, rate_of(KERAS[name][0])), tf.Variable(picture(4, 5)[None])
    advance(optimizer, image, 3)
    state = optimizer.variables()
    assert list(state) == [str(index) for index in range(len(state))]
    assert any(variable is optimizer.steps for variable in state.values())
    assert optimizer.warning() == "" and int(optimizer.steps) == 3
