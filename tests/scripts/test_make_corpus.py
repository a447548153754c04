"""The command that writes pictures with their right values."""

import pytest

from tests.scripts.conftest import SCRIPTS, load_script


def test_the_pictures_of_all_kinds_are_written(tmp_path, capsys, monkeypatch):
    pytest.importorskip("imagecodecs")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    make = load_script("make_corpus")
    monkeypatch.setattr(make, "tiffs", make.bmps)
    monkeypatch.setattr(make, "photos", make.bmps)
    folder = tmp_path / "corpus"
    assert make.main([str(folder)]) == 0
    assert len(list(folder.glob("*.bmp"))) > 50 < len(list(folder.glob("*.png")))
    assert (folder / "expected.json").exists() and ".bmp" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        make.main([str(folder)])
