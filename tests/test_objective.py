"""Targets, terms and gradients against NumPy in float64.

Most tests use two made-up layers in place of a network, so that NumPy can follow all the way.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import picture

from nst_keras import backbones, losses, objective

MIX = {
    name: np.random.default_rng(seed).normal(0, 2, (3, channels))
    for seed, (name, channels) in enumerate({"block1_conv2": 4, "block3_conv1": 6}.items())
}
STRIDE = {"block1_conv2": 1, "block3_conv1": 4}
BOTH = {"block1_conv2": 3.0, "block3_conv1": 1.0}
WEIGHTS = objective.TermWeights(2.0, 5.0, 0.7, content_layers=BOTH, style_layers=BOTH)
IMAGE, CONTENT = picture(18, 27, seed=3), picture(18, 27, seed=4)  # odd: pooling drops pixels
STYLES, BLEND = [picture(20, 16, seed=5), picture(12, 33, seed=6)], [3.0, 7.0]


def numpy_features(image):
    """Softplus of mixed means over squares of pixels: {layer: (h, w, N)} in float64."""
    found = {}
    for name, mix in MIX.items():
        stride = STRIDE[name]
        rows, columns = image.shape[0] // stride, image.shape[1] // stride
        cut = image[: rows * stride, : columns * stride].astype(np.float64)
        means = cut.reshape(rows, stride, columns, stride, 3).mean(axis=(1, 3))
        found[name] = np.logaddexp(0, means @ mix)
    return found


def extractor(image):
    found = {}
    for name, mix in MIX.items():
        means = tf.nn.avg_pool2d(image, STRIDE[name], STRIDE[name], "VALID")
        found[name] = tf.nn.softplus(means @ mix.astype(np.float32))
    return found


def gram(features):
    rows = features.reshape(-1, features.shape[-1])
    return rows.T @ rows / len(rows)


def numpy_terms(image, name):
    """All terms of the objective `name` in float64, from the formulas in `losses`' docstrings."""
    found, content = numpy_features(image), numpy_features(CONTENT)
    styles = [numpy_features(style) for style in STYLES]
    terms = {}
    for layer, share in {"block1_conv2": 0.75, "block3_conv1": 0.25}.items():
        error = found[layer] - content[layer]
        blended = 0.3 * gram(styles[0][layer]) + 0.7 * gram(styles[1][layer])
        apart = ((gram(found[layer]) - blended) ** 2).sum()
        if name == "relative":
            content_term = (error**2).mean() / (content[layer] ** 2).mean()
            style_term = apart / (blended**2).sum()
        else:
            content_term = 0.5 * (error**2).sum()
            style_term = apart / (4 * blended.shape[0] ** 2)
        terms[f"content/{layer}"] = 2.0 * share * content_term
        terms[f"style/{layer}"] = 5.0 * share * style_term
    dx, dy = (np.diff(image.astype(np.float64), axis=axis) ** 2 for axis in (1, 0))
    relative = name == "relative"
    terms["tv"] = 0.7 * (dx.mean() + dy.mean() if relative else 255**2 * (dx.sum() + dy.sum()))
    return {"total": sum(terms.values()), **terms}


def batch(image):
    return tf.constant(np.asarray(image, np.float32)[None])


def make(name="relative", weights=WEIGHTS, content=CONTENT, styles=STYLES, features=extractor):
    blend = BLEND[: len(styles)]
    targets = objective.capture_targets(
        features, batch(content), [batch(style) for style in styles], blend, weights
    )
    return objective.Objective(features, targets, weights, losses.OBJECTIVES[name])


@pytest.fixture(scope="module")
def network(tiny_weights):
    """The features of a small network, some deep."""
    layers = ("block1_conv1", "block3_conv1", "block4_conv2")
    return backbones.feature_extractor(tiny_weights, layers)


NETWORK_WEIGHTS = objective.TermWeights(
    1.0, 8.0, 0.0, {"block4_conv2": 1.0}, {"block1_conv1": 1.0, "block3_conv1": 1.0}
)


@pytest.mark.parametrize("name", ["relative", "gatys"])
def test_every_term_is_that_of_numpy(name):
    found = make(name).value(batch(IMAGE))
    expected = numpy_terms(IMAGE, name)
    assert found.keys() == expected.keys()
    for term, value in expected.items():
        np.testing.assert_allclose(found[term], value, rtol=1e-4, err_msg=term)


@pytest.mark.parametrize("name", ["relative", "gatys"])
def test_the_gradient_is_that_of_central_differences_in_float64(name):
    terms, gradient = make(name).value_and_grad(batch(IMAGE))
    assert gradient.shape == (1, *IMAGE.shape)
    np.testing.assert_allclose(terms["total"], numpy_terms(IMAGE, name)["total"], rtol=1e-4)
    gradient = gradient.numpy()[0].astype(np.float64)
    rng = np.random.default_rng(0)
    for direction in (gradient / np.linalg.norm(gradient), *rng.normal(0, 1, (2, *IMAGE.shape))):
        ahead, behind = (
            numpy_terms(IMAGE.astype(np.float64) + step * direction, name)["total"]
            for step in (1e-5, -1e-5)
        )
        size = np.linalg.norm(gradient) * np.linalg.norm(direction)
        slope = (ahead - behind) / 2e-5
        np.testing.assert_allclose((gradient * direction).sum(), slope, atol=1e-4 * size)


@pytest.mark.parametrize("name", ["relative", "gatys"])
def test_the_gradient_through_a_network_is_that_of_central_differences(network, name):
    one = make(name, NETWORK_WEIGHTS, picture(32, 48, 1), [picture(32, 32, 2)], network)
    image = picture(32, 48, seed=3)
    _, gradient = one.value_and_grad(batch(image))
    norm = float(tf.norm(gradient))
    direction = gradient.numpy()[0] / norm
    step = 1e-3  # longer ones cross more kinks of the ReLUs
    ahead, behind = (
        float(one.value(batch(image + sign * step * direction))["total"]) for sign in (1, -1)
    )
    np.testing.assert_allclose((ahead - behind) / (2 * step), norm, rtol=1e-2)


def test_terms_of_a_network_come_from_its_features(network):
    one = make("relative", NETWORK_WEIGHTS, picture(32, 48, 1), [picture(33, 50, 2)], network)
    image = batch(picture(32, 48, seed=3))
    features, content, style = (
        {name: np.asarray(value, np.float64) for name, value in network(picked).items()}
        for picked in (image, batch(picture(32, 48, 1)), batch(picture(33, 50, 2)))
    )
    found = one.value(image)
    target = content["block4_conv2"]
    expected = ((features["block4_conv2"] - target) ** 2).sum() / (target**2).sum()
    np.testing.assert_allclose(found["content/block4_conv2"], expected, rtol=1e-4)
    for layer in ("block1_conv1", "block3_conv1"):
        wanted = gram(style[layer])
        expected = 4 * ((gram(features[layer]) - wanted) ** 2).sum() / (wanted**2).sum()
        np.testing.assert_allclose(found[f"style/{layer}"], expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["relative", "gatys"])
def test_total_is_the_sum_of_the_others_and_names_are_those_of_the_terms(name):
    one = make(name)
    terms = {term: float(value) for term, value in one.value(batch(IMAGE)).items()}
    total = terms.pop("total")
    np.testing.assert_allclose(total, sum(terms.values()), rtol=1e-6)
    assert one.term_names[0] == "total"
    assert sorted(one.term_names) == sorted(["total", *terms])


def test_statistics_of_features_add_up_over_halves_of_an_image():
    weights = dataclasses.replace(WEIGHTS, content_layers={}, content=0.0)
    one = make(weights=weights)
    image = picture(24, 32)
    whole, top, bottom = (one.statistics(batch(i)) for i in (image, image[:12], image[12:]))
    for name in ("style/block1_conv2", "style/block3_conv1"):
        np.testing.assert_allclose(top[name] + bottom[name], whole[name], rtol=1e-5)


def test_terms_vanish_at_the_content_and_at_the_style():
    one = make(content=STYLES[0], styles=STYLES[:1])
    terms = one.value(batch(STYLES[0]))
    for name in ("content/block1_conv2", "style/block1_conv2", "style/block3_conv1"):
        assert float(terms[name]) < 1e-9, name
    assert float(terms["tv"]) > 0


def test_the_scale_of_layer_weights_and_of_the_blend_does_not_matter():
    scaled = {name: 10 * value for name, value in BOTH.items()}
    weights = dataclasses.replace(WEIGHTS, content_layers=scaled, style_layers=scaled)
    styles = [batch(style) for style in STYLES]
    targets = objective.capture_targets(extractor, batch(CONTENT), styles, [0.03, 0.07], weights)
    other = objective.Objective(extractor, targets, weights, losses.OBJECTIVES["relative"])
    for name, value in make().value(batch(IMAGE)).items():
        np.testing.assert_allclose(other.value(batch(IMAGE))[name], value, rtol=1e-5)


def test_a_blend_needs_a_share_per_style():
    with pytest.raises(ValueError):
        objective.capture_targets(extractor, batch(CONTENT), [batch(STYLES[0])], BLEND, WEIGHTS)


@pytest.mark.parametrize("field", ["content", "style", "tv"])
def test_a_weight_of_zero_takes_its_terms_out_and_leaves_the_others(field):
    without = make(weights=dataclasses.replace(WEIGHTS, **{field: 0.0}))
    terms, gradient = without.value_and_grad(batch(IMAGE))
    others = numpy_terms(IMAGE, "relative")
    for name, value in terms.items():
        if name.split("/")[0] == field:
            assert float(value) == 0.0
        elif name != "total":
            np.testing.assert_allclose(value, others[name], rtol=1e-4)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_a_layer_of_weight_zero_adds_nothing():
    layers = {"block1_conv2": 1.0, "block3_conv1": 0.0}
    terms = make(weights=dataclasses.replace(WEIGHTS, style_layers=layers)).value(batch(IMAGE))
    assert float(terms["style/block3_conv1"]) == 0.0
    full = numpy_terms(IMAGE, "relative")["style/block1_conv2"] / 0.75
    np.testing.assert_allclose(terms["style/block1_conv2"], full, rtol=1e-4)


def rectified(image):
    """Features that are all zero on a black picture."""
    return {name: tf.nn.relu(value - np.log(2)) for name, value in extractor(image).items()}


@pytest.mark.parametrize("name", ["relative", "gatys"])
def test_black_pictures_give_finite_terms_and_notes(name):
    black = np.zeros_like(CONTENT)
    one = make(name, content=black, styles=[black], features=rectified)
    assert len(one.targets.notes) == 4
    assert "the content has no features at block1_conv2" in one.targets.notes[0]
    assert "the style has no features at block3_conv1" in one.targets.notes[3]
    for image in (IMAGE, black):
        terms, gradient = one.value_and_grad(batch(image))
        assert all(np.isfinite(value) for value in terms.values())
        assert np.isfinite(gradient).all()


def test_pictures_with_features_give_no_notes():
    assert make().targets.notes == make(features=rectified).targets.notes == ()


def test_a_flat_image_has_no_variation_and_a_finite_gradient():
    terms, gradient = make().value_and_grad(batch(np.full_like(IMAGE, 0.5)))
    assert float(terms["tv"]) == 0.0
    assert np.isfinite(gradient).all()


def test_it_runs_inside_a_graph():
    one = make()
    terms, gradient = tf.function(one.value_and_grad)(batch(IMAGE))
    eager_terms, eager = one.value_and_grad(batch(IMAGE))
    np.testing.assert_allclose(terms["total"], eager_terms["total"], rtol=1e-5)
    np.testing.assert_allclose(gradient, eager, rtol=1e-3, atol=1e-5)


def test_no_sum_of_three_or_more_is_left_to_add_n(tiny_weights):
    """AddN orders its inputs by what memory is free: bytes would differ from run to run."""
    layers = [f"block{block}_conv1" for block in range(1, 6)]
    extractor = backbones.feature_extractor(tiny_weights, (*layers, "block5_conv2"))
    weights = objective.TermWeights(
        1.0, 8.0, 2.0, {"block5_conv2": 1.0}, dict.fromkeys(layers, 1.0)
    )
    image = tf.constant(picture(32, 48)[None])
    targets = objective.capture_targets(extractor, image, [image], [1.0], weights)
    one = objective.Objective(extractor, targets, weights, losses.OBJECTIVES["relative"])
    graph = tf.function(one.value_and_grad).get_concrete_function(image).graph
    sums = [len(op.inputs) for op in graph.get_operations() if op.type == "AddN"]
    assert sums and max(sums) == 2
