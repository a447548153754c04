"""One picture at one scale: its compiled steps, precision, average, balance and state."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import LossTerm, stylize
from nst_keras.devices.variables import Variables
from nst_keras.imaging import geometry
from nst_keras.runtime.errors import InputError
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import scale_run
from nst_keras.transfer.inputs import read_inputs
from nst_keras.transfer.planning import make_plan
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import picture, require_precision
from tests.network.conftest import distance_error, switching
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    DEEP_NEIGHBORS,
    NEIGHBORS,
    SINGLE,
    STYLE,
    TILED,
    TILES,
    count_tiles,
    make_problem,
    make_scale_run,
    paint,
    painted,
)


def scale_runs(monkeypatch):
    """The scale runs that are made from here on."""
    made, normal = [], ScaleRun.__init__

    def remember(self, *arguments):
        normal(self, *arguments)
        made.append(self)

    monkeypatch.setattr(ScaleRun, "__init__", remember)
    return made


@pytest.mark.parametrize(
    ("settings", "graphs"),
    [
        ({}, [0, 0]),
        ({"optimizer": "lbfgs"}, [0, 1]),
        ({"variables": "pyramid"}, [0, 1]),
        ({"optimizer": "rmsprop"}, [0, 1]),
        (NEIGHBORS, [0, 0, 2]),  # the last one by layer
        ({**NEIGHBORS, "scales": 1}, [0, 1]),
    ],
    ids=str,
)
def test_scales_of_one_kind_share_a_graph_unless_their_size_is_in_it(
    tiny_weights, monkeypatch, settings, graphs
):
    made = scale_runs(monkeypatch)
    paint(dataclasses.replace(CONFIG, **settings), tiny_weights)
    traced = [run.compiled._by_graph.traced for run in made]
    assert None not in traced
    assert [traced.index(own) for own in traced] == graphs


def test_functions_of_the_user_are_traced_for_each_size(tiny_weights, monkeypatch):
    shapes = []

    def brightness(features):
        shapes.append(tuple(features.shape[1:3]))
        return tf.reduce_mean(features)

    made = scale_runs(monkeypatch)
    paint(CONFIG, tiny_weights, terms=LossTerm("brightness", 1.0, brightness))
    sizes = [(scale.height, scale.width) for scale in (run.scale for run in made)]
    assert len({*sizes}) == 2 and {*shapes} == {*sizes}


LEFT = np.zeros(CONTENT.shape[:2], np.float32)
LEFT[:, :20] = 1.0
KINDS = [
    *({"objective": name} for name in PRESETS if name != "neighbors"),
    DEEP_NEIGHBORS,
    {**DEEP_NEIGHBORS, "precision": "bfloat16"},
    {"content_focus": 0.5, "laplacian_weight": 3.0, "adam_colors": "opponent"},
    {"pooling": "avg", "padding": "replicate", "average": 0.9},
    {"balance": (("content", 1.0), ("style", 2.0))},
    *({"schedule": name, "warmup_steps": 2} for name in ("linear", "cosine", "exponential")),
]


def with_shared_variables(problem, number):
    """A scale whose graph is that of the scale before it, and the same with a graph of its own."""
    variables = Variables(are_shared=True)
    before, scale = problem.plan.scales[number - 1 : number + 1]
    images = [picture(own.height, own.width, seed=7) for own in (before, scale)]
    ScaleRun(problem, before, lambda: images[0], variables=variables).run(2)
    variables.release()
    shared = ScaleRun(problem, scale, lambda: images[1], variables=variables)
    return shared, ScaleRun(problem, scale, lambda: images[1])


@pytest.mark.parametrize("has_masks", [False, True])
@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_the_graph_of_another_scale_computes_what_one_of_its_own_does(
    tiny_weights, settings, has_masks
):
    precision = settings.get("precision", "float32")
    require_precision(precision)
    config = dataclasses.replace(CONFIG, scales=2, optimizer="adam", **settings)
    given = {"styles": (STYLE, "keep"), "style_mask": ["rest", LEFT]} if has_masks else {}
    problem = make_problem(tiny_weights, config, **given)
    if settings.get("detail_iterations"):
        problem.plan = dataclasses.replace(problem.plan, scales=problem.plan.scales[:2])
    assert_alike(*with_shared_variables(problem, 1), precision)


def test_of_a_scale_whose_variables_another_one_has_only_the_result_can_be_read(tiny_weights):
    problem, variables = make_problem(tiny_weights, CONFIG), Variables(are_shared=True)
    run = ScaleRun(
        problem, problem.plan.scales[0], problem.pictures.first_image, variables=variables
    )
    run.run(2)
    result = run.picture().copy()
    np.testing.assert_array_equal(run.leave(), result)
    assert np.isfinite(run.value()["total"])
    variables.release()
    np.testing.assert_array_equal(run.picture(), result)
    for function in (run.value, run.state):
        with pytest.raises(RuntimeError, match="^this scale of the run is over"):
            function()
    run._result = None  # as if another attempt had taken its place before it came to its end
    with pytest.raises(RuntimeError, match="^this scale of the run is over"):
        run.picture()


def test_neighbors_by_layer_can_share_a_graph(tiny_weights):
    problem = make_problem(tiny_weights, dataclasses.replace(CONFIG, **NEIGHBORS))
    first, second, _ = problem.plan.scales
    by_layer = tuple(dataclasses.replace(own, by_layer=True) for own in (first, second))
    problem.plan = dataclasses.replace(problem.plan, scales=by_layer)
    assert problem.shares_graphs(by_layer[1])
    assert_alike(*with_shared_variables(problem, 1))


def assert_alike(shared, own, precision="float32"):
    """Two runs of one scale take the same first step, but for rounding."""
    error = distance_error(precision, convolutions=8, positions=own.scale.pixels)
    share = switching(error, convolutions=8)
    (losses, found), (expected_losses, expected) = (
        (run.run(1), run.state()["optimizer"]) for run in (shared, own)
    )
    assert losses == pytest.approx(expected_losses, rel=error, abs=1e-8)
    assert found["steps"] == expected["steps"] == 1
    moment = expected["first"]  # a tenth of the gradient
    assert np.linalg.norm(found["first"] - moment) < share * np.linalg.norm(moment)
    rates = [run._optimizer.rate(tf.constant(3, tf.int64)) for run in (shared, own)]
    assert float(rates[0]) == float(rates[1])
    # Whatever the sign of the smallest gradients is, which decides on Adam's first step.
    difference = np.abs(shared.picture() - own.picture())
    assert shared.picture().shape == own.picture().shape and difference.mean() < 0.1 * rates[0]


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_there_is_no_loop_around_a_step_in_its_graph(tiny_weights, optimizer):
    run = make_scale_run(tiny_weights, optimizer=optimizer)
    run.compiled(tf.constant(1))
    operations = run.compiled._by_graph.traced.graph.get_operations()
    assert any("MaxPoolGrad" in op.type for op in operations)  # else in a function that it calls


@pytest.mark.parametrize("settings", [{}, TILES])
def test_a_call_returns_the_losses_of_the_first_step_whose_total_is_not_finite(
    tiny_weights, settings
):
    run, count = make_scale_run(tiny_weights, **settings), tf.Variable(0)
    names = run.objective.names
    spoilt = names[1]

    def advance(_):  # one term is not finite at the third call, and all are from the fourth on
        count.assign_add(1)
        late = tf.where(count > 3, math.nan, tf.cast(count, tf.float32))
        losses = dict.fromkeys(names, late)
        bad = tf.where(count == 3, math.inf, late)
        return {**losses, "total": bad, spoilt: bad}

    run.advance = advance
    assert run.run(2) == dict.fromkeys(names, 2.0)
    found = run.run(3)
    assert [name for name in names if not math.isfinite(found[name])] == ["total", spoilt]
    assert found["tv"] == 3.0


def test_pixels_stay_in_range(tiny_weights):
    config = dataclasses.replace(SINGLE, learning_rate=0.5)
    image = paint(config, tiny_weights).image
    assert image.dtype == np.float32 and image.min() >= 0.0 and image.max() <= 1.0


def test_what_brings_pixels_into_bounds_is_exact():
    rng = np.random.default_rng(7)
    pixels = rng.normal(0.5, 1.0, 10_000).astype(np.float32)
    pixels = np.concatenate([pixels, 1e4 * pixels, 1 + 1e-6 * pixels, 1e-9 * pixels])
    excess = scale_run._excess(tf.constant(pixels)).numpy()
    np.testing.assert_array_equal(pixels + excess, np.clip(pixels, 0, 1))


def test_the_average_is_the_bias_corrected_mean_of_the_iterates(tiny_weights):
    images = [image for _, image in painted(SINGLE, tiny_weights)]
    averaged = paint(dataclasses.replace(SINGLE, average=0.5), tiny_weights).image
    shares = 0.5 ** np.arange(len(images), 0, -1)
    expected = np.tensordot(shares / shares.sum(), np.array(images, np.float64), 1)
    np.testing.assert_allclose(averaged, expected, atol=1e-5)


def test_the_value_is_that_of_the_image_itself(tiny_weights):
    steps = {
        iterate.step: (iterate.terms, iterate.evaluate())
        for iterate in stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights)
    }
    for name, value in steps[6][0].items():  # before step 6 = after step 5
        assert value == pytest.approx(steps[5][1][name], rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"scales": 2},
        {
            **{"adam_colors": "opponent", "average": 0.5},
            "balance": (("content", 1), ("style", 3)),
        },
        {"optimizer": "lbfgs", "history": 3},
        {"objective": "crowsonkb", "optimizer": "rmsprop", "learning_rate": 0.01},
        {**NEIGHBORS, "detail_iterations": 2},
        {"variables": "pyramid", "learning_rate": 0.01},
        {"xla": True, "style_layers": ("relu1_1",), "content_layers": ("relu2_1",)},
    ],
    ids=str,
)
def test_a_picture_in_tiles_is_that_of_the_whole(tiny_weights, monkeypatch, settings):
    config = dataclasses.replace(TILED, **{"learning_rate": None, "scales": 1, **settings})
    whole = paint(dataclasses.replace(config, tile_size="none"), tiny_weights)
    expected = whole.image, whole.evaluate()
    made = count_tiles(monkeypatch)
    tiled = paint(config, tiny_weights)
    assert made[-1] == 4
    # Sums are rounded in another order, and their gradient goes through ReLUs and maxima.
    share = switching(distance_error("float32", 3, whole.image[..., 0].size), 3)
    moved = np.linalg.norm(expected[0] - geometry.resize(CONTENT, *whole.image.shape[:2]))
    assert np.linalg.norm(tiled.image - expected[0]) < share * moved
    assert tiled.evaluate() == pytest.approx(expected[1], rel=share, abs=1e-6)


def test_float16_makes_the_picture_that_float32_does(tiny_weights):
    require_precision("float16")
    config = dataclasses.replace(SINGLE, optimizer="sgd", learning_rate=0.1)  # no signs, as Adam's
    exact, half = (
        paint(dataclasses.replace(config, precision=precision), tiny_weights).image
        for precision in ("float32", "float16")
    )
    moved = np.linalg.norm(exact - geometry.resize(CONTENT, *exact.shape[:2]))
    assert moved > 0.1
    assert 1e-5 * moved < np.linalg.norm(half - exact) < 0.03 * moved


def test_balance_gives_gradients_their_shares_at_every_scale(tiny_weights, caplog):
    caplog.set_level("INFO")
    config = dataclasses.replace(CONFIG, balance=(("content", 1.0), ("style", 2.0), ("tv", 0.0)))
    iterates = list(stylize(CONTENT, STYLE, config, weights=tiny_weights))
    assert caplog.text.count("balance at") == 2
    assert all(iterate.terms["tv"] == 0 for iterate in iterates)


def test_balance_measures_gradients_where_nothing_is_kept(tiny_weights):
    mask = np.zeros(CONTENT.shape[:2], np.float32)
    mask[:, CONTENT.shape[1] // 3 :] = 1.0
    shares = (("content", 1.0), ("style", 2.0))
    config = dataclasses.replace(SINGLE, balance=shares, tv_weight=0.0)
    settings = resolve(config)
    inputs = read_inputs(
        *(settings, CONTENT, [STYLE, "keep"], tiny_weights), style_mask=["rest", mask]
    )
    problem = StyleTransferProblem(settings, inputs, make_plan(settings, inputs))
    run = ScaleRun(problem, problem.plan.scales[-1], problem.pictures.first_image)
    shift = np.random.default_rng(0).normal(0, 0.05, run.variable.shape)
    image = tf.clip_by_value(run.variable + shift.astype(np.float32), 0.0, 1.0)
    kept = problem.pictures.kept_at(*run.variable.shape[1:3])
    norms = {}
    for kind in ("content", "style"):
        chosen = {n: w if n.startswith(kind) else 0.0 for n, w in run.objective.weights.items()}
        alone = run.objective.reweighted(chosen).value_and_grad
        norms[kind] = np.linalg.norm(kept.value_and_grad(alone, image)[1])
    # Not exactly: the gradient of the content was measured with noise, too, but another one.
    assert norms["style"] / norms["content"] == pytest.approx(2.0, rel=0.25)


def test_pyramids_are_clamped_as_they_are_without_the_kept_photo(tiny_weights):
    mask = np.full(CONTENT.shape[:2], 0.5, np.float32)
    config = dataclasses.replace(SINGLE, variables="pyramid", optimizer="sgd", learning_rate=0.1)
    settings = resolve(config)
    inputs = read_inputs(
        *(settings, CONTENT, [STYLE, "keep"], tiny_weights), style_mask=["rest", mask]
    )
    problem = StyleTransferProblem(settings, inputs, make_plan(settings, inputs))
    run = ScaleRun(problem, problem.plan.scales[-1], problem.pictures.first_image)
    run.variable.assign(run.variable * 3.0)  # half of it and half of the photo is in the range
    run._clamp()
    image = run._image_of(run.variable).numpy()
    assert image.min() >= -1e-5 and image.max() <= 1.0 + 1e-5


# Its state


def test_a_state_is_nested_by_owner_and_names_what_the_next_step_depends_on(tiny_weights):
    balance = (("content", 1.0), ("style", 2.0))
    run = make_scale_run(tiny_weights, average=0.9, balance=balance)
    assert {owner: {*arrays} for owner, arrays in run.state().items()} == {
        "scale": {"image", "average", "weights"},
        "optimizer": {"first", "second", "steps"},
    }
    assert "weights" not in make_scale_run(tiny_weights).state()["scale"]


def test_a_state_restores_image_moments_average_and_weights(tiny_weights):
    balance = (("content", 1.0), ("style", 2.0))
    config = dataclasses.replace(SINGLE, average=0.9, balance=balance)
    problem = make_problem(tiny_weights, config)
    scale = problem.plan.scales[-1]
    run = ScaleRun(problem, scale, problem.pictures.first_image)
    run.run(3)
    again = ScaleRun(problem, scale, lambda: 1 / 0, run.state())
    assert again.steps == 3
    assert again.objective.weights == run.objective.weights
    np.testing.assert_array_equal(again.picture(), run.picture())
    assert again.run(2) == run.run(2)
    np.testing.assert_array_equal(again.picture(), run.picture())


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        ({"optimizer": "rmsprop"}, "optimizer/"),
        ({"average": 0.5}, "scale/average"),
        ({"size": 40}, "optimizer/first, optimizer/second|scale/image"),
    ],
)
def test_a_state_of_another_run_is_refused_by_the_names_of_what_does_not_fit(
    tiny_weights, other, wrong
):
    state = make_scale_run(tiny_weights).state()
    problem = make_problem(tiny_weights, dataclasses.replace(SINGLE, **other))
    with pytest.raises(InputError, match=f"its checkpoint is of another run: .*({wrong})"):
        ScaleRun(problem, problem.plan.scales[-1], problem.pictures.first_image, state)


# State on the host: TensorFlow's third processor takes its place.
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_with_the_state_on_the_host_steps_are_the_same(tiny_weights, monkeypatch, optimizer):
    monkeypatch.setattr(scale_run, "_HOST", "/device:CPU:2")
    pictures, devices = [], []
    for state_on_host in (False, True):
        config = dataclasses.replace(SINGLE, **TILES, optimizer=optimizer, average=0.5)
        problem = make_problem(tiny_weights, config)
        problem.plan = dataclasses.replace(problem.plan, state_on_host=state_on_host)
        scale, size = problem.plan.scales[-1], problem.plan.tile_size
        run = ScaleRun(problem, scale, problem.pictures.first_image, tile_size=size)
        again = ScaleRun(problem, scale, problem.pictures.first_image, run.state(), tile_size=size)
        for one in (run, again):
            one.run(3)
            pictures.append(one.picture())
            own = [it for named in one._by_owner.values() for it in named.values()]
            devices.append({it.device[-5:] for it in own})
    for found in pictures[1:]:
        np.testing.assert_array_equal(found, pictures[0])
    assert devices == [{"CPU:0"}, {"CPU:0"}, {"CPU:2"}, {"CPU:2"}]
