"""The Laplacian of an image is that of NumPy; its transpose, weights, term, whole and in tiles."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective.evaluation import Network
from nst_keras.objective.focus import at_stride, position_weights
from nst_keras.objective.formulas import FORMULAS
from nst_keras.objective.laplacian import detail_weights, laplacian
from nst_keras.objective.objective import Objective
from nst_keras.objective.targets import capture_targets
from nst_keras.objective.term_names import term_names
from nst_keras.objective.terms import make_terms
from nst_keras.objective.tiled import TiledEvaluator
from nst_keras.objective.tiles import plan_tiles, receptive_field
from tests.objective.conftest import NETWORK, chained, noise, random_vgg, uncut, whole_evaluator

SIZE = 45, 62  # squares of 4 px leave a row and two columns
LAYERS = ("block1_conv1",)  # whose own halo is 1 px


def squares(image):
    """The lightness of squares of 4 px of an image (H, W, 3)."""
    rows, columns = image.shape[0] // 4, image.shape[1] // 4
    cut = image[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4, 3)
    return cut.mean(axis=(1, 3, 4))


def numpy_laplacian(image):
    found = np.zeros_like(means := squares(image))
    for axis in (0, 1):
        rises = np.diff(means, axis=axis)
        pad = [(1, 1) if axis == it else (0, 0) for it in range(2)]
        found -= np.diff(np.pad(rises, pad), axis=axis)
    return found


def enlarged(plane):
    """An image of a plane of gray squares."""
    return np.repeat(np.repeat(np.asarray(plane, float), 4, 0), 4, 1)[None, :, :, None].repeat(3, 3)


def test_squares_are_compared_with_those_beside_them():
    plane = np.arange(16).reshape(4, 4)
    plane[1, 2] += 5
    found, _ = laplacian(tf.constant(enlarged(plane)))
    np.testing.assert_allclose(found[0, 1:3, 1:3, 0], [[-5, 20], [0, -5]])
    corner, edge = found[0, 0, 0, 0], found[0, 0, 2, 0]
    assert (float(corner), float(edge)) == (-5, -9)  # 0 - 1 - 4, and 3 * 2 - 1 - 3 - 11


def test_it_is_that_of_numpy():
    image = noise(*SIZE, 1)
    found, _ = laplacian(image)
    np.testing.assert_allclose(found[0, :, :, 0], numpy_laplacian(image.numpy()[0]), atol=1e-14)


def test_the_pull_back_is_the_transpose():
    image, upstream = (
        noise(*SIZE, 1),
        tf.constant(np.random.default_rng(2).normal(size=(1, 11, 15, 1))),
    )
    found, pull_back = laplacian(image)
    forward, back = tf.reduce_sum(found * upstream), tf.reduce_sum(image * pull_back(upstream))
    np.testing.assert_allclose(forward, back, rtol=1e-12)


def test_squares_count_by_what_their_detail_is_above_the_mean():
    content = np.full((1, 96, 160, 3), 0.5, np.float32)
    content[:, :, 80:] = np.random.default_rng(0).random((1, 96, 80, 3), np.float32)
    found = detail_weights(tf.constant(content)).numpy()[0, :, :, 0]
    assert found.shape == (24, 40)
    assert not found[:, :10].any() and found[:, 30:].min() > 0.5
    relative = at_stride(position_weights(tf.constant(content), 1.0), 4)[0, :, :, 0]
    np.testing.assert_allclose(found, np.maximum(relative - 1, 0), rtol=1e-6)
    assert not detail_weights(tf.fill((1, 40, 56, 3), 0.3)).numpy().any()


def objectives(side=None):
    """The Laplacian with a content and a style term, and the content that they are of."""
    weights = dict.fromkeys(term_names(LAYERS, LAYERS, laplacian=True), 1.0)
    weights["laplacian"] = 7.0
    content = noise(*SIZE, 5) ** 3
    field = receptive_field(map(NETWORK.__getitem__, LAYERS), least_stride=4)

    def plan(height, width):
        return plan_tiles(height, width, side, field) if side else uncut(height, width)

    sections = random_vgg(LAYERS)
    given = chained(sections), NETWORK, content, [noise(30, 40, 2)], [1.0], weights
    targets = capture_targets(*given, FORMULAS["relative"], plan)
    terms = make_terms(weights, targets, FORMULAS["relative"])
    network = Network(sections, beside={"laplacian": laplacian})
    if side is None:
        return Objective(terms, whole_evaluator(network, terms, targets)), content
    cut = plan(*SIZE)
    assert len(cut) > 4
    evaluator = TiledEvaluator([network], NETWORK.strides, terms, targets.content, cut)
    return Objective(terms, evaluator), content


def test_the_loss_is_the_weighted_mean_of_squared_errors():
    objective, content = objectives()
    image = noise(*SIZE, 6)
    found = objective.value(image)["laplacian"]
    errors = numpy_laplacian(image.numpy()[0]) - numpy_laplacian(content.numpy()[0])
    weights = detail_weights(content).numpy()[0, :, :, 0]
    assert weights.any()
    np.testing.assert_allclose(found, 7 * (weights * errors**2).mean(), rtol=1e-10)
    assert float(objective.value(content)["laplacian"]) == 0


def test_the_gradient_is_that_of_central_differences():
    objective, _ = objectives()
    image = noise(*SIZE, 6)
    _, gradient = objective.value_and_grad(image)
    for seed in range(3):
        direction = tf.constant(np.random.default_rng(seed).normal(size=image.shape))
        ahead, behind = (objective.value(image + s * direction)["total"] for s in (1e-6, -1e-6))
        slope = tf.reduce_sum(gradient * direction)
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-5)


@pytest.mark.parametrize("side", [16, 24])
def test_tiles_are_the_whole(side):
    (whole, _), (tiled, _) = objectives(), objectives(side)
    image = noise(*SIZE, 6)
    losses, gradient = whole.value_and_grad(image)
    found, pulled = tiled.value_and_grad(image)
    for name, value in losses.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, err_msg=name)
    np.testing.assert_allclose(pulled, gradient, atol=1e-10 * np.abs(gradient).max())
