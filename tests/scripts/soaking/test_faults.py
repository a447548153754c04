"""Faults of the disk: each happens at the operation that it is meant for."""

import contextlib
import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from scripts.soaking import faults
from scripts.soaking.faults import Faults


def write_all(folder: Path) -> None:
    """Do five operations that count: mkdir, open, fsync, replace, unlink; and two that do not."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder / "new")
    with open(folder / "new" / "file", "w") as file:
        file.write("text")
        os.fsync(file.fileno())
    os.replace(folder / "new" / "file", folder / "new" / "name")
    (folder / "new" / "name").read_text()  # nothing is written
    (folder.parent / "elsewhere").write_text("not in the folder")
    os.unlink(folder / "new" / "name")


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_file_operations_are_counted(place):
    normal = (open, os.replace)
    with Faults("", 1, 0, place).installed() as counted:
        write_all(place)
    assert counted.count == 5
    assert (open, os.replace) == normal


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_full_disk_refuses_one_operation(place, at):
    with (
        pytest.raises(OSError) as caught,
        Faults("full", at, 0, place).installed() as counted,
    ):
        write_all(place)
    assert caught.value.errno == errno.ENOSPC and counted.count == at


def test_files_can_be_removed_from_a_full_disk(place):
    with Faults("full", 5, 0, place).installed():
        write_all(place)


def test_a_crash_and_limits_happen_at_their_operation(place, monkeypatch):
    seen = []
    monkeypatch.setattr(faults.os, "kill", lambda pid, number: seen.append((pid, number)))
    monkeypatch.setattr(faults.resource, "setrlimit", lambda *limit: seen.append(limit))
    monkeypatch.setattr(faults.signal, "signal", lambda *handler: seen.append(handler))
    with Faults("crash", 3, 0, place).installed():
        write_all(place)
    assert seen == [(os.getpid(), signal.SIGKILL)]
    seen.clear()
    with Faults("limit", 3, 100, place).installed():
        write_all(place)
    ((which, (soft, _)),) = seen
    assert (which, soft) == (resource.RLIMIT_FSIZE, 100)
    seen.clear()
    with Faults("torn", 3, 100, place).installed():
        write_all(place)
    assert (signal.SIGXFSZ, signal.SIG_DFL) in seen and seen[-1][0] == resource.RLIMIT_FSIZE
