"""What a command hears and says: its flags' errors, stop signals, log lines and exit status."""

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from nst_keras.errors import DeviceError, InputError, LostHostError, first_line

if TYPE_CHECKING:
    from rich.console import RenderableType

_log = logging.getLogger("nst_keras")

# What a person, a terminal that closes, a cluster about to take the machine back, and a sweep on
# Windows send.
_STOPPING = tuple(
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGBREAK")
    if hasattr(signal, name)
)
# Exit statuses; the latter two as in BSD's sysexits.h.
BAD_INPUT, IO_ERROR, INTERRUPTED = 2, 74, 75


def exit_status(work: Callable[[], int]) -> int:
    """Do a command's work; what goes wrong becomes one line on standard error and a status."""
    _take_names_of_any_bytes()
    try:
        return work()
    except InputError as error:
        return _fail(str(error), BAD_INPUT)
    except LostHostError as error:
        return _fail(f"{error}; run it again on all hosts, and it goes on", INTERRUPTED)
    except FloatingPointError as error:
        return _fail(str(error), 1)
    except MemoryError as error:
        return _fail(str(error) or "out of memory", 1)
    except BrokenPipeError:  # of standard output, as in --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(f"{error.filename or 'the disk'}: {error.strerror or error}", IO_ERROR)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on", INTERRUPTED)
    except Exception as error:
        if told := _told_of_device(error):
            return _fail(f"{told}; run again, it goes on from the last checkpoint", 1)
        raise


def _take_names_of_any_bytes() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _told_of_device(error: Exception) -> str:
    """What went wrong there; empty: it is of something else."""
    if isinstance(error, DeviceError):
        return str(error)
    if "tensorflow" not in sys.modules:  # which not every command needs
        return ""
    from tensorflow import errors

    # Arguments that do not fit are a fault of ours, and want their traceback.
    ours = isinstance(error, errors.InvalidArgumentError)
    told = isinstance(error, errors.OpError) and not ours
    return f"the device failed: {first_line(error)}" if told else ""


def tell(line: str, stream: TextIO | None = None) -> None:
    """Write a line to standard error, or nothing where that is not possible.

    A night's work does not end because its pipe or terminal is gone or the log's disk is full.
    """
    with contextlib.suppress(OSError, ValueError):
        print(line, file=stream or sys.stderr, flush=True)


def _fail(message: str, status: int) -> int:
    tell(f"nst_keras: {message}")
    return status


class Bar:
    """A line and a bar below it, at the foot of a terminal.

    Args:
        look: tells the line, and the share that is done, whenever it is asked.
    """

    def __init__(self, look: Callable[[], tuple[str, float]]):
        from rich import console, live  # Keras depends on it; only terminals need it

        self._look = look
        self._live = live.Live(
            get_renderable=self._render, console=console.Console(stderr=True), refresh_per_second=4
        )
        self._live.start()

    def close(self) -> None:
        """Leave the terminal as it was, if it is still there."""
        with contextlib.suppress(OSError):
            self._live.stop()

    def _render(self) -> "RenderableType":
        from rich import console, progress_bar, text

        line, share = self._look()
        return console.Group(text.Text(line), progress_bar.ProgressBar(1.0, share))


class OneLineParser(argparse.ArgumentParser):
    """argparse whose complaints are one line, like those of all commands."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message.removeprefix('argument ')}; --help tells more")


@contextlib.contextmanager
def stop_signals() -> Iterator[list[float]]:
    """A list that gets the moment, by the monotonic clock, at which a signal asked for an end.

    A second Ctrl-C has its usual effect. Other threads than the main one cannot take signals.
    """
    received: list[float] = []

    def take(number: int, _frame: object) -> None:
        received.append(time.monotonic())
        signal.signal(number, previous[number])

    previous: dict[int, Any] = {}
    with contextlib.suppress(ValueError):
        for number in _STOPPING:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):  # as for a job in a shell's background
                previous[number] = handler
                signal.signal(number, take)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Lines(logging.Handler):
    """Log records as lines on standard error, whatever that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(f"nst_keras: {record.getMessage()}")


class _Notes(logging.Handler):
    """Keeps the warnings in lists."""

    def __init__(self, lists: Sequence[list[str]]):
        super().__init__(logging.WARNING)
        self._lists = lists

    def emit(self, record: logging.LogRecord) -> None:
        for one in self._lists:
            one.append(record.getMessage())


@contextlib.contextmanager
def noting(*lists: list[str]) -> Iterator[None]:
    """Keep the warnings of the block in these lists."""
    handler = _Notes(lists)
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)


@contextlib.contextmanager
def messages(*, quiet: bool) -> Iterator[list[str]]:
    """Show the package's log; yields the list of its warnings, which grows."""
    notes: list[str] = []
    handler = _Lines()
    level, propagate = _log.level, _log.propagate
    _log.addHandler(handler)
    _log.setLevel(logging.WARNING if quiet else logging.INFO)
    _log.propagate = False
    try:
        with noting(notes):
            yield notes
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)
        _log.propagate = propagate
