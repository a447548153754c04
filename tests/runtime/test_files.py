"""Atomic writes and hashes."""

import errno
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError


def test_atomic_replaces_the_file_when_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with files.atomic(path) as file:
        file.write(b"new and longer")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new and longer"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_atomic_writers_of_one_file_are_not_in_each_others_way(tmp_path):
    """Such as processes of one number on machines that share a folder."""
    path = tmp_path / "a.bin"
    with files.atomic(path) as first:
        first.write(b"first")
        with files.atomic(path) as second:
            second.write(b"second")
            assert len(list(tmp_path.glob(".*.tmp"))) == 2  # what `temporaries` looks for
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_atomic_leaves_the_old_file_and_nothing_else_after_an_error(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), files.atomic(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_atomic_leaves_nothing_behind_where_there_was_no_file(tmp_path):
    with pytest.raises(ValueError), files.atomic(tmp_path / "a.bin"):
        raise ValueError
    assert os.listdir(tmp_path) == []


def test_atomic_syncs_the_data_before_the_name_changes(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("sync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    files.write_text(tmp_path / "a.txt", "x")
    assert calls[:2] == ["sync", "replace"]


def test_a_failing_rename_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(source, target):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_text(tmp_path / "none" / "a.txt", "x")


def test_write_text_is_utf8_with_its_line_ends_kept(tmp_path):
    files.write_text(tmp_path / "a.txt", "Gemälde\n漢字\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "Gemälde\n漢字\r\n".encode()


@pytest.mark.parametrize("size", [0, 5, (1 << 20) + 3])
def test_sha256_is_that_of_the_bytes(tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "a").write_bytes(data[:size])
    assert files.sha256(tmp_path / "a") == hashlib.sha256(data[:size]).hexdigest()


def test_a_record_with_a_name_of_any_bytes_is_read_again(tmp_path):
    record = {"content": os.fsdecode(b"caf\xe9.jpg")}
    files.write_text(tmp_path / "a.json", json.dumps(record, ensure_ascii=False))
    assert files.read_json(tmp_path / "a.json") == record


def test_a_folder_is_prepared_by_several_at_a_time(tmp_path):
    with files.preparing(tmp_path), files.preparing(tmp_path):
        (tmp_path / "logs").mkdir()
    assert os.listdir(tmp_path) == ["logs"]


def test_a_folder_without_room_is_refused(tmp_path, monkeypatch):
    def fill(path, data):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.Path, "write_bytes", fill)
    with pytest.raises(InputError) as caught, files.preparing(tmp_path):
        pass
    said = f"--workdir={tmp_path}: cannot be written to: No space left on device"
    assert str(caught.value) == said
    assert os.listdir(tmp_path) == []


def test_a_temporary_folder_without_room_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files.check_temporary_folder()
    assert not os.listdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"^TMPDIR=.*/gone: temporary files .*: No such file"):
        files.check_temporary_folder()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(InputError, match="File too large"):
            files.check_temporary_folder()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_crash_left_is_removed_even_if_the_disk_is_full(tmp_path, monkeypatch):
    left = [tmp_path / ".latest.jpg.12.tmp", tmp_path / "sub" / ".iteration_00007.jpg.12.tmp"]
    (tmp_path / "sub").mkdir()
    for path in left:
        path.write_text("x")
    monkeypatch.setattr(Path, "write_bytes", _refuse)  # the probe of the disk
    with pytest.raises(InputError, match="cannot be written to: No space"), files.held(tmp_path):
        raise AssertionError("it was held")
    assert not any(path.exists() for path in left)


def _refuse(path, data):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path):
    folder = tmp_path / "job"
    with files.held(folder):
        assert files.is_unused(folder)  # only the lock is in it
        again = files.held(folder)
        with pytest.raises(InputError, match="job: is in use by another process"), again:
            raise AssertionError("it was held twice")
    with files.held(folder):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from nst_keras.runtime import files\n"
        "with files.held(Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "job"])
    assert done.returncode == -signal.SIGKILL
    with files.held(tmp_path / "job"):
        pass
