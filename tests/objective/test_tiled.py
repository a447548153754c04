"""Tiles against the whole image: losses and gradients, in float64, float32 and float16."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices.replicas import Replicas
from nst_keras.network import extractor as extractor_lib
from nst_keras.objective import tiles
from nst_keras.objective.evaluation import Network
from nst_keras.objective.formulas import FORMULAS
from nst_keras.objective.objective import Objective, balanced_weights
from nst_keras.objective.regions import Region, StyleShare
from nst_keras.objective.targets import capture_targets
from nst_keras.objective.terms import make_terms
from nst_keras.objective.tiled import TiledEvaluator
from nst_keras.optimizers import strips
from nst_keras.runtime.errors import InputError
from tests.conftest import picture, require_precision
from tests.network.conftest import SPACING, distance_error
from tests.objective.conftest import (
    HALF,
    NETWORK,
    apart,
    chained,
    equal_weights,
    noise,
    random_vgg,
    tile_plan,
    uncut,
    whole_and_tiled,
    whole_evaluator,
)

SIZE = 213, 131  # divisible by nothing
SMALL = 61, 53


def check(whole, tiled, image, tolerance):
    losses, gradient = whole.value_and_grad(image)
    found, pulled = tiled.value_and_grad(image)
    assert list(found) == list(losses)
    for name, value in losses.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, err_msg=name)
    for name, value in tiled.value(image).items():
        np.testing.assert_allclose(value, losses[name], rtol=tolerance, err_msg=name)
    error = np.linalg.norm(pulled - gradient) / np.linalg.norm(gradient)
    assert error < tolerance
    assert np.abs(pulled - gradient).max() < 10 * tolerance * np.abs(gradient).max()


@pytest.mark.parametrize("name", FORMULAS)
def test_tiles_are_the_whole_with_every_formula(name):
    layers = ("block1_conv2", "block2_conv1")
    pictures = noise(*SMALL, 1), noise(40, 50, 2) ** 3, noise(*SMALL, 3)
    given = random_vgg(layers), equal_weights(layers, layers), name, tile_plan(44, layers)
    check(*whole_and_tiled(*given, pictures), pictures[2], 1e-10)


@pytest.mark.parametrize("name", ["relative", "crowsonkb"])
def test_tiles_are_the_whole_to_the_deepest_layer(name):
    weights = equal_weights()
    layers = tuple(term.split("/")[1] for term in weights if "/" in term)
    plan = tile_plan(208, layers)
    assert len(plan(*SIZE)) == 2 and len(plan(300, 420)) > 2
    pictures = noise(*SIZE, 1), noise(300, 220, 2) ** 3, noise(*SIZE, 3)
    both = whole_and_tiled(random_vgg(layers), weights, name, plan, pictures)
    check(*both, pictures[2], 1e-10)


SHALLOW = (("block2_conv2", "block3_conv3"), ("block3_conv1",), 60)


@pytest.mark.parametrize(
    ("content", "style", "side", "backbone", "pooling", "padding"),
    [
        (("block4_conv2",), ("block1_conv2", "block4_conv2"), 104, "vgg19", "avg", "replicate"),
        ((), ("block1_conv1",), 40, "vgg16", "max", "zero"),
        (*SHALLOW, "vgg16", "max", "replicate"),
        (*SHALLOW, "vgg16", "avg", "zero"),
        (*SHALLOW, "vgg19", "max", "zero"),
        (*SHALLOW, "vgg19", "avg", "replicate"),
    ],
)
def test_tiles_are_the_whole_for_any_network(content, style, side, backbone, pooling, padding):
    layers = (*content, *style)
    plan = tile_plan(side, layers, backbone)
    assert len({(t.rows.length, t.columns.length) for t in plan(*SIZE)}) > 2
    pictures = noise(*SIZE, 1), noise(50, 130, 2), noise(*SIZE, 3)
    sections = random_vgg(layers, backbone, pooling, padding)
    weights = equal_weights(content, style)
    both = whole_and_tiled(sections, weights, "relative", plan, pictures)
    check(*both, pictures[2], 1e-10)


def test_a_halo_of_one_step_less_would_not_do(monkeypatch):
    """The check above can fail."""
    layers = ("block4_conv1",)
    monkeypatch.setattr(tiles, "receptive_field", lambda *_: tiles.ReceptiveField(24, 8))
    plan = tile_plan(96, layers)
    pictures = noise(*SIZE, 1), noise(50, 130, 2), noise(*SIZE, 3)
    weights = equal_weights((), layers)
    both = whole_and_tiled(random_vgg(layers), weights, "relative", plan, pictures)
    with pytest.raises(AssertionError):
        check(*both, pictures[2], 1e-10)


KERAS_LAYERS = ("block1_conv1", "block3_conv1", "block4_conv2")


def through_keras(tiny_weights, name, precision, pictures):
    """The objectives of the whole and of its tiles through Keras' layers."""
    model = extractor_lib.feature_extractor(tiny_weights, KERAS_LAYERS, precision=precision)
    return whole_and_tiled(
        extractor_lib.sections(model),
        equal_weights(("block4_conv2",), KERAS_LAYERS),
        name,
        tile_plan(104, KERAS_LAYERS),
        pictures,
        extractor=model,
        largest_gradient=extractor_lib.LARGEST_GRADIENT.get(precision),
    )


def test_tiles_are_the_whole_through_keras(tiny_weights):
    pictures = [tf.constant(picture(*SIZE, seed)[None]) for seed in range(3)]
    both = through_keras(tiny_weights, "crowsonkb", "float32", pictures)
    check(*both, pictures[2], 1e-4)


def test_tiles_in_float16_are_as_close_to_float32_as_the_whole_is(tiny_weights):
    """Processors add up float16 in different orders, and a tile in another one than the whole.

    So neither is compared with the other, but both with float32: they are two roundings of the
    same computation.
    """
    require_precision("float16")
    pictures = [tf.constant(picture(*SIZE, seed)[None]) for seed in range(3)]
    exact, _ = through_keras(tiny_weights, "relative", "float32", pictures)
    whole, tiled = (
        objective.reweighted(exact.weights)
        for objective in through_keras(tiny_weights, "relative", "float16", pictures)
    )
    losses, gradient = exact.value_and_grad(pictures[2])
    (_, from_whole), (found, from_tiles) = (
        objective.value_and_grad(pictures[2]) for objective in (whole, tiled)
    )
    error, tiled_error = (apart(one, gradient)[1] for one in (from_whole, from_tiles))
    assert 0 < tiled_error < 1.5 * error + SPACING["float16"]
    most = distance_error("float16", convolutions=10, positions=SIZE[0] * SIZE[1])
    for name, weight in exact.weights.items():  # a loss is the square of a distance
        distances = [np.sqrt(float(value[name]) / weight) for value in (found, losses)]
        assert abs(distances[0] - distances[1]) < most, name


def test_compiled_tiles_are_the_whole():
    layers = ("block1_conv1", "block2_conv1")
    plan = tile_plan(28, layers)
    assert len({tile.columns.length for tile in plan(24, 43)}) == len(plan(24, 43)) == 2
    pictures = noise(24, 43, 1), noise(25, 30, 2), noise(24, 43, 3)
    weights = equal_weights(("block2_conv1",), layers)
    sections = random_vgg(layers)
    whole, tiled = whole_and_tiled(sections, weights, "relative", plan, pictures, xla=True)
    check(whole, tiled, pictures[2], 1e-10)
    twice = {name: 2 * weight for name, weight in tiled.weights.items()}
    doubled = tiled.reweighted(twice).value(pictures[2])["total"]
    np.testing.assert_allclose(doubled, 2 * whole.value(pictures[2])["total"], rtol=1e-10)


def test_an_overflow_in_a_tile_shows_in_the_total(tiny_weights):
    require_precision("float16")
    layers = ("block1_conv1", "block3_conv1")
    model = extractor_lib.feature_extractor(tiny_weights, layers, precision="float16")
    pictures = [tf.constant(picture(*SMALL, seed)[None]) for seed in range(3)]
    given = extractor_lib.sections(model), equal_weights(("block3_conv1",), layers), "relative"
    totals = []
    for largest in (HALF, 1e6):
        options = {"extractor": model, "largest_gradient": largest}
        _, tiled = whole_and_tiled(*given, tile_plan(44, layers), pictures, **options)
        totals.append(float(tiled.value_and_grad(pictures[2])[0]["total"]))
    assert np.isfinite(totals[0]) and np.isnan(totals[1])


def test_balanced_weights_are_those_of_the_whole_and_weights_can_be_changed():
    layers = ("block3_conv1",)
    pictures = noise(*SIZE, 1), noise(50, 130, 2), noise(*SIZE, 3)
    given = random_vgg(layers), equal_weights(layers, layers), "relative"
    whole, tiled = whole_and_tiled(*given, tile_plan(60, layers), pictures)
    content, *others = whole.weights
    shares = {(content,): 1.0, tuple(others): 3.0}
    expected, found = (balanced_weights(one, pictures[2], shares, 0) for one in (whole, tiled))
    assert found == pytest.approx(expected, rel=1e-10)
    assert found[content] != pytest.approx(whole.weights[content], rel=0.01)
    twice = {name: 2 * weight for name, weight in tiled.weights.items()}
    found = tiled.reweighted(twice).value(pictures[2])
    np.testing.assert_allclose(found["total"], 2 * whole.value(pictures[2])["total"], rtol=1e-10)
    assert tiled.reweighted(twice).weights == twice
    assert tiled.names == whole.names


def evaluator_of(plan, image, layers=("block3_conv1",), **options):
    """An evaluator of an image in tiles, and its terms."""
    sections, weights = random_vgg(layers), equal_weights((), layers)
    formulas = FORMULAS["relative"]
    given = chained(sections), NETWORK, image, [image], [1.0], weights, formulas
    targets = capture_targets(*given, lambda height, width: plan)
    terms = make_terms(weights, targets, formulas)
    return terms, TiledEvaluator(
        [Network(sections)], NETWORK.strides, terms, targets.content, plan, **options
    )


def test_progress_is_reported_tile_by_tile():
    plan = tile_plan(104, ("block3_conv1",))(*SIZE)
    image, reported = noise(*SIZE, 3), []
    terms, evaluator = evaluator_of(plan, image, report=lambda *done: reported.append(done))
    Objective(terms, evaluator).value_and_grad(image)
    assert len(plan) == 6
    assert reported == [(done, 12) for done in range(1, 13)]


def test_fewer_tiles_than_devices_are_refused():
    plan = tile_plan(44, ("block3_conv1",))(*SMALL)
    assert len(plan) == 4
    message = (
        r"^--distribute: a picture of 53x61 px makes 4 tiles, too few for 5 devices; use fewer$"
    )
    with pytest.raises(InputError, match=message):
        evaluator_of(plan, noise(*SMALL, 1), replicas=Replicas(("/cpu:0",), hosts=5))


@pytest.mark.parametrize("name", FORMULAS)
def test_the_variation_by_strips_is_that_of_the_whole(monkeypatch, name):
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 100)
    assert len(strips.strips(*SMALL)) > 30
    layers = ("block1_conv1",)
    pictures = noise(*SMALL, 1), noise(*SMALL, 2) ** 3, noise(*SMALL, 3)
    given = random_vgg(layers), equal_weights((), layers), name
    check(*whole_and_tiled(*given, tile_plan(44, layers), pictures), pictures[2], 1e-10)


# With regions.


def regions_of(size, styles, weights=(1.0, 1.0, 1.0)):
    """Three soft masks, each with a style of its own, of which the last counts in part."""
    shares = np.random.default_rng(0).random((3, *size)) ** 3
    masks = (0.9 * shares / shares.sum(axis=0)).astype(np.float32)
    part = np.zeros(styles[2].shape[1:3], np.float32)
    part[:, : part.shape[1] // 2] = 1.0
    return [
        Region(
            mask,
            tuple(StyleShare(float(n == own), part if n == 2 else None) for n in range(3)),
            weight,
        )
        for own, (mask, weight) in enumerate(zip(masks, weights, strict=True))
    ]


@pytest.mark.parametrize("name", ["relative", "crowsonkb"])
def test_tiles_with_three_soft_masks_are_the_whole(name):
    weights = equal_weights()
    layers = tuple(term.split("/")[1] for term in weights if "/" in term)
    styles = [noise(60, 80, 2) ** 3, noise(90, 70, 4), noise(100, 64, 5) ** 2]
    pictures = noise(*SIZE, 1), styles, noise(*SIZE, 3)
    regions = regions_of(SIZE, styles, (1.0, 2.0, 0.5))
    given = random_vgg(layers), weights, name, tile_plan(208, layers), pictures
    # Weights of positions are float32.
    check(*whole_and_tiled(*given, regions=regions), pictures[2], 1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_one_region_that_is_the_whole_changes_nothing(name):
    layers = ("block1_conv2", "block3_conv1")
    pictures = noise(*SMALL, 1), [noise(40, 50, 2) ** 3], noise(*SMALL, 3)
    given = random_vgg(layers), equal_weights(layers, layers), name, tile_plan(60, layers), pictures
    everywhere = Region(np.ones(SMALL, np.float32), (StyleShare(1.0),))
    for found, expected in zip(
        whole_and_tiled(*given, regions=[everywhere]), whole_and_tiled(*given), strict=True
    ):
        check(expected, found, pictures[2], 1e-6)


def test_a_region_pulls_its_own_positions_as_strongly_as_a_style_of_the_whole():
    """The gradient of a Gram loss at a position is 2 w K F / M: with shares by area, no region
    counts more for being small."""
    layers = ("block1_conv1",)
    weights = {"style/block1_conv1": 1.0, "tv": 0.0}
    flat = tf.ones((1, 64, 64, 3), tf.float64) * 0.3  # every part has the moments of the whole
    mask = np.zeros((64, 64), np.float32)
    mask[:16] = 1.0
    formulas = FORMULAS["gatys"]
    gradients = []
    for regions in ((), [Region(mask, (StyleShare(1.0),))]):
        sections = random_vgg(layers, padding="replicate")
        targets = capture_targets(
            chained(sections),
            NETWORK,
            flat,
            [flat * 0.1],
            [1.0],
            weights,
            formulas,
            uncut,
            regions=regions,
        )
        terms = make_terms(weights, targets, formulas)
        network = Network(sections)
        objective = Objective(terms, whole_evaluator(network, terms, targets))
        gradients.append(objective.value_and_grad(flat)[1].numpy()[0])
    plain, masked = gradients
    np.testing.assert_allclose(masked[4:12, 4:60], plain[4:12, 4:60], rtol=1e-5)
    assert not masked[20:].any()
