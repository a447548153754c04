"""Reads the settings of trials: from a table with a column per flag, and from `--vary`."""

import dataclasses
import difflib
import glob
import os
from pathlib import Path
from typing import Any

from nst_keras.runtime.errors import InputError
from nst_keras.runtime.tables import CsvTable, separator_hint
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.option import Option, join_list, split_list

_WORDS = ("name", "note")  # columns that are not flags


@dataclasses.dataclass(frozen=True)
class Setting:
    """The value of one option in a trial, and where it was written."""

    name: str
    text: str  # as written
    value: Any  # as in a Config; relative paths are relative to the working folder
    place: str  # for errors


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """One row of a table; an empty cell sets nothing."""

    place: str
    name: str = ""
    note: str = ""
    settings: tuple[Setting, ...] = ()


def read_matrix(path: str | os.PathLike) -> list[TrialRow]:
    """The rows of a CSV file whose header names options, and perhaps `name` and `note`.

    A cell is a flag's text as on the command line; paths are relative to the file. Rows are counted
    as in a spreadsheet: the header is row 1 of a file that begins with it.

    Raises:
        InputError: naming the file, the row and the column.
    """
    path = Path(path)
    table = CsvTable(path, "--matrix")
    names = _read_header(table)
    rows = []
    for row in table:
        if len(row.cells) < len(table.columns):
            missing = table.columns[len(row.cells)]
            raise InputError(
                f"{row.place_of(missing)}: is missing; the row has {len(row.cells)} cells, "
                f"the header {len(table.columns)}"
            )
        cells = {names[column]: text for column, text in row.cells.items()}
        rows.append(_read_row(cells, row.place, str(path.parent)))
    return rows


def read_vary(text: str) -> list[Setting]:
    """The alternatives of `NAME=v1,v2`; those of an option that is a list are separated by `|`.

    A pattern such as photos/*.jpg stands for all files that match, in alphabetical order.

    Raises:
        InputError: naming the flag.
    """
    written, equals, values = text.partition("=")
    place = f"--vary={text}"
    if not equals or not values.strip():
        raise InputError(f"{place}: must be NAME=VALUE,VALUE")
    name = _find(written.strip(), place)
    option = OPTIONS[name]
    items = values.split("|") if option.many else split_list(values)
    if option.many and len(items) == 1 and len(split_list(values)) > 1:
        raise InputError(
            f"{place}: is one list; separate alternatives of a list by |, as in A|B,C|D"
        )
    texts = [found for item in items for found in _expand(name, item.strip(), place)]
    settings = [_read_setting(name, text, place) for text in texts]
    seen: set[Any] = set()
    for setting in settings:
        if setting.value in seen:
            raise InputError(f"{place}: {setting.text} is there twice")
        seen.add(setting.value)
    return settings


def rebase_vary(text: str, folder: Path) -> str:
    """A `NAME=v1,v2` whose paths are relative to the folder, for the working folder."""
    name, equals, values = text.partition("=")
    option = OPTIONS.get(name.strip())
    if not equals or not option or not option.path:
        return text
    lists = [split_list(items) for items in (values.split("|") if option.many else [values])]
    moved = (join_list(_rebase_path(option, item, folder) for item in items) for items in lists)
    return f"{name}={'|'.join(moved)}"


def _rebase_path(option: Option, text: str, folder: Path) -> str:
    if not text or not option.is_path(text):
        return text
    path = os.path.expanduser(text)
    is_pattern = glob.has_magic(path) and not (folder / path).exists()
    return str(Path(glob.escape(str(folder)) if is_pattern else folder, path))


def _read_header(table: CsvTable) -> dict[str, str]:
    """By column, the present name of its option, or the word that is not an option."""
    table.check_columns(table.columns)
    names: dict[str, str] = {}
    for column in table.columns:
        place = f"{table.place}, column {column}"
        name = column if column in _WORDS else _find(column, place, separator_hint(column))
        if name in names.values():
            raise InputError(f"{place}: appears twice")
        names[column] = name
    return names


def _read_row(cells: dict[str, str], place: str, folder: str) -> TrialRow:
    settings = []
    for name, text in cells.items():
        if text and name not in _WORDS:
            place_of_cell = f"{place}, column {name}"
            try:
                settings.append(_read_setting(name, text, place_of_cell, folder))
            except InputError as error:
                raise InputError(f"{place_of_cell}: {error}", *error.flags) from error
    return TrialRow(place, cells.get("name", ""), cells.get("note", ""), tuple(settings))


def _read_setting(name: str, text: str, place: str, folder: str = "") -> Setting:
    option = OPTIONS[name]
    value = option.parse(text)
    if option.many and option.path:
        value = tuple(os.path.join(folder, item) for item in value)
    elif option.is_path(text):
        value = os.path.join(folder, value)
    return Setting(name, text, value, place)


def _expand(name: str, text: str, place: str) -> list[str]:
    """The paths that a pattern stands for; the path of an existing file stands for itself."""
    option = OPTIONS[name]
    path = os.path.expanduser(text)
    if not option.is_path(text) or not glob.has_magic(path) or os.path.exists(path):
        return [text]
    found = sorted(file for file in glob.glob(path, recursive=True) if os.path.isfile(file))
    if not found:
        raise InputError(f"{place}: no file matches {text}")
    return [join_list([file]) if option.many else file for file in found]


def _find(written: str, place: str, hint: str = "") -> str:
    """The present name of an option that a trial may set.

    Raises:
        InputError: there is none; it begins with `place` and ends with `hint`.
    """
    name = next((now for now, option in OPTIONS.items() if written in (now, *option.former)), "")
    if name in OPTIONS and not OPTIONS[name].destination:
        return name
    if name in OPTIONS:
        raise InputError(
            f"{place}: {name} cannot be set for a trial; a sweep's --workdir holds all its trials"
        )
    allowed = [name for name, option in OPTIONS.items() if not option.destination]
    close = difflib.get_close_matches(written, (*allowed, *_WORDS), n=1)
    suggestion = f"; did you mean {close[0]}?" if close else ""
    raise InputError(f"{place}: unknown flag{suggestion}{hint}")
