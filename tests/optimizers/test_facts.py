"""What is known of each optimizer before it is made."""

import subprocess
import sys

import pytest

from nst_keras.optimizers.facts import FACTS
from nst_keras.settings.config import OPTIONS

# What each takes, from Keras' documentation and ours.
TAKES = {
    "adam": {"beta_1", "beta_2", "epsilon", "adam_colors"},
    "lbfgs": {"history", "line_search"},
    "adadelta": {"epsilon"},
    "adafactor": set(),
    "adagrad": {"epsilon"},
    "rmsprop": {"epsilon", "momentum"},
    "sgd": {"momentum"},
    "lion": {"beta_1", "beta_2"},
    **{name: {"beta_1", "beta_2", "epsilon"} for name in ("adamax", "adamw", "lamb", "nadam")},
}


def test_each_takes_the_settings_that_are_its_own():
    assert {name: set(facts.takes) for name, facts in FACTS.items()} == TAKES


@pytest.mark.parametrize("name", FACTS)
def test_settings_are_options_of_the_program(name):
    assert {*FACTS[name].takes, *FACTS[name].defaults} <= OPTIONS.keys()


@pytest.mark.parametrize(
    ("name", "on_one", "on_255"),
    [
        ("adam", 0.02, 5.1),
        ("lion", 0.01, 2.55),
        ("adagrad", 0.1, 25.5),
        ("lamb", 0.02, 0.02),  # a share of the image's norm, whatever its unit
        ("adafactor", 0.02, 0.02),
        ("lbfgs", 1.0, 1.0),  # a factor on steps of its own
        ("sgd", None, None),  # depends on the objective
        ("adadelta", None, None),
    ],
)
def test_a_learning_rate_is_in_the_unit_of_the_pixels(name, on_one, on_255):
    assert FACTS[name].learning_rate(1.0) == on_one
    assert FACTS[name].learning_rate(255.0) == (on_255 and pytest.approx(on_255))


def test_only_lbfgs_optimizes_one_picture_at_a_time_in_more_memory():
    alone = {name for name, facts in FACTS.items() if not facts.joins_batches}
    remembering = {name for name, facts in FACTS.items() if facts.images_per_history}
    conditional = {name for name, facts in FACTS.items() if facts.has_conditions}
    assert alone == remembering == conditional == {"lbfgs"}
    assert FACTS["lbfgs"].images > max(f.images for name, f in FACTS.items() if name != "lbfgs")


def test_facts_need_no_tensorflow():
    code = "import sys, nst_keras.optimizers.facts; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
