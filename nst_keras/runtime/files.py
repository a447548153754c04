"""Files that readers always see whole: atomic writes, JSON, and folders to write in."""

import contextlib
import glob
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nst_keras.runtime.errors import InputError, reason_of

_LOCK = ".lock"


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a hidden sibling of `path` for writing; it replaces `path` when the block succeeds.

    The data are on disk before the name changes, so a crash at any moment leaves either the old
    file or the new one, never a part. An error leaves nothing behind.
    """
    path = Path(path)
    # A random name: processes on machines that share a folder may have the same number.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # Windows and some network folders cannot sync a rename
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Replace the file at `path` by `text` in UTF-8, atomically.

    File names that are not valid text, as `os.fsdecode` returns them, keep their bytes.
    """
    with atomic(path) as file:
        # JSON can spell half a surrogate pair, which no encoding can store.
        text = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)
        file.write(text.encode("utf-8", "surrogateescape"))


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """The object in a JSON file; empty if the file is missing or cannot be read as one."""
    try:
        record = json.loads(Path(path).read_text("utf-8", "surrogateescape"))  # as `write_text`
    except (OSError, ValueError, RecursionError):  # the last for endless brackets
        return {}
    return record if isinstance(record, dict) and not is_deep(record) else {}


def is_deep(value: Any, most: int = 50) -> bool:
    """Whether lists and objects from JSON are nested more than `most` levels deep."""
    if not isinstance(value, (dict, list)):
        return False
    children = value.values() if isinstance(value, dict) else value
    return most == 0 or any(is_deep(child, most - 1) for child in children)


@contextlib.contextmanager
def preparing(folder: Path) -> Iterator[None]:
    """Prepare a work folder in the block; then raise InputError unless a file of 1 MiB fits in it.

    Several processes may do so at the same time.
    """
    probe = folder / f".probe.{secrets.token_hex(4)}.tmp"
    try:
        yield
        try:
            # As large as a checkpoint of a small picture, so that a full disk shows.
            probe.write_bytes(bytes(1 << 20))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        message = f"--workdir={folder}: cannot be written to: {reason_of(error)}"
        raise InputError(message) from error


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a work folder during the block, and first remove what a killed process left unfinished.

    Raises InputError if another process holds the folder, or it cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        with preparing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(folder / _LOCK, "ab"))
            if not lock(file):
                raise InputError(
                    f"--workdir={folder}: is in use by another process; use another folder"
                )
            for path in temporaries(folder):  # before the probe: they may fill the disk
                path.unlink()
        yield


def lock(file: BinaryIO, *, wait: bool = False) -> bool:
    """Lock an open file until it is closed or the process ends, however it ends.

    Returns False if another process holds the lock, unless `wait` says to wait for it. On Windows
    and in network folders without locks it returns True.
    """
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def is_unused(folder: Path) -> bool:
    """Whether an existing folder is empty except for a lock and the remains of a crash."""
    return {*folder.iterdir()} <= {folder / _LOCK, *temporaries(folder)}


def temporaries(folder: Path) -> list[Path]:
    """Unfinished files of `atomic` in a folder and in its direct subfolders."""
    return [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")]


def remove_temporaries_of(path: Path) -> None:
    """Remove what a crash left of atomic writes to one file."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        left.unlink()


def check_temporary_folder() -> None:
    """Raise InputError unless temporary files can be written: TensorFlow compiles through them."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(1 << 16))
            file.flush()
    except OSError as error:
        where = tempfile.tempdir or os.environ.get("TMPDIR", "")
        message = f"TMPDIR={where}: temporary files cannot be written: {reason_of(error)}"
        raise InputError(message) from error
