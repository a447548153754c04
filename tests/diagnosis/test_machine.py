"""What is told about the machine: full disks, damaged weights, another backend of Keras."""

import json
import re
import shutil
import sys
from collections import namedtuple

import pytest

from nst_keras.devices import compile_cache
from nst_keras.devices.memory import GIB
from nst_keras.diagnosis import machine
from nst_keras.diagnosis.finding import OK, PROBLEM, WARNING, guarded
from nst_keras.network import weights
from tests.conftest import ROOT

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("free", "level", "told"),
    [(8 * GIB, OK, "8.0 GiB"), (GIB, WARNING, "1.0 GiB"), (sys.maxsize, OK, "not known")],
)
def test_little_memory_is_a_warning(free, level, told, monkeypatch):
    monkeypatch.setattr(machine, "available_bytes", lambda: free)
    (found,) = machine.check_memory()
    assert found.level == level and told in found.text
    assert bool(found.remedy) == (level == WARNING)


@pytest.mark.parametrize(("load", "count"), [(2.9, 0), (3.5, 1)])
def test_a_busy_machine_is_a_warning(load, count, monkeypatch):
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
    found = list(machine.check_load())
    assert len(found) == count
    if found:
        assert found[0].level == WARNING and "use 3.5 of 4 cores" in found[0].text


def test_without_a_known_load_there_is_no_warning(monkeypatch):
    monkeypatch.delattr(machine.os, "getloadavg", raising=False)
    assert not list(machine.check_load())


@pytest.mark.parametrize(("free", "level"), [(5 * GIB, OK), (GIB // 2, WARNING)])
def test_the_disk_is_that_of_a_folder_that_need_not_exist(free, level, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        shutil, "disk_usage", lambda place: asked.append(place) or Usage(0, 0, free)
    )
    (found,) = machine.check_disk(str(tmp_path / "not" / "yet"))
    assert found.level == level and f"{free / GIB:.1f} GiB free" in found.text
    assert asked == [tmp_path] and not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path):
    file = tmp_path / "file"
    file.touch()
    found = list(guarded(lambda: machine.check_disk(str(file / "runs")), "disk", "elsewhere"))
    assert [one.level for one in found] == [PROBLEM] and str(file) in found[0].text


def test_a_temporary_folder_that_is_missing_is_a_problem(tmp_path, monkeypatch):
    def refuse():
        raise OSError(2, "temporary files cannot be written", "TMPDIR=/gone")

    monkeypatch.setattr(machine.files, "check_temporary_folder", refuse)
    found = list(guarded(lambda: machine.check_disk(str(tmp_path)), "disk", "elsewhere"))
    assert [one.level for one in found] == [OK, PROBLEM] and "TMPDIR=/gone" in found[1].text


def test_the_compile_cache_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = compile_cache.root_of("auto")
    (found,) = machine.check_compile_cache()
    assert "0 MiB" in found.text and not root.exists()
    (root / "machine" / "programs").mkdir(parents=True)
    (root / "machine" / "programs" / "one").write_bytes(bytes(3 << 20))
    (found,) = machine.check_compile_cache()
    assert found.text.startswith(f"3 MiB in {root}")


def test_the_weights_in_the_package_are_those_of_the_notice():
    (found,) = machine.check_weights()
    assert found.level == OK
    told = re.search(r"SHA-256 of the file: (\w+)", (ROOT / "NOTICE").read_text("utf-8"))
    assert told[1] == weights.EMBEDDED_SHA256


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_missing_and_damaged_weights_are_a_problem(damage, tmp_path, monkeypatch):
    path = tmp_path / "weights.npz"
    if damage == "short":
        path.write_bytes(weights.embedded_path().read_bytes()[:-1])
    monkeypatch.setattr(weights, "embedded_path", lambda: path)
    (found,) = machine.check_weights()
    assert found.level == PROBLEM and "install nst_keras again" in found.remedy
    assert found.text.endswith("is missing" if damage == "missing" else "is damaged")


def test_another_backend_of_keras_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)

    def level():
        (found,) = machine.check_keras_backend()
        return found.level, found.text

    assert level() == (OK, "TensorFlow")
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert level()[0] == WARNING and "keras.json" in level()[1]
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # wins over the file
    assert level()[0] == WARNING and "KERAS_BACKEND=torch" in level()[1]
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert level()[0] == OK
