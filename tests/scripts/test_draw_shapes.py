"""The labeled set of small pictures."""

import csv

import numpy as np
import pytest
from PIL import Image

from tests.scripts.conftest import load_script

draw_shapes = load_script("draw_shapes")


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def test_the_same_arguments_draw_the_same_bytes(tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        draw_shapes.draw_set(tmp_path / name, count=20, size=24, seed=seed)
    one, same, other = (contents(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same and len(one) == 21
    assert {path for path in one if one[path] == other[path]} == {
        path for path in one if path.suffix == ".csv"
    }


def test_every_picture_has_a_row_and_all_classes_are_there(tmp_path):
    draw_shapes.draw_set(tmp_path, count=20, size=24, seed=0)
    with open(tmp_path / "labels.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {*draw_shapes.CLASSES}
    assert len({row["path"] for row in rows}) == 20
    for row in rows:
        with Image.open(tmp_path / row["path"]) as image:
            assert image.size == (24, 24) and image.mode == "RGB"


@pytest.mark.parametrize("label", draw_shapes.CLASSES)
def test_a_shape_differs_from_its_background(label):
    drawn = draw_shapes.draw_picture(label, 32, np.random.default_rng(1))
    assert np.asarray(drawn, float).std() > 10


def test_the_command_checks_its_flags(tmp_path, monkeypatch, capsys):
    out = tmp_path / "shapes"
    monkeypatch.setattr("sys.argv", ["draw_shapes.py", f"--out={out}", "--count=3", "--size=16"])
    assert draw_shapes.main() == 0
    assert capsys.readouterr().out.strip() == str(out / "labels.csv")
    monkeypatch.setattr("sys.argv", ["draw_shapes.py", f"--out={out}", "--size=8"])
    with pytest.raises(SystemExit):
        draw_shapes.main()
    assert "--size from 16 to 1024" in capsys.readouterr().err
