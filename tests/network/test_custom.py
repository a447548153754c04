"""Networks of the user: what is found out about them, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from nst_keras.network import vgg
from nst_keras.network.custom import CustomExtractor
from nst_keras.runtime.errors import InputError
from tests.conftest import picture

PICTURE = picture(39, 54, seed=1)[None]  # not a multiple of the strides


def conv(filters, name=None, **options):
    return layers.Conv2D(filters, 3, activation="relu", name=name, padding="same", **options)


def chain():
    """Two convolutions with a pooling in between."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    shallow = conv(6)(image)
    deep = conv(8)(layers.MaxPooling2D()(shallow))
    return keras.Model(image, {"shallow": shallow, "deep": deep})


def branches():
    """A convolution of stride 2, and one whose outcome is added to its input."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    half = conv(8, strides=2)(image)
    added = layers.add([half, conv(8)(half)])
    quarter = conv(4, strides=2)(layers.concatenate([added, half]))
    return keras.Model(image, {"quarter": quarter, "added": added, "half": half})


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = conv(4)
        self.dropout = layers.Dropout(0.5)

    def call(self, pictures, training=False):
        return {"features": self.dropout(self.conv(pictures), training=training)}


class SizedByShape(keras.Model):
    """Needs the size of its pictures while it is traced."""

    def call(self, pictures, training=False):
        half = tf.image.resize(pictures, [side // 2 for side in pictures.shape[1:3]])
        return {"half": half}


def test_strides_and_channels_are_those_of_its_features():
    found = CustomExtractor(branches()).architecture
    assert {name: (it.stride, it.channels) for name, it in found.layers.items()} == {
        "half": (2, 8),
        "added": (2, 8),
        "quarter": (4, 4),
    }
    assert list(found.layers) == ["half", "added", "quarter"]  # as they are computed
    assert not found.is_local


def test_what_it_costs_is_what_the_same_vgg_costs():
    model = keras.applications.VGG19(weights=None, include_top=False)
    names = ("block1_conv1", "block3_conv4", "block5_conv2")
    model = keras.Model(model.input, {name: model.get_layer(name).output for name in names})
    found = CustomExtractor(model).architecture.cost(names)
    expected = vgg.architecture("vgg19").cost(names)
    assert found.flops == expected.flops and found.largest == expected.largest
    assert found.kept == expected.kept + 3  # it counts the image, too


@pytest.mark.parametrize(("make", "parts"), [(chain, 2), (branches, 1), (Subclassed, 1)])
def test_its_parts_make_its_features(make, parts):
    model = make()
    custom = CustomExtractor(model)
    names = list(custom.architecture.layers)
    sections = custom.sections(names)
    assert len(sections) == parts
    expected, entry, found = model(PICTURE, training=False), tf.constant(PICTURE), {}
    for section in sections:
        found |= section(entry)
        entry = found[list(found)[-1]]
    assert list(found) == names
    for name, layer in custom.architecture.layers.items():
        rows, columns = 39 // layer.stride, 54 // layer.stride
        assert found[name].shape[1:3] == (rows, columns)
        np.testing.assert_allclose(
            found[name], expected[name][:, :rows, :columns], rtol=1e-5, atol=1e-6
        )
        assert custom.features([name])(tf.constant(PICTURE))[name].shape[1:3] == (rows, columns)


def test_features_of_a_graph_of_any_size_are_cut_as_well():
    custom = CustomExtractor(branches())
    any_size = tf.function(
        custom.features(["quarter"]), input_signature=[tf.TensorSpec((1, None, None, 3))]
    )
    assert any_size(PICTURE)["quarter"].shape == (1, 9, 13, 4)


def test_outputs_in_a_list_have_keras_names():
    image = keras.Input((None, None, 3))
    first = conv(4, "first")(image)
    model = keras.Model(image, [first, conv(5, "second")(first)])
    assert list(CustomExtractor(model).architecture.layers) == ["first", "second"]


def test_the_same_model_has_the_same_identity_whatever_it_is_called():
    first, again = CustomExtractor(chain()), CustomExtractor(chain())
    assert first.identity == again.identity  # Keras has numbered the layers differently
    other = chain()
    other.set_weights([weight * 1.01 for weight in other.get_weights()])
    assert CustomExtractor(other).identity != first.identity
    image = keras.Input((None, None, 3))
    keras.utils.set_random_seed(0)
    shallow = layers.Conv2D(6, 3, activation="elu", padding="same")(image)
    deep = conv(8)(layers.MaxPooling2D()(shallow))
    model = keras.Model(image, {"shallow": shallow, "deep": deep})
    assert CustomExtractor(model).identity != first.identity


@pytest.mark.parametrize("factor", ["of an operator", "of an attribute", "of a variable"])
def test_what_is_computed_between_layers_is_part_of_the_identity(factor):
    class Scaled(keras.Model):
        def __init__(self, scale):
            super().__init__()
            self.conv, self.scale = chain(), tf.Variable(scale) if "variable" in factor else scale

        def call(self, pictures, training=False):
            return self.conv(pictures * self.scale, training=training)

    def scaled(scale):
        if factor != "of an operator":
            return Scaled(scale)
        image = keras.Input((None, None, 3))
        return keras.Model(image, chain()(image * scale))

    identities = [CustomExtractor(scaled(scale)).identity for scale in (2.0, 2.0, 255.0)]
    assert identities[0] == identities[1] != identities[2]


def test_layers_in_layers_do_not_change_the_identity():
    def model():
        keras.utils.set_random_seed(0)
        image = keras.Input((None, None, 3))
        options = {"padding": "same", "activation": layers.ReLU()}
        return keras.Model(image, {"a": layers.Conv2D(4, 3, **options)(image)})

    assert CustomExtractor(model()).identity == CustomExtractor(model()).identity


class Brightened(keras.Model):
    """A functional model whose `call` does more than its layers."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs * 255.0, training=training, mask=mask)


def normalized(training):
    image = keras.Input((None, None, 3))
    shallow = layers.BatchNormalization()(conv(6)(image), training=training)
    return image, {"shallow": shallow, "deep": conv(8)(shallow)}


@pytest.mark.parametrize(
    "make", [lambda: keras.Model(*normalized(True)), lambda: Brightened(*normalized(None))]
)
def test_parts_compute_what_the_whole_model_computes(make):
    custom = CustomExtractor(make())
    names = ["shallow", "deep"]
    expected, entry, found = custom.features(names)(tf.constant(PICTURE)), tf.constant(PICTURE), {}
    for section in custom.sections(names):
        found |= section(entry)
        entry = found[list(found)[-1]]
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4)


def of_layer(make_layer, shape=(None, None, 3), name="a"):
    """Makes a model of one layer, when it is called."""

    def make():
        image = keras.Input(shape)
        return keras.Model(image, {name: make_layer()(image)})

    return make


def pooled_and_enlarged():
    return keras.Sequential([layers.MaxPooling2D(), layers.UpSampling2D()])


OF_ANY_SIZE = r"fails with pictures of .*keras.Input\(\(None, None, 3\)\)"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: "vgg19", "str is not a keras.Model"),
        (of_layer(lambda: conv(4), (64, 64, 3)), OF_ANY_SIZE),
        (of_layer(lambda: conv(4), (None, None, 1)), OF_ANY_SIZE),
        (SizedByShape, OF_ANY_SIZE),
        (of_layer(lambda: layers.Conv2D(4, 3)), "its output a has 382x254 .*padding='same'"),
        (of_layer(lambda: layers.AveragePooling2D(3)), "its output a has 128x85 positions"),
        (of_layer(layers.UpSampling2D), "its output a has 768x512 positions"),
        (of_layer(pooled_and_enlarged), "its output a has 372x250 .* for a picture of 373x251"),
        (of_layer(layers.GlobalAveragePooling2D), r"its output a is of shape \(1, 3\)"),
        (of_layer(lambda: conv(4), name="a b"), "the name of its output 'a b' must be of letters"),
        (of_layer(lambda: conv(4, dtype="float16")), "it computes in float16"),
        (of_layer(lambda: conv(4, dtype="float64")), "its output a is float64"),
        (
            lambda: keras.Sequential([keras.Input((None, None, 3)), conv(4)]),
            "its outputs have no names; use keras.Model",
        ),
    ],
)
def test_what_is_no_such_model_is_refused(make, said):
    with pytest.raises(InputError, match=f"^extractor: {said}"):
        CustomExtractor(make())
