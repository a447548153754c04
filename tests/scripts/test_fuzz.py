"""The command that damages files and reads them."""

import os
import sys

import pytest

from tests.scripts.conftest import SCRIPTS, load_script
from tests.scripts.fuzzing.conftest import kind_of


def test_the_command_reads_and_sums_up(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    fuzz = load_script("fuzz")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # restored afterwards
    kinds = {"fine": kind_of(lambda folder: None), "bad": kind_of(lambda folder: os.fork, share=1)}
    monkeypatch.setattr(fuzz, "KINDS", kinds)
    assert fuzz.main(["--inputs=20", "--kind=fine", f"--keep={tmp_path / 'keep'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fine", "read", "20"]
    assert lines[-1].startswith("20 inputs, 0 tracebacks, 0 hangs, peak ")
    with pytest.raises(SystemExit):
        fuzz.main(["--kind=other"])
