"""Terms: their statistics add up over parts, and their losses are those of NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.terms import make_terms
from tests.conftest import picture
from tests.objective.conftest import (
    ERRORS,
    IMAGE,
    NAMES,
    STYLES,
    TERMS,
    batch,
    capture,
    make,
    numpy_terms,
    toy_extractor,
    weigh,
)


def terms_of(name, **pictures):
    return make_terms(weigh(name), capture(name, **pictures), formulas_lib.FORMULAS[name])


@pytest.mark.parametrize("name", NAMES)
def test_each_term_makes_its_own_statistics_and_unweighted_loss(name):
    terms, targets = terms_of(name), capture(name)
    features, (content,) = toy_extractor(batch(IMAGE)), targets.content
    assert tuple(term.name for term in terms) == TERMS
    assert {term.name: term.weight for term in terms} == weigh(name)
    for term, expected in zip(terms, numpy_terms(IMAGE, name), strict=True):
        ((layer, statistics),) = term.statistics.items()
        sums, _ = statistics(features[layer] if layer else batch(IMAGE), content)
        loss = term.loss(sums, *IMAGE.shape[:2])
        np.testing.assert_allclose(loss, expected, rtol=ERRORS[name], err_msg=term.name)


def test_the_size_of_a_squared_error_is_that_of_the_whole_image_not_of_a_part():
    """A loss gets sums of all tiles, so it divides by all positions."""
    (term, *_) = terms_of("jcjohnson")  # a mean of (F - P)^2
    once, twice = (float(term.loss(tf.constant(60.0), height, 5)) for height in (3, 6))
    np.testing.assert_allclose([once, twice], [60 / (15 * 4), 60 / (30 * 4)], rtol=1e-6)


@pytest.mark.parametrize("name", ["relative", "crowsonkb"])
def test_statistics_of_features_add_up_over_halves_of_an_image(name):
    objective = make(name, weigh(name, content_layers={}))
    image = picture(24, 32)
    whole, top, bottom = (
        objective.evaluator(batch(part)).sums for part in (image, image[:12], image[12:])
    )
    for term in ("style/block1_conv2", "style/block3_conv1"):
        np.testing.assert_allclose(top[term] + bottom[term], whole[term], rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_losses_vanish_at_the_content_and_at_the_style(name):
    objective = make(name, content=STYLES[0], styles=STYLES[:1])
    there = objective.value(batch(STYLES[0]))
    elsewhere = objective.value(batch(STYLES[0][::-1, ::-1] ** 2))
    for term in ("content/block1_conv2", "style/block1_conv2", "style/block3_conv1"):
        assert abs(float(there[term])) < 0.01 * ERRORS[name] * float(elsewhere[term]), term
    assert float(there["tv"]) > 0
