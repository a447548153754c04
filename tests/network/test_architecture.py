"""What is known of layers before anything is computed: positions, costs, names."""

import dataclasses

import pytest

from nst_keras.network.architecture import Architecture, Cost, Layer
from nst_keras.runtime.errors import InputError

SHALLOW, DEEP = Layer(1, 8, cost=Cost(8, 432, 8)), Layer(4, 32, cost=Cost(2, 9, 2))
NETWORK = Architecture("network", {"shallow": SHALLOW, "deep": DEEP})


def test_a_layer_has_a_position_for_each_whole_square_of_its_stride():
    assert DEEP.positions(35, 50) == 8 * 12
    assert DEEP.features == 2.0


def test_what_is_computed_ends_with_the_deepest_layer_that_is_needed():
    assert NETWORK.up_to_deepest(["shallow"]) == ["shallow"]
    assert NETWORK.up_to_deepest(["deep"]) == ["shallow", "deep"]
    assert NETWORK.cost(["shallow"]) == (8, 432, 8)
    assert NETWORK.cost(["deep"]) == (10, 441, 8)
    whole = dataclasses.replace(NETWORK, whole=Cost(20, 500, 9))
    assert whole.cost(["shallow"]) == (20, 500, 9)
    assert NETWORK.strides == {"shallow": 1, "deep": 4}


def test_own_names_come_before_other_spellings():
    layers = {"block4_conv2": DEEP, "conv4_2": SHALLOW}
    network = Architecture("network", layers)
    assert network.canonical("conv4_2", "--style_layers") == "conv4_2"
    assert network.canonical("relu4_2", "--style_layers") == "block4_conv2"


def test_an_unknown_layer_is_refused_with_the_choices():
    said = "^--style_layers=wide: network has no such layer; choose from shallow, deep$"
    with pytest.raises(InputError, match=said) as caught:
        NETWORK.canonical("wide", "--style_layers")
    assert caught.value.flags == ("style_layers",)
