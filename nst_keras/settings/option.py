"""Options: how each reads from text, what it accepts, and what is known about it."""

import dataclasses
import math
import os
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nst_keras.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a command, and everything that is known about it."""

    help: str
    group: str = ""  # heading in the help
    name: str = ""
    default: Any = None
    unset: str = ""  # what a default of None, () or "" stands for, in the help
    kind: str = ""  # a key of KINDS
    many: bool = False  # the value is a tuple, written with commas
    repeated: bool = False  # a tuple, too, but of one item for each time that the flag is given
    limits: tuple[float, float] = (-math.inf, math.inf)
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # accepted in place of a number or a path
    former: tuple[str, ...] = ()  # earlier names, which are still accepted
    path: bool = False  # in a flagfile, relative to that file
    rebase: Callable[[str, Path], str] | None = None  # the same for texts that contain paths
    changes_result: bool = True  # False: a run may be resumed with another value
    destination: bool = False  # says where results go, so a sweep sets it for its trials
    for_files: bool = False  # about files of a run, so `stylize` takes no value
    hashed: bool = False  # the content of the file counts, not its path
    per_picture: bool = False  # the pictures of a batch may have different values
    decides_loss: bool = False  # losses under different values cannot be compared
    sets_defaults: bool = False  # the defaults of other options depend on it

    def parse(self, text: str) -> Any:
        """The value that a flag's text stands for.

        Raises:
            InputError: the option does not accept it.
        """
        is_list = self.many and not self.repeated
        items = split_list(text) if is_list else [text.strip()]
        try:
            values = tuple(self._parse_item(item) for item in items)
        except (ValueError, OverflowError) as error:
            hint = ", not empty" if "" in items else ""
            message = f"--{self.name}={text}: must be {self.accepted()}{hint}"
            raise InputError(message, self.name) from error
        return values if is_list else values[0]

    def _parse_item(self, text: str) -> Any:
        if text in self.words:
            return text
        value = KINDS[self.kind].parse(text)
        if not text or not self._allows(value):
            raise ValueError
        # Shells leave the ~ of --content=~/photo.jpg alone.
        return os.path.expanduser(text) if self.path else value

    def check(self, value: Any) -> None:
        """Raise InputError unless the option accepts the value."""
        is_tuple = isinstance(value, (tuple, list))
        if self.many and is_tuple and all(map(self._allows, value)):
            return
        if self.many or not self._allows(value):
            container = "a tuple of " if self.many and not is_tuple else ""
            message = f"--{self.name}={value}: must be {container}{self.accepted()}"
            raise InputError(message, self.name)

    def _allows(self, value: Any) -> bool:
        """Whether this is a value of the option, or of a list an item."""
        kind = KINDS[self.kind]
        if self.choices or isinstance(value, str) and value in self.words:
            return value in (*self.choices, *self.words)
        if isinstance(value, bool):
            return self.kind == "bool"
        if isinstance(value, (tuple, list)):
            return tuple in kind.types and _is_named_number(value) and self._in_limits(value[1])
        if isinstance(value, (int, float)) and not self._in_limits(value):
            return False
        return isinstance(value, kind.types)

    def _in_limits(self, number: float) -> bool:
        low, high = self.limits
        return low <= number <= high and abs(number) < math.inf  # False for NaN, too

    def is_path(self, text: str) -> bool:
        """Whether this text of the option names a file or folder."""
        return self.path and text not in self.words

    def accepted(self) -> str:
        """What the option accepts, in words: its choices, or its kind and range."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        text, (low, high) = KINDS[self.kind].described, self.limits
        if math.isfinite(low) and high < _ENDLESS:
            text += f" from {low:g} to {high:g}"
        elif math.isfinite(low):
            text += f" of at least {low:g}"
        return " or ".join([text, *(() if self.path else self.words)])

    def format(self, value: Any) -> str:
        """Text that `parse` turns back into the value."""
        if self.kind == "bool":
            return str(value).lower()
        if self.kind == "duration":
            return _text(value).removesuffix(".0") + "s"  # %g would round, and use an exponent
        if self.many and not self.repeated:
            return join_list(_text(item) for item in value)
        return _text(value)

    def of_field(self, name: str, annotation: Any) -> "Option":
        """The option with the name of its field, and the kind that the field's type implies."""
        many = typing.get_args(annotation)[1:] == (...,)
        item = typing.get_args(annotation)[0] if many else annotation
        kind = self.kind or _KIND_OF_TYPE[item]
        return dataclasses.replace(self, name=name, kind=kind, many=many)


def section(group: str, **shared: Any) -> Callable[..., Any]:
    """A function that declares the options of one group, as fields of a dataclass of settings.

    It takes the default, the help, the limits if there are any, and further attributes of `Option`;
    `shared` are attributes of all options of the group. The kind follows from the field's type.
    """

    def declare(default: Any, help: str, limits: Any = (-math.inf, math.inf), **own: Any) -> Any:
        attributes = {**shared, **own}
        option = Option(help, group, default=default, limits=limits, **attributes)
        return dataclasses.field(default=default, metadata={"option": option})

    return declare


def options_of(settings: type) -> dict[str, Option]:
    """The options of a dataclass of settings, by name."""
    types = typing.get_type_hints(settings)
    return {
        field.name: field.metadata["option"].of_field(field.name, types[field.name])
        for field in dataclasses.fields(settings)
    }


def check_settings(settings: Any, options: Mapping[str, Option]) -> None:
    """Raise InputError unless each value is accepted, or is None where that is the default."""
    for name, option in options.items():
        value = getattr(settings, name)
        if value is not None or option.default is not None:
            option.check(value)


def absolute_paths(values: Mapping[str, Any], options: Mapping[str, Option]) -> dict[str, Any]:
    """Those of the values that are paths, made absolute."""
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
    """Text that `split_list` splits into these items."""
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


def _parse_bool(text: str) -> bool:
    if text.lower() not in ("true", "t", "1", "false", "f", "0"):
        raise ValueError
    return text.lower() in ("true", "t", "1")


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _parse_duration(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)\s*([smh]?)", text)
    if not match:
        raise ValueError
    return _parse_float(match[1]) * {"s": 1, "": 1, "m": 60, "h": 3600}[match[2]]


def _parse_named(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition(":")
    if not name.strip():
        raise ValueError
    return name.strip(), _parse_float(number)


def _parse_weight(text: str) -> float | tuple[str, float]:
    return _parse_named(text) if ":" in text else _parse_float(text)


def _parse_bytes(text: str) -> int:
    match = re.fullmatch(r"([\d.]+)\s*([KMGT]?)i?B?", text, re.IGNORECASE)
    if not match:
        raise ValueError
    return int(_parse_float(match[1]) * 1024 ** "_KMGT".index(match[2].upper() or "_"))


@dataclasses.dataclass(frozen=True)
class Kind:
    """What values of one kind are like."""

    parse: Callable[[str], Any]  # raises ValueError or OverflowError
    types: tuple[type, ...]  # of values given in Python
    described: str  # in messages and the help


KINDS = {
    "bool": Kind(_parse_bool, (bool,), "true or false"),
    "int": Kind(int, (int,), "a whole number"),
    "pixels": Kind(int, (int,), "a whole number of pixels"),
    "bytes": Kind(_parse_bytes, (int,), "a size such as 800M or 6G"),
    "float": Kind(_parse_float, (int, float), "a finite number"),
    "duration": Kind(_parse_duration, (int, float), "a time such as 90s, 5m or 2h"),
    "text": Kind(str, (str,), "a text"),
    "named": Kind(_parse_named, (tuple, list), "NAME:NUMBER"),
    "step_factor": Kind(_parse_named, (tuple, list), "STEP:FACTOR"),
    "weight": Kind(_parse_weight, (int, float, tuple, list), "a number or NAME:NUMBER"),
}
_KIND_OF_TYPE: dict[Any, str] = {
    bool: "bool",
    int: "int",
    int | None: "int",
    int | str: "int",  # a number or one of the option's words
    float: "float",
    float | None: "float",
    str: "text",
    str | None: "text",
    tuple[str, float]: "named",
    float | tuple[str, float]: "weight",
}
_ENDLESS = 1e6  # a limit from here on only guards against slips and is not worth telling
