"""Files that readers always see whole: atomic writes, JSON, and folders to write in."""

import contextlib
import errno
import glob
import json
import os
import re
import secrets
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from nst_keras.runtime.errors import InputError, reason_of

if TYPE_CHECKING:
    import numpy as np

_LOCK = ".lock"
_LONGEST_NAME = 255  # bytes, of a file on the usual file systems


def _numbers(*names: str) -> set[int | None]:
    """Error numbers by name; not every system has all of them."""
    return {getattr(errno, name, None) for name in names}


# What more space, or a disk or network that is back, puts right.
_MAY_PASS = _numbers(
    *("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT", "ENOTCONN"),
    *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
)
_NO_SYNC = _numbers("EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS")  # the file system has none
# Also where it was joined to a folder.
_URL = re.compile("(^|/)(https?|ftps?|sftp|s3|gs|hdfs|file):/", re.IGNORECASE)


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a hidden sibling of `path` for writing; it replaces `path` when the block succeeds.

    The data are on disk before the name changes, so a crash at any moment leaves either the old
    file or the new one, never a part. An error leaves nothing behind.
    """
    path = Path(path)
    # A random name: processes on machines that share a folder may have the same number.
    temporary = path.with_name(f"{_temporary_prefix(path)}{secrets.token_hex(4)}.tmp")
    try:
        with naming(path, temporary):
            with open(temporary, "wb") as file:
                yield file
                sync(file)
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            temporary.unlink()
        raise
    with contextlib.suppress(OSError):  # Windows and some network folders cannot sync a rename
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _temporary_prefix(path: Path) -> str:
    """How the names of temporary files for `path` begin: as its own, as far as there is room."""
    room = _LONGEST_NAME - len("..12345678.tmp")
    if len(name := os.fsencode(path.name)) > room:
        return f".{name[:room].decode('utf-8', 'ignore')}."  # no part of a character
    return f".{path.name}."


def missing(path: str | os.PathLike, kind: str = "file") -> str:
    """What to say of a path at which there is no file, or other `kind`."""
    text = os.fspath(path)
    if is_url(text):
        return "URLs are not read; download the file"
    if link := dangling_link(path):
        return f"no such {kind}: {link}"
    if "\\" in text and os.sep == "/":
        return f"no such {kind}; folders are separated by / here, not by \\"
    return f"no such {kind}"


def is_url(text: str) -> bool:
    """Whether the text is a URL, perhaps one that `Path` has taken for a path."""
    return bool(_URL.search(text))


def dangling_link(path: str | os.PathLike) -> str:
    """Which symbolic link on the way to a path leads nowhere, in words; empty if none does."""
    for place in (Path(path), *Path(path).parents):
        if os.path.islink(place) and not os.path.exists(place):
            return f"{place} is a symbolic link to {os.readlink(place)}, which does not exist"
    return ""


def sync(file: IO) -> None:
    """Have all that was written to an open file on disk, if its file system can do that."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


@contextlib.contextmanager
def naming(path: str | os.PathLike, temporary: str | os.PathLike = "") -> Iterator[None]:
    """Have errors of the system in the block name this file, where they name none or only its
    temporary one."""
    try:
        yield
    except OSError as error:
        # Errors of decoders have no number, and would lose their text.
        if error.errno and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Replace the file at `path` by `text` in UTF-8, atomically.

    File names that are not valid text, as `os.fsdecode` returns them, keep their bytes.
    """
    with atomic(path) as file:
        # JSON can spell half a surrogate pair, which no encoding can store.
        text = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)
        file.write(text.encode("utf-8", "surrogateescape"))


def write_arrays(file: BinaryIO, arrays: "dict[str, np.ndarray]") -> None:
    """Write an `.npz` as `numpy.savez` does, which in NumPy 1 leaves it open where that fails."""
    import numpy as np  # not at the start: `doctor` tells that it is missing

    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def is_trouble_of_disk(error: BaseException) -> bool:
    """Whether an error in reading a file is of the disk or the system, and says nothing about what
    is in the file."""
    # A damaged archive names places that cannot be: EINVAL.
    no_trouble = (None, errno.EINVAL, errno.ENOENT)
    return isinstance(error, OSError) and error.errno not in no_trouble


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
def preparing(folder: Path, flag: str = "workdir") -> Iterator[None]:
    """Prepare a work folder in the block; then raise an error unless a file of 1 MiB fits in it.

    It is an OSError if the disk may take the file later, otherwise an InputError. Several processes
    may do so at the same time.
    """
    try:
        yield
        _probe(folder)
    except OSError as error:
        raise _unwritable(f"--{flag}={folder}", "cannot be written to", error) from error


def _probe(folder: Path) -> None:
    """Write a file as large as a checkpoint of a small picture, so that a full disk shows."""
    path = folder / f".probe.{secrets.token_hex(4)}.tmp"
    try:
        path.write_bytes(bytes(1 << 20))
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def checking(flag: str) -> Iterator[None]:
    """Have errors of the system in the block name a flag with its value, a path.

    It stays an OSError if the path may be usable later; otherwise it becomes an InputError.
    """
    try:
        yield
    except OSError as error:
        raise _unwritable(flag, "cannot be used", error) from error


def _unwritable(name: str, what: str, error: OSError) -> InputError | OSError:
    """The error to raise for a path that failed: who should try again needs to know."""
    text = f"{what}: {reason_of(error)}"
    if error.errno in _MAY_PASS:
        return OSError(error.errno, text, name)
    return InputError(f"{name}: {text}")


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a work folder during the block, and first remove what a killed process left unfinished.

    Raises InputError if another process holds the folder; otherwise as `preparing` does.
    """
    with contextlib.ExitStack() as stack:
        with preparing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(folder / _LOCK, "ab"))
            if not lock(file):
                raise InputError(
                    f"--workdir={folder}: another process is at work there; watch its page, "
                    "index.html, or use another folder"
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
    for left in path.parent.glob(f"{glob.escape(_temporary_prefix(path))}*.tmp"):
        left.unlink()


def check_temporary_folder() -> None:
    """Raise an error, as `preparing` does, unless temporary files can be written: TensorFlow
    compiles through them."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(1 << 16))
            file.flush()
    except OSError as error:
        where, reason = tempfile.tempdir or os.environ.get("TMPDIR") or "/tmp", error
        try:  # `tempfile` tries several folders, and does not say what was wrong with them
            _probe(Path(where))
        except OSError as found:
            reason = found
        what = "temporary files cannot be written"
        raise _unwritable(f"TMPDIR={where}", what, reason) from error
