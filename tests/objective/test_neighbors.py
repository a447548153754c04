"""Neighbors: matches, distances and gradients are those of NumPy, in tiles as in the whole."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective import hypercolumns as hypercolumns_lib
from nst_keras.objective.evaluation import Network, WholeEvaluator
from nst_keras.objective.hypercolumns import HypercolumnNeighbors
from nst_keras.objective.layerwise import LayerNeighbors
from nst_keras.objective.neighbors import Vectors, capture_vectors, distance_sum
from nst_keras.objective.objective import Objective
from nst_keras.objective.regions import Region, StyleShare
from nst_keras.objective.targets import capture_targets, features_in_tiles
from nst_keras.objective.terms import evaluate_layer, join_layers, make_terms
from nst_keras.objective.tiled import TiledEvaluator
from tests.objective.conftest import NETWORK, chained, noise, random_vgg, tile_plan, uncut

LAYERS = ("block1_conv2", "block2_conv1", "block3_conv2", "block4_conv1")
STRIDE_OF = {layer: NETWORK[layer].stride for layer in LAYERS}
STRIDES = (1, 2, 4, 8)
KINDS = [HypercolumnNeighbors, LayerNeighbors]


def cosine_distance(a, b):
    return 1 - (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def squares(features, side):
    """Means over squares of features (h, w, N)."""
    rows, columns = (length // side for length in features.shape[:2])
    cut = features[: rows * side, : columns * side]
    return cut.reshape(rows, side, columns, side, -1).mean(axis=(1, 3))


def numpy_columns(features):
    """For each layer, features on a grid of 4 px that covers whole squares of 8 px."""
    found = []
    rows, columns = (2 * length for length in features[LAYERS[-1]].shape[1:3])
    for layer, stride in zip(LAYERS, STRIDES, strict=True):
        own = np.asarray(features[layer])[0]
        own = own.repeat(2, 0).repeat(2, 1) if stride == 8 else squares(own, 4 // stride)
        found.append(own[:rows, :columns].reshape(rows * columns, -1))
    return found


def hypercolumns(features, style):
    """Those of an image and of the style, with equal shares of the layers."""
    own, others = numpy_columns(features), numpy_columns(style)
    factors = [1 / np.sqrt((layer**2).sum(1).mean()) for layer in others]
    return (
        np.concatenate([f * layer for f, layer in zip(factors, one, strict=True)], axis=1)
        for one in (own, others)
    )


def numpy_centers(features):
    """For each layer, features at the centers of squares of 8 px."""
    found = []
    rows, columns = features[LAYERS[-1]].shape[1:3]
    for layer, stride in zip(LAYERS, STRIDES, strict=True):
        first, step = 4 // stride, 8 // stride
        own = np.asarray(features[layer])[0, first::step, first::step][:rows, :columns]
        found.append(own.reshape(rows * columns, -1))
    return found


def nearest(queries, columns, query_mean, column_mean):
    directions = columns - column_mean
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return ((queries - query_mean) @ directions.T).argmax(1)


def numpy_matches(kind, query, style):
    """The numbers of the neighbors, one array for each map."""
    if kind is HypercolumnNeighbors:
        q, s = hypercolumns(query, style)
        return [nearest(q, s, q.mean(0), s.mean(0))]
    pairs = zip(numpy_centers(query), numpy_centers(style), strict=True)
    return [nearest(q, s, s.mean(0), s.mean(0)) for q, s in pairs]


def numpy_loss(kind, features, style, matches):
    if kind is HypercolumnNeighbors:
        x, s = hypercolumns(features, style)
        return cosine_distance(x, s[matches[0]]).mean()
    found = []
    for x, s, own in zip(numpy_centers(features), numpy_centers(style), matches, strict=True):
        found.append(cosine_distance(x - s.mean(0), s[own] - s.mean(0)).mean())
    return np.mean(found)


@pytest.fixture(scope="module")
def sections():
    return random_vgg(LAYERS)


@pytest.fixture(scope="module")
def extractor(sections):
    return chained(sections)


IMAGE, QUERY, STYLE = noise(45, 70, 1), noise(45, 70, 2), noise(37, 52, 3)  # odd: pooling drops


def make(kind, extractor, plan=uncut, image=IMAGE, styles=(STYLE,), blend=(1.0,), regions=()):
    """Neighbors of an image of this size, not matched."""
    features_of = functools.partial(features_in_tiles, extractor, NETWORK.strides, plan)
    vectors = capture_vectors(kind, features_of, styles, blend, STRIDE_OF, 0, regions)
    height, width = image.shape[1:3]
    return kind(vectors, height, width, plan(height, width), regions)


def match(neighbors, extractor, query=QUERY):
    strides, plan = NETWORK.strides, lambda *_: neighbors.tiles
    neighbors.match(lambda: features_in_tiles(extractor, strides, plan, query))
    return neighbors


def objective_of(neighbors, sections, plan=None):
    """The objective of this term alone, whole or in tiles."""
    weights = {"neighbors": 3.0, "tv": 0.0}
    formulas = formulas_lib.FORMULAS["neighbors"]
    targets = capture_targets(
        chained(sections), NETWORK, IMAGE, [STYLE], [1.0], weights, formulas, plan or uncut
    )
    terms = make_terms(weights, targets, formulas, neighbors)
    network = Network(sections)
    if plan is not None:
        evaluator = TiledEvaluator(
            [network], NETWORK.strides, terms, neighbors.known, neighbors.tiles
        )
    else:
        known = neighbors.known[0]
        at_layer = functools.partial(evaluate_layer, terms, known)
        evaluator = WholeEvaluator(network, at_layer, functools.partial(join_layers, terms, known))
    return Objective(terms, evaluator, neighbors)


@pytest.mark.parametrize("kind", KINDS)
def test_matches_and_the_loss_are_those_of_numpy(kind, sections, extractor):
    neighbors = match(make(kind, extractor), extractor)
    query, style, features = extractor(QUERY), extractor(STYLE), extractor(IMAGE)
    expected = numpy_matches(kind, query, style)
    assert [numbers.reshape(-1).tolist() for numbers in neighbors.state().values()] == [
        numbers.tolist() for numbers in expected
    ]
    loss = objective_of(neighbors, sections).value(IMAGE)["neighbors"]
    np.testing.assert_allclose(loss, 3 * numpy_loss(kind, features, style, expected), rtol=1e-9)


@pytest.mark.parametrize("most", [1, 90])
def test_an_image_may_be_matched_some_rows_at_a_time(extractor, monkeypatch, most):
    whole = match(make(HypercolumnNeighbors, extractor), extractor).state()
    monkeypatch.setattr(hypercolumns_lib, "_MOST_QUERIES", most)
    parts = match(make(HypercolumnNeighbors, extractor), extractor).state()
    np.testing.assert_array_equal(parts["neighbors"], whole["neighbors"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_central_differences(kind, sections, extractor):
    objective = objective_of(match(make(kind, extractor), extractor), sections)
    losses, gradient = objective.value_and_grad(IMAGE)
    np.testing.assert_allclose(losses["total"], losses["neighbors"])
    rng = np.random.default_rng(0)
    for along in (gradient.numpy(), rng.normal(0, 1, IMAGE.shape), rng.normal(0, 1, IMAGE.shape)):
        along = along / np.linalg.norm(along)
        ahead, behind = (
            float(objective.value(IMAGE + sign * 1e-6 * along)["total"]) for sign in (1, -1)
        )
        found = float((gradient.numpy() * along).sum())
        np.testing.assert_allclose(found, (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-8)


def check_alike(tiled, whole, sections, plan, image):
    """Check that neighbors in tiles, and their loss and gradient, are those of the whole."""
    for name, numbers in whole.state().items():
        assert tiled.state()[name].tolist() == numbers.tolist()
    found, expected = (
        one.value_and_grad(image)
        for one in (objective_of(tiled, sections, plan), objective_of(whole, sections))
    )
    np.testing.assert_allclose(found[0]["total"], expected[0]["total"], rtol=1e-9)
    gradient = expected[1].numpy()
    np.testing.assert_allclose(found[1], gradient, rtol=0, atol=1e-9 * np.abs(gradient).max())


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_have_the_same_neighbors_loss_and_gradient_as_the_whole(kind, sections, extractor):
    image, query, style = noise(150, 170, 4), noise(150, 170, 5), noise(140, 130, 6)
    plan = tile_plan(112, LAYERS)
    whole = match(make(kind, extractor, image=image, styles=[style]), extractor, query)
    tiled = match(make(kind, extractor, plan, image, [style]), extractor, query)
    assert len(tiled.tiles) > 3
    check_alike(tiled, whole, sections, plan, image)


def test_the_distance_of_a_small_example():
    """One layer of stride 4: the four positions of a square of 8 px."""
    x = np.array([[1, 0, 2], [0, 3, 1], [2, 2, 0], [1, 1, 1]], np.float32)
    s = np.array([[1, 0, 1], [0, 2, 0], [3, 1, 0]], np.float32)
    layer, tiles = "block3_conv1", uncut(8, 8)
    vectors = Vectors({layer: tf.constant(s)}, {layer: 4}, (len(s),))
    neighbors = HypercolumnNeighbors(vectors, 8, 8, tiles)
    features = tf.constant(x.reshape(1, 2, 2, 3))
    neighbors.match(lambda: [(tiles[0], {layer: features})])
    assert neighbors.state()["neighbors"].tolist() == [[0, 1], [2, 0]]
    parts, _ = neighbors.statistics(layer, features, neighbors.known[0])
    np.testing.assert_allclose(
        neighbors.joined([parts], neighbors.known[0])[0] / 4, 0.0979274, rtol=1e-5
    )


def test_the_distance_by_layer_of_a_small_example():
    x = np.array([[4, 4, 1], [3, 4, 3], [4, 3, 3]], np.float32)
    s = np.array([[1, 4, 0], [2, 3, 4], [2, 1, 1]], np.float32)
    layer, tiles = "block4_conv1", uncut(8, 24)
    vectors = Vectors({layer: tf.constant(s)}, {layer: 8}, (len(s),))
    neighbors = LayerNeighbors(vectors, 8, 24, tiles)
    features = tf.constant(x.reshape(1, 1, 3, 3))
    neighbors.match(lambda: [(tiles[0], {layer: features})])
    assert neighbors.state()[f"neighbors/{layer}"].tolist() == [[0, 1, 1]]
    parts, _ = neighbors.statistics(layer, features, neighbors.known[0])
    np.testing.assert_allclose(
        neighbors.joined([parts], neighbors.known[0])[0] / 3, 0.4788450, rtol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_are_all_zero_have_no_gradient(kind):
    layer, tiles = "block4_conv1", uncut(16, 16)
    columns = tf.constant(np.random.default_rng(0).random((4, 5), np.float32))
    vectors = Vectors({layer: columns - tf.reduce_mean(columns, axis=0)}, {layer: 8}, (4,))
    neighbors = kind(vectors, 16, 16, tiles)
    features = tf.zeros((1, 2, 2, 5))
    neighbors.match(lambda: [(tiles[0], {layer: features})])
    parts, to_features = neighbors.statistics(layer, features, neighbors.known[0])
    loss, to_parts = neighbors.joined([parts], neighbors.known[0])
    np.testing.assert_allclose(loss / neighbors.count, 1.0)
    assert not np.any(to_features(*to_parts(tf.constant(1.0))))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_a_distance_is_pulled_back_as_by_autodiff(dtype, count):
    rng = np.random.default_rng(0)
    product, square = (tf.constant(rng.uniform(0.5, 2, (count, 3, 4)), dtype) for _ in range(2))
    upstream = tf.constant(rng.uniform(0.5, 2, count), dtype)
    with tf.GradientTape() as tape:
        tape.watch((product, square))
        value = tf.reduce_sum(1 - product / tf.sqrt(square), axis=(1, 2))
        weighted = tf.reduce_sum(upstream * value)
    expected = tape.gradient(weighted, (product, square))
    found, pull_back = distance_sum(product, square)
    rounding = {"rtol": 16 * np.finfo(dtype.as_numpy_dtype).eps}
    np.testing.assert_allclose(pull_back(upstream), expected, **rounding)
    # The sum is of numbers of both signs.
    np.testing.assert_allclose(found, value, atol=12 * rounding["rtol"])


@pytest.mark.parametrize("as_sent", [np.asarray, tf.constant])  # from a file, and by other hosts
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_holds_for_other_tiles(kind, as_sent, sections, extractor):
    image, style, plan = noise(150, 170, 4), noise(140, 130, 6), tile_plan(112, LAYERS)
    whole = match(make(kind, extractor, image=image, styles=[style]), extractor, image)
    tiled = make(kind, extractor, plan, image, [style])
    tiled.restore({name: as_sent(numbers) for name, numbers in whole.state().items()})
    assert len(tiled.tiles) > 1
    check_alike(tiled, whole, sections, plan, image)


@pytest.mark.parametrize("layer", ["block3_conv1", "block4_conv1"])  # of strides 4 and 8
@pytest.mark.parametrize("kind", KINDS)
def test_a_low_precision_gives_the_same_to_its_rounding(kind, layer):
    """From the same numbers, which bfloat16 holds exactly."""
    rng, stride = np.random.default_rng(0), NETWORK[layer].stride
    columns, features = (
        tf.cast(rng.uniform(0.5, 2, shape), tf.bfloat16)
        for shape in ((9, 20), (1, 32 // stride, 48 // stride, 20))
    )
    (tile,) = uncut(32, 48)
    found = []
    for dtype in (tf.bfloat16, tf.float32):
        own = tf.cast(features, dtype)
        vectors = Vectors({layer: tf.cast(columns, dtype)}, {layer: stride}, (9,))
        neighbors = kind(vectors, 32, 48, [tile])
        neighbors.match(lambda own=own: [(tile, {layer: own})])
        known = neighbors.known[0]
        parts, to_features = neighbors.statistics(layer, own, known)
        loss, to_parts = neighbors.joined([parts], known)
        gradient = to_features(*to_parts(tf.constant(1.0)))
        assert gradient.dtype == dtype
        found.append((loss, tf.cast(gradient, tf.float32), neighbors.state()))
    (low, low_gradient, low_state), (loss, gradient, state) = found
    np.testing.assert_equal(low_state, state)
    assert abs(low - loss) <= 2.0**-8 * neighbors.count  # whose products, cosines, are rounded
    # A difference of two directions divided by a length, for up to 4 positions; each is rounded
    # some times, by 2^-9.
    columns, features = np.asarray(columns, np.float32), np.asarray(features, np.float32)
    lengths = [np.linalg.norm(own, axis=-1).min() for own in (columns, features)]
    largest = max(columns.max() / lengths[0], features.max() / lengths[1]) / lengths[1]
    positions = max(1, stride // kind.spacing) ** 2
    np.testing.assert_allclose(low_gradient, gradient, rtol=0, atol=2.0**-6 * positions * largest)
    assert np.abs(gradient).max() > 2.0**-4 * positions * largest


def test_styles_have_positions_in_proportion_to_their_weights(monkeypatch):
    def means(picture):
        return {LAYERS[2]: tf.nn.avg_pool2d(picture, 4, 4, "VALID")}

    features_of = functools.partial(features_in_tiles, means, NETWORK.strides, uncut)
    small, large = noise(32, 32, 7), noise(64, 64, 8)  # 64 and 256 positions
    capture = functools.partial(
        capture_vectors, HypercolumnNeighbors, features_of, strides={LAYERS[2]: 4}, seed=1
    )

    def counts(styles, blend):
        (columns,) = capture(styles=styles, style_blend=blend).by_layer.values()
        of_small = capture(styles=[small], style_blend=[1.0]).by_layer[LAYERS[2]].numpy()
        is_small = (columns.numpy()[:, None] == of_small[None]).all(-1).any(1)
        return int(is_small.sum()), int((~is_small).sum())

    assert counts([small, large], (1.0, 2.0)) == (64, 128)
    assert counts([small, large], (1.0, 0.0)) == (64, 0)
    monkeypatch.setattr(HypercolumnNeighbors, "most_vectors", 40)
    assert math.isclose(sum(counts([large, large], (3.0, 1.0))), 40)
    drawn = capture(styles=[large], style_blend=[1.0]).by_layer[LAYERS[2]]
    assert drawn.shape[0] == 40
    assert (
        drawn.numpy() == capture(styles=[large], style_blend=[1.0]).by_layer[LAYERS[2]].numpy()
    ).all()


def test_positions_cover_whole_squares_of_8_px():
    assert HypercolumnNeighbors.grid(437, 512) == (108, 128)
    assert LayerNeighbors.grid(437, 512) == (54, 64)


# With regions.


def halves(image, styles, weights=(1.0, 1.0), lower=1.0):
    """The upper half of an image follows the first style, the lower half the second one."""
    height, width = image.shape[1:3]
    upper = np.zeros((height, width), np.float32)
    upper[: height // 16 * 8] = 1.0
    pairs = zip((upper, lower * (1.0 - upper)), weights, strict=True)
    return [
        Region(mask, tuple(StyleShare(float(n == own)) for n in range(len(styles))), weight)
        for own, (mask, weight) in enumerate(pairs)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_positions_are_matched_within_their_region_only(kind, extractor):
    styles = [STYLE, noise(40, 48, 9)]
    regions = halves(IMAGE, styles)
    neighbors = match(make(kind, extractor, styles=styles, regions=regions), extractor)
    first = math.prod(kind.grid(*STYLE.shape[1:3]))
    assert neighbors.vector_count == first + math.prod(kind.grid(40, 48))
    border = kind.grid(IMAGE.shape[1] // 16 * 8, 8)[0]
    for numbers in neighbors.state().values():
        assert (numbers[:border] < first).all()
        assert (first <= numbers[border:]).all() and (
            numbers[border:] < neighbors.vector_count
        ).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_region_that_is_the_whole_changes_nothing(kind, sections, extractor):
    everywhere = Region(np.ones(IMAGE.shape[1:3], np.float32), (StyleShare(1.0),))
    plain = match(make(kind, extractor), extractor)
    found = match(make(kind, extractor, regions=[everywhere]), extractor)
    for name, numbers in plain.state().items():
        assert found.state()[name].tolist() == numbers.tolist()
    (loss, gradient), (expected, plain_gradient) = (
        objective_of(own, sections).value_and_grad(IMAGE) for own in (found, plain)
    )
    np.testing.assert_allclose(loss["total"], expected["total"], rtol=1e-9)
    np.testing.assert_allclose(gradient, plain_gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_positions_of_no_region_have_no_loss_and_no_pull(kind, sections, extractor):
    image = noise(136, 35, 1)  # the upper region ends at 64 px
    regions = halves(image, [STYLE], lower=0.0)[:1]
    neighbors = match(make(kind, extractor, image=image, regions=regions), extractor, image)
    border = kind.grid(64, 8)[0]
    for numbers in neighbors.state().values():
        assert (numbers[border:] == neighbors.vector_count).all()
        assert (numbers[:border] < neighbors.vector_count).all()
    losses, gradient = objective_of(neighbors, sections).value_and_grad(image)
    outside = gradient.numpy()[:, 64 + 48 :]  # the deepest layer in use sees less than 48 px
    assert outside.size and not outside.any() and gradient.numpy()[:, 64 + 4].any()
    doubled = dataclasses.replace(regions[0], weight=2.0)
    weighted = match(make(kind, extractor, image=image, regions=[doubled]), extractor, image)
    found, pulled = objective_of(weighted, sections).value_and_grad(image)
    assert float(losses["total"]) > 0.0
    np.testing.assert_allclose(found["total"], 2.0 * losses["total"], rtol=1e-5)
    np.testing.assert_allclose(pulled, 2.0 * gradient, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_with_three_soft_masks_have_the_loss_and_gradient_of_the_whole(
    kind, sections, extractor
):
    image, query = noise(150, 170, 4), noise(150, 170, 5)
    styles = [noise(140, 130, 6), noise(60, 70, 7), noise(80, 50, 8)]
    shares = np.random.default_rng(0).random((3, 150, 170)) ** 3
    masks = (0.9 * shares / shares.sum(axis=0)).astype(np.float32)
    regions = [
        Region(mask, tuple(StyleShare(float(n == own)) for n in range(3)), 1.0 + own)
        for own, mask in enumerate(masks)
    ]
    plan = tile_plan(112, LAYERS)
    given = {"image": image, "styles": styles, "regions": regions}
    whole = match(make(kind, extractor, **given), extractor, query)
    tiled = match(make(kind, extractor, plan, **given), extractor, query)
    assert len(tiled.tiles) > 3
    assert all(len(np.unique(numbers)) > 3 for numbers in whole.state().values())
    check_alike(tiled, whole, sections, plan, image)


def test_only_the_part_of_a_style_that_counts_has_neighbors(extractor):
    part = np.zeros(STYLE.shape[1:3], np.float32)
    part[:16] = 1.0
    everywhere = np.ones(IMAGE.shape[1:3], np.float32)
    region = Region(everywhere, (StyleShare(1.0, part),))
    found = make(HypercolumnNeighbors, extractor, regions=[region])
    rows, columns = HypercolumnNeighbors.grid(*STYLE.shape[1:3])
    assert found.vector_count == 16 // 4 * columns < rows * columns
