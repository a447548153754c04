"""What a page that may be sent to anybody says of the files of its maker: their base names.

The full paths and commands stay in the record.
"""

import collections
import dataclasses
import functools
import ntpath
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from nst_keras.runs.record import Fingerprint, RunRecord
from nst_keras.settings.config import COMMAND, LIVE_PAGE, OPTIONS
from nst_keras.settings.option import Option, join_list, split_list

# A path that leads out of the present folder, at the start of a text or after a separator.
_START = r"(?<![\w.)\]/\\])(?:file:/+|[A-Za-z]:[\\/]|~\w*[\\/]|\\\\|/|\.\.[\\/])"
_PATH = re.compile(_START + r"(?:[^\s,;:'\"()|/\\]+[\\/])*([^\s,;:'\"()|/\\]*)")
_WHOLE_PATH = re.compile(r"(?:file:/+|[A-Za-z]:[\\/]|~\w*[\\/]|\\\\|/|\.\.[\\/])")


# Settings that are paths.
_PATHS = [name for name, option in OPTIONS.items() if option.path]


def without_folders(text: str, known: Iterable[str] = ()) -> str:
    """A sentence in which each path out of the present folder is its base name; those that are
    known may have spaces in them."""
    for folder in sorted({*known, os.path.expanduser("~")}, key=len, reverse=True):
        if os.path.isabs(folder) and len(folder) > 1:
            text = text.replace(folder.rstrip("\\/") + "/", "").replace(folder, "...")
    return _PATH.sub(lambda found: found[1] or "...", text)


def base_names(value: str) -> str:
    """The value of a setting, a list with commas, with the base names of such paths."""
    return join_list(map(_base_name, split_list(value)))


def base_names_of(name: str, text: str) -> str:
    """The text of a setting with base names; commas separate paths in lists only."""
    is_list = name not in OPTIONS or OPTIONS[name].is_list
    return base_names(text) if is_list else _base_name(text)


def public_command(command: str) -> str:
    """A shell command that takes its files from the folder in which it is run."""
    try:
        words = shlex.split(command)
    except ValueError:  # a record that somebody changed
        return without_folders(command)
    if not words or words[0].startswith("nst_keras."):  # a call in Python
        return command
    named = [*filter(None, map(_public_argument, _with_values(words[1:])))]
    program = re.sub(r"^python[\d.]*(?:\.exe)?$", "python", ntpath.basename(words[0]))
    if [program, *named[:2]] == ["python", "-m", "nst_keras.run"]:
        return shlex.join(["nst", *named[2:]])  # wherever that is installed
    return shlex.join([program, *named])


def _with_values(arguments: Iterable[str]) -> Iterator[str]:
    """The arguments of a command, those like `--name value` as one: `--name=value`."""
    waiting = collections.deque(arguments)
    while waiting:
        word = waiting.popleft()
        option, implied = _option(word)
        if option and not implied and "=" not in word and waiting:
            word = f"{word}={waiting.popleft()}"
        yield word


def _public_argument(word: str) -> str:
    """An argument of a command with base names; empty if a page does not show it."""
    flag, equals, value = word.partition("=")
    option, _ = _option(word)
    if option and option.name in LIVE_PAGE:
        return ""
    if equals and flag.startswith("-"):
        return f"{flag}={base_names_of(option.name if option else '', value)}"
    return _base_name(word)


def _option(word: str) -> tuple[Option | None, str]:
    """The option of an argument, and its value if the flag is given without one."""
    name = word.partition("=")[0].lstrip("-") if word.startswith("-") else ""
    return COMMAND.find(name) or (None, "")


def public_record(record: RunRecord) -> RunRecord:
    """The record of a run as a page shows it."""
    texts = [record.settings.get(name, "") for name in _PATHS]
    known = {os.path.dirname(path) for text in texts for path in split_list(text)}
    without = functools.partial(without_folders, known=known)
    return dataclasses.replace(
        record,
        fingerprint=Fingerprint(),
        requested=Fingerprint(),
        copies={},
        pending_copy="",
        command=public_command(record.command),
        resume_command=public_command(record.resume_command),
        reason=without(record.reason),
        notes=tuple(map(without, record.notes)),
        settings={
            name: base_names_of(name, text)
            for name, text in record.settings.items()
            if name not in LIVE_PAGE
        },
        content=_public_input(record.content),
        styles=tuple(map(_public_input, record.styles)),
    )


def _public_input(picture: Any) -> Any:
    return dataclasses.replace(picture, name=_base_name(picture.name))


def _base_name(path: str) -> str:
    if not _WHOLE_PATH.match(path):
        return path
    return ntpath.basename(path.rstrip("\\/")) or "..."  # which knows both separators
