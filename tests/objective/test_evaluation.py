"""Three ways to the same statistics and gradient: an image whole, in tiles, and beside others."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import evaluation
from nst_keras.objective.backprop import Network
from nst_keras.objective.evaluation import WholeEvaluator, evaluate_batch
from nst_keras.objective.formulas import FORMULAS
from nst_keras.objective.targets import capture_targets, owned
from nst_keras.objective.terms import make_terms
from nst_keras.objective.tiled import TiledEvaluator
from tests.objective.conftest import (
    IMAGE,
    batch,
    capture,
    chained,
    equal_weights,
    gradient_of,
    make,
    noise,
    random_vgg,
    tile_plan,
    toy_extractor,
    uncut,
)

SIZE = 61, 53
LAYERS = ("block1_conv1", "block3_conv1")


class Evaluators:
    """One image of a problem, evaluated whole and in tiles."""

    def __init__(self, name, seed):
        sections = random_vgg(LAYERS)
        self.image, self.name = noise(*SIZE, seed), name
        weights, plan = equal_weights(("block3_conv1",), LAYERS), tile_plan(44, LAYERS)
        given = chained(sections), noise(*SIZE, seed + 10), [noise(40, 30, seed + 20)], [1.0]
        targets = capture_targets(*given, weights, FORMULAS[name], uncut)
        self.terms = make_terms(weights, targets, FORMULAS[name])
        self.whole = WholeEvaluator(Network(sections), self.terms, targets.content[0])
        cut = capture_targets(*given, weights, FORMULAS[name], plan).content
        assert len(cut) == 4
        self.tiled = TiledEvaluator([Network(sections)], self.terms, cut, plan(*SIZE))


def cotangents_for(sums, seed=0):
    """Made-up gradients at the statistics, a different one for each value."""
    rng = np.random.default_rng(seed)
    return {name: tf.constant(rng.normal(0, 1, value.shape)) for name, value in sums.items()}


@pytest.mark.parametrize("name", ["relative", "crowsonkb"])  # Gram matrices, moments
def test_whole_tiled_and_batched_evaluations_have_the_same_sums_and_gradients(name):
    problems = [Evaluators(name, seed) for seed in (1, 2, 3)]
    images = tf.concat([problem.image for problem in problems], axis=0)
    together = evaluate_batch([problem.whole for problem in problems], images)
    alone = [problem.whole(problem.image) for problem in problems]
    cotangents = [cotangents_for(one.sums, seed) for seed, one in enumerate(alone)]
    pulled = together.pull_back(evaluation.stacked(cotangents))
    assert pulled.shape == images.shape
    for index, (problem, whole) in enumerate(zip(problems, alone, strict=True)):
        tiled = problem.tiled(problem.image)
        assert whole.sums.keys() == tiled.sums.keys() == together.sums.keys()
        assert set(whole.sums) == {term.name for term in problem.terms}
        for term, value in whole.sums.items():
            np.testing.assert_allclose(tiled.sums[term], value, rtol=1e-10, err_msg=term)
            np.testing.assert_allclose(together.sums[term][index], value, rtol=1e-10)
        gradient = whole.pull_back(cotangents[index])
        atol = 1e-10 * np.abs(gradient).max()
        assert gradient.shape == problem.image.shape and np.any(gradient)
        np.testing.assert_allclose(tiled.pull_back(cotangents[index]), gradient, atol=atol)
        np.testing.assert_allclose(pulled[index : index + 1], gradient, atol=atol)


def test_pulling_back_is_linear_and_the_transpose_of_the_derivative():
    """<J v, c> = <v, J^T c>, the derivative J v by a central difference."""
    problem = Evaluators("relative", 4)
    whole = problem.whole(problem.image)
    cotangents = cotangents_for(whole.sums)
    direction = tf.constant(np.random.default_rng(1).normal(0, 1, problem.image.shape))
    ahead, behind = (problem.whole(problem.image + step * direction).sums for step in (1e-8, -1e-8))
    slope = sum(
        float(tf.reduce_sum(cotangents[name] * (ahead[name] - behind[name]))) / 2e-8
        for name in cotangents
    )
    gradient = whole.pull_back(cotangents)
    np.testing.assert_allclose(float(tf.reduce_sum(gradient * direction)), slope, rtol=1e-5)
    again = problem.whole(problem.image)
    doubled = again.pull_back({name: 2 * value for name, value in cotangents.items()})
    np.testing.assert_allclose(doubled, 2 * gradient, rtol=1e-12)


def test_a_window_leaves_only_the_positions_that_a_tile_owns():
    terms = make_terms({"style/block1_conv2": 1.0}, capture(), FORMULAS["relative"])
    features = toy_extractor(batch(IMAGE))["block1_conv2"]
    found = evaluation.layer_sums(
        terms, {}, "block1_conv2", owned(features, "block1_conv2", (2, 9, 4, 20))
    )
    own = features.numpy()[0, 2:9, 4:20].reshape(-1, features.shape[-1]).astype(np.float64)
    assert list(found) == ["style/block1_conv2"]
    np.testing.assert_allclose(found["style/block1_conv2"], own.T @ own, rtol=1e-5)
    assert evaluation.layer_sums(terms, {}, "block3_conv1", features) == {}


def test_where_no_term_of_features_counts_the_gradient_is_that_of_the_pixels():
    weights = {"style/block1_conv2": 0.0, "style/block3_conv1": 0.0, "tv": 2.0}
    objective = make(weights=weights)
    gradient = gradient_of(objective, IMAGE)
    evaluated = objective.evaluator(batch(IMAGE))
    assert evaluated.sums.keys() == weights.keys()
    (dx, dy), size = (np.diff(IMAGE.astype(np.float64), axis=axis) for axis in (1, 0)), IMAGE.shape
    expected = np.zeros(size)
    for steps, axis in ((dx, 1), (dy, 0)):
        ahead = [(0, 0)] * 3
        behind = [(0, 0)] * 3
        ahead[axis], behind[axis] = (1, 0), (0, 1)
        slope = 4 * steps / steps.size
        expected += np.pad(slope, ahead) - np.pad(slope, behind)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())
