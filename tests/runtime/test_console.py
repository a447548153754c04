"""Lines, log records and warnings that a command shows on standard error."""

import errno
import io
import logging

import pytest

from nst_keras.runtime import console


class ClosedTerminal(io.StringIO):
    """Standard error that cannot be written to."""

    def __init__(self, number):
        super().__init__()
        self.number, self.attempts = number, 0

    def write(self, text):
        self.attempts += 1
        raise OSError(self.number, "cannot be written")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_a_closed_terminal_does_not_end_the_work(monkeypatch, number):
    terminal = ClosedTerminal(number)
    monkeypatch.setattr("sys.stderr", terminal)
    with console.messages(quiet=False) as warnings:
        logging.getLogger("nst_keras").warning("a warning")
    assert warnings == ["a warning"] and terminal.attempts
    terminal.close()
    console.tell("a line to a closed file")


def test_a_line_goes_to_its_stream(capsys):
    stream = io.StringIO()
    console.tell("there", stream)
    console.tell("here")
    assert stream.getvalue() == "there\n" and capsys.readouterr().err == "here\n"


@pytest.mark.parametrize(("quiet", "shown"), [(False, ["info", "warning"]), (True, ["warning"])])
def test_the_log_is_shown_and_its_warnings_are_kept(capsys, quiet, shown):
    log = logging.getLogger("nst_keras.runtime.anything")
    with console.messages(quiet=quiet) as warnings:
        log.info("info")
        log.warning("warning")
    log.warning("after the block")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("nst_keras: ")] == [
        f"nst_keras: {text}" for text in shown
    ]
    assert warnings == ["warning"]


def test_warnings_go_to_every_list_of_the_block():
    log = logging.getLogger("nst_keras")
    first, second = [], []
    with console.messages(quiet=True) as all_warnings:
        with console.noting(first, second):
            log.warning("inside")
            log.info("no warning")
        log.warning("outside")
    assert first == second == ["inside"]
    assert all_warnings == ["inside", "outside"]
