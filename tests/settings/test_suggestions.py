"""Suggestions for unknown names."""

import pytest

from nst_keras.settings.config import INITS, OPTIONS
from nst_keras.settings.suggestions import _IN_OTHER_TOOLS, suggested_word, suggestion
from nst_keras.training.config import OPTIONS as TRAINING


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("output_dir", "workdir"),  # by its letters it is closest to output
        ("output-dir", "workdir"),
        ("Output_Dir", "workdir"),
        ("num_steps", "iterations"),
        ("initial_iterations", "coarse_iterations"),
        ("style_wieght", "style_weight"),
        ("style-weight", "style_weight"),
        ("xyzzy", None),
    ],
)
def test_suggestions(name, meant):
    assert suggestion(name, OPTIONS) == meant


@pytest.mark.parametrize(
    ("text", "meant"), [("image", "content"), ("Random", "noise"), ("nosie", "noise"), ("x", None)]
)
def test_words_in_place_of_a_path(text, meant):
    assert suggested_word("init", text, INITS) == meant


def test_only_names_that_the_command_knows_are_suggested():
    assert suggestion("lr", ["color", "learning_rate"]) == "learning_rate"
    assert suggestion("lr", ["color"]) is None
    assert suggestion("bs", TRAINING) == "batch_size"


def test_each_name_of_another_tool_means_one_option_and_is_none_itself():
    ours = OPTIONS | TRAINING
    assert set(_IN_OTHER_TOOLS) <= set(ours)
    others = [name for names in _IN_OTHER_TOOLS.values() for name in names]
    assert len(others) == len(set(others))
    taken = set(others) & set(OPTIONS)
    assert not taken, taken
