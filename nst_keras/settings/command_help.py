"""The help of a command: its flags with what they accept and their defaults."""

import textwrap
from collections.abc import Iterable

from nst_keras.runtime.errors import InputError
from nst_keras.settings.command import ACTIONS, HELP_ALL, HELP_BRIEF, Command
from nst_keras.settings.option import Option
from nst_keras.settings.suggestions import suggestion

_WIDTH, _FLAG_WIDTH = 80, 26


def help_text(command: Command, topic: str = HELP_BRIEF) -> str:
    """The help about a topic: 'brief', 'all', a group of flags, or else one flag.

    Raises:
        InputError: there is no such topic.
    """
    if topic == HELP_ALL:
        return "\n".join([*command.usage, *_grouped(command, command.options), *_actions()])
    essential = [name for name, option in command.options.items() if option.essential]
    if topic == HELP_BRIEF:
        if not essential:
            return help_text(command, HELP_ALL)
        entries = [line for name in essential for line in _brief_entry(command.options[name])]
        return "\n".join([*command.usage, "", *entries, *_more(command)])
    names = [name for name, option in command.options.items() if option.group == topic]
    found = command.find(topic)
    if not names and not found:
        raise _unknown(command, topic)
    lines = _help_entry(found[0]) if found else []
    if found and names:  # --output and the group output
        lines += ["", f"The flags of the group {topic}:", ""]
    return "\n".join([*lines, *(_entries(command, names) if names else ())])


def _unknown(command: Command, topic: str) -> InputError:
    meant = suggestion(topic, [*command.groups, *command.known])
    hint = f"; did you mean --help={meant}?" if meant else ""
    groups = ", ".join(command.groups)
    return InputError(f"--help={topic}: must be {HELP_ALL}, a flag, or one of {groups}{hint}")


def _more(command: Command) -> list[str]:
    groups = f"--help=GROUP shows the flags of one group: {', '.join(command.groups)}."
    rest = f"--help=FLAG explains one flag, and --help={HELP_ALL} shows every flag."
    return ["", *textwrap.wrap(groups, _WIDTH), *textwrap.wrap(rest, _WIDTH)]


def _grouped(command: Command, names: Iterable[str]) -> list[str]:
    lines = []
    for group in command.groups:
        lines += ["", f"{group}:"]
        lines += _entries(command, [n for n in names if command.options[n].group == group])
    return lines


def _actions() -> list[str]:
    return ["", "command:", *(line for it in ACTIONS.values() for line in _help_entry(it))]


def _entries(command: Command, names: Iterable[str]) -> list[str]:
    return [line for name in names for line in _help_entry(command.options[name])]


def _help_entry(option: Option) -> list[str]:
    """What an option does, accepts, and is if it is not given."""
    if option.name in ACTIONS:
        return _entry(f"--{option.name}", option.help)
    return _entry(_flag(option), option.help + _facts(option, option.help))


def _brief_entry(option: Option) -> list[str]:
    """The same with the first sentence of its help only."""
    first, stop, _ = option.help.partition(". ")
    first += stop.strip()
    return _entry(_flag(option), first + _facts(option, first))


def _flag(option: Option) -> str:
    return f"--[no]{option.name}" if option.kind == "bool" else f"--{option.name}"


def _facts(option: Option, told: str) -> str:
    """What an option accepts, unless it is told already, and its default, if it has one."""
    facts = []
    is_told = option.choices and all(str(choice) in told for choice in option.choices)
    is_plain = option.kind in ("bool", "text") and not option.choices
    if not is_told and not is_plain:
        facts.append(option.accepted())
    if option.default not in (None, (), ""):
        facts.append(f"default: {option.format(option.default)}")
    elif option.unset:
        facts.append(f"default: {option.unset}")
    return f" [{'; '.join(facts)}]" if facts else ""


def _entry(flag: str, text: str) -> list[str]:
    body = textwrap.wrap(text, _WIDTH - _FLAG_WIDTH - 2, break_on_hyphens=False)
    fits = len(flag) < _FLAG_WIDTH
    margin = " " * (_FLAG_WIDTH + 2)
    first = f"  {flag:<{_FLAG_WIDTH}}" if fits else f"  {flag}\n{margin}"
    return [first + body[0], *(margin + line for line in body[1:])]
