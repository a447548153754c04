"""Adam, against Keras and in opponent colors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.network import extractor as extractor_lib
from nst_keras.network import vgg
from nst_keras.objective.evaluation import Network
from nst_keras.objective.formulas import FORMULAS
from nst_keras.objective.objective import Objective
from nst_keras.objective.targets import capture_targets
from nst_keras.objective.term_names import weigh_terms
from nst_keras.objective.terms import make_terms
from nst_keras.optimizers import adam as adam_lib
from nst_keras.optimizers.optimizer import add_at_once
from nst_keras.optimizers.strips import add_by_strips
from tests.conftest import picture
from tests.objective.conftest import uncut, whole_evaluator
from tests.optimizers.conftest import SHAPE, advance, quadratic, rate_of


def adam(rate=None, shape=SHAPE, **options):
    return adam_lib.Adam(shape, rate=rate or rate_of(), **options)


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


def test_strip_by_strip_adam_takes_the_same_steps():
    images = [tf.Variable(picture(4, 5)[None]) for _ in range(2)]
    for image, add in zip(images, (add_at_once, add_by_strips), strict=True):
        advance(adam(adam_colors="opponent", add=add), image, 5)
    np.testing.assert_allclose(images[1], images[0], atol=1e-6)
    assert np.abs(images[0] - picture(4, 5)[None]).max() > 0.05


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
    ours, plain, rgb = adam(adam_colors="opponent"), adam(), adam()
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
    optimizer = adam(rate_of(name="linear", steps=3), image.shape)
    moved = []
    for _ in range(3):
        before = image.numpy()
        optimizer.step(image, lambda _: ({}, tf.ones((1, 1, 1, 3))))
        moved.append((before - image.numpy()).mean())
    np.testing.assert_allclose(moved, [0.02, 0.012, 0.004], rtol=1e-3)


def test_the_state_counts_steps():
    optimizer, image = adam(), tf.Variable(picture(4, 5)[None])
    advance(optimizer, image, 2)
    state = {name: variable.numpy() for name, variable in optimizer.variables().items()}
    assert state["steps"] == 2
    assert state["first"].shape == state["second"].shape == SHAPE
    assert (state["second"] >= 0).all() and state["second"].max() > 0


def test_a_few_steps_improve_a_small_objective(tiny_weights):
    layers = ("block1_conv1", "block2_conv1")
    extractor = extractor_lib.feature_extractor(tiny_weights, layers)
    weights = weigh_terms(
        1.0,
        8.0,
        0.5,
        content_layers={"block2_conv1": 1.0},
        style_layers={"block1_conv1": 1.0},
        normalized=True,
    )
    content, style = (tf.constant(picture(24, 32, seed)[None]) for seed in (1, 2))
    formulas, network = FORMULAS["relative"], vgg.architecture("vgg19")
    targets = capture_targets(extractor, network, content, [style], [1.0], weights, formulas, uncut)
    terms = make_terms(weights, targets, formulas)
    network = Network(extractor_lib.sections(extractor))
    objective = Objective(terms, whole_evaluator(network, terms, targets))
    optimizer, image = adam(shape=content.shape), tf.Variable(content)
    steps = [optimizer.step(image, objective.value_and_grad) for _ in range(4)]
    totals = [float(losses["total"]) for losses in steps]
    assert totals == sorted(totals, reverse=True)
    assert totals[3] < 0.95 * totals[0]


def test_adam_has_nothing_to_warn_of():
    assert adam().warning() == ""
