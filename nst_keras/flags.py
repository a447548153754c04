"""Options as absl flags: parsing, flagfiles, help. Knows the command line and nothing else."""

import os
import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

from absl import flags

from nst_keras import config as config_lib
from nst_keras.config import OPTIONS, Config
from nst_keras.errors import InputError
from nst_keras.options import Option, join_list, split_list
from nst_keras.presets import PRESETS

_ACTIONS = {
    "help": "Show this help.",
    "version": "Show the version.",
    "quiet": "Print warnings and errors only.",
}
_WIDTH = 96


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


def parse_config(arguments: list[str]) -> tuple[Config, set[str]]:
    """The settings on a command line, and which actions (help, version, quiet) were asked for.

    Later flags win; a flagfile stands for its lines at its place. Lists are replaced, not extended.

    Raises:
        InputError: naming the flag or the file's line.
    """
    values = _define(flags.FlagValues())
    expanded = _expand(arguments, seen=())
    try:
        rest = values(["nst_keras", *expanded])[1:]
    except flags.UnrecognizedFlagError as error:
        raise InputError(_unknown(error)) from error
    except flags.Error as error:
        raise InputError(str(error).removeprefix("flag ").splitlines()[0]) from error
    if rest:
        raise InputError(f"{rest[0]}: is not a flag; every setting is given as --name=value")
    given: dict[str, Any] = {name: values[name].value for name in OPTIONS if values[name].present}
    actions = {name for name in _ACTIONS if values[name].value}
    return Config(**given), actions


def format_flagfile(config: Config) -> str:
    """Lines that `parse_config` turns back into the same settings."""
    lines = []
    for name, option in OPTIONS.items():
        value = getattr(config, name)
        if value is not None:
            text = str(value).lower() if option.kind == "bool" else option.format(value)
            lines.append(f"--{name}={text}")
    return "\n".join(lines) + "\n"


def format_command(arguments: list[str]) -> str:
    """What a person types to do this again."""
    same = shutil.which("python") == sys.executable
    return shlex.join(["python" if same else sys.executable, "-m", "nst_keras.run", *arguments])


def help_text() -> str:
    """Every flag of ours, by group, with unit, range and default."""
    lines = [
        "Neural style transfer: paints a photo in the manner of a painting.",
        "",
        "  python -m nst_keras.run --content=photo.jpg --style=painting.jpg",
        "  python -m nst_keras.run --flagfile=configs/monet.cfg",
        "  python -m nst_keras.run --workdir=runs/photo_painting-3f2a      (goes on with a run)",
    ]
    defaults = config_lib.defaults()
    for group in dict.fromkeys(option.group for option in OPTIONS.values()):
        lines += ["", f"{group}:"]
        for name, option in OPTIONS.items():
            if option.group == group:
                lines += _help_entry(name, option, defaults[name])
    lines += ["", "command:", *_entry("--flagfile=PATH", "Read flags from a file, one a line.")]
    for name, text in _ACTIONS.items():
        lines += _entry(f"--{name}", text)
    return "\n".join(lines)


def _define(values: flags.FlagValues) -> flags.FlagValues:
    for name, option in OPTIONS.items():
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


def _expand(arguments: list[str], seen: tuple[Path, ...]) -> list[str]:
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
        expanded += _read_flagfile(Path(value), seen)
    return expanded


def _read_flagfile(path: Path, seen: tuple[Path, ...]) -> list[str]:
    if path.resolve() in seen:
        raise InputError(f"--flagfile={path}: includes itself")
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"--flagfile={path}: cannot be read: {error.strerror}") from error
    arguments = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line and not line.startswith(("#", "//")):
            arguments.append(_check_line(line, f"{path}, line {number}", path.parent))
    return _expand(arguments, (*seen, path.resolve()))


def _check_line(line: str, place: str, folder: Path) -> str:
    """One `--name=value` of a flagfile, with its paths made relative to the file's folder."""
    if not line.startswith("-"):
        raise InputError(f"{place}: {line!r} is not a flag; lines are --name=value or # comments")
    name, equals, value = line.partition("=")
    key = name.lstrip("-").strip()
    if key == "flagfile":
        return f"--flagfile={folder / value.strip()}"
    if key.removeprefix("no") not in (*OPTIONS, *_ACTIONS) and key not in OPTIONS:
        raise InputError(f"{place}: {line!r}: unknown flag{_suggest(key)}")
    option = OPTIONS.get(key)
    if not equals or not option or not option.is_path(value.strip()):
        _refuse_comment(line, place)
        return line
    items = split_list(value) if option.many else [value.strip()]
    paths = [str(folder / os.path.expanduser(item)) if item else item for item in items]
    if not all(os.path.exists(path) for path in paths):  # " #" may be part of a name
        _refuse_comment(line, place)
    return f"--{key}=" + (join_list(paths) if option.many else paths[0])


def _refuse_comment(line: str, place: str) -> None:
    if " #" in line or "\t#" in line:
        raise InputError(f"{place}: {line!r} has a comment behind the value; give it its own line")


def _unknown(error: flags.UnrecognizedFlagError) -> str:
    name = getattr(error, "flagname", "")
    return f"--{name}: unknown flag{_suggest(name)}; --help lists all"


def _suggest(name: str) -> str:
    import difflib  # only errors need it

    close = difflib.get_close_matches(name, [*OPTIONS, *_ACTIONS, "flagfile"], n=1)
    return f"; did you mean --{close[0]}?" if close else ""


def _help_entry(name: str, option: Option, default: Any) -> list[str]:
    if option.kind == "bool":
        text = _default_text(name, option, default).lower()
        return _entry(f"--[no]{name}", f"{option.help} Default: {text}.")
    accepted = "" if option.choices and option.help.count(option.choices[0]) else option.accepted()
    facts = [f"Takes {accepted}."] if accepted and option.kind != "text" or option.choices else []
    facts.append(f"Default: {_default_text(name, option, default)}.")
    return _entry(f"--{name}", " ".join([option.help, *facts]))


def _default_text(name: str, option: Option, default: Any) -> str:
    if default is not None and default != ():
        return option.format(default)
    values = PRESETS[config_lib.defaults()["objective"]].defaults
    if name not in values:
        return "none"
    return f"that of the objective ({option.format(values[name]) or 'none'})"


def _entry(flag: str, text: str) -> list[str]:
    body = textwrap.wrap(text, _WIDTH - 28)
    first = f"  {flag:<26}" if len(flag) < 26 else f"  {flag}\n{'':28}"
    return [first + body[0], *(" " * 28 + line for line in body[1:])]
