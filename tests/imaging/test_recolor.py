"""Pictures in the colors of a photo."""

import numpy as np
import pytest

from nst_keras.imaging import oklab, recolor
from nst_keras.imaging.color_match import color_statistics
from nst_keras.imaging.recolor import KINDS, recolored


def picture(seed, height=24, width=36, spread=0.06):
    """A smooth picture well inside of [0, 1]."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(0, spread, (height, width, 3)) @ rng.normal(0, 1, (3, 3))
    return np.clip(rng.uniform(0.4, 0.6, 3) + mixed, 0.1, 0.9).astype(np.float32)


PICTURE, PHOTO = picture(1), picture(2, spread=0.03)  # no axis has three times the contrast


@pytest.fixture(autouse=True)
def short_strips(monkeypatch):
    monkeypatch.setattr(recolor, "_STRIP_PIXELS", 36 * 5)


@pytest.mark.parametrize("kind", KINDS)
def test_without_strength_the_picture_stays(kind):
    found = recolored(PICTURE, PHOTO, kind, 0.0)
    assert found.dtype == np.float32 and found.shape == PICTURE.shape
    np.testing.assert_allclose(found, PICTURE, atol=1e-6)


def test_content_has_the_mean_and_covariance_of_the_photo():
    found = color_statistics([recolored(PICTURE, PHOTO, "content")])
    expected = color_statistics([PHOTO])
    np.testing.assert_allclose(found.mean, expected.mean, atol=5e-3)  # some values are clipped
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-3)


def test_content_exact_has_the_lightness_of_the_picture_and_the_colors_of_the_photo():
    found = oklab.to_oklab(recolored(PICTURE, PHOTO, "content_exact"))
    own, of_photo = oklab.to_oklab(PICTURE), oklab.to_oklab(PHOTO)
    np.testing.assert_allclose(found[..., 0], own[..., 0], atol=1e-3)
    # Chroma is reduced where sRGB does not have it: few of these colors.
    apart = np.abs(found[..., 1:] - of_photo[..., 1:]).max(axis=-1)
    assert np.mean(apart) < 0.01 and np.mean(apart < 1e-4) > 0.9


def test_half_the_strength_is_half_way():
    found = oklab.to_oklab(recolored(PICTURE, PHOTO, "content_exact", 0.5))
    expected = (oklab.to_oklab(PICTURE) + oklab.to_oklab(PHOTO)) / 2
    apart = np.abs(found[..., 1:] - expected[..., 1:]).max(axis=-1)
    assert np.mean(apart < 1e-4) > 0.95


def test_histogram_has_the_distributions_of_the_photo():
    found = oklab.to_oklab(recolored(PICTURE, PHOTO, "histogram")).reshape(-1, 3)
    expected = oklab.to_oklab(PHOTO).reshape(-1, 3)
    for axis in range(3):
        for share in (0.1, 0.5, 0.9):
            own, other = (np.quantile(it[:, axis], share) for it in (found, expected))
            assert own == pytest.approx(other, abs=0.01)


def test_the_photo_may_have_another_size():
    def ramp(height, width):  # sampled at the centers of pixels
        rows, columns = (np.arange(0.5, side) / side for side in (height, width))
        ramps = np.broadcast_arrays(rows[:, None], columns, 0.3 + 0.2 * columns)
        return (0.2 + 0.5 * np.stack(ramps, -1)).astype(np.float32)

    for kind in KINDS:
        small, large = (recolored(PICTURE, ramp(*size), kind) for size in ((24, 36), (48, 72)))
        np.testing.assert_allclose(small[2:-2, 2:-2], large[2:-2, 2:-2], atol=2e-2)


GRAY = np.repeat(PICTURE[..., :1], 3, axis=2)
FLAT = np.full_like(PICTURE, 0.3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pair", [(GRAY, PHOTO), (PICTURE, GRAY), (FLAT, PHOTO), (PICTURE, FLAT)])
def test_gray_pictures_and_those_of_one_color_give_finite_ones(kind, pair):
    for strength in (0.3, 1.0):
        found = recolored(*pair, kind, strength)
        assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def test_a_gray_photo_takes_all_color_from_the_picture():
    found = oklab.to_oklab(recolored(PICTURE, GRAY, "content_exact"))
    np.testing.assert_allclose(found[..., 1:], 0.0, atol=1e-6)
