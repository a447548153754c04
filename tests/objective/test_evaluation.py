"""Three ways to the same statistics and gradient: an image whole, in tiles, and beside others.

And the way back through the network: in float16, and in which order sums are taken.
"""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import ops

from nst_keras.network import extractor as extractor_lib
from nst_keras.network import weights as weights_lib
from nst_keras.objective import evaluation
from nst_keras.objective.evaluation import Network, divided, evaluate_batch, vjp
from nst_keras.objective.formulas import FORMULAS
from nst_keras.objective.laplacian import laplacian
from nst_keras.objective.targets import capture_targets, owned
from nst_keras.objective.terms import evaluate_layer, make_terms
from nst_keras.objective.tiled import TiledEvaluator
from tests.conftest import picture, require_precision
from tests.network.conftest import rounding, strengthened, switching
from tests.objective.conftest import (
    HALF,
    IMAGE,
    NAMES,
    NETWORK,
    NETWORK_CONTENT,
    NETWORK_LAYERS,
    NETWORK_STYLES,
    NETWORK_WEIGHTS,
    apart,
    batch,
    capture,
    chained,
    equal_weights,
    gradient_of,
    make,
    noise,
    random_vgg,
    through,
    tile_plan,
    toy_extractor,
    uncut,
    weigh,
    whole_evaluator,
)

SIZE = 61, 53
LAYERS = ("block1_conv1", "block3_conv1")


class Evaluators:
    """One image of a problem, evaluated whole and in tiles."""

    def __init__(self, name, seed):
        sections = random_vgg(LAYERS)
        self.image, self.name = noise(*SIZE, seed), name
        weights = equal_weights(("block3_conv1",), LAYERS, laplacian=True)
        plan, network = tile_plan(44, LAYERS), Network(sections, beside={"laplacian": laplacian})
        pictures = noise(*SIZE, seed + 10), [noise(40, 30, seed + 20)]
        given = chained(sections), NETWORK, *pictures, [1.0]
        targets = capture_targets(*given, weights, FORMULAS[name], uncut)
        self.terms = make_terms(weights, targets, FORMULAS[name])
        self.whole = whole_evaluator(network, self.terms, targets)
        cut = capture_targets(*given, weights, FORMULAS[name], plan).content
        assert len(cut) == 4
        self.tiled = TiledEvaluator([network], NETWORK.strides, self.terms, cut, plan(*SIZE))


def cotangents_for(sums, seed=0):
    """Made-up gradients at the statistics, a different one for each value."""
    rng = np.random.default_rng(seed)
    return {name: tf.constant(rng.normal(0, 1, value.shape)) for name, value in sums.items()}


@pytest.mark.parametrize("name", ["relative", "crowsonkb"])  # Gram matrices, moments
def test_whole_tiled_and_batched_evaluations_have_the_same_sums_and_gradients(name):
    problems = [Evaluators(name, seed) for seed in (1, 2, 3)]
    images = tf.concat([problem.image for problem in problems], axis=0)
    together, pull_back = evaluate_batch([problem.whole for problem in problems], images)
    alone = [problem.whole(problem.image) for problem in problems]
    cotangents = [cotangents_for(one.sums, seed) for seed, one in enumerate(alone)]
    pulled = pull_back(cotangents)
    assert pulled.shape == images.shape
    for index, (problem, whole) in enumerate(zip(problems, alone, strict=True)):
        tiled = problem.tiled(problem.image)
        assert whole.sums.keys() == tiled.sums.keys() == together[index].keys()
        assert set(whole.sums) == {term.name for term in problem.terms}
        for term, value in whole.sums.items():
            np.testing.assert_allclose(tiled.sums[term], value, rtol=1e-10, err_msg=term)
            np.testing.assert_allclose(together[index][term], value, rtol=1e-10)
        gradient = whole.pull_back(cotangents[index])
        atol = 1e-10 * np.abs(gradient).max()
        assert gradient.shape == problem.image.shape and np.any(gradient)
        np.testing.assert_allclose(tiled.pull_back(cotangents[index]), gradient, atol=atol)
        np.testing.assert_allclose(pulled[index : index + 1], gradient, atol=atol)


@pytest.mark.parametrize("name", ["relative", "crowsonkb"])
def test_statistics_alone_are_the_same_and_nothing_is_recorded_for_a_gradient(name, monkeypatch):
    problem = Evaluators(name, 3)
    expected = problem.whole(problem.image).sums
    with evaluation.forward_only():
        found = problem.whole(problem.image)
    with pytest.raises(RuntimeError, match="left out"):
        found.pull_back(cotangents_for(found.sums))
    monkeypatch.setattr(tf, "GradientTape", None)
    alone = problem.whole.sums(problem.image)
    assert alone.keys() == expected.keys()
    for key, sums in expected.items():
        np.testing.assert_array_equal(alone[key], sums)
        np.testing.assert_array_equal(found.sums[key], sums)


def test_pulling_back_is_linear_and_the_transpose_of_the_derivative():
    """<J v, c> = <v, J^T c>, the derivative J v by a central difference."""
    problem = Evaluators("relative", 4)
    whole = problem.whole(problem.image)
    cotangents = cotangents_for(whole.sums)
    direction = tf.constant(np.random.default_rng(1).normal(0, 1, problem.image.shape))
    ahead, behind = (problem.whole(problem.image + step * direction).sums for step in (1e-8, -1e-8))
    slope = sum(
        float(tf.reduce_sum(cotangents[name] * (ahead[name] - behind[name]))) / 2e-8
        for name in cotangents
    )
    gradient = whole.pull_back(cotangents)
    np.testing.assert_allclose(float(tf.reduce_sum(gradient * direction)), slope, rtol=1e-5)
    again = problem.whole(problem.image)
    doubled = again.pull_back({name: 2 * value for name, value in cotangents.items()})
    np.testing.assert_allclose(doubled, 2 * gradient, rtol=1e-12)


def test_a_window_leaves_only_the_positions_that_a_tile_owns():
    terms = make_terms({"style/block1_conv2": 1.0}, capture(), FORMULAS["relative"])
    features = toy_extractor(batch(IMAGE))["block1_conv2"]
    part = owned(features, 1, (2, 9, 4, 20))
    found = evaluate_layer(terms, {}, "block1_conv2", part).sums
    own = features.numpy()[0, 2:9, 4:20].reshape(-1, features.shape[-1]).astype(np.float64)
    assert list(found) == ["style/block1_conv2"]
    np.testing.assert_allclose(found["style/block1_conv2"], own.T @ own, rtol=1e-5)
    assert evaluate_layer(terms, {}, "block3_conv1", features).sums == {}


def test_where_no_term_of_features_counts_the_gradient_is_that_of_the_pixels():
    weights = {"style/block1_conv2": 0.0, "style/block3_conv1": 0.0, "tv": 2.0}
    objective = make(weights=weights)
    gradient = gradient_of(objective, IMAGE)
    evaluated = objective.evaluator(batch(IMAGE))
    assert evaluated.sums.keys() == weights.keys()
    (dx, dy), size = (np.diff(IMAGE.astype(np.float64), axis=axis) for axis in (1, 0)), IMAGE.shape
    expected = np.zeros(size)
    for steps, axis in ((dx, 1), (dy, 0)):
        ahead = [(0, 0)] * 3
        behind = [(0, 0)] * 3
        ahead[axis], behind[axis] = (1, 0), (0, 1)
        slope = 4 * steps / steps.size
        expected += np.pad(slope, ahead) - np.pad(slope, behind)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())


# Back through the network.


@pytest.mark.parametrize(
    ("name", "others"), [*((name, {}) for name in NAMES), ("relative", {"laplacian": 100.0})]
)
def test_scaling_the_gradients_of_features_changes_nothing_in_float32(network, name, others):
    image = batch(picture(33, 50, seed=3))
    terms, whole = through(network, name, **others).value_and_grad(image)
    same, parts = through(network, name, largest_gradient=3.0, **others).value_and_grad(image)
    assert {term: float(value) for term, value in terms.items()} == {
        term: float(value) for term, value in same.items()
    }
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6 * np.abs(whole).max())


NETWORK_CONVOLUTIONS = 10  # up to block4_conv2


def check_close(found, expected, features, exact, convolutions=NETWORK_CONVOLUTIONS):
    """Check that a gradient in float16 is about the one in float32, given features in both."""
    error = max(apart(features[layer], exact[layer])[1] for layer in exact)
    assert 0 < error < rounding("float16", convolutions)
    most = switching(error, convolutions)
    cosine, difference = apart(found, expected)
    assert difference < most < 0.3 and cosine > 1 - most**2 / 2


@pytest.mark.parametrize("factor", [1e-15, 1e15])
@pytest.mark.parametrize("name", NAMES)
def test_a_float16_gradient_of_any_size_is_close(network, half_network, name, factor):
    image = batch(picture(33, 50, seed=3))
    expected, exact = through(network, name, factor).value_and_grad(image)
    terms, found = through(half_network, name, factor, HALF).value_and_grad(image)
    for term, value in expected.items():
        np.testing.assert_allclose(terms[term], value, rtol=0.01, atol=1e-3 * expected["total"])
    check_close(found, exact, half_network(image), network(image))


@pytest.mark.parametrize("name", ["relative", "gatys"])
def test_a_float16_gradient_of_large_features_is_close(tiny_weights, name):
    require_precision("float16")
    loud = strengthened(tiny_weights, 2.0**17)
    exact, half = (
        extractor_lib.feature_extractor(loud, NETWORK_LAYERS, precision=precision)
        for precision in ("float32", "float16")
    )
    image = batch(picture(33, 50, seed=3))
    assert max(float(tf.reduce_max(one)) for one in exact(image).values()) > 65504.0
    _, expected = through(exact, name).value_and_grad(image)
    _, found = through(half, name, largest_gradient=HALF).value_and_grad(image)
    check_close(found, expected, half(image), exact(image))


def test_without_scaling_float16_would_lose_the_gradient(half_network):
    image = batch(picture(33, 50, seed=3))
    assert not np.any(through(half_network, "relative", 1e-15, tv=0.0).value_and_grad(image)[1])
    assert not np.isfinite(through(half_network, "relative", 1e15).value_and_grad(image)[1]).all()


def test_a_gradient_that_overflows_shows_in_the_total(half_network):
    terms, _ = through(half_network, "relative", 1.0, 1e6).value_and_grad(batch(NETWORK_CONTENT))
    assert np.isnan(terms.pop("total"))
    assert all(np.isfinite(value) for value in terms.values())


def test_a_gradient_of_zero_stays_zero_when_scaled(half_network):
    weights = dict.fromkeys(NETWORK_WEIGHTS, 0.0)
    objective = make("relative", weights, NETWORK_CONTENT, NETWORK_STYLES[:1], half_network, HALF)
    terms, gradient = objective.value_and_grad(batch(picture(33, 50, seed=3)))
    assert float(terms["total"]) == 0.0 and not np.any(gradient)


def test_float16_of_the_real_weights_is_close_and_closer_than_bfloat16():
    require_precision("bfloat16", "float16")
    shipped = weights_lib.read_weights(weights_lib.embedded_path(), "vgg19")
    layers = dict.fromkeys(("block1_conv1", "block3_conv1", "block4_conv1"), 1.0)
    weights = weigh("relative", 1.0, 1e3, 1.0, {"block4_conv1": 1.0}, layers)
    image, found = batch(picture(32, 32, seed=3)), {}
    pictures = picture(32, 32, seed=1), [picture(32, 32, seed=2)]
    for precision in ("float32", "bfloat16", "float16"):
        largest = extractor_lib.LARGEST_GRADIENT.get(precision)
        model = extractor_lib.feature_extractor(shipped, (*layers,), precision=precision)
        objective = make("relative", weights, *pictures, model, largest)
        found[precision] = model(image), objective.value_and_grad(image)[1]
    exact, gradient = found.pop("float32")
    errors = {
        precision: {layer: apart(features[layer], exact[layer])[1] for layer in exact}
        for precision, (features, _) in found.items()
    }
    for layer, error in errors["float16"].items():
        assert error < 0.25 * errors["bfloat16"][layer]  # three bits more: about an eighth
    half, brain = (apart(found[name][1], gradient)[1] for name in ("float16", "bfloat16"))
    assert half < 0.6 * brain  # about the root of an eighth: see `switching`
    check_close(found["float16"][1], gradient, found["float16"][0], exact, convolutions=9)


def add_n_inputs(name, network, largest_gradient=None, **others):
    """Numbers of inputs of all AddN in the compiled gradient: as traced, and as it is run."""
    objective = through(network, name, largest_gradient=largest_gradient, **others)
    image = batch(picture(33, 50, seed=3))
    compiled = tf.function(objective.value_and_grad)
    traced = compiled.get_concrete_function(image).graph.as_graph_def()
    context.enable_run_metadata()  # TensorFlow has no public way to see an optimized function
    try:
        compiled(image)
        run = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    optimized = [functions.post_optimization_graph for functions in run.function_graphs]
    assert sum(len(graph.node) for graph in optimized) > 100  # the right ones
    return [counts_of_add_n(graphs) for graphs in ([traced], optimized)]


def counts_of_add_n(graphs):
    parts = [part.node_def for graph in graphs for part in graph.library.function]
    nodes = [node for part in (*(graph.node for graph in graphs), *parts) for node in part]
    return [node.attr["N"].i for node in nodes if node.op == "AddN"]


@pytest.mark.parametrize(
    ("name", "precision", "others"),
    [
        *((name, "float32", {}) for name in NAMES),
        ("relative", "float32", {"laplacian": 1.0}),
        ("relative", "float16", {"laplacian": 1.0}),
        ("crowsonkb", "float16", {}),
    ],
)
def test_no_sum_of_three_or_more_is_left_to_add_n(request, name, precision, others):
    """AddN orders its inputs by what memory is free: bytes would differ from run to run."""
    half = precision == "float16"
    features = request.getfixturevalue("half_network" if half else "network")
    for found in add_n_inputs(name, features, HALF if half else None, **others):
        assert max(found, default=0) <= 2


def test_a_grams_pull_back_waits_for_the_gradient_from_deeper_layers(network):
    """It is as large as the features, and would lie there from the start of the way back."""
    objective = through(network, "relative")
    graph = (
        tf.function(objective.value_and_grad).get_concrete_function(batch(NETWORK_CONTENT)).graph
    )
    upstream = {op for op in graph.get_operations() if op.type == "Conv2DBackpropInput"}
    products = [op for op in graph.get_operations() if op.type == "MatMul"]
    waiting = [op for op in products if upstream & before(op)]
    grams = sum(term.startswith("style/") for term in NETWORK_WEIGHTS)
    assert len(products) == 2 * grams
    assert len(waiting) == grams  # the deepest one waits for the layer of the content term


@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_gradient_adds_nothing_to_tensorflows_registry(name):
    """TensorFlow never removes what is in it: the graph and its weights would stay in memory."""
    objective, registered = make(name), ops.gradient_registry.list()
    tf.function(objective.value_and_grad).get_concrete_function(batch(IMAGE))
    assert ops.gradient_registry.list() == registered


def before(operation):
    """What must have run before an operation."""
    found, todo = set(), [operation]
    while todo:
        one = todo.pop()
        new = {source.op for source in one.inputs} | set(one.control_inputs)
        todo += new - found
        found |= new
    return found


@pytest.mark.parametrize("constant", [3.0, tf.constant(7e-5)])
def test_what_is_divided_by_a_constant_has_no_gradient_by_it(constant):
    @tf.function(autograph=False)
    def gradient_of_quotient(tensor):
        quotient, pull_back = vjp(lambda tensor: divided(tensor, constant), tensor)
        return quotient, pull_back(tf.ones_like(tensor))

    numbers = tf.constant([0.1, -2.0, 3e20])
    quotient, gradient = gradient_of_quotient(numbers)
    exact = np.float64(constant)
    rounded = 2.0 * np.finfo(np.float32).eps  # the constant's inverse, and the product with it
    np.testing.assert_allclose(quotient, np.float64(numbers) / exact, rtol=rounded)
    np.testing.assert_allclose(gradient, np.full(3, 1.0 / exact), rtol=rounded)
    operations = gradient_of_quotient.get_concrete_function(numbers).graph.get_operations()
    # The inverse of a tensor is a quotient.
    assert [op.type for op in operations].count("RealDiv") == int(tf.is_tensor(constant))


@pytest.mark.parametrize("number", [1e-20, 0.9999999, 1.0, 3.0, 1e20])
def test_a_power_of_two_is_the_largest_up_to_a_number(number):
    found = float(evaluation._power_of_two(tf.constant(number)))
    assert np.log2(found) % 1 == 0 and found <= np.float32(number) < 2 * found


def test_features_are_pulled_back_as_by_one_tape():
    """Two sections; statistics of both layers, one of them with two statistics."""
    sections = random_vgg(("block1_conv1", "block2_conv1"))
    images = tf.concat([noise(12, 10, seed) for seed in (1, 2)], axis=0)

    def functions_of(layer):
        functions = {f"square/{layer}": lambda features: tf.reduce_sum(features**2, axis=(1, 2))}
        if layer == "block1_conv1":
            functions[f"sum/{layer}"] = lambda features: tf.reduce_sum(features, axis=(1, 2))
        return functions

    def evaluate_layer(layer, features):
        functions = functions_of(layer).items()
        return evaluation.combined({name: vjp(one, features) for name, one in functions})

    forward = evaluation.evaluate_features(evaluation.Network(sections), images, evaluate_layer)
    rng = np.random.default_rng(0)
    cotangents = {
        name: tf.constant(rng.normal(0, 1, value.shape)) for name, value in forward.sums.items()
    }
    with tf.GradientTape() as tape:
        tape.watch(images)
        sums = {}
        for layer, features in chained(sections)(images).items():
            sums |= {name: one(features) for name, one in functions_of(layer).items()}
        total = sum(tf.reduce_sum(cotangents[name] * value) for name, value in sums.items())
    expected = tape.gradient(total, images)
    assert list(forward.sums) == list(sums) and len(sums) == 3
    np.testing.assert_allclose(
        forward.pull_back(cotangents), expected, atol=1e-12 * np.abs(expected).max()
    )
