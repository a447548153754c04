"""Labeled pictures to train with and to validate with, checked before TensorFlow is imported."""

import concurrent.futures
import dataclasses
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nst_keras.imaging import images
from nst_keras.imaging.images import Picture
from nst_keras.runtime.errors import InputError
from nst_keras.training import cifar100
from nst_keras.training import labels as labels_lib
from nst_keras.training.config import TrainConfig
from nst_keras.training.labels import Columns, LabeledRow

_AT_ONCE = 4096  # rows whose pictures are queued to be checked
_SHOWN = 5  # unreadable rows that an error names


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures in files or in memory, and the number of each one's class."""

    labels: np.ndarray  # int32 (N,)
    paths: tuple[str, ...] = ()  # of N files, or
    pixels: np.ndarray | None = None  # uint8 RGB (N, H, W, 3)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Pictures":
        """The pictures at these indices, in this order."""
        paths = tuple(self.paths[i] for i in indices) if self.paths else ()
        pixels = None if self.pixels is None else self.pixels[indices]
        return Pictures(self.labels[indices], paths, pixels)


@dataclasses.dataclass(frozen=True)
class LabeledSet:
    """The pictures of a training; `test` is used only once, at the end."""

    train: Pictures
    validation: Pictures
    test: Pictures | None
    names: tuple[str, ...]  # of the classes, by number
    sha256: str  # of all pictures and labels
    notes: tuple[str, ...] = ()  # what a person should know, a sentence each


def read_set(config: TrainConfig) -> LabeledSet:
    """Read the labels, decode every picture file once as a check, and split.

    Raises:
        InputError: one line that names the flag, or the file, row and column.
    """
    data = _read_cifar(config.cifar100, config) if config.cifar100 else _read_files(config)
    if len(data.train) < config.batch_size:
        raise InputError(
            f"--batch_size={config.batch_size}: must be at most {len(data.train)}, "
            "the number of training pictures"
        )
    return data


def split(numbers: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and of the validation pictures, ascending; the seed decides.

    Of each class, `share` goes to validation, rounded, but at least one picture of two or more, and
    never all.
    """
    rng = np.random.default_rng([seed, 1])
    kept: list[np.ndarray] = []
    for number in np.unique(numbers):
        members = rng.permutation(np.flatnonzero(numbers == number))
        wanted = max(1, round(share * len(members))) if share else 0
        kept.append(members[: min(wanted, len(members) - 1)])
    validation = np.sort(np.concatenate(kept))
    return np.setdiff1d(np.arange(len(numbers)), validation), validation


def _read_cifar(source: str, config: TrainConfig) -> LabeledSet:
    (pixels, numbers), (test_pixels, test_numbers), names = cifar100.read_cifar100(source)
    if config.classes not in (0, len(names)):
        raise InputError(f"--classes={config.classes}: must be {len(names)}, as in the archive")
    digest = hashlib.sha256()
    for array in (pixels, numbers, test_pixels, test_numbers):
        digest.update(array.tobytes())
    pictures = Pictures(numbers, pixels=pixels)
    train, validation = split(numbers, config.validation_split, config.seed)
    return LabeledSet(
        pictures.take(train),
        pictures.take(validation),
        Pictures(test_numbers, pixels=test_pixels),
        names,
        digest.hexdigest(),
    )


def _read_files(config: TrainConfig) -> LabeledSet:
    rows, flag = _rows(config)
    names = labels_lib.class_names(rows, flag, config.classes)
    found = _readable(rows, flag, config.image_size, config.skip_unreadable)
    pictures = _pictures(found, names, "the classes")
    if not config.validation_csv:
        train, validation = split(pictures.labels, config.validation_split, config.seed)
        parts = pictures.take(train), pictures.take(validation), None
        return LabeledSet(*parts, names, found.sha256, found.notes)
    flag = "--validation_csv"
    others = labels_lib.read_csv(config.validation_csv, flag, _columns(config))
    flag = f"{flag}={config.validation_csv}"
    other = _readable(others, flag, config.image_size, config.skip_unreadable)
    validation_set = _pictures(other, names, f"the labels of {config.csv}")
    both = hashlib.sha256((found.sha256 + other.sha256).encode()).hexdigest()
    return LabeledSet(pictures, validation_set, None, names, both, found.notes + other.notes)


def _rows(config: TrainConfig) -> tuple[list[LabeledRow], str]:
    """The labeled rows, and the flag that names their source, with its value."""
    if config.folder:
        return labels_lib.read_folders(config.folder, "--folder"), f"--folder={config.folder}"
    return labels_lib.read_csv(str(config.csv), "--csv", _columns(config)), f"--csv={config.csv}"


def _columns(config: TrainConfig) -> Columns:
    if config.image_root and not os.path.isdir(config.image_root):
        raise InputError(f"--image_root={config.image_root}: no such folder")
    return Columns(config.path_column, config.label_column, config.image_root, config.classes)


class _Readable(NamedTuple):
    """The rows whose picture can be read."""

    rows: list[LabeledRow]
    sha256: str  # of all their pictures and labels
    notes: tuple[str, ...]  # one for each row that is left out


def _pictures(found: _Readable, names: tuple[str, ...], owner: str) -> Pictures:
    numbers = labels_lib.numbers_of(found.rows, names, owner)
    return Pictures(np.array(numbers, np.int32), tuple(str(row.path) for row in found.rows))


def _readable(rows: list[LabeledRow], flag: str, size: int, skip: bool) -> _Readable:
    """Decode the picture of each row.

    It costs a small part of an epoch, and no damaged file can end a training after hours.
    """
    checked: list[str | InputError] = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:  # each may hold a large one
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            checked += pool.map(lambda row: _hash_or_error(row.path, size), some)
    good, bad, digest = [], [], hashlib.sha256()
    for row, result in zip(rows, checked, strict=True):
        if isinstance(result, InputError):
            # A row of a folder has no other place than its path, with which the error begins.
            bad.append(str(result) if row.place == str(row.path) else f"{row.place}: {result}")
            continue
        good.append(row)
        digest.update(f"{result} {row.label}\n".encode("utf-8", "surrogateescape"))
    if bad and (not skip or not good):
        raise InputError(_refusal(bad, len(rows), flag))
    if bad:
        bad.append(f"{flag}: skipped {len(bad)} of {len(rows)} pictures, which cannot be read")
    return _Readable(good, digest.hexdigest(), tuple(bad))


def _hash_or_error(path: Path, size: int) -> str | InputError:
    try:
        return read_picture(path, size).sha256
    except InputError as error:
        return error


def read_picture(path: str | os.PathLike, size: int) -> Picture:
    """A picture file as uint8 RGB, large enough for a square of `size` pixels a side.

    Raises:
        InputError: see `images.read_rgb`.
    """
    # A large JPEG takes a tenth of the time; twice the size leaves the filter something to do.
    return images.read_rgb(path, 2 * size)


def _refusal(bad: list[str], total: int, flag: str) -> str:
    """One line for all unreadable rows."""
    if len(bad) == total:
        return f"{flag}: none of {total} pictures can be read; the first: {bad[0]}"
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return (
        f"{'; '.join(bad[:_SHOWN])}{more} "
        f"({len(bad)} of {total} cannot be read; --skip_unreadable skips them)"
    )
