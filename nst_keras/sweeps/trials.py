"""The trials of a sweep, each made of base settings, a row of a table and variations."""

import collections
import dataclasses
import hashlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.option import absolute_paths
from nst_keras.settings.resolve import Settings, resolve
from nst_keras.sweeps.table import Setting, TrialRow

_NAME_BYTES = 120  # of a folder's name; systems take 255, and a log's suffix is to fit in, too


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a sweep; its settings are checked."""

    name: str  # of its folder, too
    note: str
    settings: tuple[Setting, ...]  # its own, in addition to those that all trials share
    arguments: tuple[str, ...]  # of `nst_keras.run`, except for the folder
    config: Settings
    place: str  # where it was written, for errors

    def locate(self, error: InputError) -> InputError:
        """The error with the place of the setting that it is about, if the trial has it."""
        return _locate(error, self.settings, self.place)

    def text(self, name: str) -> str:
        """The text of a setting: as written, or else as resolved."""
        for setting in self.settings:
            if setting.name == name:
                return setting.text
        value = getattr(self.config, name)
        return "" if value is None else OPTIONS[name].format(value)


def make_trials(
    base: Config, rows: Sequence[TrialRow], variations: Sequence[Sequence[Setting]]
) -> list[Trial]:
    """A trial for each row with each combination of the variations; both override the base.

    Raises:
        InputError: settings contradict each other, or two trials are the same.
    """
    _check_conflicts(rows, variations)
    combined = [
        (row, tuple(chosen))
        for row in rows or [TrialRow("")]
        for chosen in itertools.product(*variations)
    ]
    names = _names(combined)
    trials = [
        _make_trial(base, name, row, chosen)
        for name, (row, chosen) in zip(names, combined, strict=True)
    ]
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
    return f"{kept}-{_digest(text, 8)}"


def format_flags(config: Config) -> tuple[str, ...]:
    """The flags that give this config, without defaults and without the destination."""
    return tuple(
        f"--{name}={option.format(getattr(config, name))}"
        for name, option in OPTIONS.items()
        if not option.destination and getattr(config, name) != option.default
    )


def _make_trial(base: Config, name: str, row: TrialRow, chosen: tuple[Setting, ...]) -> Trial:
    settings = (*row.settings, *chosen)
    values: dict[str, Any] = {setting.name: setting.value for setting in settings}
    config = _with_absolute_paths(dataclasses.replace(base, **values))
    place = row.place or f"trial {name}"
    try:
        resolved = resolve(config)
    except InputError as error:
        raise _locate(error, settings, place) from error
    return Trial(name, row.note, settings, format_flags(config), resolved, place)


def _locate(error: InputError, settings: Sequence[Setting], place: str) -> InputError:
    places = {setting.name: setting.place for setting in settings}
    found = next((places[name] for name in error.flags if name in places), place)
    return InputError(f"{found}: {error}", *error.flags)


def _with_absolute_paths(config: Config) -> Config:
    """The config with absolute paths, since its process may work in another folder."""
    return dataclasses.replace(config, **absolute_paths(vars(config), OPTIONS))


def _check_conflicts(rows: Sequence[TrialRow], variations: Sequence[Sequence[Setting]]) -> None:
    """Raise InputError if two of the columns and --vary flags set the same option."""
    taken = {setting.name: setting.place for row in rows for setting in row.settings}
    for alternatives in variations:
        name, place = alternatives[0].name, alternatives[0].place
        if name in taken:
            raise InputError(f"{place}: {name} is also set by {taken[name]}")
        taken[name] = place


def _names(combined: Sequence[tuple[TrialRow, tuple[Setting, ...]]]) -> list[str]:
    """The folder name of each trial: the name in its row and its settings."""
    texts = []
    for row, chosen in combined:
        shown = chosen if row.name else (*row.settings, *chosen)
        parts = [row.name, *(f"{s.name}={_brief(s)}" for s in shown)]
        texts.append("_".join(part for part in parts if part) or "base")
    names = [slug(text) for text in texts]
    counts = collections.Counter(name.casefold() for name in names)
    return [
        # Pictures of one name in two folders; a row's own name is left to _check_duplicates.
        f"{name}-{_digest(repr([s.text for s in (*row.settings, *chosen)]), 6)}"
        if counts[name.casefold()] > 1 and (chosen or not row.name)
        else name
        for name, (row, chosen) in zip(names, combined, strict=True)
    ]


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


def _brief(setting: Setting) -> str:
    """A short text of a setting, in which pictures have neither folder nor suffix."""
    option = OPTIONS[setting.name]
    if not option.path:
        return setting.text
    paths = setting.value if option.many else [setting.value]
    return "+".join(Path(path).stem for path in paths)


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:digits]
