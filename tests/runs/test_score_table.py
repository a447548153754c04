"""Which score is better, what it depends on, and at which layers Gram errors are measured."""

import math
import subprocess
import sys

import pytest

from nst_keras.network import vgg
from nst_keras.runs import score_table
from nst_keras.runs.score_table import HELD_OUT, SCORES, held_out_layers
from nst_keras.settings.config import OPTIONS


@pytest.mark.parametrize(
    ("score", "better", "worse"),
    [
        ("gram_error", 0.1, 0.2),
        ("gram_error/block3_conv3", 0.1, 0.2),
        ("content_cosine", 0.9, 0.1),
        ("ssim", 0.9, 0.1),
        ("edge_correlation", 0.9, -0.1),
        ("color_distance", 1.0, 2.0),
        ("total_variation", 0.9, 1.3),
        ("high_frequency", 1.1, 0.5),
    ],
)
def test_the_better_score_has_the_lower_loss(score, better, worse):
    assert score_table.distance_from_best(score, [better]) < score_table.distance_from_best(
        score, [worse]
    )


def test_scores_of_several_layers_count_by_their_mean():
    assert score_table.distance_from_best("gram_error", [0.2, 0.4]) == pytest.approx(0.3)


@pytest.mark.parametrize("values", [[], [math.nan], [0.5, math.inf]])
def test_without_a_usable_score_the_loss_is_infinite(values):
    assert score_table.distance_from_best("ssim", values) == math.inf


def test_scores_depend_on_settings_that_there_are():
    for score in SCORES.values():
        assert set(score.depends_on) <= set(OPTIONS)


def test_explanations_are_sentences_that_say_what_is_good():
    for score in SCORES.values():
        sentence = score.explanation
        assert sentence.endswith(".") and len(sentence) < 140 and ". " not in sentence
        assert any(word in sentence for word in ("higher is", "lower is", "near 1 is best"))


@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
def test_held_out_layers_are_not_style_layers(backbone):
    usual = [f"block{block}_conv1" for block in range(1, 6)]
    assert held_out_layers(usual, backbone) == HELD_OUT
    names = vgg.layer_names(backbone)
    other = held_out_layers(["block2_conv2", "relu3_3"], backbone)
    assert other[0] == "block2_conv1" and other[1] in names and other[1] != "block3_conv3"
    without_block_3 = [name for name in names if name.startswith("block3")]
    assert held_out_layers(without_block_3, backbone) == ("block2_conv2", "block4_conv3")
    assert held_out_layers(names, backbone) == ()


def test_the_table_imports_no_tensorflow():
    program = "import sys, nst_keras.runs.score_table; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
