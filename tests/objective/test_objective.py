"""Targets, terms and gradients of every objective against NumPy in float64.

Most tests use two made-up layers in place of a network, so that NumPy can follow all the way.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from nst_keras.network import extractor as extractor_lib
from nst_keras.network import weights as weights_lib
from nst_keras.objective import balance as balance_lib
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective import objective
from nst_keras.objective import targets as targets_lib
from nst_keras.objective import terms as terms_lib
from tests.conftest import picture
from tests.network.test_extractor import reference, strengthened

NAMES = (
    "relative",
    "gatys",
    "jcjohnson",
    "tf_tutorial",
    "keras_example",
    "anishathalye",
    "pytorch_tutorial",
    "crowsonkb",
)
LAYERS_SUMMED_AS_THEY_ARE = ("jcjohnson", "pytorch_tutorial")
TORCHVISION = 255 * 0.226  # divides features and pixels of networks trained there
MIX = {
    name: np.random.default_rng(seed).normal(0, 2, (3, channels))
    for seed, (name, channels) in enumerate({"block1_conv2": 4, "block3_conv1": 6}.items())
}
STRIDE = {"block1_conv2": 1, "block3_conv1": 4}
STRENGTH = 60.0  # of the made-up features: about that of VGG's
BOTH = {"block1_conv2": 3.0, "block3_conv1": 1.0}
TERMS = (*(f"content/{layer}" for layer in BOTH), *(f"style/{layer}" for layer in BOTH), "tv")
IMAGE, CONTENT = picture(18, 27, seed=3), picture(18, 27, seed=4)  # odd: pooling drops pixels
STYLES, BLEND = [picture(20, 16, seed=5), picture(12, 33, seed=6)], [3.0, 7.0]


# The made-up network.


def numpy_features(image):
    """Softplus of mixed means over squares of pixels: {layer: (h, w, N)} in float64."""
    found = {}
    for name, mix in MIX.items():
        stride = STRIDE[name]
        rows, columns = image.shape[0] // stride, image.shape[1] // stride
        cut = image[: rows * stride, : columns * stride].astype(np.float64)
        means = cut.reshape(rows, stride, columns, stride, 3).mean(axis=(1, 3))
        found[name] = STRENGTH * np.logaddexp(0, means @ mix)
    return found


def extractor(image):
    found = {}
    for name, mix in MIX.items():
        means = tf.nn.avg_pool2d(image, STRIDE[name], STRIDE[name], "VALID")
        found[name] = STRENGTH * tf.nn.softplus(means @ mix.astype(np.float32))
    return found


# The published formulas.


def content_term(name, features, target):
    error = (features - target) ** 2
    if name == "relative":
        return error.mean() / (target**2).mean()
    if name == "gatys":
        return error.sum() / 2
    if name == "keras_example":
        return error.sum()
    scale = TORCHVISION if name in ("pytorch_tutorial", "crowsonkb") else 1
    return error.mean() / scale**2


def style_term(name, features, styles, shares, pixels):
    """Of features (M, N) of the image, and (M', N) of each style; `pixels` are the image's."""
    if name == "crowsonkb":
        return wasserstein(features / TORCHVISION, [s / TORCHVISION for s in styles], shares)
    if name == "pytorch_tutorial":
        features, styles = features / TORCHVISION, [style / TORCHVISION for style in styles]
    positions, channels = features.shape
    raw = features.T @ features
    blended = sum(share * (s.T @ s) / len(s) for share, s in zip(shares, styles, strict=True))
    wanted = positions * blended
    error = (raw - wanted) ** 2
    return {
        "relative": error.sum() / (wanted**2).sum(),
        "gatys": error.sum() / (4 * channels**2 * positions**2),
        "jcjohnson": error.mean() / (channels * positions) ** 2,
        "tf_tutorial": error.mean() / positions**2,
        "keras_example": error.sum() / (4 * 3**2 * pixels**2),
        "anishathalye": error.mean() / (channels * positions) ** 2,
        "pytorch_tutorial": error.mean() / (channels * positions),
    }[name]


def wasserstein(features, styles, shares):
    """Of a mixture of the styles; tr (S'^1/2 S S'^1/2)^1/2 by singular values of L'^T L."""
    mean, channels = features.mean(0), features.shape[1]
    covariance = (features - mean).T @ (features - mean) / len(features)
    mean_style = sum(share * s.mean(0) for share, s in zip(shares, styles, strict=True))
    second = sum(share * (s.T @ s) / len(s) for share, s in zip(shares, styles, strict=True))
    covariance_style = second - np.outer(mean_style, mean_style)
    ridge = 1e-4 * np.eye(channels)
    roots = [np.linalg.cholesky(one + ridge) for one in (covariance, covariance_style)]
    cross = np.linalg.svd(roots[1].T @ roots[0], compute_uv=False).sum()
    traces = np.trace(covariance + ridge) + np.trace(covariance_style + ridge)
    return (((mean - mean_style) ** 2).sum() + traces - 2 * cross) / channels


def variation_term(name, image):
    dx, dy = image[:, 1:] - image[:, :-1], image[1:] - image[:-1]
    squares = (dx**2).sum() + (dy**2).sum()
    means = (dx**2).mean() + (dy**2).mean()
    return {
        "relative": lambda: means,
        "gatys": lambda: 255**2 * squares,
        "jcjohnson": lambda: 255**2 * squares / 2,
        "tf_tutorial": lambda: np.abs(dx).sum() + np.abs(dy).sum(),
        "keras_example": lambda: (((255 * dx[:-1]) ** 2 + (255 * dy[:, :-1]) ** 2) ** 1.25).sum(),
        "anishathalye": lambda: 255**2 * means,
        "pytorch_tutorial": lambda: means,
        "crowsonkb": lambda: nine_point(image),
    }[name]()


def nine_point(image):
    framed = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    inner = framed[1:-1, 1:-1]
    straight = ((framed[1:-1, 2:] - inner) ** 2).mean() + ((framed[2:, 1:-1] - inner) ** 2).mean()
    falling = ((framed[1:, 1:] - framed[:-1, :-1]) ** 2).mean()
    rising = ((framed[1:, :-1] - framed[:-1, 1:]) ** 2).mean()
    return 2 * (straight / 3 + (falling + rising) / 12)


@functools.cache
def numpy_targets(height, width):
    """Features of the content, cut to this size, and of the styles."""
    return numpy_features(CONTENT[:height, :width]), [numpy_features(style) for style in STYLES]


def numpy_terms(image, name):
    """All terms of the objective `name` in float64, unweighted, as an array like `TERMS`."""
    height, width = image.shape[:2]
    found = numpy_features(image)
    content, styles = numpy_targets(height, width)
    terms = [content_term(name, found[layer], content[layer]) for layer in BOTH]
    for layer in BOTH:
        rows = [one[layer].reshape(-1, one[layer].shape[-1]) for one in (found, *styles)]
        terms.append(style_term(name, rows[0], rows[1:], (0.3, 0.7), height * width))
    return np.array([*terms, variation_term(name, image.astype(np.float64))])


@functools.cache
def numpy_gradients():
    """{objective: gradients of all terms} at a small image, by central differences of each value.

    The image has fewer positions than channels at the upper layer: covariances of low rank.
    """
    image = small(IMAGE).astype(np.float64)
    found = {name: np.zeros((*image.shape, len(TERMS))) for name in NAMES}
    for index in np.ndindex(*image.shape):
        moved = np.zeros(image.shape)
        moved[index] = 1e-5
        for name in NAMES:
            ahead, behind = numpy_terms(image + moved, name), numpy_terms(image - moved, name)
            found[name][index] = (ahead - behind) / 2e-5
    return {name: np.moveaxis(gradients, -1, 0) for name, gradients in found.items()}


def small(image):
    return image[:9, :11]


# The objective under test.


def weigh(name, content=2.0, style=5.0, tv=0.7, content_layers=BOTH, style_layers=BOTH):
    return terms_lib.weigh_terms(
        content,
        style,
        tv,
        content_layers=content_layers,
        style_layers=style_layers,
        shares=name not in LAYERS_SUMMED_AS_THEY_ARE,
    )


def expected_weights(name):
    """What `weigh` makes of the weights above."""
    if name in LAYERS_SUMMED_AS_THEY_ARE:
        return np.array([6.0, 2.0, 15.0, 5.0, 0.7])
    return np.array([1.5, 0.5, 3.75, 1.25, 0.7])


def batch(image):
    return tf.constant(np.asarray(image, np.float32)[None])


def make(
    name="relative",
    weights=None,
    content=CONTENT,
    styles=STYLES,
    features=extractor,
    largest_cotangent=None,
):
    weights = weigh(name) if weights is None else weights
    formulas, blend = formulas_lib.OBJECTIVES[name], BLEND[: len(styles)]
    targets = targets_lib.capture_targets(
        features, batch(content), [batch(style) for style in styles], blend, weights, formulas
    )
    return objective.Objective(parts(features), targets, weights, formulas, largest_cotangent)


def parts(features):
    """The sections of a network; the made-up one is in one piece."""
    whole = not isinstance(features, keras.Model)
    return [features] if whole else extractor_lib.sections(features)


def gradient_of(one, image):
    return one.value_and_grad(batch(image))[1].numpy()[0].astype(np.float64)


def directions(gradient, count=2):
    """The gradient's own and random ones, of length 1."""
    others = np.random.default_rng(0).normal(0, 1, (count, *gradient.shape))
    return [one / np.linalg.norm(one) for one in (gradient, *others)]


# Terms and gradients.


@pytest.mark.parametrize("name", NAMES)
def test_every_term_is_that_of_numpy(name):
    found = make(name).value(batch(IMAGE))
    expected = expected_weights(name) * numpy_terms(IMAGE, name)
    assert tuple(found) == ("total", *TERMS)
    for term, value in zip(TERMS, expected, strict=True):
        np.testing.assert_allclose(found[term], value, rtol=1e-4, err_msg=term)
    np.testing.assert_allclose(found["total"], expected.sum(), rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_central_differences_in_float64(name):
    # All terms count alike, so that none hides behind the others.
    weights = 1 / np.linalg.norm(numpy_gradients()[name].reshape(len(TERMS), -1), axis=1)
    one = make(name, dict(zip(TERMS, weights, strict=True)))
    gradient = gradient_of(one, IMAGE)
    for direction in directions(gradient, count=3):
        ahead, behind = (
            weights @ numpy_terms(IMAGE.astype(np.float64) + step * direction, name)
            for step in (1e-5, -1e-5)
        )
        slope = (ahead - behind) / 2e-5
        np.testing.assert_allclose(
            (gradient * direction).sum(), slope, rtol=0, atol=1e-4 * np.linalg.norm(gradient)
        )


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_the_gradient_of_every_term_is_that_of_numpy(name):
    for chosen, expected in zip(TERMS, numpy_gradients()[name], strict=True):
        weights = {term: float(term == chosen) for term in TERMS}
        found = gradient_of(make(name, weights, content=small(CONTENT)), small(IMAGE))
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < 1e-4, chosen


# Through a network.

NETWORK_WEIGHTS = {
    "content/block2_conv1": 0.5,
    "content/block4_conv2": 1.0,
    "style/block1_conv1": 1.0,
    "style/block2_conv1": 1.0,
    "style/block3_conv1": 3.0,
    "tv": 0.1,
}
NETWORK_CONTENT, NETWORK_STYLES = picture(33, 50, seed=1), [picture(40, 35, 2), picture(20, 61, 7)]


@pytest.fixture(scope="module")
def network(tiny_weights):
    """The features of a small network; one layer serves both content and style."""
    layers = {term.split("/")[1] for term in NETWORK_WEIGHTS if "/" in term}
    return extractor_lib.feature_extractor(tiny_weights, tuple(sorted(layers)))


@pytest.fixture(scope="module")
def half_network(tiny_weights):
    """The same in float16."""
    layers = {term.split("/")[1] for term in NETWORK_WEIGHTS if "/" in term}
    return extractor_lib.feature_extractor(tiny_weights, tuple(sorted(layers)), precision="float16")


@pytest.fixture(scope="module")
def network_terms(tiny_weights):
    """NumPy's terms of an image through the same network, unweighted and in order."""
    content, *styles = (reference(tiny_weights, one) for one in (NETWORK_CONTENT, *NETWORK_STYLES))

    def terms(image, name):
        found, values = reference(tiny_weights, image), []
        for term in NETWORK_WEIGHTS:
            kind, _, layer = term.partition("/")
            if kind == "tv":
                values.append(variation_term(name, image))
            elif kind == "content":
                values.append(content_term(name, found[layer], content[layer]))
            else:
                rows = [one[layer].reshape(-1, one[layer].shape[-1]) for one in (found, *styles)]
                pixels = image.shape[0] * image.shape[1]
                values.append(style_term(name, rows[0], rows[1:], (0.3, 0.7), pixels))
        return np.array(values)

    return terms


@pytest.mark.parametrize("name", NAMES)
def test_terms_and_gradient_through_a_network_are_those_of_numpy(network, network_terms, name):
    image = picture(33, 50, seed=3)
    exact = image.astype(np.float64)
    expected = network_terms(exact, name)
    # Terms of like size, whatever the formulas' units.
    weights = np.array(list(NETWORK_WEIGHTS.values())) / expected
    named = dict(zip(NETWORK_WEIGHTS, weights, strict=True))
    one = make(name, named, NETWORK_CONTENT, NETWORK_STYLES, network)
    found, gradient = one.value_and_grad(batch(image))
    for term, value in zip(NETWORK_WEIGHTS, weights * expected, strict=True):
        np.testing.assert_allclose(found[term], value, rtol=1e-4, err_msg=term)
    gradient = gradient.numpy()[0].astype(np.float64)
    for direction in directions(gradient):
        ahead, behind = (
            weights @ network_terms(exact + step * direction, name)
            for step in (1e-7, -1e-7)  # longer ones cross kinks of the ReLUs
        )
        slope = (ahead - behind) / 2e-7
        np.testing.assert_allclose(
            (gradient * direction).sum(), slope, rtol=0, atol=1e-4 * np.linalg.norm(gradient)
        )


# In float16.


def through(features, name, factor=1.0, largest_cotangent=None, **others):
    """An objective through a network, its weights times a factor."""
    weights = {term: factor * weight for term, weight in {**NETWORK_WEIGHTS, **others}.items()}
    pictures = NETWORK_CONTENT, NETWORK_STYLES[:1]
    return make(name, weights, *pictures, features, largest_cotangent)


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_in_two_parts_is_that_of_one(network, name):
    image = batch(picture(33, 50, seed=3))
    terms, whole = through(network, name).value_and_grad(image)
    same, parts = through(network, name, largest_cotangent=3.0).value_and_grad(image)
    assert {term: float(value) for term, value in terms.items()} == {
        term: float(value) for term, value in same.items()
    }
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6 * np.abs(whole).max())


def apart(found, expected):
    """Cosine of the angle between two gradients, and the length of their difference."""
    found, expected = (np.asarray(one, np.float64).ravel() for one in (found, expected))
    lengths = [np.linalg.norm(one) for one in (found, expected)]
    return found @ expected / np.prod(lengths), np.linalg.norm(found - expected) / lengths[1]


HALF = extractor_lib.LARGEST_COTANGENT["float16"]


@pytest.mark.parametrize("factor", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize("name", NAMES)
def test_a_float16_gradient_of_any_size_is_close(network, half_network, name, factor):
    image = batch(picture(33, 50, seed=3))
    expected, exact = through(network, name, factor).value_and_grad(image)
    terms, found = through(half_network, name, factor, HALF).value_and_grad(image)
    for term, value in expected.items():
        np.testing.assert_allclose(terms[term], value, rtol=0.01, atol=1e-3 * expected["total"])
    cosine, difference = apart(found, exact)
    assert cosine > 0.998 and difference < 0.06  # a few ReLUs and maxima change their minds


@pytest.mark.parametrize("name", ["relative", "gatys"])
def test_a_float16_gradient_of_large_features_is_close(tiny_weights, name):
    loud = strengthened(tiny_weights, 2.0**17)
    layers = {term.split("/")[1] for term in NETWORK_WEIGHTS if "/" in term}
    exact, half = (
        extractor_lib.feature_extractor(loud, tuple(sorted(layers)), precision=precision)
        for precision in ("float32", "float16")
    )
    image = batch(picture(33, 50, seed=3))
    assert max(float(tf.reduce_max(one)) for one in exact(image).values()) > 65504.0
    _, expected = through(exact, name).value_and_grad(image)
    _, found = through(half, name, largest_cotangent=HALF).value_and_grad(image)
    cosine, difference = apart(found, expected)
    assert cosine > 0.998 and difference < 0.06


def test_as_it_is_float16_would_lose_it(half_network):
    image = batch(picture(33, 50, seed=3))
    assert not np.any(through(half_network, "relative", 1e-15, tv=0.0).value_and_grad(image)[1])
    assert not np.isfinite(through(half_network, "relative", 1e15).value_and_grad(image)[1]).all()


def test_a_gradient_that_overflows_shows_in_the_total(half_network):
    terms, _ = through(half_network, "relative", 1.0, 1e6).value_and_grad(batch(NETWORK_CONTENT))
    assert np.isnan(terms.pop("total"))
    assert all(np.isfinite(value) for value in terms.values())


def test_no_gradient_at_all_stays_none(half_network):
    weights = dict.fromkeys(NETWORK_WEIGHTS, 0.0)
    one = make("relative", weights, NETWORK_CONTENT, NETWORK_STYLES[:1], half_network, HALF)
    terms, gradient = one.value_and_grad(batch(picture(33, 50, seed=3)))
    assert float(terms["total"]) == 0.0 and not np.any(gradient)


def test_float16_of_the_real_weights_is_close_and_closer_than_bfloat16():
    shipped = weights_lib.read_weights(weights_lib.embedded_path(), "vgg19")
    layers = {"block1_conv1": 1.0, "block4_conv1": 1.0, "block5_conv1": 1.0}
    weights = weigh("relative", 1.0, 1e3, 1.0, {"block5_conv2": 1.0}, layers)
    image, found = batch(picture(48, 48, seed=3)), {}
    for precision in ("float32", "bfloat16", "float16"):
        cotangent = extractor_lib.LARGEST_COTANGENT.get(precision)
        features = extractor_lib.feature_extractor(
            shipped, (*layers, "block5_conv2"), precision=precision
        )
        pictures = picture(48, 48, seed=1), [picture(48, 48, seed=2)]
        one = make("relative", weights, *pictures, features, cotangent)
        found[precision] = features(image), one.value_and_grad(image)[1]
    exact, gradient = found.pop("float32")
    differences = {
        precision: [apart(features[layer], exact[layer])[1] for layer in exact]
        + [apart(low, gradient)[1]]
        for precision, (features, low) in found.items()
    }
    assert max(differences["float16"][:-1]) < 0.002 and differences["float16"][-1] < 0.06
    assert apart(found["float16"][1], gradient)[0] > 0.998
    for half, brain in zip(differences["float16"], differences["bfloat16"], strict=True):
        assert half < 0.6 * brain


# The weights of terms.


def test_shares_of_layers_are_brought_to_a_sum_of_1():
    found = terms_lib.weigh_terms(
        2.0,
        10.0,
        0.5,
        content_layers={"block4_conv2": 7.0},
        style_layers={"block1_conv1": 3.0, "block2_conv1": 1.0},
        shares=True,
    )
    assert found == {
        "content/block4_conv2": 2.0,
        "style/block1_conv1": 7.5,
        "style/block2_conv1": 2.5,
        "tv": 0.5,
    }


def test_weights_of_layers_are_taken_as_they_are_where_a_preset_says_so():
    found = terms_lib.weigh_terms(
        2.0,
        10.0,
        0.5,
        content_layers={"block4_conv2": 7.0},
        style_layers={"block1_conv1": 3.0, "block2_conv1": 1.0},
        shares=False,
    )
    assert found == {
        "content/block4_conv2": 14.0,
        "style/block1_conv1": 30.0,
        "style/block2_conv1": 10.0,
        "tv": 0.5,
    }


@pytest.mark.parametrize("shares", [True, False])
def test_without_layers_of_a_kind_there_are_no_terms_of_it(shares):
    found = terms_lib.weigh_terms(
        1.0, 1.0, 0.0, content_layers={}, style_layers={"block1_conv1": 1.0}, shares=shares
    )
    assert found == {"style/block1_conv1": 1.0, "tv": 0.0}


def test_layers_of_a_kind_are_read_from_the_names_of_terms():
    terms = weigh("relative", content_layers={"block5_conv2": 1.0})
    assert terms_lib.layers_of("content", terms) == ("block5_conv2",)
    assert terms_lib.layers_of("style", terms) == ("block1_conv2", "block3_conv1")
    assert terms_lib.layers_of("content", {"tv": 1.0}) == ()


@pytest.mark.parametrize("name", NAMES)
def test_total_is_the_sum_of_the_others_and_names_are_those_of_the_terms(name):
    one = make(name)
    terms = {term: float(value) for term, value in one.value(batch(IMAGE)).items()}
    assert one.term_names == tuple(terms) == ("total", *TERMS)
    total = terms.pop("total")
    np.testing.assert_allclose(total, sum(terms.values()), rtol=1e-6)


def test_the_scale_of_layer_weights_and_of_the_blend_does_not_matter():
    weights = weigh("relative", **dict.fromkeys(("content_layers", "style_layers"), scaled(10)))
    styles, formulas = [batch(style) for style in STYLES], formulas_lib.OBJECTIVES["relative"]
    targets = targets_lib.capture_targets(
        extractor, batch(CONTENT), styles, [0.03, 0.07], weights, formulas
    )
    other = objective.Objective([extractor], targets, weights, formulas)
    for name, value in make().value(batch(IMAGE)).items():
        np.testing.assert_allclose(other.value(batch(IMAGE))[name], value, rtol=1e-5)


def scaled(factor):
    return {name: factor * value for name, value in BOTH.items()}


def test_a_blend_needs_a_share_per_style():
    with pytest.raises(ValueError):
        make(styles=STYLES[:1] * 3)


@pytest.mark.parametrize("kind", ["content", "style", "tv"])
def test_a_weight_of_zero_takes_its_terms_out_and_leaves_the_others(kind):
    terms, gradient = make(weights=weigh("relative", **{kind: 0.0})).value_and_grad(batch(IMAGE))
    values = expected_weights("relative") * numpy_terms(IMAGE, "relative")
    others = dict(zip(TERMS, values, strict=True))
    for name, value in terms.items():
        if name.split("/")[0] == kind:
            assert float(value) == 0.0
        elif name != "total":
            np.testing.assert_allclose(value, others[name], rtol=1e-4)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_a_layer_of_weight_zero_adds_nothing():
    layers = {"block1_conv2": 1.0, "block3_conv1": 0.0}
    terms = make(weights=weigh("relative", style_layers=layers)).value(batch(IMAGE))
    assert float(terms["style/block3_conv1"]) == 0.0
    full = 5 * numpy_terms(IMAGE, "relative")[TERMS.index("style/block1_conv2")]
    np.testing.assert_allclose(terms["style/block1_conv2"], full, rtol=1e-4)


# Statistics, and pictures with nothing in them.


@pytest.mark.parametrize("name", ["relative", "crowsonkb"])
def test_statistics_of_features_add_up_over_halves_of_an_image(name):
    one = make(name, weigh(name, content_layers={}))
    image = picture(24, 32)
    whole, top, bottom = (one.statistics(batch(i)) for i in (image, image[:12], image[12:]))
    for term in ("style/block1_conv2", "style/block3_conv1"):
        np.testing.assert_allclose(top[term] + bottom[term], whole[term], rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_terms_vanish_at_the_content_and_at_the_style(name):
    one = make(name, content=STYLES[0], styles=STYLES[:1])
    there, apart = one.value(batch(STYLES[0])), one.value(batch(STYLES[0][::-1, ::-1] ** 2))
    for term in ("content/block1_conv2", "style/block1_conv2", "style/block3_conv1"):
        assert abs(float(there[term])) < 1e-6 * float(apart[term]), term
    assert float(there["tv"]) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_style_of_two_halves_is_the_blend_of_its_halves(name):
    """Halves of one size, cut where no square of pixels is split."""
    halves = STYLES[0][:8], STYLES[0][8:16]
    weights, formulas = weigh(name), formulas_lib.OBJECTIVES[name]
    found = []
    for styles in (halves, [STYLES[0][:16]]):
        targets = targets_lib.capture_targets(
            extractor,
            batch(CONTENT),
            [batch(style) for style in styles],
            [1.0] * len(styles),
            weights,
            formulas,
        )
        found.append(
            objective.Objective([extractor], targets, weights, formulas).value(batch(IMAGE))
        )
    for term in TERMS:
        np.testing.assert_allclose(found[0][term], found[1][term], rtol=1e-4, err_msg=term)


def rectified(image):
    """Features that are all zero on a black picture."""
    nothing = STRENGTH * np.log(2) + 1e-4
    return {name: tf.nn.relu(value - nothing) for name, value in extractor(image).items()}


@pytest.mark.parametrize("name", NAMES)
def test_black_pictures_give_finite_terms_and_notes(name):
    black = np.zeros_like(CONTENT)
    one = make(name, content=black, styles=[black], features=rectified)
    assert one.targets.notes == (
        "the content has no features at block1_conv2",
        "the content has no features at block3_conv1",
        "the style has no features at block1_conv2",
        "the style has no features at block3_conv1",
    )
    for image in (IMAGE, black):
        terms, gradient = one.value_and_grad(batch(image))
        assert all(np.isfinite(value) for value in terms.values())
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_pictures_with_features_give_no_notes(name):
    assert make(name).targets.notes == make(name, features=rectified).targets.notes == ()


def test_notes_tell_which_picture_has_nothing():
    black = np.zeros_like(CONTENT)
    notes = make(content=black, features=rectified).targets.notes
    assert len(notes) == 2 and all(note.startswith("the content") for note in notes)
    notes = make(styles=[black], features=rectified).targets.notes
    assert len(notes) == 2 and all(note.startswith("the style") for note in notes)


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_image_has_no_variation_and_a_finite_gradient(name):
    terms, gradient = make(name).value_and_grad(batch(np.full_like(IMAGE, 0.5)))
    assert float(terms["tv"]) == 0.0
    assert np.isfinite(gradient).all()


# In a graph.


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_inside_a_graph(name):
    one = make(name)
    terms, gradient = tf.function(one.value_and_grad)(batch(IMAGE))
    eager_terms, eager = one.value_and_grad(batch(IMAGE))
    np.testing.assert_allclose(terms["total"], eager_terms["total"], rtol=1e-5)
    assert np.linalg.norm(gradient - eager) < 1e-5 * np.linalg.norm(eager)


def add_n_inputs(name, network, largest_cotangent=None):
    """Numbers of inputs of all AddN in the compiled gradient: as traced, and as it is run."""
    one = through(network, name, largest_cotangent=largest_cotangent)
    image = batch(picture(33, 50, seed=3))
    compiled = tf.function(one.value_and_grad)
    traced = compiled.get_concrete_function(image).graph.as_graph_def()
    context.enable_run_metadata()  # TensorFlow has no public way to see an optimized function
    try:
        compiled(image)
        run = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    optimized = [functions.post_optimization_graph for functions in run.function_graphs]
    assert sum(len(graph.node) for graph in optimized) > 100  # the right ones
    return [counts_of_add_n(graphs) for graphs in ([traced], optimized)]


def counts_of_add_n(graphs):
    parts = [part.node_def for graph in graphs for part in graph.library.function]
    nodes = [node for part in (*(graph.node for graph in graphs), *parts) for node in part]
    return [node.attr["N"].i for node in nodes if node.op == "AddN"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_no_sum_of_three_or_more_is_left_to_add_n(network, half_network, name, precision):
    """AddN orders its inputs by what memory is free: bytes would differ from run to run."""
    half = precision == "float16"
    features, cotangent = (half_network, HALF) if half else (network, None)
    for found in add_n_inputs(name, features, cotangent):
        assert max(found, default=0) <= 2


def test_a_grams_pull_back_waits_for_the_gradient_from_deeper_layers(network):
    """It is as large as the features, and would lie there from the start of the way back."""
    one = through(network, "relative")
    graph = tf.function(one.value_and_grad).get_concrete_function(batch(NETWORK_CONTENT)).graph
    upstream = {op for op in graph.get_operations() if op.type == "Conv2DBackpropInput"}
    products = [op for op in graph.get_operations() if op.type == "MatMul"]
    waiting = [op for op in products if upstream & before(op)]
    grams = sum(term.startswith("style/") for term in NETWORK_WEIGHTS)
    assert len(products) == 2 * grams
    assert len(waiting) == grams  # the deepest one waits for the layer of the content term


def before(operation):
    """What must have run before an operation."""
    found, todo = set(), [operation]
    while todo:
        one = todo.pop()
        new = {source.op for source in one.inputs} | set(one.control_inputs)
        todo += new - found
        found |= new
    return found


# In XLA.


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_compiled_by_xla(name):
    one = make(name)
    terms, gradient = tf.function(one.value_and_grad, jit_compile=True)(batch(IMAGE))
    expected, exact = one.value_and_grad(batch(IMAGE))
    for term, value in expected.items():
        np.testing.assert_allclose(terms[term], value, rtol=1e-4, err_msg=term)
    assert np.linalg.norm(gradient - exact) < 1e-3 * np.linalg.norm(exact)


# Balance.

CONTENTS, STYLE_TERMS = TERMS[:2], TERMS[2:4]


def norm_of(weights, group, image, name="relative"):
    """Norm of the gradient of some terms with these weights."""
    chosen = {term: weights[term] * (term in group) for term in weights}
    return np.linalg.norm(gradient_of(make(name, chosen), image))


def balance(shares, weights=None, image=IMAGE, seed=0, name="relative"):
    one = make(name, weights)
    return balance_lib.balanced_weights(one, batch(image), shares, seed)


@pytest.mark.parametrize("name", NAMES)
def test_balanced_gradients_have_the_shares_asked_for_and_the_sum_they_had(name):
    shares = {CONTENTS: 1.0, STYLE_TERMS: 4.0, ("tv",): 0.5}
    before, found = weigh(name), balance(shares, name=name)
    norms = np.array([norm_of(found, group, IMAGE, name) for group in shares])
    whole = sum(norm_of(before, group, IMAGE, name) for group in shares)
    np.testing.assert_allclose(norms.sum(), whole, rtol=1e-3)
    np.testing.assert_allclose(norms / norms.sum(), np.array([1.0, 4.0, 0.5]) / 5.5, rtol=1e-3)
    assert list(found) == list(before)


def test_terms_of_a_group_keep_their_proportions_and_others_their_weights():
    before = weigh("relative")
    found = balance({STYLE_TERMS: 2.0, ("content/block1_conv2",): 3.0})
    for name in ("content/block3_conv1", "tv"):
        assert found[name] == before[name]
    ratios = [weights[STYLE_TERMS[0]] / weights[STYLE_TERMS[1]] for weights in (found, before)]
    np.testing.assert_allclose(*ratios, rtol=1e-12)
    assert found[STYLE_TERMS[0]] != before[STYLE_TERMS[0]]


def test_a_balance_leaves_the_objective_as_it_was():
    one = make()
    before = dict(one.weights)
    balance_lib.balanced_weights(one, batch(IMAGE), {CONTENTS: 1.0, STYLE_TERMS: 9.0}, 0)
    assert one.weights == before


def test_only_ratios_of_shares_count():
    found = balance({CONTENTS: 1.0, STYLE_TERMS: 3.0})
    assert found == pytest.approx(balance({CONTENTS: 5.0, STYLE_TERMS: 15.0}), rel=1e-5)


def test_one_group_alone_keeps_its_weights():
    assert balance({STYLE_TERMS: 2.0}) == pytest.approx(weigh("relative"), rel=1e-6)


@pytest.mark.parametrize("first", ["content", "style"])
def test_a_gradient_that_vanishes_at_the_content_is_measured_with_noise(first):
    groups = [CONTENTS, STYLE_TERMS] if first == "content" else [STYLE_TERMS, CONTENTS]
    found = balance(dict.fromkeys(groups, 1.0), image=CONTENT)
    assert norm_of(found, CONTENTS, CONTENT) < 1e-4 * norm_of(found, STYLE_TERMS, CONTENT)
    noise = np.random.default_rng(5).normal(0, 0.05, CONTENT.shape)
    beside = norm_of(found, CONTENTS, np.clip(CONTENT + noise, 0, 1))
    there = norm_of(found, STYLE_TERMS, CONTENT)
    assert 0.8 < beside / there < 1.25


def test_noise_follows_the_seed():
    shares = {STYLE_TERMS: 1.0, CONTENTS: 1.0}
    found, again, other = (balance(shares, image=CONTENT, seed=seed) for seed in (1, 1, 2))
    assert found == again
    assert found[CONTENTS[0]] != other[CONTENTS[0]]
    assert found[CONTENTS[0]] == pytest.approx(other[CONTENTS[0]], rel=0.5)


def test_a_group_of_weight_zero_that_is_asked_for_is_switched_on():
    before = weigh("relative", style=0.0)
    found = balance({CONTENTS: 1.0, STYLE_TERMS: 2.0}, before)
    assert found[STYLE_TERMS[0]] == found[STYLE_TERMS[1]] > 0
    norms = [norm_of(found, group, IMAGE) for group in (CONTENTS, STYLE_TERMS)]
    np.testing.assert_allclose(norms[1] / norms[0], 2.0, rtol=1e-3)
    switched_on = {**before, **dict.fromkeys(STYLE_TERMS, 1.0)}
    whole = sum(norm_of(switched_on, group, IMAGE) for group in (CONTENTS, STYLE_TERMS))
    np.testing.assert_allclose(sum(norms), whole, rtol=1e-3)


def test_a_share_of_zero_switches_a_group_off():
    found = balance({CONTENTS: 1.0, STYLE_TERMS: 2.0, ("tv",): 0.0})
    assert found["tv"] == 0.0
    norms = [norm_of(found, group, IMAGE) for group in (CONTENTS, STYLE_TERMS)]
    np.testing.assert_allclose(norms[1] / norms[0], 2.0, rtol=1e-3)


def test_a_balance_in_float16_is_about_that_in_float32(network, half_network):
    image, shares = batch(picture(33, 50, seed=3)), {("content/block4_conv2",): 1.0, ("tv",): 1e-9}
    found = [
        balance_lib.balanced_weights(
            through(features, "relative", 1e-15, cotangent), image, shares, 0
        )
        for features, cotangent in ((network, None), (half_network, HALF))
    ]
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_a_gradient_that_vanishes_everywhere_keeps_its_weight_and_stays_finite():
    """As that of content terms where no features are."""
    black = np.zeros_like(CONTENT)

    def blind(image):
        return {name: 0.0 * value for name, value in extractor(image).items()}

    one = make(content=black, styles=[black], features=blind)
    found = balance_lib.balanced_weights(one, batch(IMAGE), {("tv",): 1.0, CONTENTS: 1.0}, 0)
    assert all(np.isfinite(weight) for weight in found.values())
    assert found[CONTENTS[0]] == one.weights[CONTENTS[0]]
