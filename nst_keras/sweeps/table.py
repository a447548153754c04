"""Settings of trials as a person writes them: a table with a column per flag, or `--vary`."""

import csv
import dataclasses
import difflib
import functools
import glob
import io
import os
from pathlib import Path
from typing import Any

from nst_keras.runtime.errors import InputError
from nst_keras.settings import flags
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.option import join_list, split_list

_WORDS = ("name", "note")  # columns that are no flags
NAMES = tuple(name for name, option in OPTIONS.items() if option.group != "folder")
# Those by which a page tells trials apart: the others change no picture.
SHOWN = tuple(name for name in NAMES if OPTIONS[name].changes_result)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One option of a trial, and where somebody wrote it."""

    name: str
    text: str  # as written
    value: Any  # as in a Config; relative paths as seen from here
    place: str  # for errors


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """One row of a table; an empty cell sets nothing."""

    place: str
    name: str = ""
    note: str = ""
    settings: tuple[Setting, ...] = ()


def read_matrix(path: str | os.PathLike) -> list[TrialRow]:
    """The rows of a CSV whose header names options, and perhaps `name` and `note`.

    A cell is a flag's text as on the command line; paths are relative to the file. Rows are counted
    as spreadsheets do, the header being row 1 of a file that begins with it.

    Raises:
        InputError: naming the file, the row and the column.
    """
    path = Path(path)
    table = _read_table(path)
    if not table:
        raise InputError(f"{path}: is empty; row 1 names a flag per column")
    number, header = table[0]
    _check_header(header, f"{path}, row {number}")
    rows = []
    for number, cells in table[1:]:
        place = f"{path}, row {number}"
        _check_length(cells, header, place)
        rows.append(_read_row(dict(zip(header, cells, strict=True)), place, str(path.parent)))
    if not rows:
        raise InputError(f"{path}: has no row below its header; each row is a trial")
    return rows


def read_vary(text: str) -> list[Setting]:
    """The alternatives of `NAME=v1,v2`; those of an option that is a list are separated by `|`.

    Patterns such as photos/*.jpg stand for all paths that match, in order.

    Raises:
        InputError: naming the flag.
    """
    name, equals, values = text.partition("=")
    name, place = name.strip(), f"--vary={text}"
    if not equals or not values.strip():
        raise InputError(f"{place}: must be NAME=VALUE,VALUE")
    if name not in NAMES:
        raise InputError(f"{place}: {_unknown(name)}")
    option = OPTIONS[name]
    items = values.split("|") if option.many else split_list(values)
    if option.many and len(items) == 1 and len(split_list(values)) > 1:
        raise InputError(
            f"{place}: is one list; alternatives of a list are separated by |, as in A|B,C|D"
        )
    texts = [found for item in items for found in _expand(name, item.strip(), place)]
    settings = [_read_setting(name, one, place, "") for one in texts]
    seen: dict[Any, str] = {}
    for setting in settings:
        if setting.value in seen:
            raise InputError(f"{place}: {setting.text} is there twice")
        seen[setting.value] = setting.text
    return settings


# Tables.


def _read_table(path: Path) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, with their numbers."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise InputError(f"{path}, row 1: is UTF-16 or no text; save the table as CSV in UTF-8")
    text = data.decode("utf-8-sig", "surrogateescape")  # so that an error can name its cell
    table: list[tuple[int, list[str]]] = []
    lines, number = io.StringIO(text, newline=""), 0
    try:
        for number, cells in enumerate(csv.reader(lines, strict=True), start=1):
            cells = [cell.strip() for cell in cells]
            if any(cells):
                _check_encoding(cells, table[0][1] if table else [], f"{path}, row {number}")
                table.append((number, cells))
    except csv.Error as error:
        raise InputError(f"{path}, row {number + 1}: cannot be read as CSV: {error}") from error
    return table


def _check_encoding(cells: list[str], header: list[str], place: str) -> None:
    for column, cell in enumerate(cells):
        if not cell.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in cell):
            name = header[column] if column < len(header) else column + 1
            raise InputError(
                f"{place}, column {name}: is not UTF-8; save the table as CSV in UTF-8"
            )


def _check_header(header: list[str], place: str) -> None:
    for column, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"{place}, column {column}: has no name; give a flag's, without --")
        if name not in (*NAMES, *_WORDS):
            hint = "; separate columns by commas" if ";" in name or "\t" in name else ""
            raise InputError(f"{place}, column {name}: {_unknown(name)}{hint}")
        if header.index(name) < column - 1:
            raise InputError(f"{place}, column {name}: is there twice")


def _check_length(cells: list[str], header: list[str], place: str) -> None:
    counts = f"the row has {len(cells)} cells, the header {len(header)}"
    if len(cells) < len(header):
        raise InputError(f"{place}, column {header[len(cells)]}: is missing; {counts}")
    if len(cells) > len(header):
        hint = "put quotes around a value that holds commas"
        raise InputError(f"{place}, column {len(header) + 1}: is too much; {counts}; {hint}")


def _read_row(cells: dict[str, str], place: str, folder: str) -> TrialRow:
    settings = tuple(
        _read_setting(name, text, f"{place}, column {name}", folder)
        for name, text in cells.items()
        if text and name not in _WORDS
    )
    return TrialRow(place, cells.get("name", ""), cells.get("note", ""), settings)


# Values.


def _read_setting(name: str, text: str, place: str, folder: str) -> Setting:
    try:
        value = _parse(name, text)
    except InputError as error:
        message = str(error) if place.startswith("--vary") else f"{place}: {error}"
        raise InputError(message) from error
    option = OPTIONS[name]
    if option.many and option.path:
        value = tuple(os.path.join(folder, item) for item in value)
    elif option.is_path(text):
        value = os.path.join(folder, value)
    return Setting(name, text, value, place)


@functools.lru_cache(maxsize=10_000)  # a cross product has few values
def _parse(name: str, text: str) -> Any:
    config, _ = flags.parse_config([f"--{name}={text}"])
    return getattr(config, name)


def _expand(name: str, text: str, place: str) -> list[str]:
    """The paths that a pattern stands for; a path that is there stands for itself."""
    option = OPTIONS[name]
    path = os.path.expanduser(text)
    if not option.is_path(text) or not glob.has_magic(path) or os.path.exists(path):
        return [text]
    found = sorted(one for one in glob.glob(path, recursive=True) if os.path.isfile(one))
    if not found:
        raise InputError(f"{place}: no file matches {text}")
    return [join_list([one]) if option.many else one for one in found]


def _unknown(name: str) -> str:
    """What to say of a name that no trial can set."""
    if name in OPTIONS:
        return f"{name} is not a trial's to set; a sweep's --workdir holds all of its trials"
    close = difflib.get_close_matches(name, (*NAMES, *_WORDS), n=1)
    return f"unknown flag{f'; did you mean {close[0]}?' if close else ''}"
