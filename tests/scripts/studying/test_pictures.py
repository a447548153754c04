"""Painting the pictures of a study."""

import subprocess

from scripts.studying import pictures


def test_only_missing_pictures_are_painted_with_the_candidates_flags(tmp_path, monkeypatch):
    (tmp_path / "pairs.csv").write_text("name,content,style\np,a.jpg,sub/b.jpg\n", encoding="utf-8")
    text = 'name,flags\nours,"--size=64 --style_weight=3"\nother,\n'
    (tmp_path / "candidates.csv").write_text(text, encoding="utf-8")
    there = pictures.picture_path(tmp_path, "other", "p")
    there.parent.mkdir(parents=True)
    there.touch()
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    pairs = pictures.read_pairs(tmp_path / "pairs.csv")
    pictures.paint(tmp_path, pairs, pictures.read_candidates(tmp_path / "candidates.csv"))
    ((_, *command),) = commands
    assert command[:2] == ["-m", "nst_keras.run"]
    expected = {
        f"--content={tmp_path / 'a.jpg'}",
        f"--style={tmp_path / 'sub/b.jpg'}",
        f"--output={pictures.picture_path(tmp_path, 'ours', 'p')}",
        "--size=64",
        "--style_weight=3",
    }
    assert expected <= {*command}
