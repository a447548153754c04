"""Labels of pictures: from the rows of a CSV file, or from folders named after classes."""

import dataclasses
import os
import re
from pathlib import Path

from nst_keras.runtime.errors import InputError
from nst_keras.runtime.tables import CsvTable

# Of the files that `images.read_rgb` reads.
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".heic")


@dataclasses.dataclass(frozen=True)
class LabeledRow:
    """The path and label of a picture, and where each was found, for messages."""

    path: Path
    label: str
    place: str  # of the path, such as "labels.csv, row 7, column path"
    label_place: str


@dataclasses.dataclass(frozen=True)
class Columns:
    """What to read from a CSV file."""

    path: str  # name of the column
    label: str  # likewise
    root: str | None  # the folder that paths are relative to; None: that of the CSV file
    classes: int  # 0: as many as there are different labels


def read_csv(source: str, flag: str, columns: Columns) -> list[LabeledRow]:
    """The rows of a CSV file in UTF-8; does not check that the pictures exist.

    Raises:
        InputError: one line naming file, row and column, as `CsvTable` counts rows.
    """
    root = Path(columns.root) if columns.root else Path(source).parent
    table = CsvTable(source, flag)
    table.check_columns((columns.path, columns.label))
    rows = []
    for row in table:
        for name in (columns.path, columns.label):
            if not row.cells.get(name):
                raise InputError(f"{row.place_of(name)}: is empty")
        label, label_place = row.cells[columns.label], row.place_of(columns.label)
        _check_label(label, label_place, columns.classes)
        path = _with_suffix(root / row.cells[columns.path])
        rows.append(LabeledRow(path, label, row.place_of(columns.path), label_place))
    return rows


def read_folders(source: str, flag: str) -> list[LabeledRow]:
    """The pictures in the class folders of a folder, sorted by path, without hidden files.

    Raises:
        InputError: there is no such folder, or no files in folders of it.
    """
    root = Path(source)
    if not root.is_dir():
        raise InputError(f"{flag}={source}: no such folder")
    rows = [
        LabeledRow(path, folder.name, str(path), str(folder))
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_hidden(path.relative_to(folder))
    ]
    if not rows:
        raise InputError(f"{flag}={source}: must hold a folder of pictures per class")
    return rows


def class_names(rows: list[LabeledRow], flag: str, classes: int) -> tuple[str, ...]:
    """The names of the classes, sorted; whole numbers by value.

    If `classes` is given and all labels are whole numbers, these are the numbers of the classes,
    and a class without a picture keeps its number.

    Raises:
        InputError: there are fewer than two classes, or more than `classes`; the first row with
            one too many is named.
    """
    labels = {row.label for row in rows}
    numeric = all(_whole(label) is not None for label in labels)
    names = sorted(labels, key=lambda label: (_whole(label) or 0, label) if numeric else (0, label))
    if numeric and classes:
        names = [str(number) for number in range(classes)]
    if classes and len(names) > classes:
        first = _first_beyond(rows, classes)
        raise InputError(
            f"{first.label_place}: label {first.label!r} is one too many for --classes={classes}"
        )
    if len(names) < 2:
        raise InputError(f"{flag}: must have two different labels or more; all are {names[0]!r}")
    return tuple(names)


def numbers_of(rows: list[LabeledRow], names: tuple[str, ...], owner: str) -> list[int]:
    """The number of the class of each row.

    Args:
        owner: what the names are, for messages, such as 'the classes'.

    Raises:
        InputError: the label of a row is not one of the names.
    """
    index = {name: number for number, name in enumerate(names)}
    by_value = {_whole(name): number for name, number in index.items() if _whole(name) is not None}
    numbers = []
    for row in rows:
        number = index.get(row.label, by_value.get(_whole(row.label)))
        if number is None:
            raise InputError(f"{row.label_place}: label {row.label!r} is not one of {owner}")
        numbers.append(number)
    return numbers


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _check_label(label: str, place: str, classes: int) -> None:
    """Whole numbers are numbers of classes, from 0; other labels are names."""
    number = _whole(label)
    if number is not None and (number < 0 or classes and number >= classes):
        allowed = f"0 to {classes - 1}" if classes else "0 and up"
        raise InputError(f"{place}: label {label} is outside the range {allowed}")


def _with_suffix(path: Path) -> Path:
    """The path; if it has no suffix, that of a picture of this name."""
    # Path.exists would raise an error for a name that is too long.
    if path.suffix.lower() in SUFFIXES or os.path.exists(path):
        return path
    candidates = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    return next((candidate for candidate in candidates if os.path.exists(candidate)), path)


def _first_beyond(rows: list[LabeledRow], classes: int) -> LabeledRow:
    seen: set[str] = set()
    for row in rows:
        seen.add(row.label)
        if len(seen) > classes:
            return row
    return rows[-1]


def _whole(label: str) -> int | None:
    return int(label) if re.fullmatch(r"-?[0-9]{1,18}", label) else None
