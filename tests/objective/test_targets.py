"""What an image is compared with: shapes, blends, and warnings of pictures without features."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective import targets as targets_lib
from nst_keras.objective.focus import at_stride, position_weights
from nst_keras.objective.terms import make_terms
from nst_keras.objective.tiles import plan_tiles, receptive_field
from tests.objective.conftest import (
    BOTH,
    CONTENT,
    ERRORS,
    IMAGE,
    NAMES,
    NETWORK,
    STYLES,
    TERMS,
    batch,
    capture,
    chained,
    make,
    noise,
    numpy_features,
    objective_of,
    random_vgg,
    rectified,
    toy_extractor,
    uncut,
    weigh,
)


def test_targets_hold_the_contents_features_and_the_sum_of_their_squares():
    targets = capture()
    (content,) = targets.content
    exact = numpy_features(CONTENT)
    assert list(content) == list(targets.content_sums) == list(exact) == list(BOTH)
    for layer, features in exact.items():
        np.testing.assert_allclose(content[layer][0], features, rtol=1e-5)
        np.testing.assert_allclose(targets.content_sums[layer], (features**2).sum(), rtol=1e-5)


def test_only_the_last_picture_is_not_computed_again():
    computed = []

    def extractor(picture):
        computed.append(picture)
        return {"layer": 2.0 * picture}

    first, second = noise(4, 5, 0), noise(4, 5, 1)
    features_of = targets_lib.LastFeatures(extractor)
    asked = [first, first, second, second, first]
    for picture in asked:
        np.testing.assert_array_equal(features_of(picture)["layer"], 2.0 * picture)
    assert [picture is first for picture in computed] == [True, False, True]


def test_the_style_target_is_the_weighted_mean_of_grams_per_position():
    targets = capture()
    styles = [numpy_features(style) for style in STYLES]
    for layer, ((gram, square_sum),) in targets.style.items():
        rows = [features[layer].reshape(-1, features[layer].shape[-1]) for features in styles]
        grams = [row.T @ row / len(row) for row in rows]
        blended = 0.3 * grams[0] + 0.7 * grams[1]
        np.testing.assert_allclose(gram, blended, rtol=1e-5)
        np.testing.assert_allclose(square_sum, (blended**2).sum(), rtol=1e-5)


@pytest.mark.parametrize("focus", [0.0, 0.8])
def test_targets_captured_by_tiles_are_those_of_the_whole(focus):
    layers = ("block1_conv1", "block3_conv1")
    field = receptive_field(map(NETWORK.__getitem__, layers))
    weights = dict.fromkeys(("content/block3_conv1", "style/block1_conv1", "style/block3_conv1"), 1)
    pictures = noise(93, 79, 1), [noise(61, 90, 2)], [1.0]
    given = chained(random_vgg(layers)), NETWORK, *pictures, weights
    formulas = formulas_lib.FORMULAS["relative"]
    whole = targets_lib.capture_targets(*given, formulas, uncut, focus)
    tiled = targets_lib.capture_targets(
        *given, formulas, lambda height, width: plan_tiles(height, width, 48, field), focus
    )
    assert len(tiled.content) > 2 and len(whole.content) == 1
    own = sum(int(tf.size(features["block3_conv1"])) for features in tiled.content)
    assert own == int(tf.size(whole.content[0]["block3_conv1"]))
    layer = "block3_conv1"
    np.testing.assert_allclose(tiled.content_sums[layer], whole.content_sums[layer], rtol=1e-12)
    for layer, ((gram, square_sum),) in whole.style.items():
        ((found, found_sum),) = tiled.style[layer]
        np.testing.assert_allclose(found, gram, rtol=1e-10)
        np.testing.assert_allclose(found_sum, square_sum, rtol=1e-10)


def test_positions_of_the_content_have_weights_if_there_is_a_focus():
    layer = "block3_conv1"
    assert list(capture().content[0]) == list(BOTH)
    given = toy_extractor, NETWORK, batch(CONTENT), [batch(STYLES[0])], [1.0], weigh("relative")
    formulas = formulas_lib.FORMULAS["relative"]
    targets = targets_lib.capture_targets(*given, formulas, uncut, focus=0.7)
    features = numpy_features(CONTENT)[layer]
    weights = position_weights(batch(CONTENT), 0.7)
    own = at_stride(weights, 4)[0].numpy()
    np.testing.assert_allclose(targets.content[0][targets_lib.weights_name(layer)][0], own)
    expected = (own * features**2).sum()
    np.testing.assert_allclose(targets.content_sums[layer], expected, rtol=1e-5)
    content = targets.content[0]
    image = numpy_features(IMAGE)[layer]
    (term,) = [
        term
        for term in make_terms(weigh("relative"), targets, formulas)
        if term.name == f"content/{layer}"
    ]
    sums, _ = term.statistics[layer](toy_extractor(batch(IMAGE))[layer], content)
    errors = (own * (image - features) ** 2).sum()
    np.testing.assert_allclose(term.loss(sums, 18, 27), errors / expected, rtol=1e-5)


def test_a_tile_owns_the_features_under_its_window():
    features = tf.reshape(tf.range(6 * 8), (1, 6, 8, 1))
    found = targets_lib.owned(features, 2, (2, 8, 4, 16))
    np.testing.assert_array_equal(found[0, ..., 0], np.arange(48).reshape(6, 8)[1:4, 2:8])


def test_the_scale_of_layer_weights_and_of_the_blend_does_not_matter():
    layers = {layer: 10 * weight for layer, weight in BOTH.items()}
    weights = weigh("relative", content_layers=layers, style_layers=layers)
    other = objective_of(capture(weights=weights, blend=[0.03, 0.07]), weights=weights)
    for name, value in make().value(batch(IMAGE)).items():
        np.testing.assert_allclose(other.value(batch(IMAGE))[name], value, rtol=1e-5)


def test_a_blend_needs_a_share_per_style():
    with pytest.raises(ValueError):
        capture(styles=STYLES[:1] * 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_style_of_two_halves_is_the_blend_of_its_halves(name):
    """Halves of one size, cut where no square of pixels is split."""
    halves, whole = [STYLES[0][:8], STYLES[0][8:16]], [STYLES[0][:16]]
    found = [
        objective_of(capture(name, styles=styles, blend=[1.0, 1.0]), name).value(batch(IMAGE))
        for styles in (halves, whole)
    ]
    for term in TERMS:
        np.testing.assert_allclose(found[0][term], found[1][term], rtol=ERRORS[name], err_msg=term)


@pytest.mark.parametrize("name", NAMES)
def test_black_pictures_give_finite_losses_and_notes(name):
    black = np.zeros_like(CONTENT)
    targets = capture(name, content=black, styles=[black], extractor=rectified)
    assert targets.notes == (
        "the content has practically no features at block1_conv2",
        "the content has practically no features at block3_conv1",
        "the style has practically no features at block1_conv2",
        "the style has practically no features at block3_conv1",
    )
    objective = objective_of(targets, name, extractor=rectified)
    for image in (IMAGE, black):
        losses, gradient = objective.value_and_grad(batch(image))
        assert all(np.isfinite(value) for value in losses.values())
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_pictures_with_features_give_no_notes(name):
    assert capture(name).notes == capture(name, extractor=rectified).notes == ()


def test_notes_say_which_picture_has_no_features():
    black = np.zeros_like(CONTENT)
    notes = capture(content=black, extractor=rectified).notes
    assert len(notes) == 2 and all(note.startswith("the content") for note in notes)
    notes = capture(styles=[black], extractor=rectified).notes
    assert len(notes) == 2 and all(note.startswith("the style") for note in notes)


def test_the_layers_of_a_kind_are_those_of_its_terms():
    terms = weigh("relative", content_layers={"block5_conv2": 1.0})
    assert targets_lib.layers_of("content", terms) == ("block5_conv2",)
    assert targets_lib.layers_of("style", terms) == ("block1_conv2", "block3_conv1")
    assert targets_lib.layers_of("content", {"tv": 1.0}) == ()
