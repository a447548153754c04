"""The feature models against NumPy and against `keras.applications`."""

import dataclasses

import keras
import numpy as np
import pytest

from nst_keras.network import extractor, vgg, weights
from nst_keras.runtime.errors import InputError
from tests.conftest import picture, require_precision
from tests.network.conftest import SPACING, reference, rounding, strengthened

CONVS = vgg.layer_names("vgg19")
DEEP = ("block1_conv1", "block2_conv2", "block3_conv4", "block5_conv2")


def features_of(model, image):
    return {name: np.asarray(value) for name, value in model(image[None]).items()}


def check_against_reference(network, **options):
    image = picture(35, 50)  # odd: pooling drops a row
    found = features_of(extractor.feature_extractor(network, DEEP, **options), image)
    expected = reference(network, image, **options)
    assert set(found) == set(DEEP)
    for name in DEEP:
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(found[name][0] / scale, expected[name] / scale, atol=1e-5)
        assert scale > 0.01, name


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("padding", ["zero", "replicate"])
def test_features_are_those_of_numpy(tiny_weights, pooling, padding):
    check_against_reference(tiny_weights, pooling=pooling, padding=padding)


def test_rgb_order_mean_and_deviation_are_followed(tiny_weights):
    kernel = {"block1_conv1": tiny_weights.kernels["block1_conv1"] * 60}
    network = dataclasses.replace(
        tiny_weights,
        kernels={**tiny_weights.kernels, **kernel},
        channel_order="rgb",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    )
    check_against_reference(network)


def test_features_of_imagenet_weights_are_those_of_keras_applications():
    """Layer by layer, with Keras' own architecture and preprocessing."""
    shipped = weights.read_weights(weights.embedded_path(), "vgg19")
    theirs = keras.applications.VGG19(weights=None, include_top=False)
    for name in CONVS:
        theirs.get_layer(name).set_weights((shipped.kernels[name], shipped.biases[name]))
    theirs = keras.Model(theirs.input, [theirs.get_layer(name).output for name in CONVS])
    image = picture(48, 40)[None]
    expected = theirs(keras.applications.vgg19.preprocess_input(255 * image))
    found = extractor.feature_extractor(shipped, CONVS)(image)
    assert list(found) == list(CONVS)
    for name, one in zip(CONVS, expected, strict=True):
        one = np.asarray(one)
        assert (one > 0).mean() > 0.02, name
        np.testing.assert_allclose(found[name], one, rtol=1e-4, atol=1e-4 * one.max())


@pytest.mark.parametrize(
    ("layers", "deepest"),
    [(("block1_conv1",), 1), (("block3_conv1", "block1_conv2"), 5), (("block5_conv1",), 13)],
)
def test_the_model_is_cut_at_the_deepest_layer_in_use(tiny_weights, layers, deepest):
    model = extractor.feature_extractor(tiny_weights, layers)
    convs = [one.name for one in model.layers if isinstance(one, keras.layers.Conv2D)]
    assert convs == list(CONVS[:deepest])
    pools = [one for one in model.layers if "pool" in one.name]
    assert len(pools) == int(convs[-1][len("block")]) - 1


def test_nothing_is_trainable_and_weights_are_those_given(tiny_weights):
    model = extractor.feature_extractor(tiny_weights, ("block2_conv1",))
    assert model.trainable_weights == [] and len(model.weights) == 6
    kernel, bias = model.get_layer("block2_conv1").get_weights()
    np.testing.assert_array_equal(kernel, tiny_weights.kernels["block2_conv1"])
    np.testing.assert_array_equal(bias, tiny_weights.biases["block2_conv1"])


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", "bfloat16"), ("float16", "float32")])
def test_features_of_low_precision_are_close(tiny_weights, precision, dtype, pooling):
    require_precision(precision)
    image = picture(32, 32)
    exact = reference(tiny_weights, image, pooling)
    model = extractor.feature_extractor(tiny_weights, DEEP, precision=precision, pooling=pooling)
    assert model.get_layer("block3_conv1").compute_dtype == precision
    for name, found in features_of(model, image).items():
        assert found.dtype == dtype
        found = found.astype(np.float32)
        error = np.linalg.norm(found[0] - exact[name]) / np.linalg.norm(exact[name])
        assert error < rounding(precision, CONVS.index(name) + 1), name
        assert error > SPACING[precision] / 100  # not exact either: it was computed with few bits


def test_features_far_beyond_the_end_of_float16_do_not_overflow_in_it(tiny_weights):
    require_precision("float16")
    image, network = picture(32, 32), strengthened(tiny_weights, 2.0**17)
    exact = reference(network, image)
    model = extractor.feature_extractor(network, DEEP, precision="float16")
    for name, found in features_of(model, image).items():
        assert exact[name].max() > 65504.0
        error = np.linalg.norm(found[0] - exact[name]) / np.linalg.norm(exact[name])
        assert error < rounding("float16", CONVS.index(name) + 1), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_float16_shrinks_what_goes_through_the_network(tiny_weights, precision):
    full, half = (
        extractor.feature_extractor(tiny_weights, ("block1_conv1",), precision=name)
        for name in (precision, "float16")
    )
    bias = np.asarray(full.get_layer("block1_conv1").bias, np.float32)
    np.testing.assert_allclose(bias, tiny_weights.biases["block1_conv1"], rtol=4e-3)
    shrunk = np.asarray(half.get_layer("block1_conv1").bias, np.float32)
    np.testing.assert_allclose(shrunk, bias / 256, rtol=5e-3, atol=1e-6)


def test_replicate_padding_keeps_a_flat_picture_flat_where_zeros_do_not(tiny_weights):
    image = np.full((16, 16, 3), 0.9, np.float32)

    def spread(padding):
        model = extractor.feature_extractor(tiny_weights, ("block1_conv1",), padding=padding)
        return np.ptp(features_of(model, image)["block1_conv1"], axis=(1, 2)).max()

    assert spread("replicate") < 1e-4 < 0.1 < spread("zero")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("padding", ["zero", "replicate"])
def test_sections_one_after_the_other_are_the_whole(tiny_weights, precision, padding):
    require_precision(precision)
    layers = ("block1_conv2", "block3_conv1", "block3_conv2")
    model = extractor.feature_extractor(tiny_weights, layers, precision=precision, padding=padding)
    parts = extractor.sections(model)
    assert [list(part.output) for part in parts] == [[layer] for layer in layers]
    image = picture(24, 30)
    whole, entry = features_of(model, image), image[None]
    for layer, part in zip(layers, parts, strict=True):
        entry = part(entry)[layer]
        np.testing.assert_array_equal(np.asarray(entry), whole[layer])


def test_one_model_takes_any_size_and_batch(tiny_weights):
    model = extractor.feature_extractor(tiny_weights, ("block4_conv1",), padding="replicate")
    for shape, positions in (((1, 32, 40, 3), (1, 4, 5)), ((2, 17, 16, 3), (2, 2, 2))):
        assert model(np.zeros(shape, np.float32))["block4_conv1"].shape == (*positions, 8)


def test_vgg16_is_built_with_the_names_and_shapes_of_keras():
    theirs = keras.applications.VGG16(weights=None, include_top=False)
    expected = {
        one.name: one.kernel.shape for one in theirs.layers if isinstance(one, keras.layers.Conv2D)
    }
    assert {conv.name: conv.kernel_shape for conv in vgg.convolutions("vgg16")} == expected
    assert [one.name for one in theirs.layers if one.name in expected] == list(expected)


def small_keras_vgg():
    """A random model with the layers' right names, in place of the downloaded one."""
    inputs = keras.Input((None, None, 3))
    values = inputs
    for conv in vgg.convolutions("vgg19", channels=(1, 2, 2, 3, 3)):
        values = keras.layers.Conv2D(conv.outputs, 3, name=conv.name)(values)
    return keras.Model(inputs, values)


def test_imagenet_weights_come_from_keras(monkeypatch):
    first, other = (small_keras_vgg() for _ in range(2))
    answers = iter((first, first, other))
    asked = []

    def build(**options):
        asked.append(options)
        return next(answers)

    monkeypatch.setattr(keras.applications, "VGG19", build)
    found = extractor.imagenet_weights("vgg19")
    assert list(found.kernels) == list(found.biases) == list(CONVS)
    for name in CONVS:
        kernel, bias = first.get_layer(name).get_weights()
        np.testing.assert_array_equal(found.kernels[name], kernel)
        np.testing.assert_array_equal(found.biases[name], bias)
    assert (found.channel_order, found.mean) == ("bgr", (103.939, 116.779, 123.68))
    assert extractor.imagenet_weights("vgg19").sha256 == found.sha256
    assert extractor.imagenet_weights("vgg19").sha256 != found.sha256  # of the other
    assert asked == [{"weights": "imagenet", "include_top": False}] * 3


@pytest.mark.parametrize("error", [Exception("URL fetch failure\non https"), OSError()])
@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
def test_imagenet_weights_offline_are_refused_with_what_would_do(monkeypatch, backbone, error):
    def fail(**_):
        raise error

    monkeypatch.setattr(keras.applications, backbone.upper(), fail)
    with pytest.raises(InputError) as caught:
        extractor.imagenet_weights(backbone)
    message = str(caught.value)
    assert message.startswith("--weights=imagenet: cannot be downloaded (")
    assert "--weights=embedded" in message and "\n" not in message and "()" not in message
