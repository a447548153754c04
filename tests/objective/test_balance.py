"""Weights of terms chosen by the sizes of their gradients."""

import numpy as np
import pytest

from nst_keras.objective.balance import balanced_weights
from tests.conftest import picture
from tests.objective.conftest import (
    CONTENT,
    HALF,
    IMAGE,
    NAMES,
    TERMS,
    batch,
    gradient_of,
    make,
    through,
    toy_extractor,
    weigh,
)

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

    def blind(image):
        return {name: 0.0 * value for name, value in toy_extractor(image).items()}

    objective = make(content=black, styles=[black], extractor=blind)
    found = balanced_weights(objective, batch(IMAGE), {("tv",): 1.0, CONTENTS: 1.0}, 0)
    assert all(np.isfinite(weight) for weight in found.values())
    assert found[CONTENTS[0]] == objective.weights[CONTENTS[0]]
