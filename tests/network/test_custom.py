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
    (found,) = CustomExtractor(model).architecture.always
    expected = vgg.architecture("vgg19").computed(names)
    assert found.flops == sum(layer.flops for layer in expected)
    # It counts the image, too.
    assert found.kept == sum(layer.kept for layer in expected) + 3
    assert found.features == max(layer.features for layer in expected)


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


def of_outputs(make_outputs, shape=(None, None, 3)):
    image = keras.Input(shape)
    return keras.Model(image, make_outputs(image))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: "vgg19", "str is no keras.Model"),
        (
            lambda: of_outputs(lambda image: {"a": conv(4)(image)}, (64, 64, 3)),
            r"fails with a picture of 384x256 .*keras.Input\(\(None, None, 3\)\)",
        ),
        (
            lambda: of_outputs(lambda image: {"a": conv(4)(image)}, (None, None, 1)),
            "fails with a picture of 384x256",
        ),
        (
            lambda: of_outputs(lambda image: {"a": layers.Conv2D(4, 3)(image)}),
            "its output a has 382x254 positions .* padding='same'",
        ),
        (
            lambda: of_outputs(lambda image: {"a": layers.GlobalAveragePooling2D()(image)}),
            r"its output a is of shape \(1, 3\)",
        ),
        (
            lambda: of_outputs(lambda image: {"a b": conv(4)(image)}),
            "'a b', a name of its outputs, has other characters",
        ),
        (
            lambda: keras.Sequential([keras.Input((None, None, 3)), conv(4)]),
            "its outputs have no names; return them in a dictionary",
        ),
    ],
)
def test_what_is_no_such_model_is_refused(make, said):
    with pytest.raises(InputError, match=f"^extractor: {said}"):
        CustomExtractor(make())
