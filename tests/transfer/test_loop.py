"""The loop over scales and steps: what it yields, and that a resume changes nothing."""

import dataclasses
import itertools
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from nst_keras import stylize
from nst_keras.devices.xla import XlaFigures
from nst_keras.network import vgg
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import loop, pace
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.source_pictures import SourcePictures
from tests.conftest import picture, require_precision
from tests.network.conftest import distance_error, switching
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    DEEP_NEIGHBORS,
    NEIGHBORS,
    SINGLE,
    STYLE,
    TEN_STEPS,
    TILES,
    interrupt,
    make_checkpointer,
    make_problem,
    make_scale_run,
    paint,
    painted,
)


@pytest.fixture(scope="module")
def whole(tiny_weights):
    """The picture of a run that nothing interrupted."""
    return paint(CONFIG, tiny_weights).image


def test_steps_are_counted_from_one_over_all_scales(tiny_weights):
    iterates = [
        (iterate.step, iterate.scale.index, iterate.image.shape, iterate.ends_scale)
        for iterate in stylize(CONTENT, STYLE, CONFIG, weights=tiny_weights)
    ]
    assert [step for step, *_ in iterates] == list(range(1, 11))
    assert [scale for _, scale, *_ in iterates] == [0] * 4 + [1] * 6
    assert iterates[0][2] == (24, 36, 3) and iterates[-1][2] == (32, 48, 3)
    assert [step for step, *_, ends in iterates if ends] == [4, 10]


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, 1.0), ({"optimizer": "sgd"}, 2.0)], ids=str
)
def test_later_scales_are_to_take_a_first_step_only_if_they_need_a_graph(
    tiny_weights, monkeypatch, settings, expected
):
    clock = itertools.count()  # a second later whenever it is asked
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    made, normal = [], loop.Controller.__init__

    def remember(self, *arguments):
        normal(self, *arguments)
        made.append(self)

    monkeypatch.setattr(loop.Controller, "__init__", remember)
    next(stylize(CONTENT, STYLE, dataclasses.replace(CONFIG, **settings), weights=tiny_weights))
    assert [one.pace.setup_seconds for one in made] == [expected]


def test_calls_of_many_steps_change_nothing(tiny_weights, whole, monkeypatch):
    monkeypatch.setattr(pace, "_CALL_SECONDS", 1e6)
    together = paint(dataclasses.replace(CONFIG, log_every=1000), tiny_weights).image
    np.testing.assert_array_equal(together, whole)


def test_an_image_is_gone_once_the_next_iterate_is_asked_for(tiny_weights):
    iterates = stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights)
    first = next(iterates)
    next(iterates)
    with pytest.raises(RuntimeError, match="before asking for the next"):
        _ = first.image
    iterates.close()


# Resuming

RESUMED = (
    (4, {"average": 0.9}),  # between two scales
    (6, {"scales": 1}),  # at the end
    (4, {"optimizer": "lbfgs", "history": 2, "scales": 1}),
    (5, {"optimizer": "lbfgs", "line_search": "backtrack", "average": 0.5, "scales": 1}),
    (
        3,
        {
            **{"optimizer": "rmsprop", "warmup_steps": 3, "schedule": "cosine", "scales": 1},
            "balance": (("style", 3.0), ("content", 1.0)),
        },
    ),
    (5, {"tolerance": 0.9, "patience": 1}),  # each scale stops after two steps
    (3, {"precision": "float16", "average": 0.5, "scales": 1}),
    (5, {**TILES, "precision": "bfloat16", "average": 0.5}),
    (3, {**TILES, "optimizer": "lbfgs", "history": 2, "scales": 1}),
    (3, {**DEEP_NEIGHBORS, "scales": 1}),
    (8, {**NEIGHBORS, "scales": 1}),  # after a match within the last phase
    (7, {**NEIGHBORS, "scales": 1, "optimizer": "lbfgs", "history": 2, "variables": "pyramid"}),
    (7, {**NEIGHBORS, **TILES, "scales": 1}),
    (3, {**NEIGHBORS, **TILES, "scales": 1, "optimizer": "lbfgs", "history": 2}),
    (3, {**NEIGHBORS, "xla": True, "scales": 1, "detail_iterations": 0}),
    (3, {"variables": "pyramid", "average": 0.5, "size": 64, "scales": 1}),
    (3, {"xla": True, "style_layers": ("relu1_1",), "content_layers": ("relu2_1",), "scales": 1}),
)


@pytest.mark.parametrize(("stop_at", "settings"), RESUMED, ids=str)
def test_a_resumed_run_equals_an_uninterrupted_one(tiny_weights, tmp_path, stop_at, settings):
    config = dataclasses.replace(CONFIG, **settings)
    require_precision(config.precision)
    keeper = make_checkpointer(tmp_path, every=stop_at)
    whole = painted(config, tiny_weights, keeper)
    keeper.forget_after(stop_at)
    assert keeper.steps() == [stop_at]
    seen = painted(config, tiny_weights, make_checkpointer(tmp_path))
    expected = [pair for pair in whole if pair[0] > stop_at] or whole[-1:]
    assert [step for step, _ in seen] == [step for step, _ in expected]
    for (_, image), (_, same) in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(image, same)


@pytest.mark.parametrize("stop_at", [2, 4, 5])  # within the first scale, at its end, in the next
def test_closing_saves_and_a_resume_neither_makes_nor_resizes_a_first_image(
    tiny_weights, whole, tmp_path, monkeypatch, stop_at
):
    keeper = interrupt(CONFIG, tiny_weights, tmp_path, stop_at)
    assert keeper.steps() == [stop_at]
    starts = []
    start = loop._first_image

    def counted(controller, scale):
        starts.append((scale.index, controller.picture is None))
        return start(controller, scale)

    monkeypatch.setattr(loop, "_first_image", counted)
    monkeypatch.setattr(SourcePictures, "first_image", lambda _: 1 / 0)
    np.testing.assert_array_equal(paint(CONFIG, tiny_weights, checkpointer=keeper).image, whole)
    # Only the scale after the one that is resumed starts from an image, and from its result.
    assert starts == ([(1, False)] if stop_at <= 4 else [])


def test_a_resume_reads_its_newest_checkpoint_once(tiny_weights, tmp_path, monkeypatch):
    keeper = interrupt(CONFIG, tiny_weights, tmp_path, 5)
    read, load = [], keeper._load
    monkeypatch.setattr(keeper, "_load", lambda path: read.append(path.name) or load(path))
    paint(CONFIG, tiny_weights, checkpointer=keeper)
    assert read == ["step_000000005.npz"]


def test_a_resumed_run_does_not_hold_the_checkpoint(tiny_weights, monkeypatch, tmp_path):
    keeper = interrupt(TEN_STEPS, tiny_weights, tmp_path, 1)
    read, latest = [], keeper.latest

    def remembered():
        saved = latest()
        for arrays in saved.state.values():
            read.extend(map(weakref.ref, arrays.values()))
        return saved

    monkeypatch.setattr(keeper, "latest", remembered)
    again = stylize(CONTENT, [STYLE], TEN_STEPS, weights=tiny_weights, checkpointer=keeper)
    assert next(again).step == 2
    assert len(read) > 3 and not any(array() is not None for array in read)


def test_a_checkpoint_beyond_the_last_step_is_refused(tiny_weights, tmp_path):
    keeper = interrupt(TEN_STEPS, tiny_weights, tmp_path, 9)
    with pytest.raises(InputError, match="is of step 9, but the run has only 6 steps"):
        paint(SINGLE, tiny_weights, checkpointer=keeper)


# Several pictures that cannot be optimized at once


def begin_batch(weights, configs, contents=(CONTENT, CONTENT)):
    problems = [make_problem(weights, *pair) for pair in zip(configs, contents, strict=True)]
    return loop.optimize(problems, [None] * len(problems))


def test_pictures_of_different_sizes_are_refused(tiny_weights):
    with pytest.raises(InputError, match="--batch: the pictures are of different sizes"):
        begin_batch(tiny_weights, [CONFIG, CONFIG], [CONTENT, picture(50, 60)])


def test_many_scales_in_tiles_make_tensorflow_warn_of_nothing(tiny_weights, caplog):
    config = dataclasses.replace(
        CONFIG, min_size=32, size=64, tile_size=40, scales=7, coarse_iterations=1, iterations=1
    )
    assert paint(config, tiny_weights).step == 7
    assert "retracing" not in caplog.text


def test_pictures_that_need_tiles_are_refused(tiny_weights):
    tiled = dataclasses.replace(SINGLE, tile_size=256, size=400)
    with pytest.raises(InputError, match="--batch: --tile_size=256 cannot be used in a batch"):
        begin_batch(tiny_weights, [tiled, tiled])


def test_too_little_memory_is_reported_before_the_first_step(tiny_weights):
    config = dataclasses.replace(SINGLE, size=480)
    (scale,) = make_problem(tiny_weights, config).plan.scales
    held = CONTENT.nbytes + STYLE.nbytes
    costs = CostModel(
        resolve(config), "float32", vgg.architecture("vgg19", tiny_weights.channels), held
    )
    config = dataclasses.replace(config, memory_limit=costs.peak_bytes(scale, None))
    with pytest.raises(InputError, match=r"--batch=2: 2 pictures of 480x320 need about .* at once"):
        begin_batch(tiny_weights, [config, config])


# XLA


def a_stage(weights, **settings):
    """The only scale of a run."""
    return make_scale_run(weights, **settings)


XLA = {"style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_1",)}  # soon compiled


def paint_by_auto(weights, monkeypatch, known, **settings):
    """A run as on a GPU, where XLA is left to measured times; all losses, and what was kept."""
    kept, sealed = [], []
    monkeypatch.setattr(loop.xla, "recall", lambda *_: known)
    monkeypatch.setattr(loop.xla, "remember", lambda *given: kept.append(given[1:]))
    monkeypatch.setattr(loop.compile_cache, "seal", lambda: sealed.append(1) or 0)
    problem = make_problem(weights, dataclasses.replace(TEN_STEPS, **settings))
    problem.plan = dataclasses.replace(problem.plan, xla="auto")
    rounds = list(loop.optimize([problem], [None]))
    return [iterate.terms["total"] for (iterate,) in rounds], kept, len(sealed)


def test_with_auto_xla_takes_over_where_it_pays_and_changes_nothing_else(tiny_weights, monkeypatch):
    plain = paint_by_auto(tiny_weights, monkeypatch, XlaFigures(gain=1.0), **XLA)
    assert plain[1:] == ([], 1)
    monkeypatch.setattr(XlaFigures, "pays", lambda self, seconds, steps: steps == 7)
    found, kept, sealed = paint_by_auto(tiny_weights, monkeypatch, None, **XLA)
    np.testing.assert_allclose(found, plain[0], rtol=1e-3)
    assert found[:3] == plain[0][:3] and found != plain[0]  # rounded in another way by XLA
    ((program, figures),) = kept
    assert len(program) == 16
    assert figures.gain > 0 and figures.compile_seconds > 0 and sealed == 2
    known, kept, sealed = paint_by_auto(tiny_weights, monkeypatch, XlaFigures(2.0), **XLA)
    assert known[:3] != plain[0][:3] and not kept and sealed == 1  # from the start
    np.testing.assert_allclose(known, plain[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("folder", "compiled", "told"),
    [
        (None, 0, "the first step took 2.5 s; compiled programs are not kept"),
        ("cache", 0, "nothing to compile; the first step took 2.5 s"),
        ("cache", 1, "compiled a program in 2.5 s, kept for later runs"),
        ("cache", 9, "compiled 9 programs in 2.5 s, kept for later runs"),
    ],
)
@pytest.mark.parametrize("uses_xla", [True, False])
def test_the_log_tells_what_xla_compiled(monkeypatch, caplog, folder, compiled, told, uses_xla):
    caplog.set_level("INFO")
    monkeypatch.setattr(loop.compile_cache, "folder", lambda: folder)
    monkeypatch.setattr(loop.compile_cache, "seal", lambda: compiled)
    loop._keep_compiled(SimpleNamespace(uses_xla=uses_xla), 2.5)
    assert caplog.messages == ([f"xla: {told}"] if uses_xla else [])


def test_tiles_are_not_left_to_measured_times(tiny_weights, monkeypatch):
    monkeypatch.setattr(XlaFigures, "pays", lambda *_: True)
    _, kept, _ = paint_by_auto(tiny_weights, monkeypatch, XlaFigures(), **TILES)
    assert not kept


# No step follows the mere sign of a small gradient: epsilon is about as large as gradients are.
@pytest.mark.parametrize(
    "settings",
    [
        {
            **{"optimizer": "adam", "epsilon": 0.01, "average": 0.5},
            **{"schedule": "cosine", "warmup_steps": 2},
        },
        {"optimizer": "sgd", "learning_rate": 0.1, "precision": "float16"},
        {"optimizer": "lbfgs", "line_search": "backtrack"},
    ],
    ids=str,
)
def test_steps_compiled_by_xla_are_those_without_it(tiny_weights, settings):
    precision = settings.get("precision", "float32")
    require_precision(precision)
    plain, compiled = (a_stage(tiny_weights, xla=xla, **XLA, **settings) for xla in (False, True))
    traced, advance = [], compiled.advance
    compiled.advance = lambda value_and_grad: traced.append(1) or advance(value_and_grad)
    start = plain.picture()
    error = distance_error(precision, convolutions=3, positions=start[..., 0].size)
    weights = {"total": sum(plain.objective.weights.values()), **plain.objective.weights}
    for steps in (1, 3):
        found, expected = compiled.run(steps), plain.run(steps)
        assert list(found) == list(expected) == list(weights)
        for name, weight in weights.items():  # a loss is the square of a distance
            apart = abs(found[name] ** 0.5 - expected[name] ** 0.5)
            assert apart < error * weight**0.5, name
    assert len(traced) == 1
    moved = np.linalg.norm(plain.picture() - start)
    assert moved > 0.05
    difference = np.linalg.norm(compiled.picture() - plain.picture())
    assert difference < switching(error, convolutions=3) * moved
