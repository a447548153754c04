"""The help of a small command."""

import dataclasses
import re

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.settings.command import Command
from nst_keras.settings.command_help import help_text
from nst_keras.settings.config import COMMAND as RUN
from nst_keras.settings.option import options_of, section

_main = section("main")
_other = section("other")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of the command."""

    item: tuple[str, ...] = _main((), "An item.", unset="what the place has", repeated=True)
    color: str = _main("red", "The color. red: as usual. blue: not so.", choices=("red", "blue"))
    gray: bool = _other(False, "Without color.", essential=True)
    count: int | None = _other(None, "How many.", (1, 9), unset="as many as there are")
    share: float | None = _other(None, "How much. All of it is 1.", (0, 1), essential=True)


COMMAND = Command(usage=("Does something.",), options=options_of(Settings))


def flags_in(text):
    found = re.findall(r"^  --(?:\[no\])?(\w+)|^(\w+):$", text, re.MULTILINE)
    return [flag or f"{group}:" for flag, group in found]


def joined(text):
    return re.sub(r"\s+", " ", text)


def test_all_options_are_listed_by_group():
    text = help_text(COMMAND, "all")
    assert text.startswith("Does something.\n")
    assert flags_in(text) == [
        *("main:", "item", "color", "other:", "gray", "count", "share"),
        *("command:", "flagfile", "help", "version", "quiet"),
    ]


def test_an_entry_says_what_is_accepted_and_the_default():
    text = joined(help_text(COMMAND, "all"))
    assert "How many. [a whole number from 1 to 9; default: as many as there are]" in text
    assert "An item. [default: what the place has]" in text
    assert "The color. red: as usual. blue: not so. [default: red]" in text  # choices are told
    assert "How much. All of it is 1. [a number from 0 to 1]" in text


def test_the_first_help_has_the_essential_options_in_a_sentence_each():
    text = help_text(COMMAND)
    assert flags_in(text) == ["gray", "share"]
    assert "How much. [a number from 0 to 1]" in joined(text)
    assert "--help=GROUP shows the flags of one group: main, other." in joined(text)


def test_the_first_help_has_everything_where_nothing_is_essential():
    options = {"color": options_of(Settings)["color"]}
    command = Command(usage=(), options=options)
    assert help_text(command) == help_text(command, "all")


@pytest.mark.parametrize(
    ("topic", "flags"),
    [("other", ["gray", "count", "share"]), ("count", ["count"]), ("nogray", ["gray"])],
)
def test_a_group_or_one_flag_may_be_asked_for(topic, flags):
    assert flags_in(help_text(COMMAND, topic)) == flags


def test_an_unknown_topic_is_refused_with_the_nearest():
    with pytest.raises(InputError) as caught:
        help_text(COMMAND, "colr")
    assert str(caught.value) == (
        "--help=colr: must be all, a flag, or one of main, other; did you mean --help=color?"
    )


def test_the_first_help_of_a_run_fits_a_screen_and_80_columns():
    lines = help_text(RUN).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(flags_in(help_text(RUN))) <= 18
    assert len(lines) <= 60
    assert all(len(line) <= 80 for line in help_text(RUN, "all").splitlines())


def test_a_name_of_a_flag_and_of_a_group_explains_both():
    flag = dataclasses.replace(COMMAND.options["gray"], name="main")
    both = dataclasses.replace(COMMAND, options={**COMMAND.options, "main": flag})
    text = help_text(both, "main")
    assert text.index("--[no]main") < text.index("The flags of the group main:")
    assert text.index("The flags of the group main:") < text.index("--color")
