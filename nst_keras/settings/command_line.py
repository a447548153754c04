"""Any table of options as absl flags: command line, flagfiles and help of a command."""

import collections
import dataclasses
import difflib
import itertools
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

import nst_keras
from nst_keras.runtime import cli
from nst_keras.runtime.errors import InputError, first_line, reason_of
from nst_keras.settings.option import Option, join_list, split_list

_ACTIONS = {
    "help": Option("Show this help.", name="help", kind="bool", former=("h",)),
    "version": Option("Show the version.", name="version", kind="bool"),
    "quiet": Option("Print warnings and errors only.", name="quiet", kind="bool"),
}
_WIDTH = 96
_MAX_LETTERS = 1 << 20  # of a flagfile
_LITERAL = "# The # in the next line is part of its value."


@dataclasses.dataclass(frozen=True)
class Command:
    """The flags of one command, and the first lines of its help."""

    usage: tuple[str, ...]
    options: dict[str, Option]
    unset: dict[str, str] = dataclasses.field(default_factory=dict)  # in place of `Option.unset`
    inherited: dict[str, Option] = dataclasses.field(default_factory=dict)  # not in its own help
    positional: str = ""  # the repeated option to which arguments without a flag belong
    flagfiles_first: bool = False  # flags of the command line win over all flagfiles
    grouped: bool = False  # a `--` separates the flags of one run from those of the next

    def known(self) -> dict[str, Option]:
        """All options that the command accepts, and its actions."""
        return {**self.options, **self.inherited, **_ACTIONS}

    def find(self, name: str) -> str:
        """The present name of a flag, given that or a former one; empty if there is none."""
        known = self.known()
        if name in known:
            return name
        return next((now for now, option in known.items() if name in option.former), "")

    def find_negated(self, name: str) -> str:
        """The name of the boolean flag that `--noNAME` sets to false; empty if there is none."""
        now = self.find(name[2:]) if name.startswith("no") else ""
        return now if now and self.known()[now].kind == "bool" else ""


class Group(NamedTuple):
    """The arguments of one run, or all of the command, and the given options by name."""

    arguments: list[str]
    values: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a command."""

    groups: list[Group]  # more than one only if the command is `grouped`
    started: float  # by the monotonic clock
    quiet: bool

    @property
    def arguments(self) -> list[str]:
        """The arguments of the first group."""
        return self.groups[0].arguments

    @property
    def values(self) -> dict[str, Any]:
        """The given options of the first group."""
        return self.groups[0].values


class _Parser(flags.ArgumentParser):
    """absl's parser of an option: only `Option.parse` decides what a text means."""

    def __init__(self, option: Option):
        super().__init__()
        self._option = option

    def parse(self, argument: Any) -> Any:
        """The value of a text."""
        return self._option.parse(argument)


def run(command: Command, work: Callable[[Call], int], arguments: list[str] | None = None) -> int:
    """Do what a command line asks for: show help or version, or do the work.

    Args:
        work: returns an exit status.
        arguments: `sys.argv` without the program if not given.

    Returns:
        The exit status; an error that is not the program's fault is one line on standard error.
    """
    started = time.monotonic()
    given = sys.argv[1:] if arguments is None else arguments

    def act() -> int:
        groups: list[Group] = []
        actions: set[str] = set()
        for group in split_groups(given) if command.grouped else [given]:
            values, asked = parse(command, group)
            groups.append(Group(group, values))
            actions |= asked
        if "help" in actions:
            print(help_text(command))
            return 0
        if "version" in actions:
            print(f"nst_keras {nst_keras.__version__}")
            return 0
        quiet = "quiet" in actions
        with cli.messages(quiet=quiet):
            return work(Call(groups, started, quiet))

    return cli.exit_status(act)


def parse(command: Command, arguments: Iterable[str]) -> tuple[dict[str, Any], set[str]]:
    """The given options by name, and the actions (help, version, quiet).

    Later flags override earlier ones; a flagfile stands for its lines.

    Raises:
        InputError: naming the flag, or the line of the flagfile.
    """
    expanded = list(_expand(command, arguments))
    if command.flagfiles_first:
        expanded.sort(key=lambda argument: not argument.in_file)
    values = _define(command)
    try:
        values(["nst_keras", *(argument.text for argument in expanded)])
    except flags.Error as error:
        if isinstance(error.__context__, InputError):
            raise error.__context__ from None
        raise InputError(first_line(error)) from error
    given = {name: values[name].value for name in command.known() if values[name].present}
    return (
        {n: tuple(v) if isinstance(v, list) else v for n, v in given.items() if n not in _ACTIONS},
        {name for name in _ACTIONS if given.get(name)},
    )


def join_groups(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The arguments of a batch, from those of its runs."""
    parts = [("--", *group) for group in groups]
    return tuple(itertools.chain(*parts))[1:]


def split_groups(arguments: Iterable[str]) -> list[list[str]]:
    """The arguments of each run of a batch."""
    groups: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "--":
            groups.append([])
        else:
            groups[-1].append(argument)
    return groups


def format_flagfile(command: Command, values: dict[str, Any]) -> str:
    """Lines that `parse` turns back into the same values; None is left out."""
    lines = []
    for name, option in command.options.items():
        value = values[name]
        for item in value if option.repeated else [] if value is None else [value]:
            line = f"--{name}={option.format(item)}"
            lines += [_LITERAL, line] if _has_comment(line) else [line]
    return "\n".join(lines) + "\n"


def help_text(command: Command) -> str:
    """Every flag of the command by group, with unit, range and default."""
    lines = list(command.usage)
    for group in dict.fromkeys(option.group for option in command.options.values()):
        lines += ["", f"{group}:"]
        for name, option in command.options.items():
            if option.group == group:
                lines += _help_entry(command, name, option)
    lines += ["", "command:", *_entry("--flagfile=PATH", "Read flags from a file, one per line.")]
    for name, option in _ACTIONS.items():
        lines += _entry(f"--{name}", option.help)
    return "\n".join(lines)


class _Argument(NamedTuple):
    """One `--name=value`, `--name` or `--noname`, with the present name of the flag."""

    text: str
    in_file: bool = False


def _define(command: Command) -> flags.FlagValues:
    """absl's flags for all options of a command."""
    values = flags.FlagValues()
    for name, option in command.known().items():
        if option.kind == "bool":
            flags.DEFINE_boolean(name, None, option.help, flag_values=values)
            values[name].parser = _Parser(option)
        elif option.repeated:
            flags.DEFINE_multi(
                _Parser(option), flags.ArgumentSerializer(), name, None, option.help, values
            )
        else:
            flags.DEFINE(_Parser(option), name, None, option.help, values)
    return values


def _expand(
    command: Command, arguments: Iterable[str], seen: tuple[Path, ...] = ()
) -> Iterator[_Argument]:
    """The flags of a command line, with the lines of flagfiles in the place of `--flagfile`."""
    waiting = collections.deque(arguments)
    while waiting:
        argument = waiting.popleft()
        if not argument.startswith("-"):
            if not command.positional:
                message = f"{argument}: is not a flag; every setting is given as --name=value"
                raise InputError(message)
            yield _Argument(f"--{command.positional}={argument}")
            continue
        written, equals, text = argument.partition("=")
        name, value = written.lstrip("-"), text if equals else None
        if name == "flagfile":
            value = value if value is not None or not waiting else waiting.popleft()
            if value is None:
                raise InputError("--flagfile: must be the path of a file; give --flagfile=PATH")
            yield from _read_flagfile(command, Path(value), seen)
        else:
            yield _Argument(_normalized(command, name, value, waiting))


def _normalized(
    command: Command, name: str, text: str | None, following: collections.deque[str]
) -> str:
    """A flag with its present name, and its value, which may be the following argument.

    Raises:
        InputError: there is no such flag, or it has no value although it needs one.
    """
    if (now := command.find_negated(name)) and not command.find(name):
        if text is not None:
            allowed = f"--{name} or --{name[2:]}=false"
            raise InputError(f"--{name}={text}: must be without a value; give {allowed}", now)
        return f"--no{now}"
    if not (now := command.find(name)):
        raise InputError(f"--{name}: unknown flag" + _suggest(command, name))
    option = command.known()[now]
    if text is None and option.kind == "bool":
        return f"--{now}"
    if text is None:
        if not following:
            raise InputError(f"--{name}: must be {option.accepted()}; give --{name}=VALUE", now)
        text = following.popleft()
    return f"--{now}={text}"


def _read_flagfile(command: Command, path: Path, seen: tuple[Path, ...]) -> Iterator[_Argument]:
    try:
        place_of_file = path.resolve()
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            text = file.read(_MAX_LETTERS + 1)  # pipes and devices may never end
    except (OSError, RuntimeError, ValueError) as error:  # the latter: links in a circle, a NUL
        message = f"--flagfile={path}: cannot be read: {reason_of(error)}"
        raise InputError(message) from error
    if place_of_file in seen:
        raise InputError(f"--flagfile={path}: includes itself")
    if len(text) > _MAX_LETTERS or "\0" in text:
        raise InputError(f"--flagfile={path}: is not a flagfile (too long, or not text)")
    literal = False
    for number, line in enumerate(text.splitlines(), start=1):
        line, place = line.strip(), f"{path}, line {number}"
        if line and not line.startswith(("#", "//")):
            argument = _check_line(command, line, place, path.parent, literal=literal)
            for flag in _expand(command, [argument], (*seen, place_of_file)):
                yield flag._replace(in_file=True)
        literal = line == _LITERAL


def _check_line(command: Command, line: str, place: str, folder: Path, *, literal: bool) -> str:
    """One `--name=value` of a flagfile, with its paths made relative to the file's folder.

    Unless it is `literal`, what looks like a comment after the value is refused.
    """
    if not line.startswith("-"):
        raise InputError(f"{place}: {line!r} is not a flag; lines are --name=value or # comments")
    name, equals, value = line.partition("=")
    key, value = name.lstrip("-").strip(), value.strip()
    if key == "flagfile":
        return f"--flagfile={folder / value}"
    now = command.find(key)
    if not now and not command.find_negated(key):
        raise InputError(f"{place}: {line!r}: unknown flag" + _suggest(command, key))
    option = command.known().get(now)
    paths = _rebased(option, value, folder) if equals and option and option.is_path(value) else []
    there = bool(paths) and all(os.path.exists(path) for path in paths)  # " #" may be in a name
    if _has_comment(line) and not literal and not there:
        raise InputError(
            f"{place}: {line!r} has a comment after the value; put it on a line of its own"
        )
    if option and option.rebase:
        return f"--{key}={option.rebase(value, folder)}"
    if option and paths:
        return f"--{key}=" + (join_list(paths) if option.many and not option.repeated else paths[0])
    return line


def _rebased(option: Option, value: str, folder: Path) -> list[str]:
    """The paths in a value, relative to the folder instead of to what is in it."""
    items = split_list(value) if option.many and not option.repeated else [value]
    return [str(folder / os.path.expanduser(item)) if item else item for item in items]


def _has_comment(line: str) -> bool:
    """Whether something in the line looks like a comment after the value."""
    return " #" in line or "\t#" in line


def _suggest(command: Command, name: str) -> str:
    close = difflib.get_close_matches(name, [*command.known(), "flagfile"], n=1)
    return f"; did you mean --{close[0]}?" if close else "; --help lists all flags"


def _help_entry(command: Command, name: str, option: Option) -> list[str]:
    value = option.default
    is_open = value in (None, (), "")
    unset = command.unset.get(name) or option.unset or "none"
    default = unset if is_open else option.format(value)
    if option.kind == "bool":
        return _entry(f"--[no]{name}", f"{option.help} Default: {default}.")
    told = option.choices and all(choice in option.help for choice in option.choices)
    facts = []
    if not told and (option.kind != "text" or option.choices):
        facts.append(f"Takes {option.accepted()}.")
    return _entry(f"--{name}", " ".join([option.help, *facts, f"Default: {default}."]))


def _entry(flag: str, text: str) -> list[str]:
    body = textwrap.wrap(text, _WIDTH - 28)
    first = f"  {flag:<26}" if len(flag) < 26 else f"  {flag}\n{'':28}"
    return [first + body[0], *(" " * 28 + line for line in body[1:])]
