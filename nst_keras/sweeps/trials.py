"""The trials of a sweep: base settings, rows of a table and variations make one config each."""

import collections
import dataclasses
import hashlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config, defaults
from nst_keras.settings.option import absolute_paths
from nst_keras.settings.resolve import Settings, resolve
from nst_keras.sweeps.table import Setting, TrialRow

_NAME_BYTES = 120  # of a folder's name; systems take 255, and a log's suffix is to fit in, too


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a sweep, checked."""

    name: str  # of its folder, too
    note: str
    settings: tuple[Setting, ...]  # its own, beside those that all trials share
    arguments: tuple[str, ...]  # of `nst_keras.run`, but for the folder
    config: Settings
    place: str  # where it was written, for errors

    def locate(self, error: Exception) -> InputError:
        """The error with the place of the setting that it speaks of."""
        named = re.findall(r"--(\w+)", str(error))
        places = {setting.name: setting.place for setting in self.settings}
        found = next((places[name] for name in named if name in places), self.place)
        return InputError(f"{found}: {error}")

    def text(self, name: str) -> str:
        """A setting as it was written, or else as it was decided."""
        for setting in self.settings:
            if setting.name == name:
                return setting.text
        value = getattr(self.config, name)
        return "" if value is None else OPTIONS[name].format(value)


def make_trials(
    base: Config, rows: Sequence[TrialRow], variations: Sequence[Sequence[Setting]]
) -> list[Trial]:
    """Each row with each combination of the variations, over the base.

    Raises:
        InputError: settings that contradict each other, or trials that are not told apart.
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
    """Settings that the trials set by themselves and that differ among them."""
    names = dict.fromkeys(setting.name for trial in trials for setting in trial.settings)
    return [n for n in names if len({getattr(trial.config, n) for trial in trials}) > 1]


def slug(text: str) -> str:
    """A folder's name that leads nowhere else; long ones end in a digest."""
    name = re.sub(r"[^\w.+=-]+", "-", text).strip(".-") or "trial"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    kept = name.encode()[: _NAME_BYTES - 9].decode(errors="ignore")
    return f"{kept}-{_digest(text, 8)}"


def format_flags(config: Config) -> tuple[str, ...]:
    """The flags that give this config, but for the folder's and those that are as usual."""
    usual = defaults()
    return tuple(
        f"--{name}={OPTIONS[name].format(getattr(config, name))}"
        for name, option in OPTIONS.items()
        if option.group != "folder" and getattr(config, name) != usual[name]
    )


def _make_trial(base: Config, name: str, row: TrialRow, chosen: tuple[Setting, ...]) -> Trial:
    settings = (*row.settings, *chosen)
    values: dict[str, Any] = {setting.name: setting.value for setting in settings}
    config = _with_absolute_paths(dataclasses.replace(base, **values))
    place = row.place or f"trial {name}"
    unresolved = Trial(name, row.note, settings, format_flags(config), config, place)
    try:
        return dataclasses.replace(unresolved, config=resolve(config))
    except InputError as error:
        raise unresolved.locate(error) from error


def _with_absolute_paths(config: Config) -> Config:
    """The config with paths that hold in whatever folder its process works."""
    return dataclasses.replace(config, **absolute_paths(vars(config), OPTIONS))


def _check_conflicts(rows: Sequence[TrialRow], variations: Sequence[Sequence[Setting]]) -> None:
    """A setting has one source: a column, or one --vary."""
    taken = {setting.name: setting.place for row in rows for setting in row.settings}
    for alternatives in variations:
        name, place = alternatives[0].name, alternatives[0].place
        if name in taken:
            raise InputError(f"{place}: {name} is set by {taken[name]}, too")
        taken[name] = place


def _names(combined: Sequence[tuple[TrialRow, tuple[Setting, ...]]]) -> list[str]:
    """A folder's name for each trial: the row's own, else its settings."""
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
    """Each trial needs a name and settings of its own."""
    names: dict[str, Trial] = {}
    configs: dict[Config, Trial] = {}
    for trial in trials:
        other = configs.setdefault(trial.config, trial)
        if other is not trial:
            raise InputError(f"{trial.place}: has the same settings as {other.place}")
        other = names.setdefault(trial.name.casefold(), trial)  # some systems ignore case
        if other is not trial:
            raise InputError(
                f"{trial.place}, column name: {trial.name} is the name of {other.place}, too"
            )


def _brief(setting: Setting) -> str:
    """A setting in a few letters: pictures by their names without folder and suffix."""
    option = OPTIONS[setting.name]
    if not option.path:
        return setting.text
    paths = setting.value if option.many else [setting.value]
    return "+".join(Path(path).stem for path in paths)


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:digits]
