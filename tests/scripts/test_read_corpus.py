"""The command that reads a folder and says what is not read rightly."""

import pytest

from nst_keras.imaging import images
from tests.conftest import picture
from tests.scripts.conftest import SCRIPTS, load_script


@pytest.fixture
def command(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return load_script("read_corpus")


def test_files_are_counted_and_problems_decide_the_status(command, tmp_path, capsys):
    (tmp_path / "inner").mkdir()
    images.write_image(tmp_path / "inner" / "a.png", picture(20, 30))
    (tmp_path / "b.txt").write_text("text")
    assert command.main([str(tmp_path)]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "2 files: 1 read, 1 refused with one line" and last == "0 problems"
    Expected, Case = command.Expected, __import__("corpus.expected").expected.Case
    data = (tmp_path / "inner" / "a.png").read_bytes()
    Expected.save(tmp_path, [Case("a.png", data, picture(20, 30) / 2)])
    assert command.main([str(tmp_path)]) == 1
    assert "differs by" in capsys.readouterr().out


def test_a_missing_folder_is_an_error(command, tmp_path):
    with pytest.raises(SystemExit):
        command.main([str(tmp_path / "missing")])
