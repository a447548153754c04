"""Adam and Keras' optimizers, by name. For L-BFGS see test_lbfgs, for rates test_schedules."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.network import extractor as extractor_lib
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective import objective
from nst_keras.objective import targets as targets_lib
from nst_keras.objective import terms as terms_lib
from nst_keras.optimizers import adam as adam_lib
from nst_keras.optimizers import by_name, keras_optimizer, lbfgs, schedules
from nst_keras.settings import presets
from tests.conftest import picture

SHAPE = (1, 4, 5, 3)
EVERYTHING = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-6, "momentum": 0.5}

# Sensible rates for pixels in [0, 1] on the quadratic below, and what Keras calls the optimizer.
RATES = {
    "adadelta": (30.0, keras.optimizers.Adadelta),
    "adafactor": (0.02, keras.optimizers.Adafactor),
    "adagrad": (0.1, keras.optimizers.Adagrad),
    "adamax": (0.02, keras.optimizers.Adamax),
    "adamw": (0.02, keras.optimizers.AdamW),
    "lamb": (0.02, keras.optimizers.Lamb),
    "lion": (0.01, keras.optimizers.Lion),
    "nadam": (0.02, keras.optimizers.Nadam),
    "rmsprop": (0.02, keras.optimizers.RMSprop),
    "sgd": (0.1, keras.optimizers.SGD),
}
KNOWN = {  # of EVERYTHING
    "adadelta": {"epsilon"},
    "adagrad": {"epsilon"},
    "rmsprop": {"epsilon", "momentum"},
    "sgd": {"momentum"},
    "lion": {"beta_1", "beta_2"},
    **{name: {"beta_1", "beta_2", "epsilon"} for name in ("adamax", "adamw", "lamb", "nadam")},
}


# What a picture needs in place of Keras' default.
OURS = {"adamw": {"weight_decay": 0.0}, "adagrad": {"initial_accumulator_value": 1e-12}}


def quadratic(seed=0, shape=SHAPE):
    """A random convex function of an image, as a value_and_grad."""
    rng = np.random.default_rng(seed)
    curvature = tf.constant(rng.uniform(1e-3, 10, shape).astype(np.float32))
    center = tf.constant(rng.random(shape, dtype=np.float32))

    def value_and_grad(image):
        gap = image - center
        return {"total": 0.5 * tf.reduce_sum(curvature * gap**2)}, curvature * gap

    return value_and_grad


def rate_of(learning_rate=0.02, name="constant", steps=100, end=0.2):
    return schedules.make_schedule(name, learning_rate, steps=steps, end=end)


def adam(rate=None, shape=SHAPE, **options):
    return adam_lib.Adam(shape, rate=rate or rate_of(), **options)


def made(name, rate, pixel_range=1.0, **options):
    """By the factory, with every option there is."""
    common = {"bounded": False, "history": 5, "backtrack": True}
    options = {**EVERYTHING, **options}
    return by_name.make_optimizer(name, SHAPE, rate, pixel_range=pixel_range, **common, **options)


def advance(one, image, steps):
    value_and_grad = quadratic()
    return [float(one.step(image, value_and_grad)["total"]) for _ in range(steps)]


# Adam


@pytest.mark.parametrize(
    "options",
    [{"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8}, {"epsilon": 0.1}, {"beta_2": 0.999}],
)
@pytest.mark.parametrize("pixel_range", [1.0, 255.0])
def test_twenty_steps_are_those_of_keras(options, pixel_range):
    value_and_grad, start = quadratic(), picture(4, 5)[None]
    ours = adam(rate_of(0.02 * pixel_range), pixel_range=pixel_range, **options)
    image = tf.Variable(start)
    options = {"beta_2": 0.99, "epsilon": 1e-8, **options}
    theirs = keras.optimizers.Adam(0.02 * pixel_range, **options)
    pixels = keras.Variable(start * pixel_range)
    for step in range(20):
        ours.step(image, value_and_grad)
        gradient = value_and_grad(pixels.value / pixel_range)[1] / pixel_range
        theirs.apply([gradient], [pixels])
        same = pixels.numpy() / pixel_range
        np.testing.assert_allclose(image, same, rtol=1e-5, atol=2e-6, err_msg=f"{step}")


def test_opponent_colors_are_another_orthonormal_basis():
    turn = adam_lib.OPPONENT
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    gray, red_to_blue = turn @ [1, 1, 1], turn @ [1, 0, -1]
    np.testing.assert_allclose(gray, [3**0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(red_to_blue, [0, 2**0.5, 0], atol=1e-6)


def test_steps_in_opponent_colors_are_those_on_a_picture_in_these_colors():
    turn = adam_lib.OPPONENT
    value_and_grad, start = quadratic(), picture(4, 5)[None]

    def turned(pixels):
        terms, gradient = value_and_grad(tf.tensordot(pixels, turn, 1))
        return terms, tf.tensordot(gradient, turn.T, 1)

    image, same = tf.Variable(start), tf.Variable(start @ turn.T)
    ours, plain, rgb = adam(opponent=True), adam(), adam()
    for _ in range(10):
        ours.step(image, value_and_grad)
        plain.step(same, turned)
    np.testing.assert_allclose(image, same.numpy() @ turn, atol=1e-5)
    advance(rgb, beside := tf.Variable(start), 10)
    assert np.abs(beside.numpy() - image.numpy()).max() > 0.01


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


def test_the_schedule_scales_each_step():
    image = tf.Variable(np.zeros((1, 1, 1, 3), np.float32))
    one = adam(rate_of(name="linear", steps=3), image.shape)
    moved = []
    for _ in range(3):
        before = image.numpy()
        one.step(image, lambda _: ({}, tf.ones((1, 1, 1, 3))))
        moved.append((before - image.numpy()).mean())
    np.testing.assert_allclose(moved, [0.02, 0.012, 0.004], rtol=1e-3)


def test_the_state_counts_steps():
    one, image = adam(), tf.Variable(picture(4, 5)[None])
    advance(one, image, 2)
    state = {name: variable.numpy() for name, variable in one.variables().items()}
    assert state["adam_steps"] == 2
    assert state["adam_first"].shape == state["adam_second"].shape == SHAPE
    assert (state["adam_second"] >= 0).all() and state["adam_second"].max() > 0


def test_a_few_steps_improve_a_small_objective(tiny_weights):
    layers = ("block1_conv1", "block2_conv1")
    extractor = extractor_lib.feature_extractor(tiny_weights, layers)
    weights = terms_lib.weigh_terms(
        1.0,
        8.0,
        0.5,
        content_layers={"block2_conv1": 1.0},
        style_layers={"block1_conv1": 1.0},
        shares=True,
    )
    content, style = (tf.constant(picture(24, 32, seed)[None]) for seed in (1, 2))
    formulas = formulas_lib.OBJECTIVES["relative"]
    targets = targets_lib.capture_targets(extractor, content, [style], [1.0], weights, formulas)
    sections = extractor_lib.sections(extractor)
    value_and_grad = objective.Objective(sections, targets, weights, formulas).value_and_grad
    one, image = adam(shape=content.shape), tf.Variable(content)
    totals = [float(one.step(image, value_and_grad)["total"]) for _ in range(4)]
    assert totals == sorted(totals, reverse=True)
    assert totals[3] < 0.95 * totals[0]


# By name


def test_the_names_offered_are_those_that_can_be_made():
    assert set(presets.OPTIMIZERS) == {"adam", "lbfgs", *keras_optimizer._KERAS}
    assert set(RATES) == set(keras_optimizer._KERAS)
    assert len(set(presets.OPTIMIZERS)) == len(presets.OPTIMIZERS)


def test_adam_gets_the_options_that_it_knows():
    one = made("adam", rate_of(), pixel_range=255.0)
    assert isinstance(one, adam_lib.Adam)
    assert (one.beta_1, one.beta_2, one.pixel_range) == (0.8, 0.95, 255.0)
    np.testing.assert_allclose(one.epsilon, 255e-6)


def test_lbfgs_gets_the_options_that_it_knows():
    one = made("lbfgs", rate_of(0.5), pixel_range=255.0)
    assert isinstance(one, lbfgs.Lbfgs)
    assert (one.history, one.backtrack, one.bounded) == (5, True, False)
    np.testing.assert_allclose(one.rate(tf.constant(3)), 0.5)


@pytest.mark.parametrize("name", presets.OPTIMIZERS)
def test_thirty_steps_lower_a_quadratic(name):
    rate = {"adam": 0.02, "lbfgs": 1.0}.get(name) or RATES[name][0]
    one, image = made(name, rate_of(rate)), tf.Variable(picture(4, 5)[None])
    assert int(one.steps) == 0
    totals = advance(one, image, 31)
    assert int(one.steps) == 31
    assert totals[-1] < 0.5 * totals[0]
    assert np.isfinite(image.numpy()).all()


@pytest.mark.parametrize("name", presets.OPTIMIZERS)
def test_steps_compiled_by_xla_are_those_without_it(name):
    rate = {"adam": 0.02, "lbfgs": 1.0}.get(name) or RATES[name][0]
    found = []
    for jit in (None, True):
        one, image = made(name, rate_of(rate, "cosine")), tf.Variable(picture(4, 5)[None])
        step = tf.function(
            lambda one=one, image=image: one.step(image, quadratic()), jit_compile=jit
        )
        found.append([[float(step()["total"]) for _ in range(5)], image.numpy()])
        assert int(one.steps) == 5
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-5)


def with_preset(name, objective_name):
    """An optimizer as it comes with an objective; a rate that only the user knows is 1."""
    preset = presets.PRESETS[objective_name]
    settings = preset.with_optimizer(name)
    options = {option: settings[option] for option in ("beta_1", "beta_2", "epsilon")}
    rate = rate_of(settings["learning_rate"] or 1.0)
    return made(name, rate, preset.pixel_range, **options, momentum=0.0)


UNITS = pytest.mark.parametrize("objective_name", ["relative", "gatys"])  # of 0..1, of 0..255


@UNITS
@pytest.mark.parametrize("name", presets._STEP_SIZES)
def test_the_step_size_suits_the_unit_of_pixels(name, objective_name):
    factor = {"relative": 1.0, "gatys": 1e6}[objective_name]  # as steep as these are
    start = 0.2 + 0.6 * picture(4, 5)[None]
    center = start + np.random.default_rng(0).normal(0, 0.15, SHAPE).astype(np.float32)

    def value_and_grad(image):
        gap = image - center
        return {"total": 0.5 * factor * tf.reduce_sum(gap**2)}, factor * gap

    one, image = with_preset(name, objective_name), tf.Variable(start)
    totals = [float(one.step(image, value_and_grad)["total"]) for _ in range(20)]
    assert max(totals) < 2.0 * totals[0]
    assert totals[-1] < 0.5 * totals[0]


@UNITS
@pytest.mark.parametrize("name", presets.OPTIMIZERS)
def test_without_a_gradient_a_picture_stays_as_it_is(name, objective_name):
    one, image = with_preset(name, objective_name), tf.Variable(picture(4, 5)[None])
    for _ in range(5):
        one.step(image, lambda x: ({"total": tf.constant(1.0)}, tf.zeros_like(x)))
    np.testing.assert_allclose(image, picture(4, 5)[None], atol=0.005)


@pytest.mark.parametrize("name", RATES)
def test_an_optimizer_does_what_keras_does_by_hand(name):
    rate, kind = RATES[name]
    pixel_range = 255.0
    rate *= pixel_range
    ours = made(name, rate_of(rate, "linear"), pixel_range)
    options = {option: EVERYTHING[option] for option in KNOWN.get(name, ())}
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


@pytest.mark.parametrize("name", RATES)
def test_options_unknown_to_an_optimizer_change_nothing(name):
    unknown = {key: 0.9 for key in EVERYTHING if key not in KNOWN.get(name, ())}
    ends = []
    for options in ({}, unknown):
        image = tf.Variable(picture(4, 5)[None])
        advance(made(name, rate_of(RATES[name][0]), **options), image, 3)
        ends.append(image.numpy())
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize("name", presets.OPTIMIZERS)
def test_a_restored_state_goes_on_bit_for_bit(name):
    rate = rate_of({"adam": 0.02, "lbfgs": 1.0}.get(name) or RATES[name][0], "cosine", 12, 0.1)
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
def test_a_restored_state_goes_on_in_a_graph(name):
    value_and_grad = quadratic()

    def graph(one, image):
        @tf.function
        def run(count):
            for _ in tf.range(count):
                one.step(image, value_and_grad)

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


@pytest.mark.parametrize("name", RATES)
def test_an_image_changed_from_outside_is_what_the_next_step_starts_from(name):
    # As by --clamp: what it set is not undone by pixels that the optimizer remembers.
    one, image = made(name, rate_of(1e-6), 255.0), tf.Variable(picture(4, 5)[None])
    advance(one, image, 2)
    image.assign(tf.fill(image.shape, 0.25))
    advance(one, image, 1)
    np.testing.assert_allclose(image, 0.25, atol=1e-4)
