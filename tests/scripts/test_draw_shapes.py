"""The drawn pictures of the README's training."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
import draw_shapes


def test_drawn_pictures_are_repeatable(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        draw_shapes.draw_set(folder, count=20, size=24, seed=0)
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 21
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    rows = (first / "labels.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert {row.split(",")[1] for row in rows} == set(draw_shapes.CLASSES)
