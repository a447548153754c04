"""The problem of one picture: what becomes of its inputs at each scale."""

import dataclasses

import numpy as np
import pytest

from nst_keras import Config, stylize
from nst_keras.imaging import geometry, images
from nst_keras.objective.evaluation import WholeEvaluator
from nst_keras.objective.tiled import TiledEvaluator
from nst_keras.settings.presets import PRESETS
from tests.conftest import picture
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    SINGLE,
    STYLE,
    TILED,
    make_problem,
    paint,
)


@pytest.mark.parametrize(
    ("style_scale", "shape"), [(0.25, (50, 50, 3)), (1.0, (50, 50, 3)), (1.5, (300, 300, 3))]
)
def test_a_style_is_never_enlarged_unless_asked(tiny_weights, style_scale, shape):
    config = dataclasses.replace(CONFIG, size=200, style_scale=style_scale)
    problem = make_problem(tiny_weights, config)
    assert problem._fit_style(STYLE, problem.plan.scales[-1]).shape == shape


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


def test_an_objective_is_whole_or_in_tiles(tiny_weights):
    problem = make_problem(tiny_weights, TILED)
    coarse, fine = problem.plan.scales
    assert isinstance(problem.objective(fine).evaluator, WholeEvaluator)
    assert isinstance(problem.objective(fine, 40).evaluator, TiledEvaluator)
    assert isinstance(problem.objective(coarse, 40).evaluator, WholeEvaluator)  # fits one tile


def test_references_are_the_pictures_as_the_finest_scale_sees_them(tiny_weights):
    styles = [picture(90, 90, seed=3), picture(20, 30, seed=4)]
    config = dataclasses.replace(CONFIG, style_blend=(1.0, 3.0))
    found = make_problem(tiny_weights, config, styles=styles).references()
    assert found.content.shape == (32, 48, 3)
    assert [style.shape for style in found.styles] == [(48, 48, 3), (20, 30, 3)]
    assert tuple(found.style_blend) == (1.0, 3.0)
    assert tuple(found.style_layers) == CONFIG.style_layers and found.weights is tiny_weights


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
        SINGLE, iterations=1, init=str(tmp_path / "start.png"), learning_rate=1e-6
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


def test_several_styles_are_blended(tiny_weights):
    other = picture(30, 70, seed=9)

    def blended(blend):
        config = dataclasses.replace(SINGLE, style_blend=blend)
        *_, last = stylize(CONTENT, [STYLE, other], config, weights=tiny_weights)
        return last.image

    alone = paint(SINGLE, tiny_weights).image
    np.testing.assert_array_equal(blended((1.0, 0.0)), alone)
    assert np.abs(blended((1.0, 3.0)) - alone).max() > 0.01


def test_real_weights_improve_in_three_steps():
    config = Config(size=64, scales=1, iterations=4, log_every=1, precision="float32")
    totals = [iterate.terms["total"] for iterate in stylize(CONTENT, STYLE, config)]
    assert totals == sorted(totals, reverse=True)
