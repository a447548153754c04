"""What becomes of a job's pictures at each scale."""

import dataclasses

import numpy as np
import pytest

from nst_keras.imaging import geometry
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import scales
from nst_keras.transfer.problem import FeatureExtractors, StyleTransferProblem
from tests.conftest import picture
from tests.transfer.test_loop import CONFIG, CONTENT, STYLE


def painter_of(weights, content=CONTENT, **settings):
    """A painter of a job, and its config."""
    config = resolve(dataclasses.replace(CONFIG, **settings))
    plan = scales.plan_job(config, content.shape[:2])
    return StyleTransferProblem(config, content, [STYLE], FeatureExtractors(config, weights), plan)


@pytest.mark.parametrize(
    ("style_scale", "shape"), [(0.25, (50, 50, 3)), (1.0, (50, 50, 3)), (1.5, (300, 300, 3))]
)
def test_style_is_never_enlarged_unless_asked(tiny_weights, style_scale, shape):
    painter = painter_of(tiny_weights, size=200, style_scale=style_scale)
    assert painter._fit_style(STYLE, painter.plan[-1]).shape == shape


def test_the_first_image_is_the_photo_at_the_coarsest_scale(tiny_weights):
    painter = painter_of(tiny_weights)
    first = painter.plan[0]
    expected = geometry.resize(CONTENT, first.height, first.width)
    # It was reduced to the finest scale on the way.
    np.testing.assert_allclose(painter.first_image(), expected, atol=0.02)
    assert first is not painter.plan[-1]


@pytest.mark.parametrize(("side", "kept"), [(400, (48, 48)), (30, (30, 30))])
def test_a_large_photo_is_reduced_at_once_and_a_small_one_not_enlarged(tiny_weights, side, kept):
    assert painter_of(tiny_weights, picture(side, side))._content.shape[:2] == kept
