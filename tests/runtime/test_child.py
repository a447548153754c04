"""Child processes import this package, whatever the working folder contains."""

import subprocess
import sys

import nst_keras
from nst_keras.runtime import child


def output_of(module, *arguments, folder):
    command = [*child.command(module), *arguments]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return found.returncode, found.stdout.strip(), found.stderr


def test_nothing_in_the_working_folder_takes_the_place_of_a_module(tmp_path):
    (tmp_path / "nst_keras").mkdir()
    for name in ("nst_keras/__init__.py", "queue.py", "runpy.py", "json.py", "tensorflow.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong one')")
    answer = (0, f"nst_keras {nst_keras.__version__}", "")
    assert output_of("nst_keras.run", "--version", folder=tmp_path) == answer


def test_the_module_has_its_own_arguments_and_exit_status(tmp_path):
    status, shown, error = output_of("nst_keras.run", "--size=no", "", folder=tmp_path)
    assert (status, shown) == (2, "") and error.startswith("nst_keras: --size=no: must be ")


def test_the_package_is_that_of_this_process(tmp_path, monkeypatch):
    (tmp_path / "nst_keras").mkdir()
    for name, text in (("__init__", ""), ("run", "import sys; print(__name__, sys.argv[1:])")):
        (tmp_path / "nst_keras" / f"{name}.py").write_text(text)
    monkeypatch.setattr(nst_keras, "__file__", str(tmp_path / "nst_keras" / "__init__.py"))
    shown = "__main__ ['a', '--b']"
    assert output_of("nst_keras.run", "a", "--b", folder=tmp_path) == (0, shown, "")
    assert sys.executable in child.command("nst_keras.run")
