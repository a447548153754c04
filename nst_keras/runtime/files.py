"""Files that a reader always sees whole: atomic writes, content hashes, folders to write in."""

import contextlib
import glob
import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from nst_keras.runtime.errors import InputError

_LOCK = ".lock"


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a hidden sibling of `path` for writing; when the block succeeds it replaces `path`.

    The data are on disk before the name changes, so a crash at any moment leaves the old file or
    the new one, never a part. On an error nothing is left behind.
    """
    path = Path(path)
    # At random: machines that share a folder may have processes of the same number.
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
    _sync_folder(path.parent)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Replace the file at `path` by `text` in UTF-8, atomically; file names of any bytes pass."""
    with atomic(path) as file:
        # Half a surrogate pair, as JSON may spell it, is no text that a file could hold.
        text = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)
        file.write(text.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def preparing(folder: Path) -> Iterator[None]:
    """The block makes a job's folder ready; then a file must fit in. Several may do so at a time.

    Raises:
        InputError: the folder cannot be written to.
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
        reason = error.strerror or error
        raise InputError(f"--workdir={folder}: cannot be written to: {reason}") from error


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a job's folder during the block, and first remove what a killed process left there half
    written. The lock ends with the process that has it, however that ends.

    Raises:
        InputError: another process is at work in it, or it cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        with preparing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(folder / _LOCK, "ab"))
            if not lock(file):
                raise InputError(f"--workdir={folder}: another process is at work in it")
            _remove_temporaries(folder)  # they may be what fills the disk
        yield


def is_unused(folder: Path) -> bool:
    """Whether a folder holds nothing, or nothing but what `held` and a crash leave."""
    return {*folder.iterdir()} <= {folder / _LOCK, *temporaries(folder)}


def check_temporary_folder() -> None:
    """TensorFlow compiles through files in the system's folder for them.

    Raises:
        InputError: they cannot be written.
    """
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(1 << 16))
            file.flush()
    except OSError as error:
        reason = error.strerror or error
        where = tempfile.tempdir or os.environ.get("TMPDIR", "")
        raise InputError(f"TMPDIR={where}: temporary files cannot be written: {reason}") from error


def temporaries(folder: Path) -> list[Path]:
    """What a crash left of atomic writes to a folder and its folders."""
    return [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")]


def _remove_temporaries(folder: Path) -> None:
    for left in temporaries(folder):
        left.unlink()


def remove_temporaries_of(path: Path) -> None:
    """Remove what a crash left of atomic writes to one file."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        left.unlink()


def digest(record: Mapping[str, str]) -> str:
    """A hash that tells records apart, in hexadecimal."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the system can: Windows and some network folders cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none yet or none that can be read."""
    try:
        record = json.loads(Path(path).read_text("utf-8", "surrogateescape"))  # as `write_text`
        if is_deep(record):
            return {}
    except (OSError, ValueError, RecursionError):  # the last: brackets without end
        return {}
    return record if isinstance(record, dict) else {}


def is_deep(value: Any, most: int = 50) -> bool:
    """Whether lists and objects from JSON are nested deeper than any of ours."""
    level = [value]
    for _ in range(most):
        holders = [one for one in level if isinstance(one, (dict, list))]
        level = [it for one in holders for it in (one.values() if isinstance(one, dict) else one)]
    return any(isinstance(one, (dict, list)) for one in level)


def lock(file: BinaryIO, *, wait: bool = False) -> bool:
    """Hold an open file until it is closed or the process ends, however it ends.

    Returns False where another process holds it, unless that is to be waited for; and True where
    the system knows no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network folders know no locks
        return True
    return True
