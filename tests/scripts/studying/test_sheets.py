"""Sheets of a study."""

import collections

import numpy as np
import pytest
from PIL import Image

from scripts.studying import sheets
from scripts.studying.pictures import Pair, picture_path

COLORS = {"one": (250, 0, 0), "two": (0, 0, 250)}


def save(path, color, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


@pytest.fixture
def study(tmp_path):
    pairs = []
    for name in "abcdef":
        photo = save(tmp_path / f"{name}.png", (0, 250, 0), (64, 48))
        pairs.append(Pair(name, photo, save(tmp_path / "style.png", (9, 9, 9), (30, 40))))
        for candidate, color in COLORS.items():
            save(picture_path(tmp_path, candidate, name), color, (64, 48))
    return tmp_path, pairs


def test_each_judge_sees_every_pair_once_and_the_key_tells_the_sides(study):
    folder, pairs = study
    key = sheets.make_sheets(folder, pairs, [("one", "two")], judges=3, seed=0)
    assert sheets.read_key(folder / "key.csv") == key
    assert collections.Counter(one.pair for one in key) == dict.fromkeys("abcdef", 3)
    assert {one.left for one in key} == {one.right for one in key} == {*COLORS}
    for one in key:
        with Image.open(folder / "sheets" / one.judge / f"{one.sheet}.png") as image:
            pixels = np.asarray(image)
            assert tuple(pixels[-1, 0]) == COLORS[one.left]
            assert tuple(pixels[-1, -1]) == COLORS[one.right]


def test_what_a_judge_sees_does_not_name_candidates_or_pairs(study):
    folder, pairs = study
    sheets.make_sheets(folder, pairs, [("one", "two")], judges=1, seed=0)
    seen = sorted(path.name for path in (folder / "sheets" / "judge_1").iterdir())
    assert seen == ["instructions.txt", *(f"sheet_{n:03d}.png" for n in range(1, 7))]


def test_the_same_seed_draws_the_same_sheets(study):
    folder, pairs = study
    keys = [sheets.make_sheets(folder, pairs, [("one", "two")], 2, seed) for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]
