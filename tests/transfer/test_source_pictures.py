"""The photo and the paintings at each size, and what is shown of a picture."""

import dataclasses

import numpy as np
import pytest

from nst_keras.imaging import geometry, images
from nst_keras.imaging.color_match import color_statistics, match_colors
from nst_keras.imaging.recolor import recolored
from tests.conftest import picture
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    SINGLE,
    STYLE,
    make_problem,
    paint,
)


@pytest.mark.parametrize(
    ("style_scale", "shape"), [(0.25, (50, 50, 3)), (1.0, (50, 50, 3)), (1.5, (300, 300, 3))]
)
def test_a_style_is_never_enlarged_unless_asked(tiny_weights, style_scale, shape):
    config = dataclasses.replace(CONFIG, size=200, style_scale=style_scale)
    problem = make_problem(tiny_weights, config)
    assert [style.shape for style in problem.references().styles] == [shape]


@pytest.mark.parametrize("size", [48, 128, 400])
@pytest.mark.parametrize("style_scale", [0.1, 1.0, 2.0])
def test_a_style_is_never_stretched(tiny_weights, style_scale, size):
    config = dataclasses.replace(SINGLE, size=size, style_scale=style_scale)
    shapes = (20, 300), (300, 16), (100, 90)
    problem = make_problem(tiny_weights, config, styles=[picture(*shape) for shape in shapes])
    for shape, style in zip(shapes, problem.references().styles, strict=True):
        height, width, _ = style.shape
        exact = [side * max(height, width) / max(shape) for side in shape]
        assert min(height, width) >= 16
        assert abs(height - exact[0]) <= 0.5 and abs(width - exact[1]) <= 0.5


def test_a_start_image_for_a_much_wider_picture_is_a_strip_of_it(tiny_weights):
    config = dataclasses.replace(SINGLE, size="original", init="style")
    first = make_problem(tiny_weights, config, content=picture(16, 4000)).pictures.first_image()
    assert first.shape == (16, 4000, 3)


def test_the_first_image_is_the_photo_at_the_coarsest_scale(tiny_weights):
    problem = make_problem(tiny_weights)
    first = problem.plan.scales[0]
    expected = geometry.resize(CONTENT, first.height, first.width)
    # It was reduced to the finest scale on the way.
    np.testing.assert_allclose(problem.pictures.first_image(), expected, atol=0.02)
    assert first is not problem.plan.scales[-1]


@pytest.mark.parametrize(("side", "kept"), [(400, (48, 48)), (30, (30, 30))])
def test_a_large_photo_is_reduced_at_once_and_a_small_one_not_enlarged(tiny_weights, side, kept):
    problem = make_problem(tiny_weights, content=picture(side, side))
    assert problem.references().content.shape[:2] == kept


@pytest.mark.parametrize(("height", "width"), [(20, 3000), (3000, 21), (17, 1000), (150, 3000)])
def test_a_thin_style_keeps_its_aspect_though_it_is_reduced(tiny_weights, tmp_path, height, width):
    path = tmp_path / "thin.png"
    images.write_image(path, picture(height, width))
    config = dataclasses.replace(SINGLE, size=64)
    problem = make_problem(tiny_weights, config, styles=(str(path),))
    (fitted,) = problem.references().styles
    short, long = sorted(fitted.shape[:2])
    assert short >= geometry.MIN_SIDE
    exact = short * max(height, width) / min(height, width)
    assert abs(long - exact) <= 0.5 + 0.5 * max(height, width) / min(height, width)
    assert fitted.std() > 0.5 * picture(*fitted.shape[:2]).std()  # not enlarged from a few pixels


def test_references_are_the_pictures_as_the_finest_scale_sees_them(tiny_weights):
    styles = [picture(90, 90, seed=3), picture(20, 30, seed=4)]
    config = dataclasses.replace(CONFIG, style_blend=(1.0, 3.0))
    found = make_problem(tiny_weights, config, styles=styles).references()
    assert found.content.shape == (32, 48, 3)
    assert [style.shape for style in found.styles] == [(48, 48, 3), (20, 30, 3)]
    assert tuple(found.style_blend) == (1.0, 3.0)
    assert tuple(found.style_layers) == CONFIG.style_layers and found.weights is tiny_weights


def test_a_content_that_is_cropped_is_its_square_middle(tiny_weights):
    config = dataclasses.replace(SINGLE, fit="crop", iterations=1, learning_rate=1e-6)
    image = paint(config, tiny_weights).image
    height, width = CONTENT.shape[:2]
    left = (width - height) // 2
    square = CONTENT[:, left : left + height]
    assert image.shape[0] == image.shape[1] == CONFIG.size
    assert np.abs(image - geometry.resize(square, *image.shape[:2])).max() < 0.01


def test_an_enlarged_image_may_get_the_contents_detail_back(tiny_weights):
    plain, detailed = (
        make_problem(tiny_weights, dataclasses.replace(CONFIG, content_detail=share))
        for share in (0.0, 1.0)
    )
    coarse, fine = plain.plan.scales
    content = geometry.resize(CONTENT, fine.height, fine.width)
    reduced = geometry.resize(content, coarse.height, coarse.width)
    enlarged = geometry.resize(reduced, fine.height, fine.width)
    np.testing.assert_array_equal(plain.pictures.enlarged(reduced, fine), enlarged)
    # Of the content itself, all of its detail comes back.
    np.testing.assert_allclose(detailed.pictures.enlarged(reduced, fine), content, atol=1e-6)
    np.testing.assert_array_equal(detailed.pictures.enlarged(content, fine), content)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_photo_takes_on_the_colors_of_the_styles_but_is_scored_as_it_was(tiny_weights, share):
    config = dataclasses.replace(SINGLE, style_colors=share, style_blend=(1, 3))
    styles = [STYLE, picture(32, 32, seed=8)]
    problem = make_problem(tiny_weights, config, CONTENT, styles)
    photo = problem.references().content
    colors = color_statistics(problem.references().styles, (1, 3))
    expected = match_colors(photo, color_statistics([photo]), colors, share)
    np.testing.assert_allclose(problem.pictures.first_image(), expected, atol=1e-6)
    moved = np.abs(problem.pictures.first_image() - photo).max()
    assert (moved > 0.05) == (share > 0)
    np.testing.assert_array_equal(photo, geometry.resize(CONTENT, *photo.shape[:2]))


@pytest.mark.parametrize("color", ["content", "content_exact", "histogram"])
def test_a_photo_that_keeps_its_colors_is_painted_in_them(tiny_weights, color):
    config = dataclasses.replace(SINGLE, color=color, style_colors=0.6)
    problem = make_problem(tiny_weights, config, CONTENT, [STYLE])
    np.testing.assert_array_equal(problem.pictures.first_image(), problem.references().content)


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
