"""Warnings about settings that change nothing."""

import dataclasses

import pytest

from nst_keras.optimizers.facts import FACTS
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import resolve
from nst_keras.settings.unused import overruled, unused

NEED_A_RATE = ("sgd", "adadelta")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"history": 5}, ["--history=5: has no effect with --optimizer=adam"]),
        ({"optimizer": "lbfgs", "beta_1": 0.5, "history": 5}, ["--beta_1=0.5: has no effect"]),
        (
            {"schedule": "constant", "schedule_end": 0.5},
            ["--schedule_end=0.5: has no effect with --schedule=constant"],
        ),
        ({"patience": 5}, ["--patience=5: has no effect with --tolerance=0"]),
        ({"patience": 5, "tolerance": 0.1}, []),
        ({"scale_ratio": 1.5, "scales": 2}, ["--scale_ratio=1.5: has no effect with --scales=2"]),
        ({"scale_ratio": 1.5}, []),
        (
            {"optimizer": "lbfgs", "learning_rate": 0.003},
            ["--learning_rate=0.003: lbfgs multiplies"],
        ),
        ({"optimizer": "rmsprop", "momentum": 0.5, "epsilon": 1e-3}, []),
    ],
)
def test_settings_without_effect_are_warned_of(settings, said):
    given = Config(**settings)
    notes = unused(given, resolve(given))
    assert len(notes) == len(said)
    assert all(note.startswith(text) for note, text in zip(notes, said, strict=True))


@pytest.mark.parametrize("optimizer", sorted({*FACTS} - {*NEED_A_RATE}))
@pytest.mark.parametrize("objective", PRESETS)
def test_settings_that_a_run_wrote_down_itself_are_not_warned_of(objective, optimizer):
    config = resolve(Config(objective=objective, optimizer=optimizer))
    assert unused(config, config) == []


def test_settings_of_neighbors_have_no_effect_without_them():
    config = Config(objective="gatys", match_content=0.1, rotate_style=True, match_every=3)
    assert unused(config, resolve(config)) == [
        "--match_content=0.1: has no effect with --neighbors_weight=0",
        "--match_every=3: has no effect with --detail_iterations=0",
        "--rotate_style=true: has no effect with --neighbors_weight=0",
    ]


def test_a_photo_that_keeps_its_colors_does_not_take_on_those_of_the_styles():
    config = Config(color="content", style_colors=0.4)
    told = "--style_colors=0.4: has no effect with --color=content"
    assert unused(config, resolve(config)) == [told]
    # So that a run's own flagfile can be given another --color, and that one back.
    usual = resolve(Config(color="content"))
    assert usual.style_colors == 0.6 and unused(usual, usual) == []


def test_masks_cannot_end_before_borders_that_an_own_extractor_does_not_tell():
    config = Config(content="a", style=("b", "c"), style_mask=("m", "rest"), mask_erosion=0.5)
    assert unused(config, resolve(config)) == []
    assert unused(config, resolve(config), has_extractor=True) == [
        "--mask_erosion=0.5: has no effect with an extractor of your own"
    ]


def test_strength_of_colors_has_no_effect_where_they_are_the_styles():
    config = Config(color_strength=0.5)
    told = "--color_strength=0.5: has no effect with --color=style"
    assert unused(config, resolve(config)) == [told]
    assert unused(Config(color="content"), resolve(Config(color="content"))) == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, []),
        ({"strength": 0.9}, ["--strength=0.9"]),
        ({"quality": "best"}, ["--quality=best"]),
        ({"strength": 0.9, "content_weight": None}, []),  # it sets one of them at least
    ],
)
def test_what_only_sets_others_is_told_where_these_are_given(changes, names):
    def decided(**chosen):
        """The settings of a run, as its flags.cfg has them."""
        values = vars(resolve(Config(content="c.jpg", style="s.jpg", **chosen)))
        return Config(**{name: values[name] for name in OPTIONS})

    found = dataclasses.replace(decided(), **changes)
    assert [note.partition(":")[0] for note in overruled(found)] == names
    again = decided(strength=0.9, quality="draft")  # which are consistent with each other
    assert not [*overruled(again)]
