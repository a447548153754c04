"""Any table of options as absl flags: command line, flagfiles and help of one command."""

import dataclasses
import difflib
import os
import textwrap
from pathlib import Path
from typing import Any

from absl import flags

from nst_keras.runtime.errors import InputError, first_line, reason_of
from nst_keras.settings.option import Option, join_list, split_list

_ACTIONS = {
    "help": "Show this help.",
    "version": "Show the version.",
    "quiet": "Print warnings and errors only.",
}
_WIDTH = 96
_MAX_LETTERS = 1 << 20  # of a flagfile
_LITERAL = "# The # in the next line is part of its value."


@dataclasses.dataclass(frozen=True)
class Command:
    """What the flags of one command are; `usage` are the first lines of its help."""

    usage: tuple[str, ...]
    options: dict[str, Option]
    defaults: dict[str, Any]
    unset: dict[str, str] = dataclasses.field(default_factory=dict)  # what None stands for


class _Parser(flags.ArgumentParser):
    """absl's side of an option: one place, `Option.parse`, decides what a text means."""

    def __init__(self, option: Option):
        super().__init__()
        self.option = option
        self.syntactic_help = option.accepted()

    def parse(self, argument: Any) -> Any:
        return self.option.parse(argument) if isinstance(argument, str) else argument


class _Switch(flags.BooleanParser):
    """absl's booleans, with an error that says what would be right."""

    def parse(self, argument: Any) -> bool:
        try:
            return super().parse(argument)
        except ValueError as error:
            raise ValueError("must be true or false") from error


def parse(command: Command, arguments: list[str]) -> tuple[dict[str, Any], set[str]]:
    """The options given on a command line by name, and the actions (help, version, quiet).

    Later flags win; a flagfile stands for its lines at its place.

    Raises:
        InputError: naming the flag or the file's line.
    """
    values = _define(command)
    try:
        rest = values(["nst_keras", *_expand(command, arguments, seen=())])[1:]
    except flags.UnrecognizedFlagError as error:
        name = getattr(error, "flagname", "")
        hint = _suggest(command, name)
        raise InputError(f"--{name}: unknown flag{hint}; --help lists all") from error
    except (flags.Error, ValueError) as error:  # the latter for --noxla=1
        raise InputError(first_line(error).removeprefix("flag ")) from error
    if rest:
        raise InputError(f"{rest[0]}: is not a flag; every setting is given as --name=value")
    given = {name: values[name].value for name in command.options if values[name].present}
    return given, {name for name in _ACTIONS if values[name].value}


def format_flagfile(command: Command, values: dict[str, Any]) -> str:
    """Lines that `parse` turns back into the same values; None is left out."""
    lines = []
    for name, option in command.options.items():
        if (value := values[name]) is not None:
            line = f"--{name}={option.format(value)}"
            lines += [_LITERAL, line] if _has_comment(line) else [line]
    return "\n".join(lines) + "\n"


def help_text(command: Command) -> str:
    """Every flag of the command, by group, with unit, range and default."""
    lines = list(command.usage)
    for group in dict.fromkeys(option.group for option in command.options.values()):
        lines += ["", f"{group}:"]
        for name, option in command.options.items():
            if option.group == group:
                lines += _help_entry(command, name, option)
    lines += ["", "command:", *_entry("--flagfile=PATH", "Read flags from a file, one a line.")]
    for name, text in _ACTIONS.items():
        lines += _entry(f"--{name}", text)
    return "\n".join(lines)


def _define(command: Command) -> flags.FlagValues:
    values = flags.FlagValues()
    for name, option in command.options.items():
        if option.kind == "bool":
            _define_switch(values, name, None, option.help)
        else:
            flags.DEFINE(_Parser(option), name, None, option.help, flag_values=values)
    for name, text in _ACTIONS.items():
        _define_switch(values, name, False, text)
    return values


def _define_switch(values: flags.FlagValues, name: str, default: bool | None, help: str) -> None:
    flags.DEFINE_boolean(name, default, help, flag_values=values)
    values[name].parser = _Switch()


def _expand(command: Command, arguments: list[str], seen: tuple[Path, ...]) -> list[str]:
    """Put the lines of flagfiles in the place of `--flagfile=...` (or `--flagfile ...`)."""
    expanded, waiting = [], list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, _, value = argument.partition("=")
        if name.lstrip("-") == "undefok":  # absl's way to silence unknown flags
            raise InputError(f"{argument}: unknown flag; unknown flags cannot be allowed")
        if name not in ("--flagfile", "-flagfile"):
            expanded.append(argument)
            continue
        if "=" not in argument:
            if not waiting:
                raise InputError("--flagfile: needs the path of a file")
            value = waiting.pop(0)
        expanded += _read_flagfile(command, Path(value), seen)
    return expanded


def _read_flagfile(command: Command, path: Path, seen: tuple[Path, ...]) -> list[str]:
    try:
        place_of_file = path.resolve()
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            text = file.read(_MAX_LETTERS + 1)  # pipes and devices may never end
    except (OSError, RuntimeError, ValueError) as error:  # the latter: links in a circle, a NUL
        raise InputError(f"--flagfile={path}: cannot be read: {reason_of(error)}") from error
    if place_of_file in seen:
        raise InputError(f"--flagfile={path}: includes itself")
    if len(text) > _MAX_LETTERS or "\0" in text:
        raise InputError(f"--flagfile={path}: is no flagfile: too long, or no text")
    arguments, literal = [], False
    for number, line in enumerate(text.splitlines(), start=1):
        line, place = line.strip(), f"{path}, line {number}"
        if line and not line.startswith(("#", "//")):
            arguments.append(_check_line(command, line, place, path.parent, literal=literal))
        literal = line == _LITERAL
    return _expand(command, arguments, (*seen, place_of_file))


def _check_line(command: Command, line: str, place: str, folder: Path, *, literal: bool) -> str:
    """One `--name=value` of a flagfile, with its paths made relative to the file's folder.

    Unless it is `literal`, what looks like a comment behind the value is refused.
    """
    if not line.startswith("-"):
        raise InputError(f"{place}: {line!r} is not a flag; lines are --name=value or # comments")
    name, equals, value = line.partition("=")
    key = name.lstrip("-").strip()
    if key == "flagfile":
        return f"--flagfile={folder / value.strip()}"
    known = (*command.options, *_ACTIONS)
    if key.removeprefix("no") not in known and key not in command.options:
        raise InputError(f"{place}: {line!r}: unknown flag{_suggest(command, key)}")
    option = command.options.get(key)
    if not equals or not option or not option.is_path(value.strip()):
        if _has_comment(line) and not literal:
            raise _comment_refused(line, place)
        return line
    items = split_list(value) if option.many else [value.strip()]
    paths = [str(folder / os.path.expanduser(item)) if item else item for item in items]
    there = all(os.path.exists(path) for path in paths)  # " #" may be part of a name
    if _has_comment(line) and not literal and not there:
        raise _comment_refused(line, place)
    return f"--{key}=" + (join_list(paths) if option.many else paths[0])


def _has_comment(line: str) -> bool:
    """Whether something in the line looks like a comment behind the value."""
    return " #" in line or "\t#" in line


def _comment_refused(line: str, place: str) -> InputError:
    return InputError(f"{place}: {line!r} has a comment behind the value; give it its own line")


def _suggest(command: Command, name: str) -> str:
    close = difflib.get_close_matches(name, [*command.options, *_ACTIONS, "flagfile"], n=1)
    return f"; did you mean --{close[0]}?" if close else ""


def _help_entry(command: Command, name: str, option: Option) -> list[str]:
    value = command.defaults[name]
    default = command.unset.get(name, "none") if value in (None, ()) else option.format(value)
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
