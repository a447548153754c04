"""The networks as data: names, shapes, positions, aliases."""

import pytest

from nst_keras.network import vgg
from nst_keras.runtime.errors import InputError

VGG19 = [
    *("block1_conv1", "block1_conv2"),
    *("block2_conv1", "block2_conv2"),
    *("block3_conv1", "block3_conv2", "block3_conv3", "block3_conv4"),
    *("block4_conv1", "block4_conv2", "block4_conv3", "block4_conv4"),
    *("block5_conv1", "block5_conv2", "block5_conv3", "block5_conv4"),
]


def test_vgg19_has_the_sixteen_names_of_the_paper_in_order():
    assert list(vgg.layer_names("vgg19")) == VGG19


def test_vgg16_lacks_the_fourth_convolutions():
    assert list(vgg.layer_names("vgg16")) == [name for name in VGG19 if not name.endswith("conv4")]


@pytest.mark.parametrize(("backbone", "parameters"), [("vgg16", 14_714_688), ("vgg19", 20_024_384)])
def test_parameters_add_up_to_the_published_counts(backbone, parameters):
    counts = (9 * conv.inputs * conv.outputs + conv.outputs for conv in vgg.convolutions(backbone))
    assert sum(counts) == parameters


@pytest.mark.parametrize(
    ("index", "shape"), [(0, (3, 3, 3, 64)), (2, (3, 3, 64, 128)), (9, (3, 3, 512, 512))]
)
def test_kernel_shapes(index, shape):
    assert vgg.convolutions("vgg19")[index].kernel_shape == shape


@pytest.mark.parametrize(
    ("layer", "positions"),
    [("block1_conv2", 35 * 50), ("block2_conv1", 17 * 25), ("block5_conv1", 2 * 3)],
)
def test_pooling_halves_and_drops_the_odd_row(layer, positions):
    assert vgg.architecture("vgg19")[layer].positions(35, 50) == positions


def test_channels_narrow_the_network():
    convs = vgg.convolutions("vgg16", channels=(1, 2, 3, 4, 5))
    assert [conv.outputs for conv in convs] == [1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert all(a.outputs == b.inputs for a, b in zip(convs, convs[1:], strict=False))


@pytest.mark.parametrize("name", ["relu4_2", "conv4_2", "block4_conv2"])
def test_all_spellings_of_a_layer_mean_the_keras_name(name):
    assert vgg.architecture("vgg19").canonical(name, "--content_layers") == "block4_conv2"


@pytest.mark.parametrize(
    ("name", "backbone"),
    [("relu6_1", "vgg19"), ("block3_conv4", "vgg16"), ("Relu4_2", "vgg19"), ("relu4_2x", "vgg19")],
)
def test_an_unknown_layer_is_refused_with_the_choices(name, backbone):
    with pytest.raises(InputError) as caught:
        vgg.architecture(backbone).canonical(name, "--style_layers")
    message = str(caught.value)
    assert message.startswith(f"--style_layers={name}: {backbone} has no such layer")
    assert "block1_conv1" in message and "block5_conv3" in message and "\n" not in message


@pytest.mark.parametrize(
    ("layers", "count"),
    [(("block1_conv1",), 1), (("block5_conv1", "block1_conv2"), 13), (("block5_conv4",), 16)],
)
def test_the_network_ends_at_the_deepest_layer_in_use(layers, count):
    assert vgg.up_to_deepest("vgg19", layers) == [*vgg.convolutions("vgg19")[:count]]
