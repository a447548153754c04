"""The problem of one picture: what becomes of its inputs at each scale, and its first image."""

import dataclasses
import weakref

import numpy as np
import pytest

from nst_keras import Config, stylize
from nst_keras.devices import memory, precision
from nst_keras.imaging import geometry, images
from nst_keras.imaging.color_match import color_statistics, match_colors
from nst_keras.imaging.recolor import recolored
from nst_keras.objective.evaluation import WholeEvaluator
from nst_keras.objective.tiled import TiledEvaluator
from nst_keras.settings.presets import PRESETS
from nst_keras.transfer import problem as problem_lib
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import picture
from tests.network.conftest import strengthened
from tests.transfer.conftest import (
    CONFIG,
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


@pytest.mark.parametrize(
    ("style_scale", "shape"), [(0.25, (50, 50, 3)), (1.0, (50, 50, 3)), (1.5, (300, 300, 3))]
)
def test_a_style_is_never_enlarged_unless_asked(tiny_weights, style_scale, shape):
    config = dataclasses.replace(CONFIG, size=200, style_scale=style_scale)
    problem = make_problem(tiny_weights, config)
    assert [style.shape for style in problem._styles] == [shape]


@pytest.mark.parametrize("size", [48, 128, 400])
@pytest.mark.parametrize("style_scale", [0.1, 1.0, 2.0])
def test_a_style_is_never_stretched(tiny_weights, style_scale, size):
    config = dataclasses.replace(SINGLE, size=size, style_scale=style_scale)
    shapes = (20, 300), (300, 16), (100, 90)
    problem = make_problem(tiny_weights, config, styles=[picture(*shape) for shape in shapes])
    for shape, style in zip(shapes, problem._styles, strict=True):
        height, width, _ = style.shape
        exact = [side * max(height, width) / max(shape) for side in shape]
        assert min(height, width) >= 16
        assert abs(height - exact[0]) <= 0.5 and abs(width - exact[1]) <= 0.5


def test_a_start_image_for_a_much_wider_picture_is_a_strip_of_it(tiny_weights):
    config = dataclasses.replace(SINGLE, size="original", init="style")
    first = make_problem(tiny_weights, config, content=picture(16, 4000)).first_image()
    assert first.shape == (16, 4000, 3)


def test_the_first_image_is_the_photo_at_the_coarsest_scale(tiny_weights):
    problem = make_problem(tiny_weights)
    first = problem.plan.scales[0]
    expected = geometry.resize(CONTENT, first.height, first.width)
    # It was reduced to the finest scale on the way.
    np.testing.assert_allclose(problem.first_image(), expected, atol=0.02)
    assert first is not problem.plan.scales[-1]


@pytest.mark.parametrize(("side", "kept"), [(400, (48, 48)), (30, (30, 30))])
def test_a_large_photo_is_reduced_at_once_and_a_small_one_not_enlarged(tiny_weights, side, kept):
    problem = make_problem(tiny_weights, content=picture(side, side))
    assert problem.references().content.shape[:2] == kept


def test_extractors_are_shared_where_they_are_given(tiny_weights):
    first = make_problem(tiny_weights, SINGLE)
    second = make_problem(tiny_weights, SINGLE, extractors=first.extractors)
    assert second.extractors is first.extractors


@pytest.mark.parametrize(("height", "width"), [(20, 3000), (3000, 21), (17, 1000), (150, 3000)])
def test_a_thin_style_keeps_its_aspect_though_it_is_reduced(tiny_weights, tmp_path, height, width):
    path = tmp_path / "thin.png"
    images.write_image(path, picture(height, width))
    config = dataclasses.replace(SINGLE, size=64)
    problem = make_problem(tiny_weights, config, styles=(str(path),))
    (fitted,) = problem._styles
    short, long = sorted(fitted.shape[:2])
    assert short >= geometry.MIN_SIDE
    exact = short * max(height, width) / min(height, width)
    assert abs(long - exact) <= 0.5 + 0.5 * max(height, width) / min(height, width)
    assert fitted.std() > 0.5 * picture(*fitted.shape[:2]).std()  # not enlarged from a few pixels


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
    image = problem.first_image()[None]
    for objective in (shared, alone):
        problem.match(objective.neighbors, second, image[0])
    assert shared.value(image) == alone.value(image)


def test_tiles_of_another_size_get_targets_of_their_own(captured):
    problem, sizes = captured
    scale = problem.plan.scales[0]
    problem.objective(scale)
    problem.objective(scale, tile_size=40)
    assert len(sizes) > 2 * 2  # of the whole pictures, and then of several tiles


def test_references_are_the_pictures_as_the_finest_scale_sees_them(tiny_weights):
    styles = [picture(90, 90, seed=3), picture(20, 30, seed=4)]
    config = dataclasses.replace(CONFIG, style_blend=(1.0, 3.0))
    found = make_problem(tiny_weights, config, styles=styles).references()
    assert found.content.shape == (32, 48, 3)
    assert [style.shape for style in found.styles] == [(48, 48, 3), (20, 30, 3)]
    assert tuple(found.style_blend) == (1.0, 3.0)
    assert tuple(found.style_layers) == CONFIG.style_layers and found.weights is tiny_weights


def test_every_start_improves(tiny_weights):
    """By one compiled run, whose image is set to each."""
    config = Config(size=32, scales=1, iterations=8, precision="float32")
    run = None
    for init in ("content", "noise", "gray", "mean", "style", "style_stats"):
        problem = make_problem(tiny_weights, dataclasses.replace(config, init=init))
        run = run or ScaleRun(problem, problem.plan.scales[-1], problem.first_image)
        run.variable.assign(problem.first_image()[None])
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
    other = make_problem(tiny_weights, dataclasses.replace(config, seed=1)).first_image()
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


def test_a_content_that_is_cropped_is_its_square_middle(tiny_weights):
    config = dataclasses.replace(SINGLE, fit="crop", iterations=1, learning_rate=1e-6)
    image = paint(config, tiny_weights).image
    height, width = CONTENT.shape[:2]
    left = (width - height) // 2
    square = CONTENT[:, left : left + height]
    assert image.shape[0] == image.shape[1] == CONFIG.size
    assert np.abs(image - geometry.resize(square, *image.shape[:2])).max() < 0.01


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


def test_a_long_evaluation_logs_how_far_it_is(monkeypatch, caplog):
    caplog.set_level("INFO")
    now = [100.0]
    monkeypatch.setattr(problem_lib.time, "monotonic", lambda: now[0])
    report = problem_lib.TileProgress()
    for done, seconds in ((1, 10), (2, 25), (3, 5), (4, 31), (5, 40), (6, 40), (1, 29), (2, 2)):
        now[0] += seconds
        report(done, 6)
    assert [record.getMessage().split("tile ")[1] for record in caplog.records] == [
        *("2 of 6", "4 of 6", "5 of 6", "2 of 6")
    ]


def test_an_enlarged_image_may_get_the_contents_detail_back(tiny_weights):
    plain, detailed = (
        make_problem(tiny_weights, dataclasses.replace(CONFIG, content_detail=share))
        for share in (0.0, 1.0)
    )
    coarse, fine = plain.plan.scales
    content = geometry.resize(CONTENT, fine.height, fine.width)
    reduced = geometry.resize(content, coarse.height, coarse.width)
    enlarged = geometry.resize(reduced, fine.height, fine.width)
    np.testing.assert_array_equal(plain.enlarged(reduced, fine), enlarged)
    # Of the content itself, all of its detail comes back.
    np.testing.assert_allclose(detailed.enlarged(reduced, fine), content, atol=1e-6)
    np.testing.assert_array_equal(detailed.enlarged(content, fine), content)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_photo_takes_on_the_colors_of_the_styles_but_is_scored_as_it_was(tiny_weights, share):
    config = dataclasses.replace(SINGLE, style_colors=share, style_blend=(1, 3))
    styles = [STYLE, picture(32, 32, seed=8)]
    problem = make_problem(tiny_weights, config, CONTENT, styles)
    photo = problem.references().content
    colors = color_statistics(problem.references().styles, (1, 3))
    expected = match_colors(photo, color_statistics([photo]), colors, share)
    np.testing.assert_allclose(problem.first_image(), expected, atol=1e-6)
    moved = np.abs(problem.first_image() - photo).max()
    assert (moved > 0.05) == (share > 0)
    np.testing.assert_array_equal(photo, geometry.resize(CONTENT, *photo.shape[:2]))


def test_turned_styles_are_matched_with_as_well(tiny_weights):
    style = picture(24, 40, seed=9)
    config = dataclasses.replace(SINGLE, **NEIGHBORS)
    counts, losses = [], []
    for rotate in (False, True):
        own = dataclasses.replace(config, rotate_style=rotate)
        problem = make_problem(tiny_weights, own, np.rot90(style).copy(), [style])
        run = ScaleRun(problem, problem.plan.scales[0], problem.first_image)
        counts.append(int(run.objective.neighbors.state()["neighbors"].max()) + 1)
        losses.append(run.value()["neighbors"])
    assert counts[0] <= (24 // 4) * (40 // 4) < counts[1]
    assert losses[1] < losses[0]  # the content is the style, turned


@pytest.mark.parametrize("color", ["content", "content_exact", "histogram"])
def test_a_photo_that_keeps_its_colors_is_painted_in_them(tiny_weights, color):
    config = dataclasses.replace(SINGLE, color=color, style_colors=0.6)
    problem = make_problem(tiny_weights, config, CONTENT, [STYLE])
    np.testing.assert_array_equal(problem.first_image(), problem.references().content)


def test_styles_get_the_colors_of_the_photo_before_they_are_used(tiny_weights):
    config = dataclasses.replace(SINGLE, color="content", color_strength=0.6)
    problem = make_problem(tiny_weights, config, CONTENT, [STYLE])
    plain = make_problem(tiny_weights, SINGLE, CONTENT, [STYLE]).references()
    (found,) = problem.references().styles
    expected = recolored(plain.styles[0], plain.content, "content", 0.6)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - plain.styles[0]).max() > 0.05


@pytest.mark.parametrize("color", ["style", "content", "content_exact", "histogram"])
def test_what_is_shown_may_have_the_colors_of_the_photo(tiny_weights, single, color):
    config = dataclasses.replace(SINGLE, color=color, color_strength=0.5)
    last = paint(config, tiny_weights)
    if color in ("style", "content"):
        np.testing.assert_array_equal(last.image, last.painted)
        return
    photo = last.references().content
    expected = recolored(last.painted, photo, color, 0.5)
    np.testing.assert_array_equal(last.image, expected)
    np.testing.assert_array_equal(last.painted, single.image)  # what is optimized is the same
