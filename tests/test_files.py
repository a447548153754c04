"""Atomic writes and hashes."""

import hashlib
import os

import pytest

from nst_keras import files


def test_atomic_replaces_the_file_when_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with files.atomic(path) as file:
        file.write(b"new and longer")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new and longer"
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
