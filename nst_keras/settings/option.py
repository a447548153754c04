"""What an option is: how it reads from text, what it may be, and what the help says of it."""

import dataclasses
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nst_keras.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Option:
    """One option; its name and default stand in the dataclass that declares it."""

    group: str
    help: str
    kind: str  # a key of _PARSERS, or 'bool'
    many: bool = False  # comma-separated
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    path: bool = False  # in a flagfile, relative to that file
    words: tuple[str, ...] = ()  # what a path may be instead
    changes_result: bool = True  # False: a run may be resumed with another value

    def parse(self, text: str) -> Any:
        """The value that a flag's text stands for; raises ValueError saying what it may be."""
        if self.many:
            return tuple(self._parse_one(item) for item in split_list(text))
        return self._parse_one(text.strip())

    def _parse_one(self, text: str) -> Any:
        if not text:
            raise ValueError(f"must be {self.accepted()}, not empty")
        try:
            value = _PARSERS[self.kind](text)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"must be {self.accepted()}") from error
        if self.is_path(text):  # shells leave the ~ of --content=~/photo.jpg alone
            value = os.path.expanduser(text)
        self.check_one(value)
        return value

    def check(self, value: Any) -> None:
        """Raise ValueError unless the value is one that this option may have."""
        if self.many and not isinstance(value, (tuple, list)):
            raise ValueError(f"must be a tuple of {self.accepted()}")
        for one in value if self.many else (value,):
            self.check_one(one)

    def check_one(self, value: Any) -> None:
        """As `check`, for one item of a list or the value itself."""
        allowed = isinstance(value, _TYPES[self.kind])
        if isinstance(value, bool):
            allowed = self.kind == "bool"
        elif isinstance(value, (int, float)):
            allowed = allowed and self._in_range(value)
        elif isinstance(value, (tuple, list)):
            allowed = allowed and _is_named_number(value) and self._in_range(value[1])
        elif allowed and (words := self.choices or _SPECIAL.get(self.kind)):
            allowed = value in words
        if not allowed:
            raise ValueError(f"must be {self.accepted()}")

    def _in_range(self, number: float) -> bool:
        # False for nan and infinity, too.
        return self.low <= number <= self.high and abs(number) < math.inf

    def is_path(self, text: str) -> bool:
        """Whether this text of the option names a file or folder."""
        return self.path and text not in self.words

    def accepted(self) -> str:
        """What the option takes, in words: its choices, or its kind and range."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        words = _WORDS[self.kind]
        if math.isfinite(self.low) and self.high < _ENDLESS:
            words += f" from {self.low:g} to {self.high:g}"
        elif math.isfinite(self.low):
            words += f" of at least {self.low:g}"
        return " or ".join([words, *_SPECIAL.get(self.kind, ())])

    def format(self, value: Any) -> str:
        """Text that a flag turns back into the value."""
        if self.kind == "bool":
            return str(value).lower()
        if self.kind == "duration":
            return _text(value).removesuffix(".0") + "s"  # %g would round, and use an exponent
        return join_list(_text(v) for v in value) if self.many else _text(value)


def declare(default: Any, group: str, kind: str, help: str, **rules: Any) -> Any:
    """A field of a dataclass of settings, with its option."""
    option = Option(group=group, help=help, kind=kind, **rules)
    return dataclasses.field(default=default, metadata={"option": option})


def options_of(settings: type) -> dict[str, Option]:
    """The options of a dataclass of settings, by name."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(settings)}


def defaults_of(settings: type) -> dict[str, Any]:
    """The default of every option, by name."""
    return {field.name: field.default for field in dataclasses.fields(settings)}


def check_settings(settings: Any) -> None:
    """Raise InputError unless every value is one that its option may have, or open by default."""
    defaults = defaults_of(type(settings))
    for name, option in options_of(type(settings)).items():
        value = getattr(settings, name)
        if value is None and defaults[name] is None:
            continue
        try:
            option.check(value)
        except ValueError as error:
            raise InputError(f"--{name}={value}: {error}") from error


def absolute_paths(values: Mapping[str, Any], options: Mapping[str, Option]) -> dict[str, Any]:
    """Those of the values that are paths, made to hold in whatever folder they are read."""
    paths: dict[str, Any] = {}
    for name, option in options.items():
        value = values[name]
        if option.path and option.many:
            paths[name] = tuple(os.path.abspath(item) for item in value)
        elif value and option.is_path(value):
            paths[name] = os.path.abspath(value)
    return paths


def split_list(text: str) -> list[str]:
    """The items of a comma-separated list; a comma inside an item is written with a backslash."""
    items = re.split(r"(?<!\\),", text) if text.strip() else []
    return [item.strip().replace("\\,", ",") for item in items]


def join_list(items: Iterable[str]) -> str:
    """Text that `split_list` takes apart again."""
    return ",".join(item.replace(",", "\\,") for item in items)


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{value[0]}:{_text(value[1])}"
    return repr(float(value)) if isinstance(value, float) else str(value)  # float: not NumPy's


def _is_named_number(value: Any) -> bool:
    """Whether this is (name, number)."""
    return (
        len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
        and not isinstance(value[1], bool)
    )


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _duration(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)\s*([smh]?)", text)
    if not match:
        raise ValueError
    return _finite(match[1]) * {"s": 1, "": 1, "m": 60, "h": 3600}[match[2]]


def _named_number(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition(":")
    if not name.strip():
        raise ValueError
    return name.strip(), _finite(number)


def _weight(text: str) -> float | tuple[str, float]:
    return _named_number(text) if ":" in text else _finite(text)


def _whole_or(*words: str) -> Callable[[str], int | str]:
    return lambda text: text if text in words else int(text)


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([\d.]+)\s*([KMGT]?)i?B?", text, re.IGNORECASE)
    if not match:
        raise ValueError
    return int(_finite(match[1]) * 1024 ** "_KMGT".index(match[2].upper() or "_"))


_PARSERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": _finite,
    "text": str,
    "named": _named_number,
    "weight": _weight,
    "duration": _duration,
    "size": _whole_or("original"),
    "scales": _whole_or("auto"),
    "tile": _whole_or("auto", "none"),
    "bytes": _bytes,
}
_TYPES: dict[str, Any] = {
    "int": int,
    "float": (int, float),
    "text": str,
    "named": (tuple, list),
    "weight": (int, float, tuple, list),
    "duration": (int, float),
    "size": (int, str),
    "scales": (int, str),
    "tile": (int, str),
    "bytes": int,
    "bool": bool,
}
_WORDS = {
    "int": "a whole number",
    "float": "a finite number",
    "text": "a text",
    "named": "NAME:NUMBER",
    "weight": "a number or NAME:NUMBER",
    "duration": "a time such as 90s, 5m or 2h",
    "size": "a whole number of pixels",
    "scales": "a whole number",
    "tile": "a whole number of pixels",
    "bytes": "a size such as 800M or 6G",
    "bool": "true or false",
}
_SPECIAL = {  # words in place of a number
    "size": ("original",),
    "scales": ("auto",),
    "tile": ("auto", "none"),
}
_ENDLESS = 1e6  # a bound from here on only guards against slips and is not worth telling
