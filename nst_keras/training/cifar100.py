"""CIFAR-100's python archive to arrays; its pickles can make nothing but bytes, lists and numbers.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009): 60,000 pictures of
32x32 pixels, 100 classes, 500 pictures of each to train with and 100 to test with.
"""

import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nst_keras.runtime.errors import InputError, first_line

SIDE = 32  # pixels
_FOLDER = "cifar-100-python"
_MEMBERS = ("train", "test", "meta")
_MAX_BYTES = 1 << 30  # of one batch; the real ones have 156 MB at most
# Names that `keras.utils.get_file` has given the archive and its folder over time.
_CACHED = (
    "cifar-100-python-target",
    "cifar-100-python-target_archive",
    "cifar-100-python_extracted",
    "cifar-100-python.tar.gz",
    "cifar-100-python",
)
Batch = tuple[np.ndarray, np.ndarray]  # uint8 RGB (N, 32, 32, 3) and int32 labels (N,)


def read_cifar100(source: str) -> tuple[Batch, Batch, tuple[str, ...]]:
    """Training batch, test batch and class names from a path, or from Keras' cache for 'keras'.

    Raises:
        InputError: nothing there, damaged, or holding what CIFAR-100 does not.
    """
    flag = f"--cifar100={source}"
    path = _cached(flag) if source == "keras" else Path(source)
    try:
        raw = _read_folder(path) if path.is_dir() else _read_archive(path)
        values = {name: _Unpickler(io.BytesIO(data)).load() for name, data in raw.items()}
        names = _class_names(values["meta"])
        return _batch(values["train"], len(names)), _batch(values["test"], len(names)), names
    except FileNotFoundError as error:
        missing = error.filename or path
        raise InputError(f"{flag}: no such file: {missing}; nothing is downloaded") from error
    except Exception as error:  # damaged archives and pickles raise nearly every type there is
        raise InputError(f"{flag}: cannot be read as CIFAR-100: {first_line(error)}") from error


def _cached(flag: str) -> Path:
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    for name in _CACHED:
        path = folder / name
        if path.is_file() or (path / "train").is_file() or (path / _FOLDER).is_dir():
            return path
    raise InputError(f"{flag}: {folder} holds no CIFAR-100; give the archive's path")


def _read_folder(path: Path) -> dict[str, bytes]:
    inner = path / _FOLDER
    folder = inner if inner.is_dir() else path
    for name in _MEMBERS:
        if (folder / name).stat().st_size > _MAX_BYTES:
            raise ValueError(f"{name} is too large")
    return {name: (folder / name).read_bytes() for name in _MEMBERS}


def _read_archive(path: Path) -> dict[str, bytes]:
    """The three files of the archive, read in memory: nothing is extracted."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./").removeprefix(f"{_FOLDER}/")
            if name in _MEMBERS and member.isfile():
                if member.size > _MAX_BYTES:
                    raise ValueError(f"{name} is too large")
                stream = archive.extractfile(member)
                found[name] = stream.read() if stream else b""
    if missing := [name for name in _MEMBERS if name not in found]:
        raise ValueError(f"has no {_FOLDER}/{missing[0]}")
    return found


def _batch(values: Any, classes: int) -> Batch:
    """Pictures and fine labels, checked: rows are 32x32 red, then green, then blue."""
    data, labels = values[b"data"], values[b"fine_labels"]
    pixels = data.pixels() if isinstance(data, _Array) else None
    if pixels is None or pixels.ndim != 2 or pixels.shape[1] != 3 * SIDE * SIDE:
        raise ValueError("data is not an array of rows of 3072 bytes")
    if not len(pixels):
        raise ValueError("a batch holds no pictures")
    if not isinstance(labels, list) or len(labels) != len(pixels):
        raise ValueError("fine_labels is not a list with a label for each picture")
    for row, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < classes:
            raise ValueError(f"label {label!r} of picture {row} is outside 0 to {classes - 1}")
    pictures = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pictures), np.array(labels, np.int32)


def _class_names(values: Any) -> tuple[str, ...]:
    names = values[b"fine_label_names"]
    if not isinstance(names, list) or not names:
        raise ValueError("meta holds no fine_label_names")
    return tuple(n.decode() if isinstance(n, bytes) else str(n) for n in names)


class _DType:
    """Stands in for numpy.dtype in a pickle: takes note of its code and of nothing else."""

    def __init__(self, code: Any = None, *_: Any):
        self.code = code.decode() if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment, which bytes do not have."""


class _Array:
    """Stands in for numpy.ndarray in a pickle, so that a pickle never builds NumPy's own."""

    state: Any = None

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def pixels(self) -> np.ndarray:
        """The array of bytes; ValueError for any other."""
        _version, shape, dtype, fortran, data = self.state
        if not isinstance(dtype, _DType) or dtype.code not in ("u1", "|u1"):
            raise ValueError("data is not of bytes")
        if not isinstance(data, bytes) or fortran:
            raise ValueError("data is not stored row by row")
        return np.frombuffer(data, np.uint8).reshape(shape)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Python 3 writes bytes into old pickles as text to be encoded."""
    return text.encode("latin1" if encoding == "latin1" else "ascii")


_ALLOWED: dict[tuple[str, str], Callable] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined]  # that in C takes any memory
    """Plain values and the stand-ins above; a pickle that names anything else is refused."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file, encoding="bytes")

    def load(self) -> Any:
        try:
            return super().load()
        except EOFError as error:  # which has no text there
            raise EOFError("Ran out of input") from error

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which is not allowed")
        return _ALLOWED[module, name]
