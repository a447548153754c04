"""All commands under one name."""

import subprocess
import sys
from pathlib import Path

import pytest

import nst_keras
from nst_keras import __main__ as main_module
from nst_keras.runtime import cli
from nst_keras.settings.command_help import help_text
from nst_keras.settings.config import COMMAND


@pytest.fixture
def called(monkeypatch):
    """The commands that were called, with their arguments; each has the status 7."""
    calls = []
    monkeypatch.setattr(
        main_module, "_command", lambda name, arguments: calls.append((name, arguments)) or 7
    )
    return calls


def test_alone_it_shows_a_short_usage_with_an_example(capsys):
    assert main_module.main([]) == cli.BAD_INPUT
    lines = capsys.readouterr().out.splitlines()
    assert "  nst photo.jpg painting.jpg" in lines
    assert len(lines) <= 14 and max(map(len, lines)) <= 90


@pytest.mark.parametrize(
    ("arguments", "name", "rest"),
    [
        (["photo.jpg", "painting.jpg"], "run", ["photo.jpg", "painting.jpg"]),
        (["--size=64"], "run", ["--size=64"]),
        (["-h"], "run", ["-h"]),
        (["run", "a.jpg"], "run", ["a.jpg"]),
        (["sweep", "--vary=seed=1,2"], "sweep", ["--vary=seed=1,2"]),
        (["compare", "a", "b"], "compare", ["a", "b"]),
        (["train", "--folder=x"], "train", ["--folder=x"]),
        (["train_backbone", "--folder=x"], "train", ["--folder=x"]),
        (["help"], "run", ["--help"]),
        (["help", "sweep"], "sweep", ["--help"]),
        (["help", "strength"], "run", ["--help", "strength"]),
    ],
)
def test_the_first_argument_may_name_a_command(arguments, name, rest, called):
    assert main_module.main(arguments) == 7
    assert called == [(name, rest)]


def test_a_file_without_an_extension_is_a_picture(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photo").touch()
    main_module.main(["photo", "painting"])
    assert called == [("run", ["photo", "painting"])]


@pytest.mark.parametrize(
    ("word", "hint"), [("swep", "did you mean sweep?"), ("xyzzy", "commands: run, try, sweep")]
)
def test_a_misspelt_command_is_refused(word, hint, called, capsys):
    assert main_module.main([word, "a.jpg"]) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith(f"nst_keras: {word} is neither a command nor a picture; {hint}")
    assert not called


@pytest.mark.parametrize("name", main_module._COMMANDS)
def test_every_command_has_a_help(name, capsys):
    assert main_module.main([name, "--help"]) == 0
    assert "nst " in capsys.readouterr().out


def test_it_is_run_as_a_module():
    command = [sys.executable, "-m", "nst_keras", "--help"]
    root = Path(nst_keras.__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == help_text(COMMAND) + "\n"
