"""CIFAR-100 from its binary version to arrays.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009): 60,000 pictures of
32x32 pixels in 100 classes, 500 pictures of each class to train with and 100 to test with.
"""

import tarfile
from pathlib import Path

import numpy as np

from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError, first_line

ARCHIVE = "cifar-100-binary.tar.gz"
_FOLDER = "cifar-100-binary"  # inside the archive
_TRAIN, _TEST, _NAMES = "train.bin", "test.bin", "fine_label_names.txt"
_MEMBERS = (_TRAIN, _TEST, _NAMES)
_MAX_BYTES = 1 << 30  # of one file; the largest real one has 154 MB
# The pixels are 32x32 red, then green, then blue.
_RECORD = np.dtype([("coarse", "u1"), ("fine", "u1"), ("pixels", "u1", (3, 32, 32))])
Batch = tuple[np.ndarray, np.ndarray]  # uint8 RGB (N, 32, 32, 3) and int32 labels (N,)


def read_cifar100(source: str) -> tuple[Batch, Batch, tuple[str, ...]]:
    """Training pictures, test pictures and class names from the binary archive or its folder.

    Raises InputError if there is none, or it is damaged or not this version of CIFAR-100.
    """
    flag, path = f"--cifar100={source}", Path(source)
    if not path.exists():
        raise InputError(f"{flag}: {files.missing(path)}; give the path of {ARCHIVE}")
    try:
        content = _read_folder(path) if path.is_dir() else _read_archive(path)
        if missing := [name for name in _MEMBERS if name not in content]:
            raise ValueError(f"has no {missing[0]}; the binary version is needed, {ARCHIVE}")
        names = _class_names(content[_NAMES])
        train, test = (_batch(name, content[name], len(names)) for name in (_TRAIN, _TEST))
        return train, test, names
    except Exception as error:  # a damaged archive raises nearly every type of error
        raise InputError(f"{flag}: cannot be read as CIFAR-100: {first_line(error)}") from error


def _read_folder(path: Path) -> dict[str, bytes]:
    inner = path / _FOLDER
    folder = inner if inner.is_dir() else path
    found = [folder / name for name in _MEMBERS if (folder / name).is_file()]
    for file in found:
        _check_size(file.name, file.stat().st_size)
    return {file.name: file.read_bytes() for file in found}


def _read_archive(path: Path) -> dict[str, bytes]:
    """The files of the archive, in memory: nothing is extracted to the disk."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./").removeprefix(f"{_FOLDER}/")
            if name in _MEMBERS and member.isfile():
                _check_size(name, member.size)
                stream = archive.extractfile(member)
                found[name] = stream.read() if stream else b""
    return found


def _check_size(name: str, size: int) -> None:
    if size > _MAX_BYTES:
        raise ValueError(f"{name} is {size:,} bytes long; at most {_MAX_BYTES:,} are read")


def _batch(name: str, data: bytes, classes: int) -> Batch:
    size = _RECORD.itemsize
    if not data or len(data) % size:
        raise ValueError(f"{name} is {len(data):,} bytes long, not a multiple of {size:,}")
    records = np.frombuffer(data, _RECORD)
    labels = records["fine"].astype(np.int32)
    if (beyond := np.flatnonzero(labels >= classes)).size:
        first = beyond[0]
        raise ValueError(
            f"{name}: label {labels[first]} of picture {first} is outside 0 to {classes - 1}"
        )
    return np.ascontiguousarray(records["pixels"].transpose(0, 2, 3, 1)), labels


def _class_names(data: bytes) -> tuple[str, ...]:
    names = tuple(line.strip() for line in data.decode("utf-8").splitlines() if line.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"{_NAMES} does not hold a name of its own for each class")
    return names
