"""Any table of options as absl flags: command line, flagfiles and help of a command."""

import collections
import contextlib
import itertools
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

import nst_keras
from nst_keras.runtime import cli, files
from nst_keras.runtime.errors import InputError, reason_of
from nst_keras.settings.command import ACTIONS, Command
from nst_keras.settings.command_help import help_text
from nst_keras.settings.option import Option, escaped, has_line_break, join_list
from nst_keras.settings.suggestions import suggestion

_MAX_LETTERS = 1 << 20  # of a flagfile
# What follows looks like a comment, and not like a color.
_COMMENT = re.compile(r"[ \t]#(?![0-9A-Fa-f]{3,8}[ \t]*(?:,|$))")
_QUOTED = re.compile(r"""^[^=]*=\s*(["']).*\1$""")  # by quotes such as a shell needs
# The line before a line that looks as if it had one of these, and by which it is taken as it is.
_LITERALS = {
    _COMMENT: "# The # in the next line is part of its value.",
    _QUOTED: "# The quotes in the next line are part of its value.",
}


class Group(NamedTuple):
    """The arguments of one run, or all of the command, and the given options by name."""

    arguments: list[str]
    values: dict[str, Any]


class Call(NamedTuple):
    """One call of a command."""

    groups: list[Group]  # more than one only if the command is `grouped`
    started: float  # by the monotonic clock
    quiet: bool


def run(command: Command, work: Callable[[Call], int], arguments: list[str] | None = None) -> int:
    """Show help or version, or do the work, as `arguments` ask, by default those of the process.

    Returns the exit status; an error that is not the program's fault is one line on standard error.
    """
    started = time.monotonic()
    given = sys.argv[1:] if arguments is None else arguments

    def act() -> int:
        groups: list[Group] = []
        actions: dict[str, Any] = {}
        for group in split_groups(given) if command.grouped else [given]:
            values, asked = parse(command, group)
            groups.append(Group(group, values))
            actions |= asked
        if "help" in actions:
            cli.show(*help_text(command, actions["help"]).split("\n"))
            return 0
        if "version" in actions:
            cli.show(f"nst_keras {nst_keras.__version__}")
            return 0
        quiet = "quiet" in actions
        with cli.messages(quiet=quiet):
            return work(Call(groups, started, quiet))

    return cli.exit_status(act)


def parse(command: Command, arguments: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The given options by name, and the actions (help, version, quiet) with their values.

    Later flags override earlier ones, lists included; a flagfile stands for its lines. An
    InputError names the flag, or the line of the flagfile.
    """
    given = _named(command, list(_read_arguments(command, arguments)))
    if command.flagfiles_first:
        given.sort(key=lambda flag: not flag.place)
    for flag in given:
        if flag.place:
            with _naming(flag.place):
                command.known[flag.name].parse(flag.text)
    parsed = flags.FlagValues()
    for name, option in command.known.items():
        flags.DEFINE_multi(option, flags.ArgumentSerializer(), name, None, option.help, parsed)
    try:
        parsed(["nst_keras", *(f"--{flag.name}={flag.text}" for flag in given)])
    except flags.Error as error:
        assert isinstance(error.__context__, InputError)
        raise error.__context__ from None
    values = {}
    for name, option in command.known.items():
        if found := parsed[name].value:
            values[name] = tuple(found) if option.repeated else found[-1]
    actions = {name: values.pop(name) for name in ACTIONS if name in values}
    return values, {name: value for name, value in actions.items() if value}


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
    """Lines that `parse` turns back into the same values; None is left out.

    Raises InputError for a path that has several lines.
    """
    lines = []
    for name, option in command.options.items():
        value = values[name]
        for item in value if option.repeated else [] if value is None else [value]:
            line = f"--{name}={_format(option, item)}"
            if has_line_break(line):
                raise InputError(f"{line}: has a line break; rename the file or folder", name)
            if line != line.rstrip():
                raise InputError(
                    f"{line!r}: has a blank at its end; rename the file or folder", name
                )
            lines += [mark for pattern, mark in _LITERALS.items() if pattern.search(line)][:1]
            lines.append(line)
    return "\n".join(lines) + "\n"


def _format(option: Option, value: Any) -> str:
    """The text of a value in a flagfile, where paths are no patterns, whatever their names."""
    if option.path and option.is_list:
        value = [escaped(item) if option.is_path(item) else item for item in value]
    return option.format(value)


class _Flag(NamedTuple):
    """The present name and the value of a flag that was given; an argument alone has no name."""

    name: str
    text: str
    place: str = ""  # the file and line, of a flagfile


def _read_arguments(command: Command, arguments: Iterable[str]) -> Iterator[_Flag]:
    """The flags of a command line, with those of flagfiles in the place of `--flagfile`."""
    waiting = collections.deque(arguments)
    while waiting:
        argument = waiting.popleft()
        if argument.startswith("-"):
            yield from _expand(command, _read_flag(command, argument, waiting))
        elif command.positionals:
            yield _Flag("", argument)
        else:
            raise InputError(f"{argument} is not a flag; every setting is given as --name=value")


def _named(command: Command, given: list[_Flag]) -> list[_Flag]:
    """The flags, with arguments that have none given to the command's positional options.

    Those that the command line gives as flags need none. Repeated ones stay in their place; the
    others come last, so that they win over flagfiles.
    """
    by_flag = {flag.name for flag in given if not flag.place}
    options = [command.known[name] for name in command.positionals]
    open_ones = [it for it in options if it.repeated or it.name not in by_flag]
    named, last = [], []
    listed: list[str] = []
    for flag in given:
        if flag.name:
            named.append(flag)
        elif not open_ones:
            names = [f"--{name}" for name in command.positionals if name in by_flag]
            are = "is given as a flag" if len(names) == 1 else "are given as flags"
            raise InputError(f"{flag.text}: is one too many, since {' and '.join(names)} {are}")
        elif open_ones[0].repeated:
            named.append(_Flag(open_ones[0].name, flag.text))
        elif open_ones[0].is_list:
            listed.append(flag.text)
        else:
            last.append(_Flag(open_ones.pop(0).name, flag.text))
    if listed:
        last.append(_Flag(open_ones[0].name, join_list(listed)))
    return named + last


def _read_flag(command: Command, argument: str, following: collections.deque[str]) -> _Flag:
    """One `--name=value`, `--name` or `--noname`; the value may be the following argument."""
    written, equals, text = argument.partition("=")
    name = written.lstrip("-")
    option, implied = _find(command, name, f"--{name}")
    if equals and implied == "false":
        allowed = f"--{name} or --{name[2:]}=false"
        message = f"--{name}={text}: must be without a value; give {allowed}"
        raise InputError(message, option.name)
    if not equals and not implied and not following:
        message = f"--{name}: must be {option.accepted()}; give --{name}=VALUE"
        raise InputError(message, option.name)
    if option.name == "help" and not equals and following and _is_topic(command, following[0]):
        return _Flag(option.name, following.popleft())
    return _Flag(option.name, text if equals else implied or following.popleft())


def _is_topic(command: Command, word: str) -> bool:
    """Whether the word after --help says what the help is to be about."""
    return word in command.groups or command.find(word) is not None


def _find(command: Command, name: str, place: str) -> tuple[Option, str]:
    """The option of a flag, and the value of the flag without one; `place` begins an error."""
    if found := command.find(name):
        return found
    plain = re.sub("^no[-_]", "", name)
    if plain != name and (switch := command.find(f"no{plain}")):
        raise InputError(f"{place}: unknown flag; did you mean --no{switch[0].name}?")
    meant = suggestion(name, command.known)
    hint = f"did you mean --{meant}?" if meant else "--help=all lists all flags"
    raise InputError(f"{place}: unknown flag; {hint}")


def _expand(command: Command, flag: _Flag, seen: tuple[Path, ...] = ()) -> Iterator[_Flag]:
    """The flag itself, or all flags of a flagfile that is not one of those `seen` around it."""
    if flag.name != "flagfile":
        yield flag
        return
    path = Path(flag.text)
    try:
        place_of_file = path.resolve()
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            text = file.read(_MAX_LETTERS + 1)  # pipes and devices may never end
    except (OSError, RuntimeError, ValueError) as error:  # the latter: links in a circle, a NUL
        is_absent = isinstance(error, FileNotFoundError)
        reason = files.missing(flag.text) if is_absent else reason_of(error)
        raise InputError(f"--flagfile={path}: cannot be read: {reason}") from error
    if place_of_file in seen:
        raise InputError(f"--flagfile={path}: includes itself")
    if len(text) > _MAX_LETTERS or "\0" in text:
        raise InputError(f"--flagfile={path}: is not a flagfile (too long, or not text)")
    literal = False
    for number, line in enumerate(text.split("\n"), start=1):  # names may have other separators
        line, place = line.strip(), f"{path}, line {number}"
        if line and not line.startswith(("#", "//")):
            argument = _check_line(command, line, place, path.parent, literal=literal)
            with _naming(place):
                inner = _read_flag(command, argument, collections.deque())
            for found in _expand(command, inner, (*seen, place_of_file)):
                yield found._replace(place=found.place or place)
        literal = line in _LITERALS.values()


@contextlib.contextmanager
def _naming(place: str) -> Iterator[None]:
    """Have errors in the block begin with the place in a flagfile that they are about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}", *error.flags) from error


def _check_line(command: Command, line: str, place: str, folder: Path, *, literal: bool) -> str:
    """One `--name=value` of a flagfile. Its paths, which are relative to the file's folder, become
    relative to the working folder.

    Unless it is `literal`, what looks like a comment after the value, or like the quotes that a
    shell needs, is refused.
    """
    if not line.startswith("-"):
        raise InputError(f"{place}: {line!r} is not a flag; lines are --name=value or # comments")
    name, equals, value = line.partition("=")
    key, value = name.lstrip("-").strip(), value.strip()
    option, _ = _find(command, key, f"{place}: {line!r}")
    paths = []
    if equals and option.is_path(value):
        with _naming(place):
            items = option.split(value, folder) if option.is_list else [value]
        paths = [
            str(folder / os.path.expanduser(item)) if item and option.is_path(item) else item
            for item in items
        ]
    there = bool(paths) and all(map(os.path.exists, paths))  # names may hold " #" and quotes
    if not literal and not there:
        if _COMMENT.search(line):
            raise InputError(
                f"{place}: {line!r} has a comment after the value; put it on a line of its own"
            )
        if _QUOTED.match(line):
            raise InputError(f"{place}: {line!r} has quotes around the value; leave them out")
    if option.rebase:
        return f"--{key}={option.rebase(value, folder)}"
    if paths:
        exact = map(escaped, paths) if option.is_list else ()
        return f"--{key}={join_list(exact) if option.is_list else paths[0]}"
    return f"--{key}={value}" if equals else f"--{key}"
