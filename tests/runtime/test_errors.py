"""Errors as one line for a person."""

import errno

import pytest

from nst_keras.runtime.errors import InputError, first_line, reason_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--size=0: must be at least 16", "--size=0: must be at least 16"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("caf\u00e9", "caf\u00e9"),
        ("\udce9", "\\udce9"),  # a byte of a file name that is not valid text
    ],
)
def test_an_input_error_is_one_printable_line(text, shown):
    assert str(InputError(text)) == shown


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n  first\nsecond"), "first"),
        (ValueError(""), "ValueError"),
        (KeyError("name"), "'name'"),
    ],
)
def test_the_first_line_of_a_message_or_else_the_type(error, line):
    assert first_line(error) == line


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), "No space left on device"),
        (OSError("odd\nand more"), "odd"),
        (InputError("a.png: damaged"), "a.png: damaged"),
    ],
)
def test_the_reason_is_what_the_system_reports_or_else_the_first_line(error, reason):
    assert reason_of(error) == reason
