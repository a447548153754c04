"""The trials of a sweep, made of base settings, the rows of a table and the values of `--vary`."""

import collections
import dataclasses
import glob
import hashlib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nst_keras.runtime.errors import InputError
from nst_keras.runtime.tables import CsvTable, Row, separator_hint
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.option import Option, absolute_paths, join_list, split_list
from nst_keras.settings.resolve import Settings, resolve
from nst_keras.settings.suggestions import suggestion

_WORDS = ("name", "note")  # columns that are not flags
_NAME_BYTES = 120  # of a folder's name; systems take 255, and a log's suffix is to fit in, too


class Setting(NamedTuple):
    """The value of one option in a trial, and where it was written."""

    name: str
    text: str  # as written
    value: Any  # as in a Config; relative paths are relative to the working folder
    place: str  # for errors


class TrialRow(NamedTuple):
    """One row of a table; an empty cell sets nothing."""

    place: str
    name: str = ""
    note: str = ""
    settings: tuple[Setting, ...] = ()


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a sweep; its settings are checked."""

    name: str  # of its folder, too
    note: str
    settings: tuple[Setting, ...]  # its own, in addition to those that all trials share
    arguments: tuple[str, ...]  # of `nst_keras.run`, except for the folder
    config: Settings
    place: str  # where it was written, for errors

    def text(self, name: str) -> str:
        """The text of a setting: as written, or else as resolved."""
        for setting in self.settings:
            if setting.name == name:
                return setting.text
        value = getattr(self.config, name)
        return "" if value is None else OPTIONS[name].format(value)


def read_matrix(path: str | os.PathLike) -> list[TrialRow]:
    """The rows of a CSV file whose header names options, and perhaps `name` and `note`.

    A cell is a flag's text as on the command line; paths are relative to the file. Raises
    InputError, naming the file, the row and the column.
    """
    table = CsvTable(path, "--matrix")
    table.check_columns(table.columns)
    names: dict[str, str] = {}  # by column, of its option, or the word that is not an option
    for column in table.columns:
        place = f"{table.place}, column {column}"
        name = column if column in _WORDS else _find(column, place, separator_hint(column))
        if name in names.values():
            raise InputError(f"{place}: appears twice")
        names[column] = name
    return [_read_row(row, names, Path(path).parent) for row in table]


def _read_row(row: Row, names: dict[str, str], folder: Path) -> TrialRow:
    if len(row.cells) < len(names):
        missing = row.place_of([*names][len(row.cells)])
        raise InputError(
            f"{missing}: is missing; the row has {len(row.cells)} cells, the header {len(names)}"
        )
    settings = []
    for column, text in row.cells.items():
        if text and column not in _WORDS:
            place = row.place_of(column)
            try:
                settings.append(_read_setting(names[column], text, place, folder))
            except InputError as error:
                raise InputError(f"{place}: {error}", *error.flags) from error
    name, note = (row.cells.get(word, "") for word in _WORDS)
    return TrialRow(row.place, name, note, tuple(settings))


def read_vary(text: str) -> list[Setting]:
    """The alternatives of `NAME=v1,v2`; those of an option that is a list are separated by `|`.

    A pattern such as photos/*.jpg stands for all files that match, in alphabetical order. Raises
    InputError, naming the flag.
    """
    written, equals, values = text.partition("=")
    place = f"--vary={text}"
    if not equals or not values.strip():
        raise InputError(f"{place}: must be NAME=VALUE,VALUE")
    name = _find(written.strip(), place)
    is_list = OPTIONS[name].many
    items = values.split("|") if is_list else split_list(values)
    if is_list and len(items) == 1 and len(split_list(values)) > 1:
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


def _expand(name: str, text: str, place: str) -> list[str]:
    """The paths that a pattern stands for; the path of an existing file stands for itself."""
    option = OPTIONS[name]
    if option.many and len(split_list(text)) > 1:
        return [text]  # in a list of several, patterns stand for items
    path = os.path.expanduser(text)
    if not option.is_path(text) or not glob.has_magic(path) or os.path.exists(path):
        return [text]
    found = sorted(file for file in glob.glob(path, recursive=True) if os.path.isfile(file))
    if not found:
        raise InputError(f"{place}: no file matches {text}")
    return [join_list([file]) if option.many else file for file in found]


def rebase_vary(text: str, folder: Path) -> str:
    """The same `NAME=v1,v2`, its paths made relative to the working folder instead of `folder`."""
    name, equals, values = text.partition("=")
    option = OPTIONS.get(name.strip())
    if not equals or not option or not option.path:
        return text
    lists = [_items(items, folder) for items in (values.split("|") if option.many else [values])]
    moved = (join_list(_rebase_path(option, item, folder) for item in items) for items in lists)
    return f"{name}={'|'.join(moved)}"


def _items(text: str, folder: Path) -> list[str]:
    """The items of a list; the name of a file that is there may have commas in it."""
    name = text.strip()
    return [name] if name and (folder / os.path.expanduser(name)).exists() else split_list(text)


def _moved(option: Option, text: str, folder: str | Path) -> str:
    """A path that is relative to a folder, as one relative to the working folder."""
    is_path = text and option.is_path(text)
    return os.path.join(folder, os.path.expanduser(text)) if is_path else text


def _rebase_path(option: Option, text: str, folder: Path) -> str:
    if not text or not option.is_path(text):
        return text
    path = os.path.expanduser(text)
    is_pattern = glob.has_magic(path) and not (folder / path).exists()
    return str(Path(glob.escape(str(folder)) if is_pattern else folder, path))


def _find(written: str, place: str, hint: str = "") -> str:
    """The present name of an option that a trial may set, or InputError at `place`."""
    allowed = [name for name, option in OPTIONS.items() if not option.destination]
    name = next((now for now, option in OPTIONS.items() if written in (now, *option.former)), "")
    if name in allowed:
        return name
    if name in OPTIONS:
        raise InputError(
            f"{place}: {name} cannot be set for a trial; remove it (each trial has its own folder "
            "in the sweep's --workdir)"
        )
    meant = suggestion(written, [*allowed, *_WORDS])
    asked = f"; did you mean {meant}?" if meant else ""
    raise InputError(f"{place}: unknown flag{asked}{hint}")


def _read_setting(name: str, text: str, place: str, folder: str | Path = "") -> Setting:
    option, here = OPTIONS[name], text
    if option.path:
        items = option.split(text, folder) if option.many else [text.strip()]
        moved = [_moved(option, item, folder) for item in items]
        here = join_list(moved) if option.many else moved[0]
    return Setting(name, text, option.parse(here), place)


def make_trials(
    base: Config, rows: Sequence[TrialRow], variations: Sequence[Sequence[Setting]]
) -> list[Trial]:
    """A trial for each row with each combination of the variations; both override the base.

    Raises InputError if settings contradict each other, or two trials are the same.
    """
    _check_conflicts(rows, variations)
    combined = [*itertools.product(rows or [TrialRow("")], itertools.product(*variations))]
    trials = []
    for name, (row, chosen) in zip(_names(combined), combined, strict=True):
        settings = (*row.settings, *chosen)
        values = {**vars(base), **{setting.name: setting.value for setting in settings}}
        # The paths are absolute, since the trial's process may work in another folder.
        config = Config(**{**values, **absolute_paths(values, OPTIONS)})
        place = row.place or f"trial {name}"
        try:
            resolved = resolve(config)
        except InputError as error:
            raise locate(error, settings, place) from error
        trials.append(Trial(name, row.note, settings, format_flags(config), resolved, place))
    _check_duplicates(trials)
    return trials


def varied_names(trials: Sequence[Trial]) -> list[str]:
    """Names of the trials' own settings whose values differ between trials."""
    names = dict.fromkeys(setting.name for trial in trials for setting in trial.settings)
    return [n for n in names if len({getattr(trial.config, n) for trial in trials}) > 1]


def slug(text: str) -> str:
    """A safe name for one folder, made of the text; a long one is cut and ends in a digest."""
    name = re.sub(r"[^\w.+=-]+", "-", text).strip(".-") or "trial"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    kept = name.encode()[: _NAME_BYTES - 9].decode(errors="ignore")
    return f"{kept}-{digest(text, 8)}"


def format_flags(config: Config) -> tuple[str, ...]:
    """The flags that give this config, without defaults and without the destination."""
    return tuple(
        f"--{name}={option.format(getattr(config, name))}"
        for name, option in OPTIONS.items()
        if not option.destination and getattr(config, name) != option.default
    )


def locate(error: InputError, settings: Sequence[Setting], place: str) -> InputError:
    """The error with the place of the setting that it is about, or else with `place`."""
    places = {setting.name: setting.place for setting in settings}
    found = next((places[name] for name in error.flags if name in places), place)
    return InputError(f"{found}: {error}", *error.flags)


def _check_conflicts(rows: Sequence[TrialRow], variations: Sequence[Sequence[Setting]]) -> None:
    """Raise InputError if two of the columns and --vary flags set the same option."""
    taken = {setting.name: setting.place for row in rows for setting in row.settings}
    for first, *_ in variations:
        if first.name in taken:
            raise InputError(f"{first.place}: {first.name} is also set by {taken[first.name]}")
        taken[first.name] = first.place


def _check_duplicates(trials: Sequence[Trial]) -> None:
    """Raise InputError if two trials have the same name or the same settings."""
    names: dict[str, Trial] = {}
    configs: dict[Config, Trial] = {}
    for trial in trials:
        other = configs.setdefault(trial.config, trial)
        if other is not trial:
            raise InputError(f"{trial.place}: has the same settings as {other.place}")
        other = names.setdefault(trial.name.casefold(), trial)  # some systems ignore case
        if other is not trial:
            raise InputError(
                f"{trial.place}, column name: {trial.name} is also the name of {other.place}"
            )


def _names(combined: Sequence[tuple[TrialRow, tuple[Setting, ...]]]) -> list[str]:
    """The folder name of each trial: the name in its row and its settings."""
    names = []
    for row, chosen in combined:
        shown = chosen if row.name else (*row.settings, *chosen)
        parts = [row.name, *(f"{s.name}={_brief(s)}" for s in shown)]
        names.append(slug("_".join(filter(None, parts)) or "base"))
    counts = collections.Counter(name.casefold() for name in names)
    for at, (row, chosen) in enumerate(combined):
        # Pictures of one name in two folders; a row's own name is left to _check_duplicates.
        if counts[names[at].casefold()] > 1 and (chosen or not row.name):
            texts = [setting.text for setting in (*row.settings, *chosen)]
            names[at] += f"-{digest(repr(texts), 6)}"
    return names


def _brief(setting: Setting) -> str:
    """A short text of a setting, in which pictures have neither folder nor suffix."""
    option = OPTIONS[setting.name]
    if not option.path:
        return setting.text
    paths = setting.value if option.many else [setting.value]
    return "+".join(Path(path).stem for path in paths)


def digest(text: str, digits: int) -> str:
    """The first hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:digits]
