"""Atomic writes, JSON from anywhere, and folders that are locked and checked."""

import errno
import gc
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from nst_keras.runtime import cli, files
from nst_keras.runtime.errors import InputError


def test_atomic_replaces_the_file_when_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with files.atomic(path) as file:
        file.write(b"new and longer")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new and longer"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_atomic_writers_of_one_file_do_not_interfere(tmp_path):
    """Processes on machines that share a folder may have the same number."""
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


def test_atomic_leaves_nothing_behind_if_there_was_no_file(tmp_path):
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


def test_write_text_keeps_utf8_and_line_ends(tmp_path):
    files.write_text(tmp_path / "a.txt", "Gemälde\n漢字\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "Gemälde\n漢字\r\n".encode()


ARRAYS = {"a/b": np.arange(6.0).reshape(2, 3), "one": np.float32(2.0), "none": np.zeros(0, int)}


def test_arrays_are_written_as_numpy_writes_them():
    ours, theirs = io.BytesIO(), io.BytesIO()
    files.write_arrays(ours, ARRAYS)
    np.savez(theirs, **ARRAYS)
    assert ours.getvalue() == theirs.getvalue()


def test_arrays_that_do_not_fit_leave_nothing_that_complains_later(monkeypatch):
    """As an archive does that is still open when it is thrown away."""

    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() > 100:
                raise OSError(errno.ENOSPC, "No space left")
            return super().write(data)

    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    with Full() as file, pytest.raises(OSError, match="No space left"):
        files.write_arrays(file, ARRAYS)
    gc.collect()
    assert told == []


def test_a_file_name_of_any_bytes_survives_json(tmp_path):
    record = {"content": os.fsdecode(b"caf\xe9.jpg")}
    files.write_text(tmp_path / "a.json", json.dumps(record, ensure_ascii=False))
    assert files.read_json(tmp_path / "a.json") == record


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 60 + b"1" + b"}" * 60,
        b'{"a": ' + b"1" * 5000 + b"}",  # more digits than Python converts
    ],
    ids=range(7),
)
def test_damaged_json_is_an_empty_record(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    assert files.read_json(tmp_path / "a.json") == {}


def test_missing_json_is_an_empty_record(tmp_path):
    assert files.read_json(tmp_path / "a.json") == {}


@pytest.mark.parametrize(("levels", "deep"), [(0, False), (3, False), (4, True)])
def test_values_are_deep_beyond_so_many_levels(levels, deep):
    value = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value, 2]
    assert files.is_deep(value, most=3) == deep


def test_unfinished_files_of_one_file_are_removed(tmp_path):
    kept = [tmp_path / name for name in ("a[1].png", ".b.png.12.tmp", ".a1.png.12.tmp")]
    left = tmp_path / ".a[1].png.12.tmp"
    for path in (*kept, left):
        path.touch()
    files.remove_temporaries_of(tmp_path / "a[1].png")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_several_processes_may_prepare_a_folder(tmp_path):
    with files.preparing(tmp_path), files.preparing(tmp_path):
        (tmp_path / "logs").mkdir()
    assert os.listdir(tmp_path) == ["logs"]


def test_a_folder_on_a_full_disk_is_refused(tmp_path, monkeypatch):
    def fill(path, data):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.Path, "write_bytes", fill)
    with pytest.raises(OSError) as caught, files.preparing(tmp_path):
        pass
    said = f"--workdir={tmp_path}: cannot be written to: No space left on device"
    assert cli.explain(caught.value) == (said, 74)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *((name, 74) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "ESTALE", "ETIMEDOUT")),
        *((name, 2) for name in ("EROFS", "EACCES", "ENAMETOOLONG", "ENOTDIR")),
    ],
)
def test_only_trouble_that_may_pass_says_try_again(tmp_path, name, status):
    number = getattr(errno, name)
    with pytest.raises((OSError, InputError)) as caught, files.preparing(tmp_path):
        raise OSError(number, os.strerror(number), "elsewhere")
    said = f"--workdir={tmp_path}: cannot be written to: {os.strerror(number)}"
    assert cli.explain(caught.value) == (said, status)


def failing_fsync(number):
    def fsync(descriptor):
        raise OSError(number, os.strerror(number))

    return fsync


@pytest.mark.parametrize("name", ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"])
def test_a_file_system_without_fsync_is_written_to(tmp_path, monkeypatch, name):
    monkeypatch.setattr(os, "fsync", failing_fsync(getattr(errno, name)))
    files.write_text(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").read_text() == "text"


def test_an_fsync_that_fails_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing_fsync(errno.EIO))
    with pytest.raises(OSError) as caught:
        files.write_text(tmp_path / "a.txt", "text")
    assert cli.explain(caught.value) == (f"{tmp_path / 'a.txt'}: Input/output error", 74)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", ["open", "write", "replace"])
def test_an_error_of_an_atomic_write_names_the_file_and_not_its_temporary(
    tmp_path, monkeypatch, step
):
    path = tmp_path / ("a.txt" if step != "open" else "gone/a.txt")
    if step == "replace":
        path.mkdir()
    with pytest.raises(OSError) as caught, files.atomic(path):
        if step == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert cli.explain(caught.value)[0].startswith(f"{path}: ")


def test_an_error_without_a_number_keeps_its_text(tmp_path):
    with pytest.raises(OSError, match="^broken data stream$"), files.atomic(tmp_path / "a.png"):
        raise OSError("broken data stream")


# Paths at which there is nothing


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none.jpg", "no such file"),
        ("https://example.com/a.jpg", "URLs are not read; download the file"),
        (Path("folder", "HTTP://example.com/a.jpg"), "URLs are not read; download the file"),
        ("s3://bucket/a.jpg", "URLs are not read; download the file"),
        ("photos\\a.jpg", "no such file; folders are separated by / here, not by \\"),
        ("a:/b.jpg", "no such file"),
    ],
)
def test_what_is_not_there_is_told_from_what_cannot_be_read(path, said):
    assert files.missing(path) == said


def test_a_link_to_nowhere_is_named_wherever_it_is_in_the_path(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    said = f"no such folder: {link} is a symbolic link to nowhere, which does not exist"
    assert files.missing(link, "folder") == files.missing(link / "a" / "b", "folder") == said
    (tmp_path / "nowhere").mkdir()
    assert files.dangling_link(link) == ""


def test_an_unusable_temporary_folder_is_refused(tmp_path, monkeypatch):
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
        with pytest.raises(OSError, match="temporary files cannot be written: File too large"):
            files.check_temporary_folder()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_temporary_folders_are_told_from_missing_ones(tmp_path, monkeypatch):
    def none_works():  # what `tempfile` says, whatever was wrong with them
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", none_works)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(Path, "write_bytes", _refuse)
    with pytest.raises(OSError) as caught:
        files.check_temporary_folder()
    said = f"TMPDIR={tmp_path}: temporary files cannot be written: No space left on device"
    assert cli.explain(caught.value) == (said, 74)


def test_unfinished_files_are_removed_even_if_the_disk_is_full(tmp_path, monkeypatch):
    left = [tmp_path / ".latest.jpg.12.tmp", tmp_path / "sub" / ".iteration_00007.jpg.12.tmp"]
    (tmp_path / "sub").mkdir()
    for path in left:
        path.write_text("x")
    monkeypatch.setattr(Path, "write_bytes", _refuse)  # the probe of the disk
    with pytest.raises(OSError, match="cannot be written to: No space"), files.held(tmp_path):
        raise AssertionError("the block was entered")
    assert not any(path.exists() for path in left)


def _refuse(path, data):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_one_process_at_a_time_holds_a_folder(tmp_path):
    folder = tmp_path / "job"
    with files.held(folder):
        assert files.is_unused(folder)  # it contains only the lock
        again = files.held(folder)
        with pytest.raises(InputError, match="job: another process is at work there"), again:
            raise AssertionError("held twice")
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
