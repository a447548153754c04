"""Options: how each reads from text, what it accepts, and what is known about it."""

import contextlib
import dataclasses
import glob
import math
import os
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from nst_keras.runtime.errors import InputError

_UNLIMITED = (-math.inf, math.inf)
_MOST_SHOWN = 80  # letters of a value in a message
_ENDLESS = 1e6  # a limit from here on only guards against slips and is not worth telling


@dataclasses.dataclass(frozen=True)
class Option(flags.ArgumentParser):
    """One option of a command, everything that is known about it, and absl's parser of its flag."""

    help: str
    group: str = ""  # heading in the help
    name: str = ""
    default: Any = None
    unset: str = ""  # what a default of None, () or "" stands for, in the help
    kind: str = ""  # a key of KINDS
    many: bool = False  # the value is a tuple, written with commas
    repeated: bool = False  # a tuple, too, but of one item for each time that the flag is given
    limits: tuple[float, float] = _UNLIMITED
    choices: tuple[str | int, ...] = ()
    words: tuple[str, ...] = ()  # accepted in place of a number or a path
    prefix: str = ""  # of further texts that are accepted beside the choices
    from_object: Callable[[Any], Any] | None = None  # makes such a text of an object in Python
    alone: str = ""  # the value that the flag has without one
    essential: bool = False  # one of the few in the first help
    former: tuple[str, ...] = ()  # earlier names, which are still accepted
    path: bool = False  # in a flagfile, relative to that file
    rebase: Callable[[str, Path], str] | None = None  # the same for texts that contain paths
    changes_result: bool = True  # False: a run may be resumed with another value
    destination: bool = False  # belongs to one run alone, as its folder: sweeps set or refuse it
    for_files: bool = False  # about files of a run, so `stylize` takes no value
    hashed: bool = False  # the content of the file counts, not its path
    per_picture: bool = False  # the pictures of a batch may have different values
    decides_loss: bool = False  # losses under different values cannot be compared
    sets_defaults: bool = False  # the defaults of other options depend on it

    @property
    def is_list(self) -> bool:
        """Whether one text holds all values, separated by commas."""
        return self.many and not self.repeated

    def parse(self, argument: str) -> Any:
        """The value that a flag's text stands for; raises InputError if it is not accepted."""
        try:
            return self._parsed(argument)
        except InputError:
            raise
        except (ValueError, OverflowError) as error:
            hint = ", not empty" if "" in self._split(argument) else ""
            message = f"--{self.name}={argument}: must be {self.accepted()}{hint}"
            raise InputError(message, self.name) from error

    def _parsed(self, argument: str) -> Any:
        values = tuple(map(self._parse_item, self._split(argument)))
        return values if self.is_list else values[0]

    def _split(self, argument: str) -> list[str]:
        if self.path and argument != argument.strip() and os.path.exists(argument):
            message = f"--{self.name}={argument!r}: has a blank at an end of its name; rename it"
            raise InputError(message, self.name)
        return self.split(argument) if self.is_list else [argument.strip()]

    def split(self, text: str, folder: str | os.PathLike = "") -> list[str]:
        """The items of a list's text. Of paths, relative to `folder`: a file may have commas in its
        name, and a pattern such as paintings/*.jpg stands for all files that match it."""
        if not self.path or not text.strip():
            return split_list(text)
        if os.path.exists(os.path.join(folder, os.path.expanduser(text.strip()))):
            return [text.strip()]
        return [path for item in split_list(text) for path in self._matching(item, folder)]

    def _matching(self, item: str, folder: str | os.PathLike) -> list[str]:
        pattern = os.path.join(folder, os.path.expanduser(item))
        if not self.is_path(item) or not glob.has_magic(item) or os.path.exists(pattern):
            return [item]
        if not (found := sorted(glob.glob(pattern))):
            if (name := _unescaped(item)) != item:
                return [name]  # which is reported as missing where it is read
            raise InputError(f"--{self.name}={item}: no file matches", self.name)
        return [os.path.relpath(path, folder) if folder else path for path in found]

    def _parse_item(self, text: str) -> Any:
        text = self._as_listed(text)
        if text in self.words:
            return text
        if self.path and has_line_break(text):
            raise InputError(f"--{self.name}={text}: has a line break in its name", self.name)
        value = KINDS[self.kind].parse(text)
        if not text or not self._allows(value):
            raise ValueError
        # Shells leave the ~ of --content=~/photo.jpg alone.
        return os.path.expanduser(text) if self.path else value

    def _as_listed(self, text: str) -> str:
        """The text as it is spelled among choices and words, where case does not matter."""
        listed = self.choices if self.path else (*self.choices, *self.words)
        same = (one for one in listed if isinstance(one, str) and one.lower() == text.lower())
        return next(same, text)

    def in_python(self, value: Any) -> Any:
        """A value given in Python, in the form in which it is kept.

        NumPy's numbers become Python's, a mapping becomes pairs, and what `many` takes may be one
        item or the text of the flag. `check` tells of what has no such form.
        """
        if not self.many:
            return self._one_in_python(value)
        if self.is_list and isinstance(value, str):
            with contextlib.suppress(ValueError, OverflowError):
                return self._parsed(value)
        if isinstance(value, Mapping):
            value = tuple(value.items())
        elif getattr(value, "shape", ()) and hasattr(value, "tolist"):
            value = value.tolist()
        item = self._one_in_python(value)
        if self._allows(item):  # an item may be a tuple itself
            return (item,)
        is_several = isinstance(value, (list, tuple))
        return tuple(map(self._one_in_python, value)) if is_several else value

    def _one_in_python(self, value: Any) -> Any:
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            value = value.item()  # of NumPy
        if self.from_object is not None:
            value = self.from_object(value)
        kind = KINDS[self.kind]
        match value:
            case os.PathLike() if self.path:
                return os.fspath(value)
            case float() if int in kind.types and float not in kind.types and value.is_integer():
                return int(value)
            case int() if float in kind.types and not isinstance(value, bool):
                return self._as_float(value)  # as the text of the flag is read
            case str() if kind.has_unit and value not in self.words:
                with contextlib.suppress(ValueError, OverflowError):
                    return kind.parse(value)
            case str():
                return self._as_listed(value)
            case (name, number) if tuple in kind.types:
                return self._name_in_python(name), self._as_float(number)
        return value

    def _name_in_python(self, name: Any) -> Any:
        is_step = self.kind == "step_factor" and isinstance(name, int)
        return str(name) if is_step else name

    def _as_float(self, value: Any) -> Any:
        """A whole number as a float, unless it is about to be refused; anything else as it is."""
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            value = value.item()  # of NumPy
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if is_whole and self._in_limits(value) else value

    def check(self, value: Any) -> None:
        """Raise InputError, in the words of Python, unless the option accepts the value."""
        is_tuple = isinstance(value, (tuple, list))
        items = value if self.many and is_tuple else [value]
        if (self.many and not is_tuple) or not all(map(self._allows, items)):
            or_several = ", or a list of these" if self.many else ""
            accepted = self.accepted().replace("true or false", "True or False")
            message = f"{self.name}={shown(value)}: must be {accepted}{or_several}"
            raise InputError(message, self.name)

    def _allows(self, value: Any) -> bool:
        """Whether this is a value of the option or, if that is a list, an item of it."""
        if self.choices:
            is_text = isinstance(value, str) and bool(self.prefix)
            return value in self.choices or is_text and value.startswith(self.prefix)
        types = KINDS[self.kind].types
        match value:
            case str():
                return str in types or value in self.words
            case bool():
                return bool in types
            case int() | float():
                return isinstance(value, types) and self._in_limits(value)
            case (str(), int() | float() as number) if not isinstance(number, bool):
                return tuple in types and self._in_limits(number)
        return False

    def _in_limits(self, number: float) -> bool:
        low, high = self.limits
        return low <= number <= high and abs(number) < math.inf  # False for NaN, too

    def is_path(self, text: str) -> bool:
        """Whether this text of the option names a file or folder."""
        return self.path and text not in self.words

    def accepted(self) -> str:
        """What the option accepts, in words: its choices, or its kind and range."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        text, (low, high) = KINDS[self.kind].described, self.limits
        if math.isfinite(low) and high < _ENDLESS:
            text += f" from {low:g} to {high:g}"
        elif math.isfinite(low):
            text += f" of at least {low:g}{KINDS[self.kind].unit}"
        return text if self.path or not self.words else f"{text}, or {' or '.join(self.words)}"

    def format(self, value: Any) -> str:
        """Text that `parse` turns back into the value."""
        if self.kind == "bool":
            return str(value).lower()
        if self.kind == "duration":
            return _text(value).removesuffix(".0") + "s"  # %g would round, and use an exponent
        if self.is_list:
            return join_list(_text(item) for item in value)
        return _text(value)


def section(group: str, **shared: Any) -> Callable[..., Any]:
    """A function that declares the options of one group, as fields of a dataclass of settings.

    It takes the default, the help, the limits if there are any, and further attributes of `Option`;
    `shared` are attributes of all options of the group. The kind follows from the field's type.
    """

    def declare(default: Any, help: str, limits: Any = _UNLIMITED, **own: Any) -> Any:
        option = Option(help, group, default=default, limits=limits, **(shared | own))
        return dataclasses.field(default=default, metadata={"option": option})

    return declare


def options_of(settings: type) -> dict[str, Option]:
    """The options of a dataclass of settings, by name."""
    options, types = {}, typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        option, item = field.metadata["option"], types[field.name]
        if many := typing.get_args(item)[1:] == (...,):
            item = typing.get_args(item)[0]
        kind = option.kind or _KIND_OF_TYPE[item]
        options[field.name] = dataclasses.replace(option, name=field.name, kind=kind, many=many)
    return options


def check_settings(settings: Any, options: Mapping[str, Option]) -> None:
    """Bring values given in Python into form; raise InputError unless each of them is accepted, or
    is None where that is the default."""
    for name, option in options.items():
        value = option.in_python(getattr(settings, name))
        object.__setattr__(settings, name, value)  # the dataclass is frozen
        if value is not None or option.default is not None:
            option.check(value)


def absolute_paths(values: Mapping[str, Any], options: Mapping[str, Option]) -> dict[str, Any]:
    """Those of the values that are paths, made absolute."""
    paths: dict[str, Any] = {}
    for name, option in options.items():
        value = values[name]
        if option.path and option.many:
            paths[name] = tuple(
                os.path.abspath(item) if option.is_path(item) else item for item in value
            )
        elif value and option.is_path(value):
            paths[name] = os.path.abspath(value)
    return paths


def split_list(text: str) -> list[str]:
    """The items of a comma-separated list, without blanks around them.

    A comma inside an item is written with a backslash. Two backslashes stand for one before commas
    and at the end of an item; elsewhere they are taken as they are.
    """
    if not text.strip():
        return []
    items, start = [], 0
    for found in re.finditer(r"(\\*),", text):
        if len(found[1]) % 2 == 0:
            items.append(text[start : found.end() - 1])
            start = found.end()
    written = [item.strip() for item in (*items, text[start:])]
    return [re.sub(r"(\\+)(,|\Z)", _with_half_the_backslashes, item) for item in written]


def _with_half_the_backslashes(found: re.Match) -> str:
    count = len(found[1]) // 2 if found[2] else (len(found[1]) + 1) // 2
    return "\\" * count + found[2]


def join_list(items: Iterable[str]) -> str:
    """Text that `split_list` splits into these items."""
    ends = re.compile(r"(\\*)(,|\Z)")
    return ",".join(
        ends.sub(lambda found: 2 * found[1] + (found[2] and "\\,"), item) for item in items
    )


def escaped(item: str) -> str:
    """A path as a pattern that matches nothing else."""
    return glob.escape(item)


def _unescaped(pattern: str) -> str:
    """The path that `escaped` has made this pattern of; other patterns as they are."""
    path = re.sub(r"\[([*?[])\]", r"\1", pattern)
    return path if escaped(path) == pattern else pattern


def has_line_break(text: str) -> bool:
    """Whether the text has more than one line in a file."""
    return "\n" in text or "\r" in text


def shown(value: Any) -> str:
    """A value in a message: short, and without the numbers of arrays."""
    if hasattr(value, "shape"):
        return f"<{type(value).__name__} of shape {tuple(value.shape)}>"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{value[0]}:{_text(value[1])}"
    return repr(float(value)) if isinstance(value, float) else str(value)  # float: not NumPy's


def _parse_duration(text: str) -> float:
    if clock := re.fullmatch(
        r"(?:(\d+):(?=[0-5]\d:))?(\d{1,4}):([0-5]\d)", text
    ):  # as times are shown
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(3600 * hours + 60 * minutes + seconds)
    pattern = r"^([\d.]+)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hours?|)$"
    ((number, unit),) = re.findall(pattern, text.lower())
    return float(number) * {"s": 1, "": 1, "m": 60, "h": 3600}[unit[:1]]


def _parse_int(text: str) -> int:
    """A whole number, which may be written as 1e3 or 20_000."""
    with contextlib.suppress(ValueError):
        return int(text)
    number = float(text)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _parse_bytes(text: str) -> int:
    ((number, unit),) = re.findall(r"^([\d.]+)\s*([KMGT]?)I?B?$", text.upper())
    return int(float(number) * 1024 ** "_KMGT".index(unit or "_"))


def _parse_named(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition(":")
    if not name.strip():
        raise ValueError
    return name.strip(), float(number)


def _parse_device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,4})?", text):
        raise ValueError
    return text


def _parse_weight(text: str) -> float | tuple[str, float]:
    return _parse_named(text) if ":" in text else float(text)


class Kind(NamedTuple):
    """What values of one kind are like."""

    parse: Callable[[str], Any]  # raises ValueError or OverflowError
    types: tuple[type, ...]  # of values given in Python
    described: str  # in messages and the help
    unit: str = ""  # of its limits
    has_unit: bool = False  # its texts may have a unit, so they are accepted in Python, too


KINDS = {
    "bool": Kind(flags.BooleanParser().parse, (bool,), "true or false"),
    "int": Kind(_parse_int, (int,), "a whole number"),
    "pixels": Kind(_parse_int, (int,), "a whole number of pixels"),
    "bytes": Kind(_parse_bytes, (int,), "a size such as 800M or 6G", " byte", True),
    "float": Kind(float, (int, float), "a number"),
    "duration": Kind(_parse_duration, (int, float), "a time such as 90s, 5m or 2h", " s", True),
    "text": Kind(str, (str,), "a text"),
    "file": Kind(str, (str,), "the path of a file"),
    "device": Kind(_parse_device, (str,), "auto, cpu, gpu, or gpu:N such as gpu:1"),
    "named": Kind(_parse_named, (tuple, list), "NAME:NUMBER"),
    "step_factor": Kind(_parse_named, (tuple, list), "STEP:FACTOR"),
    "weight": Kind(_parse_weight, (int, float, tuple, list), "a number or NAME:NUMBER"),
}
_KIND_OF_TYPE: dict[Any, str] = {
    bool: "bool",
    bool | str: "bool",  # or one of the option's words
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
