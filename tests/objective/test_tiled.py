"""Tiles against the whole image: values and gradients, in float64 and float32."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.network import extractor as extractor_lib
from nst_keras.network import vgg
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective import objective, tiles
from nst_keras.objective import targets as targets_lib
from nst_keras.objective import tiled as tiled_lib
from nst_keras.optimizers import strips
from tests.conftest import picture

STYLES = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
SIZE = 213, 179  # divisible by nothing


def network(layers, backbone="vgg19", pooling="max", padding="zero", channels=4):
    """VGG in float64 with few channels, as one section per layer asked for."""
    rng = np.random.default_rng(1)
    pool = {"max": tf.nn.max_pool2d, "avg": tf.nn.avg_pool2d}[pooling]
    steps, entries, block, inputs = [], [], 1, 3
    for conv in vgg.up_to_deepest(vgg.convolutions(backbone), layers):
        if conv.block > block:
            steps.append(lambda x: pool(x, 2, 2, "VALID"))
            block = conv.block
        # Features as large as VGG's, which sees pixels on 0..255.
        deviation = (255 if inputs == 3 else 1) * (2 / (9 * inputs)) ** 0.5
        kernel = tf.constant(rng.normal(0, deviation, (3, 3, inputs, channels)))
        bias = tf.constant(rng.normal(0, 0.1, channels))
        first = not steps and padding == "replicate"
        steps.append(convolution(kernel, bias, first))
        inputs = channels
        if conv.name in layers:
            entries.append((conv.name, steps))
            steps = []
            block = conv.block
    return [section(name, own) for name, own in entries]


def convolution(kernel, bias, replicate):
    def apply(x):
        if replicate:
            x = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
        return tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID" if replicate else "SAME") + bias)

    return apply


def section(name, steps):
    def apply(x):
        for step in steps:
            x = step(x)
        return {name: x}

    return apply


def chained(sections):
    """All layers of a network in sections."""

    def extract(image):
        found = {}
        for one in sections:
            outputs = one(image)
            found |= outputs
            (image,) = outputs.values()
        return found

    return extract


def noise(height, width, seed, dtype=np.float64):
    return tf.constant(np.random.default_rng(seed).random((1, height, width, 3)), dtype)


def weighted(content=("block5_conv2",), style=STYLES):
    terms = [*(f"content/{layer}" for layer in content), *(f"style/{layer}" for layer in style)]
    return {**dict.fromkeys(terms, 1.0), "tv": 1.0}


def tiles_of(side, layers, backbone="vgg19"):
    """What cuts an image of a height and a width."""
    return lambda height, width: tiles.plan_tiles(
        height, width, side, tiles.receptive_field(layers, backbone)
    )


def pair(sections, weights, name, plan, pictures, extractor=None, xla=False, **options):
    """The objective of the whole image and that of its tiles; all terms about equally large."""
    content, style, image = pictures
    formulas, extractor = formulas_lib.OBJECTIVES[name], extractor or chained(sections)
    given = extractor, content, [style], [1.0], weights, formulas
    targets = targets_lib.capture_targets(*given)
    terms = objective.Objective(sections, targets, weights, formulas).value(image)
    weights = {term: 1 / float(terms[term]) for term in weights}
    whole = objective.Objective(sections, targets, weights, formulas, **options)
    targets = targets_lib.capture_targets(*given, tiles_of=plan)
    parts = objective.Objective(sections, targets, weights, formulas, **options)
    tiled = tiled_lib.TiledObjective([parts], plan(*image.shape[1:3]), xla=xla)
    return whole, tiled


def check(whole, tiled, image, tolerance):
    terms, gradient = whole.value_and_grad(image)
    found, pulled = tiled.value_and_grad(image)
    assert list(found) == list(terms)
    for name, value in terms.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, err_msg=name)
    for name, value in tiled.value(image).items():
        np.testing.assert_allclose(value, terms[name], rtol=tolerance, err_msg=name)
    error = np.linalg.norm(pulled - gradient) / np.linalg.norm(gradient)
    assert error < tolerance
    assert np.abs(pulled - gradient).max() < 10 * tolerance * np.abs(gradient).max()


@pytest.mark.parametrize("name", formulas_lib.OBJECTIVES)
def test_tiles_are_the_whole_in_float64(name):
    weights = weighted()
    layers = tuple(term.split("/")[1] for term in weights if "/" in term)

    plan = tiles_of(208, layers)

    assert len(plan(*SIZE)) == 2 and len(plan(300, 420)) > 2
    pictures = noise(*SIZE, 1), noise(300, 220, 2) ** 3, noise(*SIZE, 3)
    check(*pair(network(layers), weights, name, plan, pictures), pictures[2], 1e-10)


SHALLOW = (("block2_conv2", "block3_conv3"), ("block3_conv1",), 60)


@pytest.mark.parametrize(
    ("content", "style", "side", "backbone", "pooling", "padding"),
    [
        (("block4_conv2",), ("block1_conv2", "block4_conv2"), 104, "vgg19", "avg", "replicate"),
        ((), ("block1_conv1",), 40, "vgg16", "max", "zero"),
        (*SHALLOW, "vgg16", "max", "replicate"),
        (*SHALLOW, "vgg16", "avg", "zero"),
        (*SHALLOW, "vgg19", "max", "zero"),
        (*SHALLOW, "vgg19", "max", "replicate"),
        (*SHALLOW, "vgg19", "avg", "zero"),
        (*SHALLOW, "vgg19", "avg", "replicate"),
    ],
)
def test_tiles_are_the_whole_for_any_network(content, style, side, backbone, pooling, padding):
    layers = (*content, *style)

    plan = tiles_of(side, layers, backbone)

    assert len({(t.rows.length, t.columns.length) for t in plan(*SIZE)}) > 2
    pictures = noise(*SIZE, 1), noise(50, 130, 2), noise(*SIZE, 3)
    sections = network(layers, backbone, pooling, padding)
    both = pair(sections, weighted(content, style), "relative", plan, pictures)
    check(*both, pictures[2], 1e-10)


def test_a_halo_of_one_step_less_would_not_do(monkeypatch):
    """The check above can fail."""
    layers = ("block4_conv1",)
    monkeypatch.setattr(tiles, "receptive_field", lambda *_: tiles.ReceptiveField(24, 8))
    plan = tiles_of(96, layers)
    pictures = noise(*SIZE, 1), noise(50, 130, 2), noise(*SIZE, 3)
    both = pair(network(layers), weighted((), layers), "relative", plan, pictures)
    with pytest.raises(AssertionError):
        check(*both, pictures[2], 1e-10)


@pytest.mark.parametrize(("name", "precision"), [("relative", "float16"), ("crowsonkb", "float32")])
def test_tiles_are_the_whole_through_keras(tiny_weights, name, precision):
    layers = ("block1_conv1", "block3_conv1", "block4_conv2")
    model = extractor_lib.feature_extractor(tiny_weights, layers, precision=precision)

    plan = tiles_of(104, layers)

    pictures = [tf.constant(picture(*size, seed)[None]) for seed, size in enumerate([SIZE] * 3)]
    both = pair(
        extractor_lib.sections(model),
        weighted(("block4_conv2",), layers),
        name,
        plan,
        pictures,
        extractor=model,
        largest_cotangent=extractor_lib.LARGEST_COTANGENT.get(precision),
    )
    check(*both, pictures[2], 1e-4 if precision == "float32" else 0.02)


def test_compiled_tiles_are_the_whole():
    layers = ("block1_conv1", "block2_conv1")
    plan = tiles_of(100, layers)
    pictures = noise(*SIZE, 1), noise(50, 130, 2), noise(*SIZE, 3)
    weights = weighted(("block2_conv1",), layers)
    whole, tiled = pair(network(layers), weights, "relative", plan, pictures, xla=True)
    check(whole, tiled, pictures[2], 1e-10)
    twice = {name: 2 * weight for name, weight in tiled.weights.items()}
    doubled = tiled.reweighted(twice).value(pictures[2])["total"]
    np.testing.assert_allclose(doubled, 2 * whole.value(pictures[2])["total"], rtol=1e-10)


def test_an_overflow_in_a_tile_shows_in_the_total(tiny_weights):
    layers = ("block1_conv1", "block3_conv1")
    model = extractor_lib.feature_extractor(tiny_weights, layers, precision="float16")
    plan = tiles_of(104, layers)
    pictures = [tf.constant(picture(*SIZE, seed)[None]) for seed in range(3)]
    weights = weighted(("block3_conv1",), layers)
    options = {"extractor": model, "largest_cotangent": 1e6}
    _, tiled = pair(extractor_lib.sections(model), weights, "relative", plan, pictures, **options)
    assert np.isnan(tiled.value_and_grad(pictures[2])[0]["total"])


def test_the_norm_of_some_terms_is_that_of_the_whole_and_weights_can_be_changed():
    layers = ("block3_conv1",)
    plan = tiles_of(60, layers)
    pictures = noise(*SIZE, 1), noise(50, 130, 2), noise(*SIZE, 3)
    weights = weighted(layers, layers)
    whole, tiled = pair(network(layers), weights, "relative", plan, pictures)
    for chosen in ([1.0, 0.0, 0.0], [0.0, 1.0, 1.0]):
        mask = tf.constant(chosen, tf.float64)
        expected = whole.gradient_norm(pictures[2], mask)
        np.testing.assert_allclose(tiled.gradient_norm(pictures[2], mask), expected, rtol=1e-10)
    twice = {name: 2 * weight for name, weight in tiled.weights.items()}
    found = tiled.reweighted(twice).value(pictures[2])
    np.testing.assert_allclose(found["total"], 2 * whole.value(pictures[2])["total"], rtol=1e-10)
    assert tiled.reweighted(twice).weights == twice
    assert tiled.term_names == whole.term_names


def test_progress_is_told_tile_by_tile():
    layers = ("block3_conv1",)
    plan = tiles.plan_tiles(*SIZE, 104, tiles.receptive_field(layers, "vgg19"))
    told, weights, formulas = [], weighted((), layers), formulas_lib.OBJECTIVES["relative"]
    sections, image = network(layers), noise(*SIZE, 3)
    targets = targets_lib.capture_targets(
        chained(sections), image, [image], [1.0], weights, formulas, lambda h, w: plan
    )
    one = objective.Objective(sections, targets, weights, formulas)
    tiled = tiled_lib.TiledObjective([one], plan, report=lambda *done: told.append(done))
    tiled.value_and_grad(image)
    assert len(plan) == 6
    assert told == [(n, 12) for n in range(1, 13)]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (5000, 700), (333, 6000), (8192, 6144)])
def test_strips_are_all_rows_once_in_parts_of_about_a_megapixel(height, width):
    found = strips.strips(height, width)
    assert found[0][0] == 0 and found[-1][1] == height
    assert [start for start, _ in found[1:]] == [stop for _, stop in found[:-1]]
    assert all((stop - start) * width <= 1.5 * 2**20 for start, stop in found)
    assert len(found) <= 1 + 1.5 * height * width / 2**20


@pytest.mark.parametrize("name", formulas_lib.OBJECTIVES)
def test_the_variation_by_strips_is_that_of_the_whole(monkeypatch, name):
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 1000)
    assert len(strips.strips(*SIZE)) > 30
    layers = ("block1_conv1",)
    plan = tiles_of(100, layers)
    pictures = noise(*SIZE, 1), noise(*SIZE, 2) ** 3, noise(*SIZE, 3)
    both = pair(network(layers), weighted((), layers), name, plan, pictures)
    check(*both, pictures[2], 1e-10)


def test_what_is_added_by_strips_is_what_would_be_added_at_once(monkeypatch):
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 1000)
    add = strips.add_by_strips
    one, other = (np.asarray(tf.cast(noise(*SIZE, seed), tf.float32)) for seed in (5, 6))
    variable, second = tf.Variable(3 * one - 1), tf.Variable(other)
    for given in (second, tf.constant(other)):
        before = variable.numpy()
        add(variable, lambda x, y: y * y - x, given)
        np.testing.assert_array_equal(variable, before + (other * other - before))
    np.testing.assert_array_equal(second, other)


def test_adding_by_strips_leaves_the_variable_where_it_is():
    """A new buffer for each step would let TensorFlow's pool grow by images."""
    add = strips.add_by_strips
    variable, other = tf.Variable(tf.zeros((1, *SIZE, 3))), tf.Variable(tf.ones((1, *SIZE, 3)))
    before = np.asarray(variable.read_value()).ctypes.data
    for _ in range(2):
        add(variable, lambda x, y: x + y, other)
        assert np.asarray(variable.read_value()).ctypes.data == before
    np.testing.assert_array_equal(variable, np.full((1, *SIZE, 3), 3, np.float32))
