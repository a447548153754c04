"""Labeled pictures to train with and to validate with, checked before TensorFlow is imported.

They come from CIFAR-100, from the rows of a CSV file, or from folders named after classes.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
import re
from pathlib import Path

import numpy as np

from nst_keras.imaging import images
from nst_keras.imaging.images import Picture
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.tables import CsvTable, separator_hint
from nst_keras.training import cifar100
from nst_keras.training.config import TrainConfig

_AT_ONCE = 4096  # rows whose pictures are queued to be checked
_SHOWN = 5  # unreadable rows that an error names
# Of the files that `images.read_rgb` reads.
_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".heic")


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures, and the number of each one's class."""

    sources: np.ndarray  # the paths of files (N,), or pixels, uint8 RGB (N, H, W, 3)
    labels: np.ndarray  # int32 (N,)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Pictures":
        """The pictures at these indices, in this order."""
        return Pictures(self.sources[indices], self.labels[indices])

    def read(self, index: int | np.ndarray, size: int) -> np.ndarray:
        """One picture, uint8 RGB (H, W, 3), see `read_picture`."""
        source = self.sources[index]
        return read_picture(source, size).pixels if isinstance(source, str) else source


@dataclasses.dataclass(frozen=True)
class LabeledSet:
    """The pictures of a training; `test` is used only once, at the end."""

    train: Pictures
    validation: Pictures
    test: Pictures | None
    names: tuple[str, ...]  # of the classes, by number
    sha256: str  # of all pictures and labels
    notes: tuple[str, ...] = ()  # what a person should know, a sentence each


@dataclasses.dataclass(frozen=True)
class _LabeledRow:
    """The path and label of a picture, and where each was found, for messages."""

    path: Path
    label: str
    place: str  # of the path, such as "labels.csv, row 7, column path"
    label_place: str


def read_set(config: TrainConfig) -> LabeledSet:
    """Read the labels, decode every picture file once as a check, and split.

    An InputError names the flag, or the file, row and column.
    """
    data = _read_cifar(config.cifar100, config) if config.cifar100 else _read_files(config)
    data = dataclasses.replace(data, notes=(*_single_pictures(data), *data.notes))
    if not config.validation_csv:
        parts = split(data.train.labels, config.validation_split, config.seed)
        train, validation = map(data.train.take, parts)
        data = dataclasses.replace(data, train=train, validation=validation)
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


def read_picture(path: str | os.PathLike, size: int) -> Picture:
    """A picture file, large enough for a square of `size` pixels a side; see `images.read_rgb`."""
    # A large JPEG takes a tenth of the time; twice the size leaves the filter something to do.
    return images.read_rgb(path, 2 * size)


def _read_csv(source: str, flag: str, config: TrainConfig) -> list[_LabeledRow]:
    """The rows of a CSV file in UTF-8; does not check that the pictures exist."""
    if config.image_root and not os.path.isdir(config.image_root):
        reason = files.missing(config.image_root, "folder")
        raise InputError(f"--image_root={config.image_root}: {reason}")
    root = Path(config.image_root) if config.image_root else Path(source).parent
    table = CsvTable(source, flag)
    columns = config.path_column, config.label_column
    table.check_columns(columns)
    rows = []
    for row in table:
        for name in columns:
            if not row.cells.get(name):
                hint = separator_hint("".join(row.cells.values()))
                raise InputError(f"{row.place_of(name)}: is empty{hint}")
        path, label = (row.cells[name] for name in columns)
        place, label_place = map(row.place_of, columns)
        _check_label(label, label_place, config.classes)
        rows.append(_LabeledRow(_with_suffix(root / path), label, place, label_place))
    return rows


def _read_folders(source: str) -> list[_LabeledRow]:
    """The pictures in the class folders of a folder, sorted by path, without hidden files."""
    root = Path(source)
    if not root.is_dir():
        raise InputError(f"--folder={source}: {files.missing(root, 'folder')}")
    rows = [
        _LabeledRow(path, folder.name, str(path), str(folder))
        for folder in sorted(root.iterdir())
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(root).parts)
    ]
    if not rows:
        raise InputError(f"--folder={source}: must hold a folder of pictures per class")
    return rows


def _class_names(rows: list[_LabeledRow], flag: str, classes: int) -> tuple[str, ...]:
    """The names of the classes, sorted; whole numbers by value.

    If `classes` is given and all labels are whole numbers, these are the numbers of the classes,
    and a class without a picture keeps its number.
    """
    first_rows: dict[str, _LabeledRow] = {}
    for row in rows:
        first_rows.setdefault(row.label, row)
    names = sorted(first_rows)
    if all(_whole(label) is not None for label in names):
        by_value = {_whole(label): label for label in reversed(names)}  # 1 and 01 are one class
        names = [by_value[value] for value in sorted(by_value, key=lambda value: value or 0)]
        if classes:
            names = [str(number) for number in range(classes)]
    elif classes and len(names) > classes:
        row = list(first_rows.values())[classes]
        raise InputError(
            f"{row.label_place}: label {row.label!r} exceeds --classes={classes}, the number of "
            "classes"
        )
    if len(names) < 2:
        raise InputError(f"{flag}: must have two different labels or more; all are {names[0]!r}")
    return tuple(names)


def _numbers_of(rows: list[_LabeledRow], names: tuple[str, ...], owner: str) -> np.ndarray:
    """The number of the class of each row; `owner` says what the names are, for messages."""
    index = {name: number for number, name in enumerate(names)}
    by_value = {_whole(name): number for name, number in index.items() if _whole(name) is not None}
    numbers = [index.get(row.label, by_value.get(_whole(row.label))) for row in rows]
    if None in numbers:
        row = rows[numbers.index(None)]
        raise InputError(f"{row.label_place}: label {row.label!r} is not one of {owner}")
    return np.array(numbers, np.int32)


def _read_cifar(source: str, config: TrainConfig) -> LabeledSet:
    train, test, names = cifar100.read_cifar100(source)
    if config.classes not in (0, len(names)):
        raise InputError(f"--classes={config.classes}: must be {len(names)}, as in the archive")
    digest = hashlib.sha256()
    for array in (*train, *test):
        digest.update(array.tobytes())
    pictures = Pictures(*train)
    return LabeledSet(pictures, pictures, Pictures(*test), names, digest.hexdigest())


def _read_files(config: TrainConfig) -> LabeledSet:
    """The pictures of a CSV file or folder; they are those of the validation, too, for now."""
    if config.folder:
        rows, flag = _read_folders(config.folder), f"--folder={config.folder}"
    else:
        rows, flag = _read_csv(str(config.csv), "--csv", config), f"--csv={config.csv}"
    names = _class_names(rows, flag, config.classes)
    pictures, sha256, notes = _read_rows(rows, flag, names, "the classes", config)
    if not config.validation_csv:
        return LabeledSet(pictures, pictures, None, names, sha256, notes)
    flag = f"--validation_csv={config.validation_csv}"
    rows = _read_csv(config.validation_csv, "--validation_csv", config)
    owner = f"the labels of {config.csv}"
    others, other_sha256, more_notes = _read_rows(rows, flag, names, owner, config)
    both = hashlib.sha256((sha256 + other_sha256).encode()).hexdigest()
    return LabeledSet(pictures, others, None, names, both, notes + more_notes)


def _read_rows(
    rows: list[_LabeledRow], flag: str, names: tuple[str, ...], owner: str, config: TrainConfig
) -> tuple[Pictures, str, tuple[str, ...]]:
    """The pictures that can be read, the hash of them and their labels, and notes on the others."""
    good, bad, digest = [], [], hashlib.sha256()
    found: dict[str, list[_LabeledRow]] = {}  # by the hash of the picture
    for row, result in zip(rows, _hashes_or_errors(rows, config.image_size), strict=True):
        if isinstance(result, InputError):
            # A row of a folder has no other place than its path, with which the error begins.
            bad.append(str(result) if row.place == str(row.path) else f"{row.place}: {result}")
            continue
        good.append(row)
        found.setdefault(result, []).append(row)
        digest.update(f"{result} {row.label}\n".encode("utf-8", "surrogateescape"))
    if bad and (not config.skip_unreadable or not good):
        raise InputError(_refusal(bad, len(rows), flag))
    if bad:
        bad.append(f"{flag}: skipped {len(bad)} of {len(rows)} pictures, which cannot be read")
    notes = (*_unclear(found, flag), *bad)
    paths = np.array([str(row.path) for row in good], object)
    return Pictures(paths, _numbers_of(good, names, owner)), digest.hexdigest(), notes


def _unclear(found: dict[str, list[_LabeledRow]], flag: str) -> list[str]:
    """A warning about pictures with more than one label; the rows are by the picture's hash."""
    labels = [list({row.label: row for row in rows}.values()) for rows in found.values()]
    unclear = [rows for rows in labels if len(rows) > 1]
    if not unclear:
        return []
    first, second, *_ = unclear[0]
    return [
        f"{flag}: {len(unclear)} of {len(labels)} pictures have more than one label; the first: "
        f"{first.label!r} for {first.place}, {second.label!r} for {second.place}"
    ]


def _single_pictures(data: LabeledSet) -> list[str]:
    """A warning about classes with a single picture."""
    counts = np.bincount(data.train.labels, minlength=len(data.names))
    single = [repr(name) for name, count in zip(data.names, counts, strict=True) if count == 1]
    if not single:
        return []
    shown = ", ".join(single[:_SHOWN]) + (", ..." if len(single) > _SHOWN else "")
    return [f"classes with a single picture, {len(single)} of {len(data.names)}: {shown}"]


def _hashes_or_errors(rows: list[_LabeledRow], size: int) -> list[str | InputError]:
    """Decode the picture of each row.

    It costs a small part of an epoch, and no damaged file can end a training after hours.
    """

    def check(row: _LabeledRow) -> str | InputError:
        try:
            return read_picture(row.path, size).sha256
        except InputError as error:
            return error

    checked: list[str | InputError] = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:  # each may hold a large one
        for start in range(0, len(rows), _AT_ONCE):
            checked += pool.map(check, rows[start : start + _AT_ONCE])
    return checked


def _refusal(bad: list[str], total: int, flag: str) -> str:
    """One line for all unreadable rows."""
    if len(bad) == total:
        return f"{flag}: none of {total} pictures can be read; the first: {bad[0]}"
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return (
        f"{'; '.join(bad[:_SHOWN])}{more} "
        f"({len(bad)} of {total} cannot be read; --skip_unreadable skips them)"
    )


def _check_label(label: str, place: str, classes: int) -> None:
    """Raise InputError if the label is a whole number that is not the number of a class, from 0.

    Other labels are names.
    """
    number = _whole(label)
    if number is not None and (number < 0 or classes and number >= classes):
        allowed = f"0 to {classes - 1}" if classes else "0 and up"
        raise InputError(f"{place}: label {label} is outside the range {allowed}")


def _with_suffix(path: Path) -> Path:
    """The path; if it has no suffix, that of a picture of this name."""
    # Path.exists would raise an error for a name that is too long.
    if path.suffix.lower() in _SUFFIXES or os.path.exists(path):
        return path
    candidates = (path.with_name(path.name + suffix) for suffix in _SUFFIXES)
    return next((candidate for candidate in candidates if os.path.exists(candidate)), path)


def _whole(label: str) -> int | None:
    return int(label) if re.fullmatch(r"-?[0-9]{1,18}", label) else None
