"""The image that a run starts from: every start, noise added, and the statistics of styles."""

import numpy as np
import pytest

from nst_keras import Config
from nst_keras.settings import config as config_lib
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.first_image import initial_image
from tests.conftest import picture

PHOTO = picture(24, 32, seed=1)
STYLES = [picture(40, 30, seed=2), picture(13, 50, seed=3)]
MEAN_COLOR = (0.485, 0.456, 0.406)


def make(init, *, content=PHOTO, styles=STYLES, image=None, mean_color=MEAN_COLOR, **options):
    """The first image for a content."""
    settings = resolve(Config(init=init, **options))
    return initial_image(settings, content, styles, image, mean_color)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("init", [*config_lib.INITS, "a.png"])
def test_every_start_is_float32_in_range_and_of_the_contents_size(init, noise):
    image = make(init, image=picture(50, 20), init_noise=noise)
    assert (image.dtype, image.shape) == (np.float32, PHOTO.shape)
    assert image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("init", [*config_lib.INITS, "a.png"])
def test_a_start_repeats_with_its_seed(init, noise):
    one, two, other = (
        make(init, seed=seed, init_noise=noise, image=STYLES[1]) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, two)
    random = noise or init in ("noise", "style_stats")
    assert (one != other).mean() > 0.5 if random else (one == other).all()


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("init", [*config_lib.INITS, "a.png"])
def test_the_inputs_are_left_as_they_are(init, noise):
    content, style, own = PHOTO.copy(), PHOTO * 0.5, PHOTO * 0.9  # of one size: no resizing
    kept = [one.copy() for one in (content, style, own)]
    image = make(init, content=content, styles=[style], image=own, init_noise=noise)
    for before, after in zip(kept, (content, style, own), strict=True):
        np.testing.assert_array_equal(after, before)
        assert not np.shares_memory(image, after)


def test_content_is_the_content():
    np.testing.assert_array_equal(make("content"), PHOTO)


def test_noise_is_uniform():
    image = make("noise", content=picture(64, 64), seed=3)
    assert abs(image.mean() - 0.5) < 0.02 and abs(image.var() - 1 / 12) < 0.01
    assert image.min() < 0.01 and image.max() > 0.99


def test_gray_is_flat_at_the_contents_mean():
    image = make("gray")
    assert np.ptp(image) == 0
    np.testing.assert_allclose(image[0, 0, 0], PHOTO.astype(np.float64).mean(), rtol=1e-5)


def test_mean_is_flat_in_the_mean_color():
    image = make("mean")
    assert np.ptp(image, axis=(0, 1)).max() == 0
    np.testing.assert_allclose(image[0, 0], MEAN_COLOR, rtol=1e-6)


def test_a_style_of_the_right_aspect_is_resized_whole():
    small = np.repeat(np.repeat(PHOTO[::2, ::2], 4, axis=0), 4, axis=1)  # 48x64
    image = make("style", styles=[small])
    assert abs(image.mean() - small.mean()) < 0.01


def test_style_is_the_first_style_whatever_the_blend():
    red, blue = (np.zeros((30, 30, 3), np.float32) + np.eye(3, dtype=np.float32)[i] for i in (0, 2))
    image = make("style", styles=[red, blue], style_blend=[0.1, 0.9])
    np.testing.assert_allclose(image, np.broadcast_to([1.0, 0, 0], PHOTO.shape), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(24, 96), (72, 32)])
def test_a_picture_is_cut_from_its_middle_and_not_stretched(height, width):
    image = np.zeros((height, width, 3), np.float32)
    top, left = (height - 24) // 2, (width - 32) // 2
    image[top : top + 24, left : left + 32] = PHOTO
    np.testing.assert_array_equal(make("a.png", image=image), PHOTO)


def test_a_picture_wins_over_the_style_unless_the_style_is_asked_for():
    red = np.zeros((24, 32, 3), np.float32) + np.float32([1, 0, 0])
    np.testing.assert_array_equal(make("red.png", image=red), red)
    assert np.abs(make("style", image=red) - red).mean() > 0.1


# Noise added


@pytest.mark.parametrize("init", ["content", "gray", "mean", "style", "a.png"])
def test_init_noise_is_normal_and_of_that_deviation(init):
    content = np.full((96, 96, 3), 0.5, np.float32)
    flat = {"content": content, "styles": [content], "image": content, "mean_color": [0.5] * 3}
    image = make(init, init_noise=0.05, **flat)
    added = image.astype(np.float64) - 0.5
    assert abs(added.mean()) < 2e-3
    assert abs(added.std() - 0.05) < 2e-3
    assert abs((np.abs(added) < 0.05).mean() - 0.683) < 0.02
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.05


def test_init_noise_is_added_to_noise_of_its_own():
    plain, noisy = make("style_stats", seed=5), make("style_stats", seed=5, init_noise=0.02)
    inside = (noisy > 0) & (noisy < 1) & (plain > 0) & (plain < 1)
    added = (noisy - plain)[inside]
    assert abs(added.std() - 0.02) < 2e-3
    assert abs(np.corrcoef(added, plain[inside])[0, 1]) < 0.1


def test_init_noise_of_zero_changes_nothing():
    np.testing.assert_array_equal(make("gray", init_noise=0.0), make("gray"))
    assert (make("content", init_noise=1e-3) != PHOTO).mean() > 0.9


# The statistics of styles


def gentle(height, width, mean, deviation, seed):
    """A picture of a mean and a deviation of each channel, well within [0, 1]."""
    random = np.random.default_rng(seed).standard_normal((height, width, 3))
    random = (random - random.mean((0, 1))) / random.std((0, 1))
    return (np.array(mean) + np.array(deviation) * random).astype(np.float32)


def test_style_stats_has_the_mean_and_deviation_of_each_channel():
    style = gentle(30, 40, (0.4, 0.5, 0.6), (0.1, 0.05, 0.02), seed=1)
    image = make("style_stats", content=picture(128, 128), styles=[style])
    np.testing.assert_allclose(image.mean((0, 1)), (0.4, 0.5, 0.6), atol=3e-3)
    np.testing.assert_allclose(image.std((0, 1)), (0.1, 0.05, 0.02), rtol=0.03)


@pytest.mark.parametrize("blend", [[1.0, 1.0], [3.0, 1.0], [0.2, 0.6]])
def test_blended_styles_count_as_one_picture_of_them_side_by_side(blend):
    one = gentle(30, 40, (0.4, 0.5, 0.6), (0.05, 0.03, 0.02), seed=1)
    two = gentle(20, 10, (0.5, 0.5, 0.45), (0.02, 0.06, 0.02), seed=2)
    # As often in one picture as their shares say, whatever their sizes.
    times = round(6 * one[..., 0].size / two[..., 0].size * blend[1] / blend[0])
    together = np.concatenate([*[one.reshape(-1, 3)] * 6, *[two.reshape(-1, 3)] * times])
    image = make(
        "style_stats", content=picture(128, 128), styles=[one, two], style_blend=blend
    ).reshape(-1, 3)
    np.testing.assert_allclose(image.mean(0), together.mean(0), atol=3e-3)
    np.testing.assert_allclose(image.std(0), together.std(0), rtol=0.03)
    # The means' own distance is part of it: red deviates by more than either style.
    assert image.std(0)[0] > 0.045


def test_a_style_of_no_weight_does_not_count():
    other = np.zeros((9, 9, 3), np.float32)
    both = make("style_stats", styles=[STYLES[0], other], style_blend=[2.0, 0.0])
    np.testing.assert_allclose(both, make("style_stats", styles=STYLES[:1]), atol=1e-6)


def test_a_flat_style_gives_a_flat_start():
    flat = np.full((16, 16, 3), np.float32([0.9, 0.3, 0.7]))
    image = make("style_stats", styles=[flat])
    np.testing.assert_allclose(image, np.broadcast_to([0.9, 0.3, 0.7], image.shape), atol=1e-3)


def test_channels_of_style_stats_are_independent_noise():
    image = make("style_stats", content=picture(96, 96))
    pixels = image.reshape(-1, 3)
    assert np.abs(np.corrcoef(pixels.T)[np.triu_indices(3, 1)]).max() < 0.05
