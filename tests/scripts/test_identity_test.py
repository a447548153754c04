"""The script that paints a picture in its own style: scores, bounds and exit status."""

from pathlib import Path

import numpy as np
import pytest

from nst_keras.imaging import geometry, images
from nst_keras.network import weights
from nst_keras.runs import scores
from nst_keras.runs.score_table import SCORES
from tests.scripts.conftest import load_script

SAMPLES = Path(__file__).parent.parent.parent / "configs/images"


identity_test = load_script("identity_test")


@pytest.fixture(scope="module")
def scorer():
    return scores.Scorer(weights.read_weights(weights.embedded_path(), "vgg19"))


def sample(name):
    return geometry.thumbnail(images.read_image(SAMPLES / name).pixels, 64)


def test_psnr_by_hand():
    black, gray = np.zeros((4, 4, 3), np.float32), np.full((4, 4, 3), 0.1, np.float32)
    assert identity_test.psnr(gray, black) == pytest.approx(20)
    assert identity_test.psnr(black, black) == 100


def test_only_the_picture_itself_has_sufficient_scores(scorer):
    picture = sample("harbor.jpg")
    itself = identity_test.figures(images.to_uint8(picture) / np.float32(255), picture, scorer)
    assert identity_test.misses("content", itself) == identity_test.misses("noise", itself) == []
    small = geometry.resize(picture, 32, 43)
    others = {
        "noisy": picture + np.random.default_rng(0).normal(0, 0.05, picture.shape),
        "blurred": geometry.resize(small, *picture.shape[:2]),
        "mirrored": picture[:, ::-1],
        "another": sample("lily_pond.jpg"),
        "plain": np.zeros_like(picture) + picture.mean((0, 1)),
    }
    for name, other in others.items():
        found = identity_test.figures(np.clip(other, 0, 1).astype(np.float32), picture, scorer)
        for start in ("content", "noise"):
            assert identity_test.misses(start, found), (name, start)


# Few small steps stay near the start.
SHORT = ["--size=64", "--scales=1", "--iterations=10", "--learning_rate=0.01"]
SHORT += ["--objective=relative"]  # soon compiled


def test_a_short_run_returns_the_picture_only_from_itself(capsys):
    status = identity_test.main(SHORT)
    shown = capsys.readouterr().out.splitlines()
    assert status == 1
    assert shown[-1].startswith("insufficient: gram_error from noise")
    assert not any("MISSED" in line for line in shown if line.startswith("content"))
    rows = [line.split()[:2] for line in shown[1:-1]]
    names = ["gram_error", *list(SCORES)[1:], "psnr", "psnr_gain"]
    assert rows == [[start, name] for start in ("content", "noise") for name in names]


def test_bad_flags_and_help(capsys):
    assert identity_test.main(["--sise=64"]) == 2
    assert "--sise" in capsys.readouterr().err
    assert identity_test.main(["--content=nowhere.jpg"]) == 2
    assert identity_test.main(["--help"]) == 0
    assert "content = style" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 128])
def test_the_sample_picture_comes_back(size):
    assert identity_test.main([f"--size={size}"]) == 0
