"""What the package offers by its name alone."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import nst_keras

EVERYTHING = """
import importlib, inspect, pkgutil, nst_keras
for found in pkgutil.walk_packages(nst_keras.__path__, "nst_keras."):
    if found.name not in ("nst_keras.run", "nst_keras.__main__"):
        importlib.import_module(found.name)
assert inspect.isfunction(nst_keras.run), nst_keras.run
nst_keras.run()
"""


@pytest.mark.parametrize("name", nst_keras.__all__)
def test_public_names_are_there_and_completed(name):
    assert getattr(nst_keras, name).__doc__
    assert name in dir(nst_keras)


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'stylise'"):
        nst_keras.stylise  # noqa: B018


def test_run_stays_a_function_when_all_modules_are_imported():
    """The command `nst_keras/run.py` has the same name: nothing but `python -m` may import it."""
    done = subprocess.run([sys.executable, "-c", EVERYTHING], capture_output=True, text=True)
    assert "nst_keras.runtime.errors.InputError: content is missing" in done.stderr, done.stderr


def test_importing_it_is_silent_and_imports_no_tensorflow():
    program = "import sys, nst_keras; assert not {'tensorflow', 'keras'} & {*sys.modules}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_type_checkers_see_its_annotations():
    files = importlib.resources.files(nst_keras)
    assert (files / "py.typed").is_file()
    assert any(
        found.name == "nst_keras.runs"
        for found in pkgutil.walk_packages(nst_keras.__path__, "nst_keras.")
    )
