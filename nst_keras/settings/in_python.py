"""A table of options in Python: keywords, messages that name them, and the documentation."""

import contextlib
import dataclasses
import functools
import inspect
import re
import textwrap
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nst_keras.runtime.errors import InputError
from nst_keras.settings.option import KINDS, Option
from nst_keras.settings.suggestions import suggestion

_WIDTH = 92
_FLAG = re.compile(r"--(no)?([a-z]\w*)(=\w+)?")
_EXAMPLE = re.compile(r": nst [\w ./]+$")  # of the command, at the end of a message


def check_names(names: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Raise TypeError, as Python does, for a name that is not `known`; it says what was meant."""
    choices = list(known)
    for name in names:
        if name not in choices:
            meant = suggestion(name, choices)
            hint = f"did you mean {meant}?" if meant else f"help({owner}) lists all settings"
            raise TypeError(f"{name}: there is no such setting; {hint}")


@contextlib.contextmanager
def errors_in_python(options: Mapping[str, Option]) -> Iterator[None]:
    """Have an InputError of the block name settings as in Python: `size=31` for `--size=31`."""
    try:
        yield
    except InputError as error:
        text = in_python_words(str(error), options)
        if text == str(error):
            raise
        raise InputError(text, *error.flags) from error


def in_python_words(text: str, options: Mapping[str, Option]) -> str:
    """A message about flags, in which settings are named as in Python."""

    def keyword(found: re.Match[str]) -> str:
        no, name, value = found[1] or "", found[2], found[3] or ""
        if no and f"no{name}" not in options and name in options:
            return f"{name}=False{value}"
        name = no + name
        if name not in options:
            return found[0]
        if options[name].kind != "bool":
            return f"{name}{value}"
        return f"{name}{value.title() or '=True'}"

    return _FLAG.sub(keyword, _EXAMPLE.sub("", text))


def document(settings: type, options: Mapping[str, Option]) -> None:
    """Give a dataclass of settings its documentation and signature, and have it refuse a keyword
    that is no setting with what was meant."""
    lines = [inspect.cleandoc(settings.__doc__ or ""), "", "Args:"]
    for name, option in options.items():
        text = in_python_words(f"{name}: {_described(option)}", options)
        lines += textwrap.wrap(
            text,
            _WIDTH,
            initial_indent="    ",
            subsequent_indent="        ",
            break_on_hyphens=False,
        )
    settings.__doc__ = "\n".join(lines) + "\n"
    generated = settings.__init__  # type: ignore[misc]

    @functools.wraps(generated)
    def initialize(self: Any, *values: Any, **named: Any) -> None:
        check_names(named, options, settings.__name__)
        generated(self, *values, **named)

    types = typing.get_type_hints(settings)
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("self", either)]
    for name, option in options.items():
        accepted = _accepted_type(types[name], option)
        parameters.append(
            inspect.Parameter(name, either, default=option.default, annotation=accepted)
        )
    setattr(initialize, "__signature__", inspect.Signature(parameters))  # noqa: B010 - for mypy
    setattr(settings, "__init__", initialize)  # noqa: B010


def _described(option: Option) -> str:
    is_open = option.default in (None, (), "")
    default = (option.unset or "none") if is_open else repr(option.default)
    told = option.choices and all(str(choice) in option.help for choice in option.choices)
    if told or option.kind == "bool" or (option.kind == "text" and not option.choices):
        return f"{option.help} Default: {default}."
    return f"{option.help} Takes {option.accepted()}. Default: {default}."


def _accepted_type(resolved: Any, option: Option) -> Any:
    """What a field accepts, given the type that it has in a resolved config."""
    accepted = resolved
    if KINDS[option.kind].has_unit:
        accepted |= str
    return accepted if option.default is not None else accepted | None


def replaced(config: Any, settings: Mapping[str, Any], options: Mapping[str, Option]) -> Any:
    """The config with other values of some settings, by their names."""
    check_names(settings, options, type(config).__name__)
    return dataclasses.replace(config, **settings)
