"""Each figure against numbers by hand or NumPy, and how they order pictures of known faults."""

import dataclasses
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.imaging import geometry, images
from nst_keras.network import extractor as extractor_lib
from nst_keras.network import weights as weights_lib
from nst_keras.runs import scores
from nst_keras.runs.score_table import HELD_OUT, SCORES
from nst_keras.runtime.errors import InputError
from nst_keras.transfer.iterate import References
from tests.conftest import picture

SAMPLES = Path(__file__).parent.parent.parent / "configs/images"
RNG = np.random.default_rng(0)
CONTENT, STYLE, OTHER = (picture(48, 64, seed=seed) for seed in (1, 2, 3))


@pytest.fixture(scope="module")
def scorer(tiny_weights):
    return scores.Scorer(tiny_weights)


def flat(*color, size=(16, 24)):
    return np.full((*size, 3), color or 0.5, np.float32)


def with_noise(pixels, deviation=0.2):
    rng = np.random.default_rng(7)
    return np.clip(pixels + rng.normal(0, deviation, pixels.shape), 0, 1).astype(np.float32)


def blurred(pixels):
    height, width = pixels.shape[:2]
    return geometry.resize(geometry.resize(pixels, height // 4, width // 4), height, width)


def numpy_ssim(a, b):
    """Equations 13 to 17 of Wang et al. 2004, window by window."""
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    values = []
    for top, left in itertools.product(range(a.shape[0] - 10), range(a.shape[1] - 10)):
        x, y = (one[top : top + 11, left : left + 11] for one in (a, b))
        mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
        var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
        covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
        lightness = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
        values.append(lightness * (2 * covariance + 9e-4) / (var_x + var_y + 9e-4))
    return np.mean(values)


# Figures.


def test_gram_error_is_the_squared_frobenius_ratio():
    target, gram = np.array([[2.0, 0], [0, 0]]), np.array([[1.0, 1], [1, 0]])
    assert scores.gram_error(gram, target) == (1 + 1 + 1) / 4
    assert scores.gram_error(target, target) == 0
    assert scores.gram_error(np.zeros((2, 2)), target) == 1
    assert np.isfinite(scores.gram_error(gram, np.zeros((2, 2))))


def test_content_cosine_is_that_of_centered_features():
    a = np.array([[[0.0, 5]], [[2, 5]]])  # channels at two positions: less their means, -1 and 1
    b = np.array([[[3.0, 0]], [[1, 2]]])  # 1 and -1, -1 and 1
    np.testing.assert_allclose(scores.content_cosine(a, b), -2 / np.sqrt(2 * 4))


def test_content_cosine_knows_things_by_their_place_alone():
    features, other = (np.maximum(RNG.normal(0, 1, (6, 8, 32)), 0) for _ in range(2))
    restyled = 3 * features + RNG.normal(0, 5, 32)
    np.testing.assert_allclose(scores.content_cosine(restyled, features), 1)
    assert abs(scores.content_cosine(other, features)) < 0.1  # plainly it would be 1 / pi
    assert scores.content_cosine(np.ones_like(features), features) == 0


@pytest.mark.parametrize("size", [(16, 16), (17, 30)])
def test_ssim_is_that_of_the_paper(size):
    a = RNG.random((*size, 3), dtype=np.float32)
    b = with_noise(a)
    expected = numpy_ssim(*(one @ np.array([0.299, 0.587, 0.114]) for one in (a, b)))
    np.testing.assert_allclose(scores.ssim(a, b), expected, rtol=1e-4)
    assert scores.ssim(a, a) == pytest.approx(1)


def test_edges_are_gradients_under_a_gaussian():
    pixels = np.zeros((16, 20, 3), np.float32)
    pixels[7, 9] = 1
    row, column = (
        np.exp(-((np.arange(size) - at) ** 2) / (2 * 1.5**2)) * (abs(np.arange(size) - at) <= 5)
        for size, at in ((16, 7), (20, 9))
    )
    along_y, along_x = np.gradient(np.outer(row / row.sum(), column / column.sum()))
    expected = np.sqrt(along_y**2 + along_x**2)
    np.testing.assert_allclose(scores._edges(pixels), expected, atol=1e-7)


def test_edge_correlation_sees_outlines_and_not_light():
    assert scores.edge_correlation(CONTENT, CONTENT) == pytest.approx(1)
    assert scores.edge_correlation(1 - 0.5 * CONTENT, CONTENT) == pytest.approx(1)
    left, right = flat(0.2, 0.2, 0.2), flat(0.2, 0.2, 0.2)
    left[:, 6:], right[:, 18:] = 0.8, 0.8
    assert scores.edge_correlation(left, right) < 0
    assert scores.edge_correlation(flat(), CONTENT[:16, :24]) == 0
    assert scores.edge_correlation(flat(), flat(0.1, 0.9, 0.3)) == 0


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_lab_of_known_colors(color, expected):
    np.testing.assert_allclose(scores.lab(np.array(color, float)), expected, atol=0.02)


def test_color_distance_is_the_mean_of_sorted_differences():
    a, b = picture(20, 24, seed=1), picture(20, 24, seed=2)
    directions = [d for d in itertools.product((-1, 0, 1), repeat=3) if d > (0, 0, 0)]
    assert len(directions) == 13
    gaps = []
    for direction in np.array(directions):
        along = (scores.lab(one).reshape(-1, 3) @ direction for one in (a, b))
        first, second = (np.sort(values) / np.linalg.norm(direction) for values in along)
        gaps.append(np.abs(first - second).mean())
    found = scores.color_distance(a, [b], [1.0])
    np.testing.assert_allclose(found, np.mean(gaps), atol=0.1)  # bins are 0.5 wide


def test_color_distance_does_not_ask_for_places_or_sizes():
    shuffled = RNG.permutation(STYLE.reshape(-1, 3)).reshape(64, 48, 3)
    assert scores.color_distance(shuffled, [STYLE], [1.0]) == pytest.approx(0, abs=1e-9)
    larger = STYLE.repeat(2, axis=0).repeat(3, axis=1)
    assert scores.color_distance(larger, [STYLE], [1.0]) == pytest.approx(0, abs=1e-9)


def test_color_distance_of_a_shift_is_about_half_of_it():
    darker = scores.color_distance(flat(0.5, 0.5, 0.5), [flat(1, 1, 1)], [1.0])
    assert darker == pytest.approx((100 - 53.39) / 2, rel=0.1)


def test_color_distance_is_to_the_mixture():
    black, white = flat(0, 0, 0), flat(1, 1, 1)
    striped = black.copy()
    striped[:4] = 1
    assert scores.color_distance(striped, [white, black], [0.25, 0.75]) == pytest.approx(0)
    assert scores.color_distance(striped, [white, black], [0.75, 0.25]) > 10


def test_color_distance_sees_which_channels_go_together():
    together, apart = flat(), flat()
    together[:8], together[8:] = (0.8, 0.8, 0.2), (0.2, 0.2, 0.2)
    apart[:8], apart[8:] = (0.8, 0.2, 0.2), (0.2, 0.8, 0.2)  # the same channels, one by one
    assert scores.color_distance(together, [apart], [1.0]) > 5


def test_total_variation_by_hand():
    pixels = np.zeros((3, 4, 3), np.float32)
    pixels[:, 1::2] = 0.5  # 3 steps in each row, none down
    assert scores.total_variation(pixels) == pytest.approx(0.5)
    pixels[1] += 0.1
    assert scores.total_variation(pixels) == pytest.approx(0.6)


@pytest.mark.parametrize(("cycles", "expected"), [(1 / 8, 0), (3 / 8, 1)])
@pytest.mark.parametrize("axis", [0, 1])
def test_high_frequency_of_waves(cycles, expected, axis):
    wave = 0.5 + 0.4 * np.sin(2 * np.pi * cycles * np.arange(48))
    pixels = np.broadcast_to(wave[:, None, None], (48, 48, 3))
    found = scores.high_frequency(pixels.swapaxes(0, axis))
    assert found == pytest.approx(expected, abs=0.01)


def test_high_frequency_of_noise_of_a_ramp_and_of_nothing():
    noise = np.random.default_rng(0).random((128, 100, 3))
    assert scores.high_frequency(noise) == pytest.approx(1 - np.pi / 16, abs=0.02)
    ramp = np.broadcast_to(np.linspace(0, 1, 48)[:, None, None], (48, 40, 3))
    assert scores.high_frequency(ramp) < 1e-4  # though it jumps from border to border
    assert scores.high_frequency(flat()) < 1e-9


def test_held_out_layers_may_be_chosen(tiny_weights):
    found = scores.Scorer(tiny_weights, ["relu1_2", "block5_conv1"]).score(CONTENT, STYLE, [STYLE])
    grams = [name for name in found if name.startswith("gram_error/")]
    assert grams == ["gram_error/block1_conv2", "gram_error/block5_conv1"]
    assert "gram_error" not in str(
        list(scores.Scorer(tiny_weights, ()).score(STYLE, STYLE, [STYLE]))
    )
    with pytest.raises(InputError, match="block3_conv9"):
        scores.Scorer(tiny_weights, ["block3_conv9"])


def test_scores_of_many_runs_cause_no_warning_of_tensorflow(tiny_weights, caplog):
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for size in range(40, 72, 4):
            one = picture(size, size, seed=size)
            scores.Scorer(tiny_weights).score(one, one, [one])
    finally:
        logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


# All figures of a picture.


def test_a_picture_that_is_its_own_content_and_style(scorer):
    found = scorer.score(CONTENT, CONTENT, [CONTENT])
    ones = ("content_cosine", "ssim", "edge_correlation", "total_variation", "high_frequency")
    zeros = (*(f"gram_error/{layer}" for layer in HELD_OUT), "color_distance")
    assert set(found) == {*ones, *zeros}
    for names, value in ((ones, 1), (zeros, 0)):
        for name in names:
            assert found[name] == pytest.approx(value, abs=1e-5), name
    assert {name.partition("/")[0] for name in found} == set(SCORES)


def test_gram_errors_are_those_of_the_network_within_a_mirrored_margin(scorer, tiny_weights):
    extractor = extractor_lib.feature_extractor(tiny_weights, ("block3_conv3",))

    def gram(pixels):
        mirrored = np.pad(pixels, ((48, 48), (48, 48), (0, 0)), "symmetric")
        rows = extractor(mirrored[None])["block3_conv3"].numpy()[0, 12:-12, 12:-12]
        assert rows.shape[:2] == (pixels.shape[0] // 4, pixels.shape[1] // 4)
        return np.einsum("ijc,ijd->cd", rows, rows) / (rows.shape[0] * rows.shape[1])

    odd = STYLE[:35, :50]
    target = 0.3 * gram(odd) + 0.7 * gram(OTHER)
    expected = np.square(gram(CONTENT) - target).sum() / np.square(target).sum()
    found = scorer.score(CONTENT, CONTENT, [odd, OTHER], (3, 7))
    np.testing.assert_allclose(found["gram_error/block3_conv3"], expected, rtol=1e-4)


def test_roughness_is_relative_to_that_of_the_rougher_source(scorer):
    calm, rough = blurred(OTHER), with_noise(STYLE)
    for content, styles, blend in (
        (rough, [calm], ()),
        (calm, [rough], ()),
        (calm, [rough, calm], (1, 3)),
    ):
        found = scorer.score(CONTENT, content, styles, blend)
        shares = np.array(blend or (1,)) / sum(blend or (1,))
        for figure in (scores.total_variation, scores.high_frequency):
            mixture = (shares * [figure(style) for style in styles]).sum()
            expected = (figure(CONTENT) + 1e-3) / (max(figure(content), mixture) + 1e-3)
            assert found[figure.__name__] == pytest.approx(expected)


def test_a_style_without_a_share_does_not_count(scorer):
    alone = scorer.score(CONTENT, OTHER, [STYLE])
    assert scorer.score(CONTENT, OTHER, [STYLE, OTHER], (2, 0)) == pytest.approx(alone)
    equal = scorer.score(CONTENT, OTHER, [STYLE, OTHER])
    assert scorer.score(CONTENT, OTHER, [STYLE, OTHER], (5, 5)) == pytest.approx(equal)


def test_the_content_is_compared_at_the_size_of_the_picture(scorer):
    small = geometry.resize(CONTENT, 24, 32)
    assert scorer.score(small, CONTENT, [STYLE])["ssim"] == pytest.approx(1)


@pytest.mark.parametrize("size", [(16, 16), (16, 61)])
@pytest.mark.parametrize("color", [(0, 0, 0), (1, 1, 1), (0.2, 0.5, 0.4)])
def test_flat_and_tiny_pictures_have_finite_scores(scorer, color, size):
    plain, textured = flat(*color, size=size), picture(*size)
    for one, content, style in itertools.product((plain, textured), repeat=3):
        found = scorer.score(one, content, [style])
        assert all(type(value) is float and np.isfinite(value) for value in found.values())
        if one is plain or content is plain:
            assert found["content_cosine"] == 0 and found["edge_correlation"] == 0


def test_scores_are_repeatable_and_leave_pictures_alone(scorer):
    before = [one.copy() for one in (CONTENT, STYLE, OTHER)]
    first = scorer.score(CONTENT, OTHER, [STYLE])
    assert scorer.score(CONTENT, OTHER, [STYLE]) == first
    for one, copy in zip((CONTENT, STYLE, OTHER), before, strict=True):
        np.testing.assert_array_equal(one, copy)


def test_pictures_are_not_stretched_where_they_are_reduced(monkeypatch):
    monkeypatch.setattr(scores, "MAX_SIDE", 100)
    thin, wide = scores._reduced([picture(20, 400), picture(80, 200)])
    assert thin.shape[:2] == (16, 310) and wide.shape[:2] == (20, 50)


def test_large_pictures_are_reduced_with_their_styles_and_seen_once(scorer, monkeypatch):
    monkeypatch.setattr(scores, "MAX_SIDE", 32)
    seen = []
    normal = scores.Scorer._measure

    def remember(self, pixels, masks):
        seen.append(pixels.shape[:2])
        return normal(self, pixels, masks)

    monkeypatch.setattr(scores.Scorer, "_measure", remember)
    style = picture(40, 40)
    found = scorer.score(CONTENT, OTHER, [style])
    assert seen == [(24, 32), (24, 32), (20, 20)]
    small = [geometry.resize(one, 24, 32) for one in (CONTENT, OTHER)]
    assert scorer.score(*small, [geometry.resize(style, 20, 20)]) == found
    scorer.score(small[0], OTHER, [CONTENT])
    assert seen[-3:] == [(16, 21), (16, 21), (24, 32)]


def test_pictures_that_cannot_be_scored(scorer):
    bad = [CONTENT[..., 0], CONTENT[..., :2], CONTENT[:15], np.full_like(CONTENT, np.nan)]
    for one in bad:
        with pytest.raises(ValueError, match="shape|not finite"):
            scorer.score(one, CONTENT, [STYLE])
        with pytest.raises(ValueError, match="shape|not finite"):
            scorer.score(CONTENT, one, [STYLE])
    for styles, blend in (([], ()), ([STYLE], (0,)), ([STYLE], (1, 2)), ([STYLE] * 2, (-1, 2))):
        with pytest.raises(ValueError, match="style_blend"):
            scorer.score(CONTENT, CONTENT, styles, blend)


def test_values_out_of_range_count_as_the_screen_shows_them(scorer):
    outside = 2 * CONTENT - 0.5
    clipped = scorer.score(np.clip(outside, 0, 1), OTHER, [STYLE])
    assert scorer.score(outside, OTHER, [STYLE]) == clipped


def test_faults_show_in_the_figures_that_are_for_them():
    """The sample pictures, by the real network: as photo, painted, noisy, blurred, recolored."""
    photo, painting, painted = (
        geometry.thumbnail(images.read_image(SAMPLES / name).pixels, 96)
        for name in ("harbor.jpg", "lily_pond.jpg", "result_monet.jpg")
    )
    scorer = scores.Scorer(weights_lib.read_weights(weights_lib.embedded_path(), "vgg19"))
    found = {
        name: scorer.score(one, photo, [painting])
        for name, one in {
            "photo": photo,
            "painted": painted,
            "noisy": with_noise(painted),
            "blurred": blurred(painted),
            "noise": RNG.random(photo.shape, dtype=np.float32),
        }.items()
    }
    order = {
        "gram_error/block2_conv2": ("painted", "photo", "noise"),
        "gram_error/block4_conv3": ("painted", "photo"),
        "content_cosine": ("noise", "painted", "photo"),
        "ssim": ("noise", "noisy", "painted", "photo"),
        "edge_correlation": ("noise", "painted", "photo"),
        "color_distance": ("painted", "photo", "noise"),
        "total_variation": ("blurred", "painted", "noisy", "noise"),
        "high_frequency": ("blurred", "painted", "noisy", "noise"),
    }
    for score, names in order.items():
        values = [found[name][score] for name in names]
        assert values == sorted(values), (score, dict(zip(names, values, strict=True)))
    for fault in ("noisy", "blurred"):
        assert found[fault]["gram_error/block2_conv2"] > found["painted"]["gram_error/block2_conv2"]


@pytest.mark.parametrize(
    "error", [tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), MemoryError()]
)
def test_scores_that_do_not_fit_in_memory_are_a_warning(tiny_weights, monkeypatch, caplog, error):
    def too_large(*_):
        raise error

    pixels = picture(40, 60)
    references = References(pixels, [pixels], [1.0], ["block1_conv1"], tiny_weights)
    last = SimpleNamespace(image=pixels, references=lambda: references)
    assert scores.score_result(last)["ssim"] == pytest.approx(1)
    monkeypatch.setattr(scores.Scorer, "score", too_large)
    assert scores.score_result(last) == {}
    assert caplog.messages == ["scores: there is not enough memory"]


def test_a_process_makes_its_scorer_once_for_a_network(tiny_weights, monkeypatch):
    made = []

    class Counted(scores.Scorer):
        def __init__(self, *arguments):
            made.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(scores, "Scorer", Counted)
    scorer_of = scores._SameScorer()
    names = ("block2_conv2",)
    first = scorer_of(tiny_weights, names)
    equal = dataclasses.replace(tiny_weights, biases=dict(tiny_weights.biases))
    assert scorer_of(equal, names) is first
    assert scorer_of(tiny_weights, ("block2_conv1",)) is not first
    biases = {name: bias + 1.0 for name, bias in tiny_weights.biases.items()}
    scorer_of(dataclasses.replace(tiny_weights, biases=biases), ("block2_conv1",))
    assert len(made) == 3
