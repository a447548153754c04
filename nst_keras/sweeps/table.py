"""Settings of trials as a person writes them: a table with a column per flag, or `--vary`."""

import dataclasses
import difflib
import functools
import glob
import os
from pathlib import Path
from typing import Any

from nst_keras.runtime.errors import InputError
from nst_keras.runtime.tables import CsvTable, separator_hint
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
    table = CsvTable(path, "--matrix")
    _check_header(table)
    rows = []
    for row in table:
        if len(row.cells) < len(table.columns):
            missing = table.columns[len(row.cells)]
            raise InputError(
                f"{row.place_of(missing)}: is missing; the row has {len(row.cells)} cells, "
                f"the header {len(table.columns)}"
            )
        rows.append(_read_row(row.cells, row.place, str(path.parent)))
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


def _check_header(table: CsvTable) -> None:
    table.check_columns(table.columns)
    for name in table.columns:
        if name not in (*NAMES, *_WORDS):
            raise InputError(
                f"{table.place}, column {name}: {_unknown(name)}{separator_hint(name)}"
            )


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
