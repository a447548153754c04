"""Names, kinds, layers and weights of terms."""

import pytest

from nst_keras.objective import term_names


@pytest.mark.parametrize(
    ("kind", "layer", "name"),
    [
        ("content", "block5_conv2", "content/block5_conv2"),
        ("style", "block1_conv1", "style/block1_conv1"),
        ("neighbors", "", "neighbors"),
        ("laplacian", "", "laplacian"),
        ("tv", "", "tv"),
    ],
)
def test_a_name_is_the_kind_and_the_layer_and_tells_both(kind, layer, name):
    layers = ["block5_conv2"], ["block1_conv1"]
    assert name in term_names.term_names(*layers, neighbors=True, laplacian=True)
    assert (term_names.kind_of(name), term_names.layer_of(name)) == (kind, layer)


def test_losses_add_up_by_kind():
    terms = {"total": 6.0, "style/a": 2.0, "style/b": 2.5, "tv": 1.5}
    assert term_names.by_kind(terms) == {"total": 6.0, "style": 4.5, "tv": 1.5}


def test_a_term_is_chosen_by_its_kind_or_by_its_own_name():
    names = term_names.term_names(["block5_conv2"], ["block1_conv1", "block2_conv1"])
    assert names == ("content/block5_conv2", "style/block1_conv1", "style/block2_conv1", "tv")
    chosen = {
        "style": [False, True, True, False],
        "style/block2_conv1": [False, False, True, False],
        "tv": [False, False, False, True],
        "block5_conv2": [False] * 4,
    }
    for choice, expected in chosen.items():
        assert [term_names.matches(name, choice) for name in names] == expected, choice


LAYERS = {
    "content_layers": {"block4_conv2": 7.0},
    "style_layers": {"block1_conv1": 3.0, "block2_conv1": 1.0},
}


def test_the_weights_of_layers_are_scaled_to_a_sum_of_1():
    assert term_names.weigh_terms(2.0, 10.0, 0.5, **LAYERS, normalized=True) == {
        "content/block4_conv2": 2.0,
        "style/block1_conv1": 7.5,
        "style/block2_conv1": 2.5,
        "tv": 0.5,
    }


def test_the_weights_of_layers_are_used_as_they_are_where_a_preset_says_so():
    assert term_names.weigh_terms(2.0, 10.0, 0.5, **LAYERS, normalized=False) == {
        "content/block4_conv2": 14.0,
        "style/block1_conv1": 30.0,
        "style/block2_conv1": 10.0,
        "tv": 0.5,
    }


@pytest.mark.parametrize("normalized", [True, False])
def test_without_layers_of_a_kind_there_are_no_terms_of_it(normalized):
    terms = term_names.weigh_terms(
        1.0, 1.0, 0.0, content_layers={}, style_layers={"block1_conv1": 1.0}, normalized=normalized
    )
    assert terms == {"style/block1_conv1": 1.0, "tv": 0.0}


@pytest.mark.parametrize("normalized", [True, False])
def test_weighted_terms_come_in_the_order_of_their_names(normalized):
    terms = term_names.weigh_terms(1.0, 1.0, 1.0, **LAYERS, normalized=normalized)
    layers = LAYERS["content_layers"], LAYERS["style_layers"]
    assert tuple(terms) == term_names.term_names(*layers)


@pytest.mark.parametrize(
    "others", [{"neighbors": 2.0}, {"laplacian": 3.0}, {"neighbors": 2.0, "laplacian": 3.0}]
)
def test_neighbors_and_the_laplacian_are_terms_if_they_have_a_weight(others):
    terms = term_names.weigh_terms(1.0, 1.0, 0.5, **others, **LAYERS, normalized=True)
    layers = LAYERS["content_layers"], LAYERS["style_layers"]
    assert tuple(terms) == term_names.term_names(*layers, **dict.fromkeys(others, True))
    assert {name: terms[name] for name in others} == others
    assert not {"neighbors", "laplacian"} & {*term_names.term_names(*layers)}
