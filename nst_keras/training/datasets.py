"""Labeled pictures to train with and to validate with, checked before TensorFlow is imported."""

import concurrent.futures
import dataclasses
import hashlib
import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from nst_keras.imaging import images
from nst_keras.runtime.errors import InputError, first_line
from nst_keras.training import cifar100
from nst_keras.training import labels as labels_lib
from nst_keras.training.config import TrainConfig
from nst_keras.training.labels import Columns, LabeledRow

_FORMATS = ("JPEG", "PNG", "GIF")  # those that TensorFlow decodes, of any kind
_PNG_END = b"IEND\xaeB`\x82"  # the last chunk with its checksum
_AT_ONCE = 4096  # rows whose pictures are looked at, before it is the turn of the next ones
_SHOWN = 5  # unreadable rows that the one line of an error names


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures in files or in memory, and the number of each one's class."""

    labels: np.ndarray  # int32 (N,)
    paths: tuple[str, ...] = ()  # of N files, or
    pixels: np.ndarray | None = None  # uint8 RGB (N, H, W, 3)
    orientations: np.ndarray | None = None  # of files: EXIF's numbers, int32 (N,); None: all 1
    transparent: np.ndarray | None = None  # whether a file has an alpha, (N,); None: no file has

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Pictures":
        """Those at these places, in this order."""
        paths = tuple(self.paths[i] for i in indices) if self.paths else ()
        arrays = (self.pixels, self.orientations, self.transparent)
        return Pictures(
            self.labels[indices], paths, *(None if one is None else one[indices] for one in arrays)
        )


@dataclasses.dataclass(frozen=True)
class LabeledSet:
    """What a training learns from; `test` is only looked at once, at the end."""

    train: Pictures
    validation: Pictures
    test: Pictures | None
    names: tuple[str, ...]  # of the classes, in the order of their numbers
    sha256: str  # of all pictures and labels
    notes: tuple[str, ...] = ()  # what a person should know, one sentence each


def read_set(config: TrainConfig) -> LabeledSet:
    """Read what the settings name, decode every file once, and split.

    Raises:
        InputError: one line naming flag or file, row and column.
    """
    data = _read_cifar(config) if config.cifar100 else _read_files(config)
    if len(data.train) < config.batch_size:
        raise InputError(
            f"--batch_size={config.batch_size}: only {len(data.train)} pictures are left to train"
        )
    return data


def split(numbers: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train with and to validate with, ascending; the same for the same seed.

    Of each class `share` is kept for validation, rounded, but at least one of two or more and never
    all.
    """
    rng = np.random.default_rng([seed, 1])
    kept: list[np.ndarray] = []
    for number in np.unique(numbers):
        members = rng.permutation(np.flatnonzero(numbers == number))
        wanted = max(1, round(share * len(members))) if share else 0
        kept.append(members[: min(wanted, len(members) - 1)])
    validation = np.sort(np.concatenate(kept))
    return np.setdiff1d(np.arange(len(numbers)), validation), validation


def _read_cifar(config: TrainConfig) -> LabeledSet:
    (pixels, numbers), (test_pixels, test_numbers), names = cifar100.read_cifar100(
        str(config.cifar100)
    )
    if config.classes not in (0, len(names)):
        raise InputError(f"--classes={config.classes}: the archive has {len(names)}")
    digest = hashlib.sha256()
    for array in (pixels, numbers, test_pixels, test_numbers):
        digest.update(array.tobytes())
    all_of_them = Pictures(numbers, pixels=pixels)
    train, validation = split(numbers, config.validation_split, config.seed)
    return LabeledSet(
        all_of_them.take(train),
        all_of_them.take(validation),
        Pictures(test_numbers, pixels=test_pixels),
        names,
        digest.hexdigest(),
    )


def _read_files(config: TrainConfig) -> LabeledSet:
    rows, flag = _rows(config)
    names = labels_lib.class_names(rows, flag, config.classes)
    found = _readable(rows, flag, config.skip_unreadable)
    pictures = _pictures(found, names, "the classes")
    if not config.validation_csv:
        train, validation = split(pictures.labels, config.validation_split, config.seed)
        parts = pictures.take(train), pictures.take(validation), None
        return LabeledSet(*parts, names, found.sha256, found.notes)
    flag = "--validation_csv"
    others = labels_lib.read_csv(config.validation_csv, flag, _columns(config))
    other = _readable(others, f"{flag}={config.validation_csv}", config.skip_unreadable)
    validation_set = _pictures(other, names, f"the labels of {config.csv}")
    both = hashlib.sha256((found.sha256 + other.sha256).encode()).hexdigest()
    return LabeledSet(pictures, validation_set, None, names, both, found.notes + other.notes)


def _rows(config: TrainConfig) -> tuple[list[LabeledRow], str]:
    """The rows, and the flag that they come from."""
    if config.folder:
        return labels_lib.read_folders(config.folder, "--folder"), f"--folder={config.folder}"
    return labels_lib.read_csv(str(config.csv), "--csv", _columns(config)), f"--csv={config.csv}"


def _columns(config: TrainConfig) -> Columns:
    if config.image_root and not os.path.isdir(config.image_root):
        raise InputError(f"--image_root={config.image_root}: no such folder")
    return Columns(config.path_column, config.label_column, config.image_root, config.classes)


class _Look(NamedTuple):
    """What there is to know of a file before it is decoded to train with."""

    sha256: str = ""
    problem: str = ""  # as a picture; empty: there is none
    orientation: int = 1  # see `Pictures`
    transparent: bool = False


class _Readable(NamedTuple):
    """The rows whose picture can be read."""

    rows: list[LabeledRow]
    looks: list[_Look]
    sha256: str  # of them all
    notes: tuple[str, ...]  # one for each row left out


def _pictures(found: _Readable, names: tuple[str, ...], told: str) -> Pictures:
    return Pictures(
        np.array(labels_lib.numbers_of(found.rows, names, told), np.int32),
        tuple(str(row.path) for row in found.rows),
        orientations=np.array([look.orientation for look in found.looks], np.int32),
        transparent=np.array([look.transparent for look in found.looks], bool),
    )


def _readable(rows: list[LabeledRow], flag: str, skip: bool) -> _Readable:
    """Look at the picture of each row.

    Every file is decoded here, at a small part of one epoch's cost, so that a damaged one does not
    end a training of hours.
    """
    checked: list[_Look] = []
    workers = os.cpu_count()  # each may hold a large picture
    with concurrent.futures.ThreadPoolExecutor(workers) as pool, images.pillow_without_limits():
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            checked += pool.map(lambda row: _look_at(row.path), some)
    good, bad, digest = [], [], hashlib.sha256()
    for row, look in zip(rows, checked, strict=True):
        if look.problem:
            bad.append(f"{row.place}: {look.problem}")
            continue
        good.append((row, look))
        digest.update(f"{look.sha256} {row.label}\n".encode("utf-8", "surrogateescape"))
    if bad and (not skip or not good):
        raise InputError(_refusal(bad, len(rows), flag))
    if bad:
        bad.append(f"{flag}: {len(bad)} of {len(rows)} left out as unreadable")
    return _Readable(
        [row for row, _ in good], [look for _, look in good], digest.hexdigest(), tuple(bad)
    )


def _refusal(bad: list[str], total: int, flag: str) -> str:
    """One line for all unreadable rows; `--skip_unreadable` has a line for each."""
    if total == 1 or len(bad) == total:
        return f"{flag}: none of {total} pictures can be read; the first: {bad[0]}"
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return (
        f"{'; '.join(bad[:_SHOWN])}{more} "
        f"({len(bad)} of {total} unreadable; --skip_unreadable leaves them out)"
    )


def _look_at(path: Path) -> _Look:
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device may never end
        return _Look(problem=f"{path} is not a regular file")
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > images.MAX_PIXELS:
                return _Look(problem=f"{path} has more than {images.MAX_PIXELS} pixels")
            image.load()
            kind, orientation = image.format, images.orientation(image) or 1
            transparent = kind == "PNG" and image.has_transparency_data
        if problem := _cut_short(data, kind):
            return _Look(problem=f"{path} {problem}")
    except FileNotFoundError:
        return _Look(problem=f"no such file: {path}")
    except Image.UnidentifiedImageError:
        return _Look(problem=f"{path} is not a JPEG, PNG or GIF picture")
    except Exception as error:  # on damaged bytes decoders raise nearly every type there is
        return _Look(problem=f"{path} cannot be read: {first_line(error)}")
    return _Look(hashlib.sha256(data).hexdigest(), "", orientation, transparent)


def _cut_short(data: bytes, kind: str | None) -> str:
    """What TensorFlow will not take, though Pillow does: bad ends and checksums."""
    if kind == "PNG":
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            image.verify()
        return "" if _PNG_END in data else "is cut short"
    if kind == "GIF":  # the ends of the last pixels and of the file
        whole = data.rstrip(b"\0\r\n").endswith(b"\0;")
        return "" if whole else "is cut short, or goes on behind its end"
    return ""
