"""The problem of one picture: its network, and its objectives by scale."""

import dataclasses
import weakref

import numpy as np
import pytest

from nst_keras import Config, stylize
from nst_keras.devices import memory, precision
from nst_keras.imaging import geometry, images
from nst_keras.objective.evaluation import WholeEvaluator
from nst_keras.objective.tiled import TiledEvaluator
from nst_keras.settings.presets import PRESETS
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import picture
from tests.network.conftest import strengthened
from tests.transfer.conftest import (
    CONTENT,
    NEIGHBORS,
    SINGLE,
    STYLE,
    TEN_STEPS,
    TILED,
    make_problem,
    paint,
)

AVERAGE = dataclasses.replace(SINGLE, pooling="avg")
HALF = dataclasses.replace(SINGLE, precision="float16")
WITH_NEIGHBORS = dataclasses.replace(SINGLE, **NEIGHBORS)


def test_extractors_are_shared_where_they_are_given(tiny_weights):
    first = make_problem(tiny_weights, SINGLE)
    second = make_problem(tiny_weights, SINGLE, extractors=first.extractors)
    assert second.extractors is first.extractors


def test_a_network_that_is_in_use_is_shared_with_a_run_of_the_same_weights(tiny_weights):
    first = make_problem(tiny_weights, SINGLE)
    copied = {name: kernel.copy() for name, kernel in tiny_weights.kernels.items()}
    same = dataclasses.replace(tiny_weights, kernels=copied)
    assert make_problem(same, TEN_STEPS).extractors is first.extractors
    others = [(strengthened(tiny_weights, 2.0), SINGLE), (tiny_weights, AVERAGE)]
    if not precision.obstacle("float16"):
        others.append((tiny_weights, HALF))
    found = [make_problem(*other).extractors for other in others]
    assert len({first.extractors, *found}) == 1 + len(others)


def test_a_network_that_is_in_use_no_more_is_freed(tiny_weights):
    gone = weakref.ref(make_problem(tiny_weights, SINGLE).extractors)
    memory.free_garbage()
    assert gone() is None


def test_an_objective_is_whole_or_in_tiles(tiny_weights):
    problem = make_problem(tiny_weights, TILED)
    coarse, fine = problem.plan.scales
    assert isinstance(problem.objective(fine).evaluator, WholeEvaluator)
    assert isinstance(problem.objective(fine, 40).evaluator, TiledEvaluator)
    assert isinstance(problem.objective(coarse, 40).evaluator, WholeEvaluator)  # fits one tile


@pytest.fixture
def captured(tiny_weights, monkeypatch):
    """A problem of two scales of one size, and the sizes of what goes through its network."""
    problem, sizes = make_problem(tiny_weights, WITH_NEIGHBORS), []
    normal = problem.extractors.capture

    def capture(picture):
        sizes.append(picture.shape[1:3])
        return normal(picture)

    monkeypatch.setattr(problem.extractors, "capture", capture)
    return problem, sizes


def test_a_single_style_goes_through_the_network_once_for_a_scale(captured):
    problem, sizes = captured
    problem.objective(problem.plan.scales[0])
    assert sizes == [(32, 48), (48, 48)]  # the photo, and the style for Grams and neighbors


def test_scales_of_one_size_share_their_targets(tiny_weights, captured):
    problem, sizes = captured
    first, second = problem.plan.scales
    problem.objective(first)
    sizes.clear()
    shared = problem.objective(second)
    assert sizes == [(48, 48)]  # the style, for its neighbors by layer
    alone = make_problem(tiny_weights, WITH_NEIGHBORS).objective(second)
    image = problem.pictures.first_image()[None]
    for objective in (shared, alone):
        problem.match(objective.neighbors, second, image[0])
    assert shared.value(image) == alone.value(image)


def test_tiles_of_another_size_get_targets_of_their_own(captured):
    problem, sizes = captured
    scale = problem.plan.scales[0]
    problem.objective(scale)
    problem.objective(scale, tile_size=40)
    assert len(sizes) > 2 * 2  # of the whole pictures, and then of several tiles


def test_every_start_improves(tiny_weights):
    """By one compiled run, whose image is set to each."""
    config = Config(size=32, scales=1, iterations=8, precision="float32")
    run = None
    for init in ("content", "noise", "gray", "mean", "style", "style_stats"):
        problem = make_problem(tiny_weights, dataclasses.replace(config, init=init))
        run = run or ScaleRun(problem, problem.plan.scales[-1], problem.pictures.first_image)
        run.variable.assign(problem.pictures.first_image()[None])
        before = run.value()["total"]
        run.run(8)
        assert run.value()["total"] < before, init


def test_init_from_a_picture(tiny_weights, tmp_path):
    start = picture(64, 64, seed=5)
    images.write_image(tmp_path / "start.png", start)
    config = dataclasses.replace(
        SINGLE, iterations=1, init=str(tmp_path / "start.png"), learning_rate=1e-6
    )
    result = paint(config, tiny_weights).image
    # The center of the square, cut to 3:2.
    expected = geometry.resize(start[10:53], 32, 48)
    assert np.abs(result - expected).max() < 0.01


def test_noise_is_repeatable_and_depends_on_the_seed(tiny_weights):
    config = dataclasses.replace(SINGLE, init="noise")
    first, again = paint(config, tiny_weights).image, paint(config, tiny_weights).image
    other = make_problem(tiny_weights, dataclasses.replace(config, seed=1)).pictures.first_image()
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("objective", PRESETS)
def test_every_objective_improves_with_its_own_settings(tiny_weights, objective):
    config = Config(
        objective=objective, size=32, scales=1, iterations=12, init="noise", precision="float32"
    )
    iterates = list(stylize(CONTENT, STYLE, config, weights=tiny_weights))
    assert iterates[-1].terms["total"] < iterates[0].terms["total"]
    assert iterates[-1].image.min() >= 0 and iterates[-1].image.max() <= 1


def test_several_styles_are_blended(tiny_weights, single):
    other = picture(30, 70, seed=9)

    def blended(blend):
        config = dataclasses.replace(SINGLE, style_blend=blend)
        *_, last = stylize(CONTENT, [STYLE, other], config, weights=tiny_weights)
        return last.image

    np.testing.assert_array_equal(blended((1.0, 0.0)), single.image)
    assert np.abs(blended((1.0, 3.0)) - single.image).max() > 0.01


def test_real_weights_improve_in_three_steps():
    config = Config(size=64, scales=1, iterations=4, log_every=1, precision="float32")
    totals = [iterate.terms["total"] for iterate in stylize(CONTENT, STYLE, config)]
    assert totals == sorted(totals, reverse=True)


def test_turned_styles_are_matched_with_as_well(tiny_weights):
    style = picture(24, 40, seed=9)
    config = dataclasses.replace(SINGLE, **NEIGHBORS)
    counts, losses = [], []
    for rotate in (False, True):
        own = dataclasses.replace(config, rotate_style=rotate)
        problem = make_problem(tiny_weights, own, np.rot90(style).copy(), [style])
        run = ScaleRun(problem, problem.plan.scales[0], problem.pictures.first_image)
        counts.append(int(run.objective.neighbors.state()["neighbors"].max()) + 1)
        losses.append(run.value()["neighbors"])
    assert counts[0] <= (24 // 4) * (40 // 4) < counts[1]
    assert losses[1] < losses[0]  # the content is the style, turned
