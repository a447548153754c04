"""A made-up network and small VGGs, the published formulas in NumPy, and objectives made of them.

Most tests use two made-up layers in place of a network, so that NumPy can follow all the way.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.network import extractor as extractor_lib
from nst_keras.network import vgg
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective import term_names, tiles
from nst_keras.objective.evaluation import Network, WholeEvaluator
from nst_keras.objective.laplacian import laplacian
from nst_keras.objective.objective import Objective
from nst_keras.objective.targets import capture_targets
from nst_keras.objective.terms import evaluate_layer, join_layers, make_terms
from nst_keras.objective.tiled import TiledEvaluator
from tests.conftest import picture, require_precision
from tests.network.conftest import reference

NETWORK = vgg.architecture("vgg19")
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
# Largest relative errors of losses in float32. crowsonkb's style is a distance of moments that are
# 800 times as large, each with the error of a sum.
ERRORS = {**dict.fromkeys(NAMES, 1e-4), "crowsonkb": 0.01}
LAYERS_SUMMED_AS_THEY_ARE = ("jcjohnson", "pytorch_tutorial")
TORCHVISION = 255 * 0.226  # divides features and pixels of networks trained there
STRENGTH = 60.0  # of the made-up features: about that of VGG's
MIX = {
    "block1_conv2": np.random.default_rng(0).normal(0, 2, (3, 4)),
    "block3_conv1": np.random.default_rng(1).normal(0, 1, (4, 6)) / STRENGTH,
}
STRIDE = {"block1_conv2": 1, "block3_conv1": 4}  # relative to the layer before, too
BOTH = {"block1_conv2": 3.0, "block3_conv1": 1.0}
TERMS = (*(f"content/{layer}" for layer in BOTH), *(f"style/{layer}" for layer in BOTH), "tv")
IMAGE, CONTENT = picture(18, 27, seed=3), picture(18, 27, seed=4)  # odd: pooling drops pixels
STYLES = [picture(20, 16, seed=5), picture(12, 33, seed=6)]


# The made-up network.


def numpy_features(image):
    """Softplus of mixed means over squares of the layer before: {layer: (h, w, N)} in float64."""
    found, below = {}, image.astype(np.float64)
    for name, mix in MIX.items():
        stride = STRIDE[name]
        rows, columns = below.shape[0] // stride, below.shape[1] // stride
        cut = below[: rows * stride, : columns * stride]
        means = cut.reshape(rows, stride, columns, stride, -1).mean(axis=(1, 3))
        below = found[name] = STRENGTH * np.logaddexp(0, means @ mix)
    return found


def toy_section(name, changed):
    """A layer of the same in TensorFlow, its features changed by a function."""

    def apply(below):
        means = tf.nn.avg_pool2d(below, STRIDE[name], STRIDE[name], "VALID")
        return {name: changed(STRENGTH * tf.nn.softplus(means @ MIX[name].astype(np.float32)))}

    return apply


def toy(changed=lambda features: features):
    """The made-up network for an image (1, H, W, 3)."""
    return chained(tuple(toy_section(name, changed) for name in MIX))


def chained(sections):
    """All layers of a network in sections."""

    def extract(image):
        found = {}
        for one in sections:
            outputs = one(image)
            found |= outputs
            (image,) = outputs.values()
        return found

    extract.sections = sections
    return extract


toy_extractor = toy()


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
    """The weights of an objective's terms by name."""
    return term_names.weigh_terms(
        content,
        style,
        tv,
        content_layers=content_layers,
        style_layers=style_layers,
        normalized=name not in LAYERS_SUMMED_AS_THEY_ARE,
    )


def expected_weights(name):
    """What `weigh` makes of the weights above."""
    if name in LAYERS_SUMMED_AS_THEY_ARE:
        return np.array([6.0, 2.0, 15.0, 5.0, 0.7])
    return np.array([1.5, 0.5, 3.75, 1.25, 0.7])


def batch(image):
    return tf.constant(np.asarray(image, np.float32)[None])


def capture(
    name="relative",
    weights=None,
    content=CONTENT,
    styles=STYLES,
    extractor=toy_extractor,
    blend=(3.0, 7.0),
):
    """The targets of an objective."""
    return capture_targets(
        extractor,
        NETWORK,
        batch(content),
        [batch(style) for style in styles],
        blend[: len(styles)],
        weigh(name) if weights is None else weights,
        formulas_lib.FORMULAS[name],
        uncut,
    )


def make(
    name="relative",
    weights=None,
    content=CONTENT,
    styles=STYLES,
    extractor=toy_extractor,
    largest_gradient=None,
):
    """An objective of whole images, its weights given by term name."""
    weights = weigh(name) if weights is None else weights
    targets = capture(name, weights, content, styles, extractor)
    return objective_of(targets, name, weights, extractor, largest_gradient)


def objective_of(
    targets, name="relative", weights=None, extractor=toy_extractor, largest_gradient=None
):
    """The same on targets that are captured already."""
    weights = weigh(name) if weights is None else weights
    terms = make_terms(weights, targets, formulas_lib.FORMULAS[name])
    beside = {"laplacian": laplacian} if "laplacian" in weights else {}
    network = Network(sections(extractor), largest_gradient, beside)
    return Objective(terms, whole_evaluator(network, terms, targets))


def whole_evaluator(network, terms, targets):
    known = targets.content[0]
    at_layer = functools.partial(evaluate_layer, terms, known)
    return WholeEvaluator(network, at_layer, functools.partial(join_layers, terms, known))


def sections(extractor):
    """The sections of a network of Keras or a made-up one."""
    ours = not isinstance(extractor, keras.Model)
    return extractor.sections if ours else extractor_lib.sections(extractor)


def gradient_of(objective, image):
    """The gradient at an image (H, W, 3), in float64."""
    return objective.value_and_grad(batch(image))[1].numpy()[0].astype(np.float64)


def directions(gradient, count=2):
    """The gradient's own and random ones, of length 1."""
    others = np.random.default_rng(0).normal(0, 1, (count, *gradient.shape))
    return [one / np.linalg.norm(one) for one in (gradient, *others)]


# Its features are all zero on a black picture.
rectified = toy(lambda features: tf.nn.relu(features - STRENGTH * np.log(2) - 1e-4))


# Through a network.

NETWORK_WEIGHTS = {
    "content/block2_conv1": 0.5,
    "content/block4_conv2": 1.0,
    "style/block1_conv1": 1.0,
    "style/block2_conv1": 1.0,
    "style/block3_conv1": 3.0,
    "tv": 0.1,
}
NETWORK_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv2")
NETWORK_CONTENT, NETWORK_STYLES = picture(33, 50, seed=1), [picture(40, 35, 2), picture(20, 61, 7)]


@pytest.fixture(scope="session")
def network(tiny_weights):
    """The features of a small network; one layer serves both content and style."""
    return extractor_lib.feature_extractor(tiny_weights, NETWORK_LAYERS)


@pytest.fixture(scope="session")
def half_network(tiny_weights):
    """The same in float16."""
    require_precision("float16")
    return extractor_lib.feature_extractor(tiny_weights, NETWORK_LAYERS, precision="float16")


@pytest.fixture(scope="session")
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


def through(extractor, name, factor=1.0, largest_gradient=None, **others):
    """An objective through a network, its weights times a factor."""
    weights = {term: factor * weight for term, weight in {**NETWORK_WEIGHTS, **others}.items()}
    pictures = NETWORK_CONTENT, NETWORK_STYLES[:1]
    return make(name, weights, *pictures, extractor, largest_gradient)


def apart(found, expected):
    """Cosine of the angle between two gradients, and the length of their difference."""
    found, expected = (np.asarray(one, np.float64).ravel() for one in (found, expected))
    lengths = [np.linalg.norm(one) for one in (found, expected)]
    return found @ expected / np.prod(lengths), np.linalg.norm(found - expected) / lengths[1]


HALF = extractor_lib.LARGEST_GRADIENT["float16"]


# In tiles.


TILED_STYLES = tuple(f"block{block}_conv1" for block in range(1, 6))


def random_vgg(layers, backbone="vgg19", pooling="max", padding="zero", channels=4):
    """VGG in float64 with few channels, as one section per layer asked for."""
    rng = np.random.default_rng(1)
    pool = {"max": tf.nn.max_pool2d, "avg": tf.nn.avg_pool2d}[pooling]
    steps, entries, block, inputs = [], [], 1, 3
    for conv in vgg.up_to_deepest(backbone, layers):
        if conv.block > block:
            steps.append(lambda x: pool(x, 2, 2, "VALID"))
            block = conv.block
        # Features as large as VGG's, which sees pixels on 0..255.
        deviation = (255 if inputs == 3 else 1) * (2 / (9 * inputs)) ** 0.5
        kernel = tf.constant(rng.normal(0, deviation, (3, 3, inputs, channels)))
        bias = tf.constant(rng.normal(0, 0.1, channels))
        first = not steps and padding == "replicate"
        steps.append(convolution(kernel, bias, first))
        inputs = channels
        if conv.name in layers:
            entries.append((conv.name, steps))
            steps = []
            block = conv.block
    return tuple(section(name, own) for name, own in entries)


def convolution(kernel, bias, replicate):
    def apply(x):
        if replicate:
            x = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
        return tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID" if replicate else "SAME") + bias)

    return apply


def section(name, steps):
    def apply(x):
        for step in steps:
            x = step(x)
        return {name: x}

    return apply


def noise(height, width, seed, dtype=np.float64):
    return tf.constant(np.random.default_rng(seed).random((1, height, width, 3)), dtype)


def equal_weights(content=("block5_conv2",), style=TILED_STYLES, **others):
    """Terms at these layers, others that are named, and total variation, all of weight 1."""
    return dict.fromkeys(term_names.term_names(content, style, **others), 1.0)


def uncut(height, width):
    """An image of any height and width in one tile."""
    return tiles.plan_tiles(height, width, None, tiles.ReceptiveField(0, 1))


def tile_plan(side, layers, backbone="vgg19"):
    """Cuts images of any height and width into tiles of at most this side."""
    field = tiles.receptive_field(map(vgg.architecture(backbone).__getitem__, layers))
    return lambda height, width: tiles.plan_tiles(height, width, side, field)


def whole_and_tiled(
    sections,
    weights,
    name,
    plan,
    pictures,
    extractor=None,
    xla=False,
    largest_gradient=None,
    regions=(),
):
    """The objective of the whole image and that of its tiles; all terms about equally large.

    With regions, a list takes the place of the style.
    """
    content, style, image = pictures
    styles = style if isinstance(style, list) else [style]
    formulas = formulas_lib.FORMULAS[name]
    blend = [1.0] * len(styles)
    given = extractor or chained(sections), NETWORK, content, styles, blend, weights, formulas
    network = Network(sections, largest_gradient)
    targets = capture_targets(*given, uncut, regions=regions)
    terms = make_terms(weights, targets, formulas)
    whole = Objective(terms, whole_evaluator(network, terms, targets))
    losses = whole.value(image)
    weights = {term: 1 / float(losses[term]) for term in weights}
    targets = capture_targets(*given, tiles_of=plan, regions=regions)
    terms = make_terms(weights, targets, formulas)
    cut = plan(*image.shape[1:3])
    evaluator = TiledEvaluator([network], NETWORK.strides, terms, targets.content, cut, xla=xla)
    tiled = Objective(terms, evaluator)
    return whole.reweighted(weights), tiled
