"""Labels of pictures: from the rows of a CSV file, or from folders named after classes."""

import dataclasses
import os
import re
from pathlib import Path

from nst_keras.runtime.errors import InputError
from nst_keras.runtime.tables import CsvTable
from nst_keras.training.config import TrainConfig

# Of the files that `images.read_rgb` reads.
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".heic")


@dataclasses.dataclass(frozen=True)
class LabeledRow:
    """The path and label of a picture, and where each was found, for messages."""

    path: Path
    label: str
    place: str  # of the path, such as "labels.csv, row 7, column path"
    label_place: str


def read_csv(source: str, flag: str, config: TrainConfig) -> list[LabeledRow]:
    """The rows of a CSV file in UTF-8; does not check that the pictures exist.

    Raises:
        InputError: one line naming file, row and column, as `CsvTable` counts rows.
    """
    if config.image_root and not os.path.isdir(config.image_root):
        raise InputError(f"--image_root={config.image_root}: no such folder")
    root = Path(config.image_root) if config.image_root else Path(source).parent
    table = CsvTable(source, flag)
    columns = config.path_column, config.label_column
    table.check_columns(columns)
    rows = []
    for row in table:
        for name in columns:
            if not row.cells.get(name):
                raise InputError(f"{row.place_of(name)}: is empty")
        path, label = (row.cells[name] for name in columns)
        place, label_place = map(row.place_of, columns)
        _check_label(label, label_place, config.classes)
        rows.append(LabeledRow(_with_suffix(root / path), label, place, label_place))
    return rows


def read_folders(source: str) -> list[LabeledRow]:
    """The pictures in the class folders of a folder, sorted by path, without hidden files.

    Raises:
        InputError: there is no such folder, or no files in folders of it.
    """
    root = Path(source)
    if not root.is_dir():
        raise InputError(f"--folder={source}: no such folder")
    rows = [
        LabeledRow(path, folder.name, str(path), str(folder))
        for folder in sorted(root.iterdir())
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(root).parts)
    ]
    if not rows:
        raise InputError(f"--folder={source}: must hold a folder of pictures per class")
    return rows


def class_names(rows: list[LabeledRow], flag: str, classes: int) -> tuple[str, ...]:
    """The names of the classes, sorted; whole numbers by value.

    If `classes` is given and all labels are whole numbers, these are the numbers of the classes,
    and a class without a picture keeps its number.

    Raises:
        InputError: there are fewer than two classes, or more than `classes`; the first row with
            one too many is named.
    """
    first_rows: dict[str, LabeledRow] = {}
    for row in rows:
        first_rows.setdefault(row.label, row)
    names = sorted(first_rows)
    if all(_whole(label) is not None for label in names):
        names.sort(key=lambda label: _whole(label) or 0)
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


def _whole(label: str) -> int | None:
    return int(label) if re.fullmatch(r"-?[0-9]{1,18}", label) else None
