"""Optimizers by name: the settings they get, and what all of them hold to."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from nst_keras.optimizers import adam as adam_lib
from nst_keras.optimizers import by_name, lbfgs
from nst_keras.optimizers.facts import FACTS
from nst_keras.optimizers.optimizer import add_at_once
from nst_keras.settings import presets
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.resolve import preset_values
from tests.conftest import picture
from tests.optimizers.conftest import (
    EVERYTHING,
    KERAS,
    RATES,
    SHAPE,
    advance,
    made,
    quadratic,
    rate_of,
)


def test_the_names_offered_are_those_that_can_be_made():
    assert {*OPTIONS["optimizer"].choices} == {*FACTS} == {"adam", "lbfgs", *by_name._KERAS}
    assert set(KERAS) == set(by_name._KERAS)


def test_adam_gets_its_settings():
    optimizer = made("adam", rate_of(), pixel_range=255.0)
    assert isinstance(optimizer, adam_lib.Adam)
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.pixel_range) == (0.8, 0.95, 255.0)
    np.testing.assert_allclose(optimizer.epsilon, 255e-6)


def test_lbfgs_gets_its_settings():
    optimizer = made("lbfgs", rate_of(0.5), pixel_range=255.0)
    assert isinstance(optimizer, lbfgs.Lbfgs)
    assert (optimizer.history, optimizer.backtrack, optimizer.bounded) == (5, True, False)
    np.testing.assert_allclose(optimizer.rate(tf.constant(3)), 0.5)


@pytest.mark.parametrize("name", FACTS)
def test_thirty_steps_lower_a_quadratic(name):
    optimizer, image = made(name, rate_of(RATES[name])), tf.Variable(picture(4, 5)[None])
    assert int(optimizer.steps) == 0
    totals = advance(optimizer, image, 31)
    assert int(optimizer.steps) == 31
    assert totals[-1] < 0.5 * totals[0]
    assert np.isfinite(image.numpy()).all()


@pytest.mark.parametrize("name", FACTS)
def test_steps_compiled_by_xla_are_those_without_it(name):
    rate = RATES[name]
    found = []
    for jit in (None, True):
        optimizer, image = made(name, rate_of(rate, "cosine")), tf.Variable(picture(4, 5)[None])
        step = tf.function(
            lambda optimizer=optimizer, image=image: optimizer.step(image, quadratic()),
            jit_compile=jit,
        )
        found.append([[float(step()["total"]) for _ in range(5)], image.numpy()])
        assert int(optimizer.steps) == 5
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-5)


@pytest.mark.parametrize("name", FACTS)
def test_a_compiled_step_adds_nothing_to_tensorflows_registry_of_gradients(name):
    """TensorFlow never removes what is in it: the graph and its weights would stay in memory."""
    optimizer, image = made(name, rate_of()), tf.Variable(picture(4, 5)[None])
    registered = ops.gradient_registry.list()
    tf.function(lambda: optimizer.step(image, quadratic())).get_concrete_function()
    assert ops.gradient_registry.list() == registered


def with_preset(name, objective_name):
    """An optimizer as it comes with an objective; a rate that only the user knows is 1."""
    preset = presets.PRESETS[objective_name]
    settings = preset_values(Config(objective=objective_name, optimizer=name))
    options = {option: settings[option] for option in ("beta_1", "beta_2", "epsilon")}
    rate = rate_of(settings["learning_rate"] or 1.0)
    return made(name, rate, preset.pixel_range, **options, momentum=0.0)


UNITS = pytest.mark.parametrize("objective_name", ["relative", "gatys"])  # of 0..1, of 0..255


@UNITS
@pytest.mark.parametrize("name", [name for name, facts in FACTS.items() if facts.step_size])
def test_the_step_size_suits_the_unit_of_pixels(name, objective_name):
    factor = {"relative": 1.0, "gatys": 1e6}[objective_name]  # as steep as these are
    start = 0.2 + 0.6 * picture(4, 5)[None]
    center = start + np.random.default_rng(0).normal(0, 0.15, SHAPE).astype(np.float32)

    def value_and_grad(image):
        gap = image - center
        return {"total": 0.5 * factor * tf.reduce_sum(gap**2)}, factor * gap

    optimizer, image = with_preset(name, objective_name), tf.Variable(start)
    totals = [float(optimizer.step(image, value_and_grad)["total"]) for _ in range(20)]
    assert max(totals) < 2.0 * totals[0]
    assert totals[-1] < 0.5 * totals[0]


@UNITS
@pytest.mark.parametrize("name", FACTS)
def test_without_a_gradient_a_picture_stays_as_it_is(name, objective_name):
    optimizer, image = with_preset(name, objective_name), tf.Variable(picture(4, 5)[None])
    for _ in range(5):
        optimizer.step(image, lambda x: ({"total": tf.constant(1.0)}, tf.zeros_like(x)))
    np.testing.assert_allclose(image, picture(4, 5)[None], atol=0.005)


@pytest.mark.parametrize("name", FACTS)
def test_a_restored_state_continues_bit_for_bit(name):
    rate = rate_of(RATES[name], "cosine", 12, 0.1)
    whole, image = made(name, rate, 255.0), tf.Variable(picture(4, 5)[None])
    advance(whole, image, 5)
    state = {key: variable.numpy() for key, variable in whole.variables().items()}
    halfway = tf.Variable(image)
    advance(whole, image, 5)
    resumed = made(name, rate, 255.0)
    assert resumed.variables().keys() == state.keys()
    for key, variable in resumed.variables().items():
        variable.assign(state[key])
    assert int(resumed.steps) == 5
    advance(resumed, halfway, 5)
    np.testing.assert_array_equal(image, halfway)
    for key, variable in whole.variables().items():
        np.testing.assert_array_equal(variable, resumed.variables()[key])


@pytest.mark.parametrize("name", ["adam", "nadam"])
def test_a_restored_state_continues_in_a_graph(name):
    value_and_grad = quadratic()

    def graph(optimizer, image):
        @tf.function
        def run(count):
            for _ in tf.range(count):
                optimizer.step(image, value_and_grad)

        return run

    rate = rate_of(5.1, "cosine", 12, 0.1)
    whole, image = made(name, rate, 255.0), tf.Variable(picture(4, 5)[None])
    run = graph(whole, image)
    run(tf.constant(4))
    resumed, other = made(name, rate, 255.0), tf.Variable(image)
    for key, variable in resumed.variables().items():
        variable.assign(whole.variables()[key])
    run(tf.constant(5))
    graph(resumed, other)(tf.constant(5))
    np.testing.assert_array_equal(image, other)
    assert run.experimental_get_tracing_count() == 1
    assert int(whole.steps) == 9


@pytest.mark.parametrize("name", FACTS)
def test_a_setting_that_an_optimizer_does_not_take_is_an_error(name):
    settings = {option: EVERYTHING[option] for option in FACTS[name].takes}
    with pytest.raises((TypeError, ValueError)):
        by_name.make_optimizer(name, SHAPE, rate_of(), {**settings, "sharpness": 1.0})


@pytest.mark.parametrize(("name", "colors"), [("rgb", False), ("opponent", True)])
def test_adam_takes_its_colors_by_name(name, colors):
    assert made("adam", rate_of(), adam_colors=name).opponent == colors


def test_a_bounded_lbfgs_and_its_losses_are_those_asked_for():
    settings = {"history": 3, "line_search": "none"}
    names = "total", "tv"
    optimizer = by_name.make_optimizer(
        "lbfgs", SHAPE, rate_of(1.0), settings, bounded=True, loss_names=names
    )
    assert (optimizer.bounded, optimizer.backtrack, optimizer.history) == (True, False, 3)
    assert tuple(optimizer.losses) == names


def test_adam_updates_its_moments_and_the_image_the_way_it_is_told():
    updated = []

    def add(variable, change, *others):
        updated.append(variable)
        add_at_once(variable, change, *others)

    settings = {option: EVERYTHING[option] for option in FACTS["adam"].takes}
    optimizer = by_name.make_optimizer("adam", SHAPE, rate_of(), settings, add=add)
    image = tf.Variable(picture(4, 5)[None])
    advance(optimizer, image, 1)
    expected = [optimizer.first, optimizer.second, image]
    assert list(map(id, updated)) == list(map(id, expected))


# Keras' optimizers, against the same by hand.

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
