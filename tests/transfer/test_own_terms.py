"""Terms of the loss that the user writes, in whole pictures and in tiles."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras import LossTerm, stylize
from nst_keras.network import extractor, vgg
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.inputs import read_inputs
from nst_keras.transfer.planning import make_plan
from nst_keras.transfer.problem import StyleTransferProblem
from tests.conftest import picture
from tests.transfer.conftest import CONFIG, CONTENT, SINGLE, STYLE, TILED, paint


def red_mean(pixels):
    return tf.reduce_mean(tf.square(pixels[..., 0] - 0.2))


def red_sum(pixels):
    return tf.reduce_sum(tf.square(pixels[..., 0] - 0.2))


def edges_sum(pixels):
    return tf.reduce_sum(tf.abs(pixels[:, 1:] - pixels[:, :-1]))


def feature_sum(features):
    return tf.reduce_sum(tf.square(features))


def both_layers(shallow, deep):
    return tf.reduce_mean(shallow[..., :2]) * tf.reduce_mean(tf.square(deep))


def both_sums(shallow, deep):
    return tf.reduce_sum(shallow) + 2.0 * tf.reduce_sum(tf.square(deep))


PLAIN = {
    "pixels": LossTerm("own", 3.0, red_mean),
    "pixel sum": LossTerm("own", 3.0, red_sum, additive=True),
    "rows": LossTerm("own", 3.0, edges_sum, additive=True),
    "features": LossTerm("own", 0.1, feature_sum, layers="relu1_2", additive=True),
    "two layers": LossTerm("own", 5.0, both_layers, layers=("block1_conv2", "block2_conv2")),
    "two sums": LossTerm(
        "own", 0.5, both_sums, layers=("block1_conv2", "block2_conv2"), additive=True
    ),
}
NO_OTHERS = {"content_weight": 0.0, "style_weight": 1e-30, "tv_weight": 0.0}


def test_a_scalar_of_unknown_shape_is_a_scalar(tiny_weights):
    def in_python(pixels):
        return tf.py_function(lambda: np.float32(2.5), [], tf.float32) + 0.0 * pixels[0, 0, 0, 0]

    iterates = stylize(
        CONTENT, STYLE, SINGLE, weights=tiny_weights, terms=[LossTerm("own", 2.0, in_python)]
    )
    assert next(iterates).terms["own"] == 5.0
    iterates.close()


@pytest.mark.parametrize("tiles", [False, True])
@pytest.mark.parametrize("kind", PLAIN)
def test_losses_and_gradients_of_own_terms_are_those_of_autodiff(tiny_weights, kind, tiles):
    term = PLAIN[kind]
    if tiles and not term.additive:
        return
    config = dataclasses.replace(TILED if tiles else CONFIG, scales=1, **NO_OTHERS)
    settings = resolve(config)
    inputs = read_inputs(settings, CONTENT, [STYLE], tiny_weights).with_terms(settings, [term])
    problem = StyleTransferProblem(settings, inputs, make_plan(settings, inputs))
    scale = problem.plan.scales[-1]
    objective = problem.objective(scale, problem.plan.tile_size)
    assert objective.evaluator.in_graph != tiles
    image = tf.constant(picture(scale.height, scale.width, seed=7)[None])
    losses, gradient = objective.value_and_grad(image)
    names = [vgg.architecture("vgg19").canonical(name, "") for name in term.layers]
    extract = extractor.feature_extractor(tiny_weights, tuple(names)) if names else None
    with tf.GradientTape() as tape:
        tape.watch(image)
        given = [extract(image)[name] for name in names] if extract else [image]
        expected = term.weight * term.function(*given)
        if term.additive:
            expected /= scale.pixels
    np.testing.assert_allclose(losses["own"], expected, rtol=1e-4)
    wanted = tape.gradient(expected, image).numpy()
    np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    assert np.abs(wanted).max() > 0


def test_an_own_term_is_minimized_and_reported_by_its_name(tiny_weights, single):
    term = LossTerm("redness", 50.0, red_mean)
    last = paint(SINGLE, tiny_weights, terms=term)
    assert red_mean(last.image) < red_mean(single.image)
    assert last.terms["redness"] > 0 and "redness" not in single.terms
    assert last.terms["total"] == pytest.approx(
        sum(loss for name, loss in last.terms.items() if name != "total"), rel=1e-5
    )


def test_in_tiles_an_own_sum_gives_the_same_picture(tiny_weights):
    terms = [PLAIN["features"], LossTerm("red", 3.0, red_sum, additive=True)]
    tiled = dataclasses.replace(TILED, scales=1)
    expected = paint(dataclasses.replace(tiled, tile_size="none"), tiny_weights, terms=terms)
    found = paint(tiled, tiny_weights, terms=terms)
    np.testing.assert_allclose(found.image, expected.image, atol=2e-3)
    assert found.terms["own"] == pytest.approx(expected.terms["own"], rel=1e-3)


@pytest.mark.parametrize(
    ("term", "config", "said"),
    [
        (PLAIN["pixels"], TILED, "^terms: own is not additive, .* use tile_size=none"),
        (LossTerm("own", 1.0, red_mean, layers="block9"), SINGLE, "^terms: own: layers=block9: "),
    ],
)
def test_own_terms_that_cannot_be_used_are_refused_by_the_call(tiny_weights, term, config, said):
    with pytest.raises(InputError, match=said):
        stylize(CONTENT, STYLE, config, weights=tiny_weights, terms=term)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda pixels: pixels[..., 0], "returns shape .*, no scalar"),
        (lambda pixels: None, "returns None, no tensor"),
    ],
)
def test_a_function_must_return_a_scalar(tiny_weights, function, said):
    with pytest.raises(InputError, match=f"^terms: the function of own {said}"):
        paint(SINGLE, tiny_weights, terms=LossTerm("own", 1.0, function))


@pytest.mark.parametrize(
    "term",
    [
        LossTerm("own", 3.0, lambda pixels: tf.constant(2.0)),
        LossTerm("own", 3.0, lambda pixels: tf.reduce_sum(tf.round(9.0 * pixels))),
        LossTerm("own", 3.0, lambda a, b: tf.constant(2.0), layers=("relu1_1", "relu1_2")),
    ],
)
def test_a_term_without_a_gradient_is_refused_by_its_name(tiny_weights, term):
    with pytest.raises(InputError, match="^terms: the function of own has no gradient; "):
        paint(SINGLE, tiny_weights, terms=term)


def test_a_layer_that_does_not_count_has_no_gradient(tiny_weights):
    def first(shallow, deep):
        return tf.reduce_mean(shallow)

    both = LossTerm("own", 3.0, first, layers=("relu1_1", "relu1_2"))
    alone = LossTerm("own", 3.0, lambda shallow: first(shallow, None), layers="relu1_1")
    found, expected = (paint(SINGLE, tiny_weights, terms=term).image for term in (both, alone))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_term_may_gather_what_it_reads(tiny_weights):
    gathered = LossTerm("own", 3.0, lambda pixels: tf.reduce_mean(tf.gather(pixels, [0], axis=0)))
    plain = LossTerm("own", 3.0, tf.reduce_mean)
    found, expected = (paint(SINGLE, tiny_weights, terms=term).image for term in (gathered, plain))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_run_with_an_own_term_resumes_with_the_same_term_alone(tiny_weights, tmp_path, caplog):
    def term(target):
        return LossTerm("own", 3.0, lambda pixels: tf.reduce_mean((pixels - target) ** 2))

    def begun(target):
        options = {"weights": tiny_weights, "checkpoints": tmp_path, "terms": term(target)}
        return stylize(CONTENT, STYLE, SINGLE, **options)

    whole = paint(SINGLE, tiny_weights, terms=term(0.2))
    iterates = begun(0.2)
    next(iterate for iterate in iterates if iterate.step == 3)
    iterates.close()
    other = begun(0.3)
    assert next(other).step == 1
    assert "it belongs to another run" in caplog.text
    other.close()
    (tmp_path / "step_000000001.npz").unlink()
    first, *_, last = begun(0.2)
    assert first.step == 4
    np.testing.assert_array_equal(last.image, whole.image)


def test_a_network_of_the_user_may_be_all_there_is(tiny_weights):
    """Content and style of Gatys et al. by a model of Keras, with no other term."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    shallow = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="shallow")(inputs)
    deep = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="deep")(shallow)
    model = keras.Model(inputs, {"shallow": shallow, "deep": deep})

    def gram(image):
        features = model(image)["shallow"]
        return tf.einsum("nhwc,nhwd->cd", features, features) / tf.size(
            features[..., 0], tf.float32
        )

    target = gram(STYLE[None])

    def style_loss(pixels):
        return tf.reduce_mean(tf.square(gram(pixels) - target))

    def content_loss(pixels):
        photo = tf.image.resize(CONTENT[None], pixels.shape[1:3])
        return tf.reduce_mean(tf.square(model(pixels)["deep"] - model(photo)["deep"]))

    terms = [LossTerm("my_style", 1e3, style_loss), LossTerm("my_content", 1.0, content_loss)]
    alone = dataclasses.replace(SINGLE, content_weight=0.0, style_weight=0.0, iterations=30)
    first, *_, last = stylize(CONTENT, STYLE, alone, weights=tiny_weights, terms=terms)
    assert style_loss(last.image[None]) < 0.2 * style_loss(CONTENT[None])
    assert last.terms["my_content"] < 1.0
    with pytest.raises(InputError, match="^content_weight=0.0 .*: nothing to optimize"):
        stylize(CONTENT, STYLE, alone, weights=tiny_weights)
