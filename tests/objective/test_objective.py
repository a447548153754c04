"""Losses and gradients of every objective against NumPy in float64, and balanced weights."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective.objective import TracedOnce, balanced_weights, with_nan
from tests.conftest import picture
from tests.objective.conftest import (
    CONTENT,
    ERRORS,
    HALF,
    IMAGE,
    NAMES,
    NETWORK_CONTENT,
    NETWORK_STYLES,
    NETWORK_WEIGHTS,
    TERMS,
    batch,
    capture,
    directions,
    expected_weights,
    gradient_of,
    make,
    numpy_gradients,
    numpy_terms,
    small,
    through,
    toy,
    weigh,
)


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_that_of_numpy(name):
    found = make(name).value(batch(IMAGE))
    expected = expected_weights(name) * numpy_terms(IMAGE, name)
    assert tuple(found) == ("total", *TERMS)
    for term, value in zip(TERMS, expected, strict=True):
        np.testing.assert_allclose(found[term], value, rtol=ERRORS[name], err_msg=term)
    np.testing.assert_allclose(found["total"], expected.sum(), rtol=ERRORS[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_central_differences_in_float64(name):
    # All terms count alike, so that none hides behind the others.
    weights = 1 / np.linalg.norm(numpy_gradients()[name].reshape(len(TERMS), -1), axis=1)
    objective = make(name, dict(zip(TERMS, weights, strict=True)))
    gradient = gradient_of(objective, IMAGE)
    for direction in directions(gradient, count=3):
        ahead, behind = (
            weights @ numpy_terms(IMAGE.astype(np.float64) + step * direction, name)
            for step in (1e-5, -1e-5)
        )
        slope = (ahead - behind) / 2e-5
        np.testing.assert_allclose(
            (gradient * direction).sum(), slope, rtol=0, atol=1e-4 * np.linalg.norm(gradient)
        )


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_the_gradient_of_every_term_is_that_of_numpy(name):
    for chosen, expected in zip(TERMS, numpy_gradients()[name], strict=True):
        weights = {term: float(term == chosen) for term in TERMS}
        found = gradient_of(make(name, weights, content=small(CONTENT)), small(IMAGE))
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < 1e-4, chosen


@pytest.mark.parametrize("name", NAMES)
def test_terms_and_gradient_through_a_network_are_those_of_numpy(network, network_terms, name):
    image = picture(33, 50, seed=3)
    exact = image.astype(np.float64)
    expected = network_terms(exact, name)
    # Terms of like size, whatever the formulas' units.
    weights = np.array(list(NETWORK_WEIGHTS.values())) / expected
    named = dict(zip(NETWORK_WEIGHTS, weights, strict=True))
    objective = make(name, named, NETWORK_CONTENT, NETWORK_STYLES, extractor=network)
    found, gradient = objective.value_and_grad(batch(image))
    for term, value in zip(NETWORK_WEIGHTS, weights * expected, strict=True):
        np.testing.assert_allclose(found[term], value, rtol=1e-4, err_msg=term)
    gradient = gradient.numpy()[0].astype(np.float64)
    for direction in directions(gradient):
        ahead, behind = (
            weights @ network_terms(exact + step * direction, name)
            for step in (1e-7, -1e-7)  # longer ones cross kinks of the ReLUs
        )
        slope = (ahead - behind) / 2e-7
        np.testing.assert_allclose(
            (gradient * direction).sum(), slope, rtol=0, atol=1e-4 * np.linalg.norm(gradient)
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_total_is_the_sum_of_the_terms_and_names_are_the_keys_of_the_losses(name):
    objective = make(name)
    terms = {term: float(value) for term, value in objective.value(batch(IMAGE)).items()}
    assert objective.names == tuple(terms) == ("total", *TERMS)
    total = terms.pop("total")
    np.testing.assert_allclose(total, sum(terms.values()), rtol=1e-6)


@pytest.mark.parametrize("kind", ["content", "style", "tv"])
def test_a_weight_of_zero_takes_its_terms_out_and_leaves_the_others(kind):
    terms, gradient = make(weights=weigh("relative", **{kind: 0.0})).value_and_grad(batch(IMAGE))
    values = expected_weights("relative") * numpy_terms(IMAGE, "relative")
    others = dict(zip(TERMS, values, strict=True))
    for name, value in terms.items():
        if name.split("/")[0] == kind:
            assert float(value) == 0.0
        elif name != "total":
            np.testing.assert_allclose(value, others[name], rtol=1e-4)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_a_layer_of_weight_zero_adds_nothing():
    layers = {"block1_conv2": 1.0, "block3_conv1": 0.0}
    terms = make(weights=weigh("relative", style_layers=layers)).value(batch(IMAGE))
    assert float(terms["style/block3_conv1"]) == 0.0
    full = 5 * numpy_terms(IMAGE, "relative")[TERMS.index("style/block1_conv2")]
    np.testing.assert_allclose(terms["style/block1_conv2"], full, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_image_has_no_variation_and_a_finite_gradient(name):
    terms, gradient = make(name).value_and_grad(batch(np.full_like(IMAGE, 0.5)))
    assert float(terms["tv"]) == 0.0
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_gives_the_same_losses_and_gradient(name):
    objective = make(name)
    terms, gradient = tf.function(objective.value_and_grad)(batch(IMAGE))
    eager_terms, eager = objective.value_and_grad(batch(IMAGE))
    np.testing.assert_allclose(terms["total"], eager_terms["total"], rtol=ERRORS[name])
    assert np.linalg.norm(gradient - eager) < ERRORS[name] * np.linalg.norm(eager)


@pytest.mark.parametrize("name", ["relative", "keras_example", "crowsonkb"])
def test_xla_gives_the_same_losses_and_gradient(name):
    objective = make(name)
    terms, gradient = tf.function(objective.value_and_grad, jit_compile=True)(batch(IMAGE))
    expected, exact = objective.value_and_grad(batch(IMAGE))
    for term, value in expected.items():
        np.testing.assert_allclose(terms[term], value, rtol=ERRORS[name], err_msg=term)
    assert np.linalg.norm(gradient - exact) < 10 * ERRORS[name] * np.linalg.norm(exact)


def test_other_weights_make_another_objective_with_the_same_targets():
    objective = make()
    before = dict(objective.weights)
    weights = {name: index * weight for index, (name, weight) in enumerate(before.items(), 1)}
    other, losses = objective.reweighted(weights), objective.value(batch(IMAGE))
    assert other.weights == weights and objective.weights == before
    for index, (name, value) in enumerate(other.value(batch(IMAGE)).items()):
        if name != "total":
            np.testing.assert_allclose(value, index * losses[name], rtol=1e-6)


def test_losses_of_statistics_are_differentiated_by_each_of_these():
    objective = make("tf_tutorial")  # |G - A|^2 / N^2 for G = sums / M
    sums = objective.evaluator(batch(IMAGE)).sums
    losses, gradients = objective.differentiate(sums, *IMAGE.shape[:2])
    assert gradients.keys() == sums.keys() == {*losses} - {"total"}
    layer, positions = "block3_conv1", 4 * 6
    gram = np.float64(sums[f"style/{layer}"]) / positions
    target = np.float64(capture("tf_tutorial").style[layer][0][0])
    factor = 2 * objective.weights[f"style/{layer}"] / gram.shape[0] ** 2 / positions
    # G and A nearly cancel in places, so errors are relative to them and not to their difference.
    rounding = 4 * np.finfo(np.float32).eps * factor * (np.abs(gram) + np.abs(target))
    apart = np.abs(gradients[f"style/{layer}"] - factor * (gram - target))
    assert (apart <= rounding).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_makes_the_total_nan(bad):
    losses = {"total": tf.constant(3.0), "tv": tf.constant(2.0)}
    gradient = np.zeros((1, 4, 5, 3), np.float32)
    assert float(with_nan(losses, tf.constant(gradient))["total"]) == 3.0
    gradient[0, 2, 3, 1] = bad
    found = with_nan(losses, tf.constant(gradient))
    assert np.isnan(found["total"]) and float(found["tv"]) == 2.0


# Balanced weights.


CONTENTS, STYLE_TERMS = TERMS[:2], TERMS[2:4]


def norm_of(weights, group, image, name="relative"):
    """Norm of the gradient of some terms with these weights."""
    chosen = {term: weights[term] * (term in group) for term in weights}
    return np.linalg.norm(gradient_of(make(name, chosen), image))


def balance(shares, weights=None, image=IMAGE, seed=0, name="relative"):
    objective = make(name, weights)
    return balanced_weights(objective, batch(image), shares, seed)


@pytest.mark.parametrize("name", NAMES)
def test_balanced_gradients_have_the_shares_asked_for_and_the_sum_they_had(name):
    shares = {CONTENTS: 1.0, STYLE_TERMS: 4.0, ("tv",): 0.5}
    before, found = weigh(name), balance(shares, name=name)
    norms = np.array([norm_of(found, group, IMAGE, name) for group in shares])
    whole = sum(norm_of(before, group, IMAGE, name) for group in shares)
    np.testing.assert_allclose(norms.sum(), whole, rtol=1e-3)
    np.testing.assert_allclose(norms / norms.sum(), np.array([1.0, 4.0, 0.5]) / 5.5, rtol=1e-3)
    assert list(found) == list(before)


def test_terms_of_a_group_keep_their_proportions_and_others_their_weights():
    before = weigh("relative")
    found = balance({STYLE_TERMS: 2.0, ("content/block1_conv2",): 3.0})
    for name in ("content/block3_conv1", "tv"):
        assert found[name] == before[name]
    ratios = [weights[STYLE_TERMS[0]] / weights[STYLE_TERMS[1]] for weights in (found, before)]
    np.testing.assert_allclose(*ratios, rtol=1e-12)
    assert found[STYLE_TERMS[0]] != before[STYLE_TERMS[0]]


def test_a_balance_leaves_the_objective_as_it_was():
    objective = make()
    before = dict(objective.weights)
    balanced_weights(objective, batch(IMAGE), {CONTENTS: 1.0, STYLE_TERMS: 9.0}, 0)
    assert objective.weights == before


def test_only_ratios_of_shares_count():
    found = balance({CONTENTS: 1.0, STYLE_TERMS: 3.0})
    assert found == pytest.approx(balance({CONTENTS: 5.0, STYLE_TERMS: 15.0}), rel=1e-5)


def test_one_group_alone_keeps_its_weights():
    assert balance({STYLE_TERMS: 2.0}) == pytest.approx(weigh("relative"), rel=1e-6)


@pytest.mark.parametrize("first", ["content", "style"])
def test_a_gradient_that_vanishes_at_the_content_is_measured_with_noise(first):
    groups = [CONTENTS, STYLE_TERMS] if first == "content" else [STYLE_TERMS, CONTENTS]
    found = balance(dict.fromkeys(groups, 1.0), image=CONTENT)
    assert norm_of(found, CONTENTS, CONTENT) < 1e-4 * norm_of(found, STYLE_TERMS, CONTENT)
    noise = np.random.default_rng(5).normal(0, 0.05, CONTENT.shape)
    beside = norm_of(found, CONTENTS, np.clip(CONTENT + noise, 0, 1))
    there = norm_of(found, STYLE_TERMS, CONTENT)
    assert 0.8 < beside / there < 1.25


def test_noise_follows_the_seed():
    shares = {STYLE_TERMS: 1.0, CONTENTS: 1.0}
    found, again, other = (balance(shares, image=CONTENT, seed=seed) for seed in (1, 1, 2))
    assert found == again
    assert found[CONTENTS[0]] != other[CONTENTS[0]]
    assert found[CONTENTS[0]] == pytest.approx(other[CONTENTS[0]], rel=0.5)


def test_a_group_of_weight_zero_that_is_asked_for_is_switched_on():
    before = weigh("relative", style=0.0)
    found = balance({CONTENTS: 1.0, STYLE_TERMS: 2.0}, before)
    assert found[STYLE_TERMS[0]] == found[STYLE_TERMS[1]] > 0
    norms = [norm_of(found, group, IMAGE) for group in (CONTENTS, STYLE_TERMS)]
    np.testing.assert_allclose(norms[1] / norms[0], 2.0, rtol=1e-3)
    switched_on = {**before, **dict.fromkeys(STYLE_TERMS, 1.0)}
    whole = sum(norm_of(switched_on, group, IMAGE) for group in (CONTENTS, STYLE_TERMS))
    np.testing.assert_allclose(sum(norms), whole, rtol=1e-3)


def test_a_share_of_zero_switches_a_group_off():
    found = balance({CONTENTS: 1.0, STYLE_TERMS: 2.0, ("tv",): 0.0})
    assert found["tv"] == 0.0
    norms = [norm_of(found, group, IMAGE) for group in (CONTENTS, STYLE_TERMS)]
    np.testing.assert_allclose(norms[1] / norms[0], 2.0, rtol=1e-3)


def test_a_balance_in_float16_is_about_that_in_float32(network, half_network):
    image, shares = batch(picture(33, 50, seed=3)), {("content/block4_conv2",): 1.0, ("tv",): 1e-9}
    found = [
        balanced_weights(through(features, "relative", 1e-15, cotangent), image, shares, 0)
        for features, cotangent in ((network, None), (half_network, HALF))
    ]
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_a_gradient_that_vanishes_everywhere_keeps_its_weight_and_stays_finite():
    """As that of content terms where no features are."""
    black = np.zeros_like(CONTENT)

    objective = make(content=black, styles=[black], extractor=toy(lambda features: 0.0 * features))
    found = balanced_weights(objective, batch(IMAGE), {("tv",): 1.0, CONTENTS: 1.0}, 0)
    assert all(np.isfinite(weight) for weight in found.values())
    assert found[CONTENTS[0]] == objective.weights[CONTENTS[0]]


def test_functions_that_are_traced_once_bring_no_warning(caplog):
    """As each picture has graphs of its own, of the same source lines."""
    traces = []

    def doubling():
        def double(value):
            traces.append(value)
            return {"twice": 2 * value}

        return TracedOnce(tf.function(double, autograph=False))

    tf.get_logger().addHandler(caplog.handler)
    try:
        for number in range(6):
            call = doubling()
            for value in (number, number + 1):
                assert int(call(tf.constant(value))["twice"]) == 2 * value
    finally:
        tf.get_logger().removeHandler(caplog.handler)
    assert len(traces) == 6 and "retracing" not in caplog.text
