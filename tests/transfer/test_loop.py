"""Properties of the loop, on a tiny network and through the Python API."""

import dataclasses
import math
import weakref

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import Config, stylize
from nst_keras.devices.replicas import Replicas
from nst_keras.imaging import geometry, images
from nst_keras.optimizers import adam
from nst_keras.runs import scores
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import StepDropped
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import controller, cost, problem, scale_run, scales
from tests.conftest import picture
from tests.network.conftest import rounding

CONTENT, STYLE = picture(40, 60, seed=1), picture(50, 50, seed=2)
CONFIG = Config(
    size=48,
    min_size=36,
    iterations=6,
    coarse_iterations=(4,),
    content_layers=("block2_conv2",),  # shallow: most of a test's time goes into compiling
    style_layers=("block1_conv1", "block2_conv1"),
    learning_rate=0.02,  # so few steps improve the picture only if they are small
    beta_2=0.99,
    precision="float32",
    log_every=1,
)

SINGLE = dataclasses.replace(CONFIG, scales=1)  # for what does not depend on scales


def paint(config, weights, **options):
    """The last iterate of a job."""
    *_, last = stylize(CONTENT, STYLE, config, weights=weights, **options)
    return last


def test_steps_are_counted_from_one_over_all_scales(tiny_weights):
    iterates = [
        (iterate.step, iterate.scale.index, iterate.image.shape, iterate.ends_scale)
        for iterate in stylize(CONTENT, STYLE, CONFIG, weights=tiny_weights)
    ]
    assert [step for step, *_ in iterates] == list(range(1, 11))
    assert [scale for _, scale, *_ in iterates] == [0] * 4 + [1] * 6
    assert iterates[0][2] == (24, 36, 3) and iterates[-1][2] == (32, 48, 3)
    assert [step for step, *_, ends in iterates if ends] == [4, 10]


def test_calls_stop_where_something_is_due(tiny_weights, monkeypatch, tmp_path):
    monkeypatch.setattr(controller, "_CALL_SECONDS", 1e6)
    config = dataclasses.replace(
        CONFIG, iterations=40, log_every=100, image_every=15, image_at=(21,)
    )
    keeper = Checkpointer(tmp_path, "job", every=32, minutes=0, keep=5)
    steps = [step for step, _ in painted(config, tiny_weights, keeper)]
    assert keeper.steps() == [44, 32]
    # The first step of a scale is a call of its own: it traces. The next one's pace is not known.
    traced, ends, pictures, saved = {1, 2, 5}, {4, 44}, {15, 21, 30}, {32}
    looked_at = {14, 24, 34, 44}  # for an exploding total, every ten steps of a scale
    assert steps == sorted(traced | ends | pictures | saved | looked_at)


def test_calls_of_many_steps_change_nothing(tiny_weights, monkeypatch):
    one_by_one = paint(CONFIG, tiny_weights).image
    monkeypatch.setattr(controller, "_CALL_SECONDS", 1e6)
    together = paint(dataclasses.replace(CONFIG, log_every=1000), tiny_weights).image
    np.testing.assert_array_equal(one_by_one, together)


def test_each_scale_is_traced_once(tiny_weights, monkeypatch):
    made = []
    normal = scale_run.ScaleRun.__init__

    def remember(self, *arguments):
        normal(self, *arguments)
        made.append(self)

    monkeypatch.setattr(scale_run.ScaleRun, "__init__", remember)
    paint(CONFIG, tiny_weights)
    assert [stage._run.experimental_get_tracing_count() for stage in made] == [1, 1]


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_step_is_a_graph_of_its_own_in_the_loop(tiny_weights, optimizer):
    config = resolve(dataclasses.replace(SINGLE, optimizer=optimizer))
    plan = scales.plan_job(config, CONTENT.shape[:2])
    networks = problem.FeatureExtractors(config, tiny_weights)
    asked = problem.StyleTransferProblem(config, CONTENT, [STYLE], networks, plan)
    stage = scale_run.ScaleRun(asked, plan[-1], asked.first_image)
    graph = stage._run.get_concrete_function(tf.constant(1)).graph.as_graph_def()
    kept = [one for one in graph.library.function if one.attr["_noinline"].b]
    assert len(kept) == 1
    assert any("MaxPoolGrad" in node.op for node in kept[0].node_def)


@pytest.mark.parametrize("init", ["content", "noise", "gray", "mean", "style", "style_stats"])
def test_every_start_improves(tiny_weights, init):
    config = Config(size=32, scales=1, iterations=8, init=init, precision="float32", log_every=1)
    totals = [
        iterate.terms["total"] for iterate in stylize(CONTENT, STYLE, config, weights=tiny_weights)
    ]
    assert totals[-1] < totals[0]


def test_init_from_a_picture(tiny_weights, tmp_path):
    start = picture(64, 64, seed=5)
    images.write_image(tmp_path / "start.png", start)
    config = dataclasses.replace(
        CONFIG, scales=1, iterations=1, init=str(tmp_path / "start.png"), learning_rate=1e-6
    )
    result = paint(config, tiny_weights).image
    # The center of the square, cut to 3:2.
    expected = geometry.resize(start[10:53], 32, 48)
    assert np.abs(result - expected).max() < 0.01


def test_noise_is_repeatable_and_depends_on_the_seed(tiny_weights):
    config = dataclasses.replace(SINGLE, init="noise")
    first, again = paint(config, tiny_weights).image, paint(config, tiny_weights).image
    other = paint(dataclasses.replace(config, seed=1), tiny_weights).image
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_pixels_stay_in_range(tiny_weights):
    config = dataclasses.replace(SINGLE, learning_rate=0.5)
    image = paint(config, tiny_weights).image
    assert image.dtype == np.float32 and image.min() >= 0.0 and image.max() <= 1.0


def test_average_is_the_bias_corrected_mean_of_the_iterates(tiny_weights):
    config = dataclasses.replace(CONFIG, scales=1)
    iterates = [it.image for it in stylize(CONTENT, STYLE, config, weights=tiny_weights)]
    averaged = paint(dataclasses.replace(config, average=0.5), tiny_weights).image
    shares = 0.5 ** np.arange(len(iterates), 0, -1)
    expected = np.tensordot(shares / shares.sum(), np.array(iterates, np.float64), 1)
    np.testing.assert_allclose(averaged, expected, atol=1e-5)


def test_evaluate_gives_the_terms_of_the_image_itself(tiny_weights):
    steps = {
        iterate.step: (iterate.terms, iterate.evaluate())
        for iterate in stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights)
    }
    for name, value in steps[6][0].items():  # before step 6 = after step 5
        assert value == pytest.approx(steps[5][1][name], rel=1e-4)


def test_image_is_gone_when_the_job_went_on(tiny_weights):
    iterates = stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights)
    first = next(iterates)
    next(iterates)
    with pytest.raises(RuntimeError, match="before asking for the next"):
        _ = first.image
    iterates.close()


TILES = {  # layers whose halo is small, so that a small picture makes several tiles
    "size": 64,
    "style_layers": ("block1_conv1", "block2_conv1"),
    "content_layers": ("block2_conv2",),
    "tile_size": 40,
}
RESUMED = (
    (4, {}),  # between two scales
    (2, {"average": 0.9, "scales": 1}),
    (6, {"scales": 1}),  # at the end
    (4, {"optimizer": "lbfgs", "history": 2, "scales": 1}),
    (5, {"optimizer": "lbfgs", "line_search": "backtrack", "average": 0.5, "scales": 1}),
    (3, {"optimizer": "rmsprop", "warmup_steps": 3, "schedule": "cosine", "scales": 1}),
    (3, {"balance": (("style", 3.0), ("content", 1.0)), "scales": 1}),
    (5, {"tolerance": 0.9, "patience": 1}),  # rests after two steps of each scale
    (3, {"precision": "float16", "average": 0.5, "scales": 1}),
    (5, {**TILES, "average": 0.5}),
    (3, {**TILES, "optimizer": "lbfgs", "history": 2, "scales": 1}),
    (3, {**TILES, "precision": "bfloat16", "scales": 1}),
    (3, {"xla": True, "style_layers": ("relu1_1",), "content_layers": ("relu2_1",), "scales": 1}),
)


@pytest.mark.parametrize(("stop_at", "settings"), RESUMED, ids=str)
def test_resume_equals_uninterrupted(tiny_weights, tmp_path, stop_at, settings):
    config = dataclasses.replace(CONFIG, **settings)
    whole = [(it.step, it.image) for it in stylize(CONTENT, STYLE, config, weights=tiny_weights)]
    folder = {"folder": tmp_path, "job": "a", "every": 0, "minutes": 0, "keep": 2}
    iterates = stylize(
        CONTENT, STYLE, config, weights=tiny_weights, checkpointer=Checkpointer(**folder)
    )
    for iterate in iterates:
        if iterate.step >= stop_at:
            break
    stopped = iterate.step
    iterates.close()  # saves
    seen = [
        (iterate.step, iterate.image)
        for iterate in stylize(
            CONTENT, STYLE, config, weights=tiny_weights, checkpointer=Checkpointer(**folder)
        )
    ]
    expected = [one for one in whole if one[0] > stopped] or whole[-1:]
    assert [step for step, _ in seen] == [step for step, _ in expected]
    for (_, image), (_, same) in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(image, same)


# Tiles

TILED = dataclasses.replace(CONFIG, **TILES)


def tiles_made(monkeypatch):
    """The numbers of tiles of all tiled objectives that are made from here on."""
    made = []

    class Counted(problem.TiledObjective):
        def __init__(self, objective, tiles, *others):
            super().__init__(objective, tiles, *others)
            made.append(len(tiles))

    monkeypatch.setattr(problem, "TiledObjective", Counted)
    return made


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"adam_colors": "opponent"},
        {"average": 0.5, "balance": (("content", 1), ("style", 3))},
        {"optimizer": "lbfgs", "history": 3},
        {"optimizer": "rmsprop"},
        {"objective": "crowsonkb"},
        {"xla": True, "scales": 1},
    ],
    ids=str,
)
def test_a_picture_in_tiles_is_that_of_one_piece(tiny_weights, monkeypatch, settings):
    config = dataclasses.replace(TILED, learning_rate=None, **settings)
    if config.optimizer == "rmsprop":
        config = dataclasses.replace(config, learning_rate=0.01)
    whole = paint(dataclasses.replace(config, tile_size="none"), tiny_weights)
    expected = whole.image, whole.evaluate()
    made = tiles_made(monkeypatch)
    tiled = paint(config, tiny_weights)
    assert made[-1] == 4
    assert tiled.evaluate() == pytest.approx(expected[1], rel=0.01, abs=1e-6)
    difference = np.abs(tiled.image - expected[0])
    assert np.percentile(difference, 99) <= 1.5 / 255


def test_what_brings_pixels_into_bounds_is_exact():
    rng = np.random.default_rng(7)
    pixels = rng.normal(0.5, 1.0, 10_000).astype(np.float32)
    pixels = np.concatenate([pixels, 1e4 * pixels, 1 + 1e-6 * pixels, 1e-9 * pixels])
    excess = scale_run._excess(tf.constant(pixels)).numpy()
    np.testing.assert_array_equal(pixels + excess, np.clip(pixels, 0, 1))


OOM = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def out_of_memory_at(monkeypatch, calls, error=OOM):
    """Stages whose `run` fails at these calls, counted over all of them from 1."""
    normal, counted = scale_run.ScaleRun.run, []

    def run(self, steps):
        counted.append(steps)
        if len(counted) in calls:
            raise error
        return normal(self, steps)

    monkeypatch.setattr(scale_run.ScaleRun, "run", run)


def test_where_memory_runs_out_it_goes_on_from_there_in_tiles(tiny_weights, monkeypatch, caplog):
    config = dataclasses.replace(TILED, tile_size="none", scales=1)
    expected = [(it.step, it.image) for it in stylize(CONTENT, STYLE, config, weights=tiny_weights)]
    made = tiles_made(monkeypatch)
    out_of_memory_at(monkeypatch, {4})
    seen = [(it.step, it.image) for it in stylize(CONTENT, STYLE, config, weights=tiny_weights)]
    assert [step for step, _ in seen] == [step for step, _ in expected] == [1, 2, 3, 4, 5, 6]
    assert made == [6] and "out of memory: it goes on in tiles of 32 px" in caplog.text
    for (_, image), (_, same) in zip(seen[:3], expected[:3], strict=True):
        np.testing.assert_array_equal(image, same)
    np.testing.assert_allclose(seen[-1][1], expected[-1][1], atol=3 / 255)


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.InternalError(None, None, "CPU:0 to GPU:0: Dst tensor is not initialized."),
        tf.errors.InternalError(None, None, "cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY"),
        tf.errors.NotFoundError(None, None, "No algorithm worked!  Error messages: ..."),
    ],
    ids=str,
)
def test_gpus_say_in_other_words_that_memory_runs_out(tiny_weights, monkeypatch, error):
    made = tiles_made(monkeypatch)
    out_of_memory_at(monkeypatch, {4}, error)
    config = dataclasses.replace(TILED, tile_size="none", scales=1)
    assert paint(config, tiny_weights).step == 6 and made == [6]


def test_what_is_not_found_for_another_reason_is_no_want_of_memory(tiny_weights, monkeypatch):
    error = tf.errors.NotFoundError(None, None, "no such operation")
    out_of_memory_at(monkeypatch, {4}, error)
    with pytest.raises(tf.errors.NotFoundError):
        paint(SINGLE, tiny_weights)


def test_of_several_hosts_none_takes_smaller_tiles_alone(tiny_weights, monkeypatch):
    out_of_memory_at(monkeypatch, {3})
    hosts = Replicas(("",), hosts=2)
    with pytest.raises(MemoryError, match="out of memory at 64x43; give all hosts --tile_size="):
        paint(dataclasses.replace(TILED, scales=1), tiny_weights, replicas=hosts)


def test_where_scores_do_not_fit_there_are_none(tiny_weights, monkeypatch):
    last = paint(SINGLE, tiny_weights)
    monkeypatch.setattr(scores.Judge, "score", lambda *_: raise_(OOM))
    with pytest.raises(MemoryError, match="not enough"):
        scores.score_result(last.image, last.references())


def raise_(error):
    raise error


def test_where_memory_runs_out_before_the_first_step_tiles_are_tried_too(tiny_weights, monkeypatch):
    normal, made = scale_run.ScaleRun.__init__, tiles_made(monkeypatch)

    def fail_on_whole_pictures(self, painter, scale, image, state, tile_size, *others):
        if tile_size is None:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        normal(self, painter, scale, image, state, tile_size, *others)

    monkeypatch.setattr(scale_run.ScaleRun, "__init__", fail_on_whole_pictures)
    last = paint(dataclasses.replace(TILED, tile_size="none", scales=1), tiny_weights)
    assert last.step == 6 and made == [6]


def test_where_the_smallest_tiles_do_not_fit_the_job_ends_and_says_so(tiny_weights, monkeypatch):
    out_of_memory_at(monkeypatch, set(range(4, 100)))
    config = dataclasses.replace(TILED, scales=1)
    with pytest.raises(MemoryError, match=r"at 64x43 with tiles of .* px; a smaller --size"):
        paint(config, tiny_weights)


def test_auto_cuts_what_memory_does_not_hold(tiny_weights, monkeypatch):
    config = dataclasses.replace(TILED, tile_size="auto", size=800, scales=1, iterations=1)
    whole = cost.peak_bytes(
        resolve(config), scales.Scale(0, 533, 800, 1, 1), None, tiny_weights.channels
    )
    made = tiles_made(monkeypatch)
    paint(dataclasses.replace(config, memory_limit=whole + 1), tiny_weights)
    assert not made
    paint(dataclasses.replace(config, memory_limit=whole - 1), tiny_weights)
    assert made


# Precision and XLA


def test_float16_paints_what_float32_does(tiny_weights):
    config = dataclasses.replace(SINGLE, optimizer="sgd", learning_rate=0.1)  # no signs, as Adam's
    exact, half = (
        paint(dataclasses.replace(config, precision=precision), tiny_weights).image
        for precision in ("float32", "float16")
    )
    moved = np.linalg.norm(exact - geometry.resize(CONTENT, *exact.shape[:2]))
    assert moved > 0.1
    assert 1e-5 * moved < np.linalg.norm(half - exact) < 0.03 * moved


def a_stage(weights, **settings):
    """The only stage of a job."""
    config = resolve(dataclasses.replace(SINGLE, **settings))
    plan = scales.plan_job(config, CONTENT.shape[:2])
    networks = problem.FeatureExtractors(config, weights)
    asked = problem.StyleTransferProblem(config, CONTENT, [STYLE], networks, plan)
    return scale_run.ScaleRun(asked, plan[0], asked.first_image)


@pytest.mark.parametrize("settings", [{}, TILES])
def test_of_a_call_the_first_step_whose_total_is_not_finite_is_told(tiny_weights, settings):
    stage, count = a_stage(tiny_weights, **settings), tf.Variable(0)
    names = stage._objective.term_names
    spoilt = 1

    def step():  # one term is not finite at the third call, and all are from the fourth on
        count.assign_add(1)
        late = tf.where(count > 3, math.nan, tf.cast(count, tf.float32))
        terms = dict.fromkeys(names, late)
        bad = tf.where(count == 3, math.inf, late)
        return {**terms, "total": bad, names[spoilt]: bad}

    stage._step = step
    assert stage.run(2) == dict.fromkeys(names, 2.0)
    told = stage.run(3)
    assert [name for name in names if not math.isfinite(told[name])] == ["total", names[spoilt]]
    assert told["tv"] == 3.0


def test_an_overflow_in_float16_ends_the_job_with_a_way_out(tiny_weights, monkeypatch):
    monkeypatch.setitem(problem.extractor.LARGEST_COTANGENT, "float16", 1e6)
    config = dataclasses.replace(SINGLE, precision="float16")
    gone = r"^the gradient not .* step 1 after 3 recoveries; .*--precision=float32"
    with pytest.raises(FloatingPointError, match=gone):
        paint(config, tiny_weights)


XLA = {"style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_1",)}  # soon compiled


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam", "average": 0.5},
        {"optimizer": "adam", "precision": "float16"},
        {"optimizer": "lbfgs", "history": 2},
        {"optimizer": "lbfgs", "line_search": "backtrack"},
        {"optimizer": "rmsprop", "schedule": "cosine", "warmup_steps": 2},
    ],
    ids=str,
)
def test_steps_compiled_by_xla_are_those_without_it(tiny_weights, settings):
    plain, compiled = (a_stage(tiny_weights, xla=xla, **XLA, **settings) for xla in (False, True))
    terms, mean = (1e-4, 1e-5) if "precision" not in settings else (0.05, 0.01)
    # At the content itself its loss is rounding: of the features, and of those that are its target.
    least = (2 * rounding("float16", convolutions=3)) ** 2 if "precision" in settings else 1e-12
    for steps in (1, 3):
        assert compiled.run(steps) == pytest.approx(plain.run(steps), rel=terms, abs=least)
    assert compiled._step.experimental_get_tracing_count() == 1
    result = compiled.picture()
    assert np.abs(result - plain.picture()).mean() < mean
    assert np.abs(result - geometry.resize(CONTENT, *result.shape[:2])).mean() > 2 * mean


def test_a_scale_that_rests_ends_early_and_its_step_numbers_are_left_out(tiny_weights, caplog):
    config = dataclasses.replace(CONFIG, tolerance=0.9, patience=2, image_every=0)
    caplog.set_level("INFO")
    iterates = list(stylize(CONTENT, STYLE, config, weights=tiny_weights))
    ends = [iterate.step for iterate in iterates if iterate.ends_scale]
    assert ends == [4, 8]  # the second comparison of each scale, which begin at 1 and at 5
    assert [iterate.is_last for iterate in iterates] == [False] * (len(iterates) - 1) + [True]
    assert "the scale rests after step 8" in caplog.text


@pytest.mark.parametrize("objective", PRESETS)
def test_every_objective_improves_with_what_it_brings_along(tiny_weights, objective):
    config = Config(
        objective=objective, size=32, scales=1, iterations=12, init="noise", precision="float32"
    )
    iterates = list(stylize(CONTENT, STYLE, config, weights=tiny_weights))
    assert iterates[-1].terms["total"] < iterates[0].terms["total"]
    assert iterates[-1].image.min() >= 0 and iterates[-1].image.max() <= 1


def test_balance_gives_gradients_their_shares_at_every_scale(tiny_weights, caplog):
    caplog.set_level("INFO")
    config = dataclasses.replace(CONFIG, balance=(("content", 1.0), ("style", 2.0), ("tv", 0.0)))
    iterates = list(stylize(CONTENT, STYLE, config, weights=tiny_weights))
    assert caplog.text.count("balance at") == 2
    assert all(iterate.terms["tv"] == 0 for iterate in iterates)


def test_a_content_that_is_cropped_is_its_square_middle(tiny_weights):
    config = dataclasses.replace(CONFIG, fit="crop", scales=1, iterations=1, learning_rate=1e-6)
    image = paint(config, tiny_weights).image
    height, width = CONTENT.shape[:2]
    left = (width - height) // 2
    square = CONTENT[:, left : left + height]
    assert image.shape[0] == image.shape[1] == CONFIG.size
    assert np.abs(image - geometry.resize(square, *image.shape[:2])).max() < 0.01


def test_several_styles_are_blended(tiny_weights):
    other = picture(30, 70, seed=9)

    def total(blend):
        config = dataclasses.replace(SINGLE, style_blend=blend)
        *_, last = stylize(CONTENT, [STYLE, other], config, weights=tiny_weights)
        return last.image

    alone = paint(SINGLE, tiny_weights).image
    np.testing.assert_array_equal(total((1.0, 0.0)), alone)
    assert np.abs(total((1.0, 3.0)) - alone).max() > 0.01


def test_not_finite_stops_with_the_step(tiny_weights):
    broken = dataclasses.replace(
        tiny_weights,
        biases={**tiny_weights.biases, "block2_conv1": np.full(6, np.float32(1e25))},
    )
    with pytest.raises(FloatingPointError, match=r"style/block2_conv1.* step 1 after 3 recover"):
        paint(SINGLE, broken)
    with pytest.raises(FloatingPointError, match=r"style/block2_conv1.* step 1; a smaller"):
        paint(dataclasses.replace(SINGLE, max_recoveries=0), broken)


def spoiling(monkeypatch, bad_calls):
    """Adam's objective gives a gradient of NaN at these calls, counted over the job from 1."""
    normal, count = adam.Adam.step, tf.Variable(0)

    def step(adam, image, value_and_grad):
        def spoilt(pixels):
            count.assign_add(1)
            terms, gradient = value_and_grad(pixels)
            is_bad = tf.reduce_any(tf.equal(count, tf.constant(bad_calls)))
            gradient = tf.where(is_bad, math.nan, gradient)
            return scale_run.objective.tainted(terms, gradient), gradient

        return normal(adam, image, spoilt)

    monkeypatch.setattr(adam.Adam, "step", step)


def painted(config, weights, checkpointer=None):
    """(step, image) of all iterates."""
    iterates = stylize(CONTENT, [STYLE], config, weights=weights, checkpointer=checkpointer)
    return [(iterate.step, iterate.image.copy()) for iterate in iterates]


ONE_BY_ONE = dataclasses.replace(SINGLE, iterations=10, log_every=1)


@pytest.mark.parametrize("settings", [{}, TILES, {"precision": "bfloat16"}])
def test_trouble_goes_back_to_the_start_and_on_with_half_the_rate(
    tiny_weights, monkeypatch, caplog, settings
):
    config = dataclasses.replace(ONE_BY_ONE, **settings)
    halved = dataclasses.replace(config, learning_rate=resolve(config).learning_rate / 2)
    expected = painted(halved, tiny_weights)
    spoiling(monkeypatch, [4])
    found = painted(config, tiny_weights)
    assert [step for step, _ in found] == [1, 2, 3, *range(1, 11)]
    np.testing.assert_array_equal(found[-1][1], expected[-1][1])
    assert "the gradient not finite at step 4: it goes on from step 0" in caplog.text


def test_trouble_goes_back_to_the_last_checkpoint(tiny_weights, monkeypatch, tmp_path):
    spoiling(monkeypatch, [8])
    keeper = Checkpointer(tmp_path, "job", every=3, minutes=0, keep=5)
    found = painted(ONE_BY_ONE, tiny_weights, keeper)
    assert [step for step, _ in found] == [*range(1, 8), *range(7, 11)]
    assert keeper.latest().arrays["recoveries"] == 1


def test_a_checkpoint_that_leads_nowhere_is_left_for_the_one_before(
    tiny_weights, monkeypatch, tmp_path
):
    spoiling(monkeypatch, [8, 9])  # the second is the first step after going back to step 6
    keeper = Checkpointer(tmp_path, "job", every=3, minutes=0, keep=5)
    found = painted(ONE_BY_ONE, tiny_weights, keeper)
    assert [step for step, _ in found] == [*range(1, 8), *range(4, 11)]
    assert keeper.latest().arrays["recoveries"] == 2


def test_the_only_checkpoint_is_gone_on_from_even_after_trouble_at_once(
    tiny_weights, monkeypatch, tmp_path
):
    keeper = Checkpointer(tmp_path, "job", every=6, minutes=0, keep=1)
    begun = stylize(CONTENT, [STYLE], ONE_BY_ONE, weights=tiny_weights, checkpointer=keeper)
    for iterate in begun:
        if iterate.step == 6:
            begun.close()
    spoiling(monkeypatch, [1])
    found = painted(ONE_BY_ONE, tiny_weights, keeper)
    assert [step for step, _ in found] == [7, 8, 9, 10]
    assert keeper.latest().arrays["recoveries"] == 1


def test_a_resumed_job_does_not_hold_what_it_has_taken_over(tiny_weights, monkeypatch, tmp_path):
    keeper = Checkpointer(tmp_path, "job", every=0, minutes=0, keep=1)
    begun = stylize(CONTENT, [STYLE], ONE_BY_ONE, weights=tiny_weights, checkpointer=keeper)
    next(begun)
    begun.close()
    read, latest = [], keeper.latest

    def remembered():
        saved = latest()
        read.extend(map(weakref.ref, saved.arrays.values()))
        return saved

    monkeypatch.setattr(keeper, "latest", remembered)
    again = stylize(CONTENT, [STYLE], ONE_BY_ONE, weights=tiny_weights, checkpointer=keeper)
    assert next(again).step == 2
    assert len(read) > 3 and not any(one() is not None for one in read)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "lbfgs", "learning_rate": 1.0}])
def test_a_step_that_is_dropped_between_tiles_is_done_again(tiny_weights, tmp_path, settings):
    config = dataclasses.replace(ONE_BY_ONE, iterations=4, **TILES, **settings)
    whole, asked = painted(config, tiny_weights), []

    def drop():
        asked.append(1)
        return len(asked) == 21  # 8 tiles forth and back make a step: in the third one

    keeper = Checkpointer(tmp_path, "job", every=0, minutes=0, keep=5)
    begun = stylize(
        CONTENT, [STYLE], config, weights=tiny_weights, checkpointer=keeper, is_dropped=drop
    )
    with pytest.raises(StepDropped, match="at tile 5 of 8"):
        list(begun)
    assert keeper.latest().step == 2
    resumed = painted(config, tiny_weights, keeper)
    assert [step for step, _ in resumed] == [3, 4]
    for (_, image), (_, same) in zip(resumed, whole[2:], strict=True):
        np.testing.assert_array_equal(image, same)


def test_a_resumed_job_keeps_its_smaller_steps(tiny_weights, monkeypatch, tmp_path):
    spoiling(monkeypatch, [8])
    keeper = Checkpointer(tmp_path, "job", every=3, minutes=0, keep=5)
    whole = painted(ONE_BY_ONE, tiny_weights, keeper)
    for path in sorted(tmp_path.glob("step_*"))[-1:]:
        path.unlink()
    assert keeper.latest().step == 9
    resumed = painted(ONE_BY_ONE, tiny_weights, keeper)
    assert [step for step, _ in resumed] == [10]
    np.testing.assert_array_equal(resumed[-1][1], whole[-1][1])


def test_an_image_that_explodes_is_brought_back(tiny_weights, caplog):
    config = dataclasses.replace(
        ONE_BY_ONE, optimizer="sgd", learning_rate=3.0, clamp=False, iterations=40
    )
    last = painted(config, tiny_weights)[-1]
    assert "the total has grown from" in caplog.text or "not finite" in caplog.text
    assert last[0] == 40 and np.isfinite(last[1]).all()


def test_real_weights_improve_in_three_steps():
    config = Config(size=64, scales=1, iterations=4, log_every=1, precision="float32")
    totals = [iterate.terms["total"] for iterate in stylize(CONTENT, STYLE, config)]
    assert totals == sorted(totals, reverse=True)
