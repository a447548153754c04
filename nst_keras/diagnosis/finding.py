"""A finding of `doctor`: one line for a person, an entry of a report for a program."""

import dataclasses
import functools
import getpass
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from nst_keras.runtime.errors import InputError, first_line, printable, reason_of

# A problem keeps pictures from being painted; a warning is about what is slow, or about to fail.
OK, WARNING, PROBLEM = "ok", "warning", "problem"
LEVELS = (OK, WARNING, PROBLEM)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found about one topic, and what to do about it."""

    level: str  # one of LEVELS
    topic: str  # a word or two, such as 'free disk'
    text: str
    remedy: str = ""

    def line(self) -> str:
        """The finding on one line."""
        what = f"{self.topic}: {self.text}"
        return printable(f"{self.level:<8} {what}{f'; {self.remedy}' if self.remedy else ''}")


Check = Callable[[], Iterator[Finding]]


def guarded(check: Check, topic: str, remedy: str) -> Iterator[Finding]:
    """What a check finds; an error that it raises becomes a problem of this topic.

    Args:
        remedy: for errors that do not say themselves what to do, as an InputError does.
    """
    try:
        yield from check()
    except InputError as error:
        yield Finding(PROBLEM, topic, str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield Finding(PROBLEM, topic, f"{where}{reason_of(error)}", remedy)
    except Exception as error:  # whatever is broken is a finding
        yield Finding(PROBLEM, topic, f"{type(error).__name__}: {first_line(error)}", remedy)


def anonymous(finding: Finding) -> Finding:
    """The finding without the home folder and without folders that are named after the user."""
    texts = (finding.text, finding.remedy)
    text, remedy = map(_without_user, texts)
    return dataclasses.replace(finding, text=text, remedy=remedy)


def _without_user(text: str) -> str:
    for home in _homes():
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    for name in _names():
        text = re.sub(rf"(?<=[/\\]){re.escape(name)}(?![\w-])", "USER", text)
    return text


def _homes() -> list[str]:
    """The home folder, as it is named and as it is, the longer one first."""
    named = os.path.expanduser("~")
    found = {named, os.path.realpath(named)} - {"/", "~"}
    return sorted(found, key=len, reverse=True)


@functools.cache
def _names() -> tuple[str, ...]:
    """Names of the user; empty where the system does not know them."""
    try:
        found = {getpass.getuser(), Path.home().name}
    except (KeyError, OSError, RuntimeError, ImportError):
        return ()
    return tuple(found - {""})
