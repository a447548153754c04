"""What a command does beside its work: exit status, lines on standard error, signals to stop."""

import atexit
import contextlib
import gc
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from nst_keras.runtime import files
from nst_keras.runtime.errors import (
    DeviceError,
    InputError,
    LostHostError,
    first_line,
    printable,
    reason_of,
)

# Exit statuses. As in BSD's sysexits.h, 74: a file could not be written, 75: run it again.
BAD_INPUT, IO_ERROR, INTERRUPTED = 2, 74, 75

# Sent by Ctrl-C, service managers, a closing terminal, Slurm or a sweep, a sweep on Windows.
_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGBREAK")

_STDERR = 2  # the descriptor that C and C++ code writes to

_log = logging.getLogger("nst_keras")  # of the whole package


def exit_status(work: Callable[[], int]) -> int:
    """Run a command and return its exit status; an error becomes one line on standard error.

    Errors in the program itself are raised, so that their traceback shows.
    """
    # Otherwise Python looks for garbage as it ends: with TensorFlow, among objects for 0.6 s.
    atexit.register(gc.freeze)
    with _standard_streams():
        try:
            return work()
        except BrokenPipeError:  # as in --help | head
            _drop_output()
            return 0
        except (Exception, KeyboardInterrupt) as error:
            line, status = explain(error)
            if not line:
                raise
            tell(line)
            return status


@contextlib.contextmanager
def _standard_streams() -> Iterator[None]:
    """Give the block what a process without a console, or with closed descriptors, lacks."""
    open_standard_descriptors()
    with contextlib.ExitStack() as stack:
        streams = (("stdout", contextlib.redirect_stdout), ("stderr", contextlib.redirect_stderr))
        for name, redirect in streams:
            if getattr(sys, name) is None:
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(redirect(nowhere))
        yield


def open_standard_descriptors() -> None:
    """Open those of the descriptors 0 to 2 that are closed.

    Otherwise one of the next files would get such a number, and messages of C++ code would be
    written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free


@contextlib.contextmanager
def stderr_aside(*, shows_failure: bool = True) -> Iterator[None]:
    """Hold back what C and C++ code writes to standard error during the block.

    If the block fails, show it unless `shows_failure` is false.
    """
    open_standard_descriptors()
    kept = os.dup(_STDERR)  # `sys.stderr` may be another file, as in notebooks
    with _temporary_file() if shows_failure else open(os.devnull, "w+b") as aside:
        os.dup2(aside.fileno(), _STDERR)
        try:
            yield
        except BaseException:
            if shows_failure:
                aside.seek(0)
                os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)


def _temporary_file() -> BinaryIO:
    """A file without a name, or one that keeps nothing where there can be none."""
    try:
        return cast(BinaryIO, tempfile.TemporaryFile())
    except OSError:
        return open(os.devnull, "w+b")


def explain(error: BaseException) -> tuple[str, int]:
    """A line about an error, empty for one in the program itself, and the exit status for it."""
    if isinstance(error, InputError):
        return str(error), BAD_INPUT
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; run the same command again to resume", INTERRUPTED
    if isinstance(error, LostHostError):
        return f"{error}; run the same command again on all hosts to resume", INTERRUPTED
    if isinstance(error, (FloatingPointError, MemoryError)):
        return str(error) or "out of memory", 1
    if isinstance(error, OSError):
        return f"{error.filename or 'the disk'}: {reason_of(error)}", IO_ERROR
    if reason := _device_failure(error):
        return f"{reason}; run the same command again to resume", 1
    return "", 1


def failure(error: BaseException) -> tuple[str, int]:
    """As `explain`, but with a line about every error, for records and pages."""
    line, status = explain(error)
    return line or f"{type(error).__name__}: {first_line(error)}", status


def _device_failure(error: BaseException) -> str:
    """The message of an error that the device caused; empty for any other error."""
    if isinstance(error, DeviceError):
        return str(error)
    if "tensorflow" not in sys.modules:  # not every command needs it
        return ""
    from tensorflow import errors

    # Invalid arguments are a fault of this program and need their traceback.
    if not isinstance(error, errors.OpError) or isinstance(error, errors.InvalidArgumentError):
        return ""
    return f"the device failed: {first_line(error)}"


def tell(text: str) -> None:
    """Write a line to standard error, or nothing where that is not possible.

    A long job must not end because its pipe or terminal is gone or the log's disk is full.
    """
    if sys.stderr is not None:  # `print` would take None for standard output
        with contextlib.suppress(OSError, ValueError):
            print(f"nst_keras: {printable(text)}", file=sys.stderr, flush=True)


def show(*lines: str) -> None:
    """Write lines to standard output."""
    # An encoding may lack some letters.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with files.naming("standard output"):
        for line in lines:
            text = printable(line).encode(encoding, "backslashreplace").decode(encoding)
            print(text, flush=True)


def show_path(path: str | os.PathLike) -> None:
    """Write a path to standard output: for a program that reads it, byte for byte."""
    binary = getattr(sys.stdout, "buffer", None)  # streams in notebooks have none
    if binary is None or sys.stdout.isatty():
        show(os.fspath(path))
        return
    with files.naming("standard output"):
        sys.stdout.flush()
        binary.write(os.fsencode(path) + b"\n")
        binary.flush()


def show_path_at_end(path: str | os.PathLike) -> None:
    """The same, unless the reader of standard output has left, as `| tee` has after Ctrl-C.

    For commands whose exit status tells more than that.
    """
    try:
        show_path(path)
    except BrokenPipeError:
        _drop_output()


def _drop_output() -> None:
    """Write to standard output no more, also not at exit: its reader has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Handler(logging.Handler):
    """Passes the text of each log record on."""

    def __init__(self, take: Callable[[str], None], level: int = logging.NOTSET):
        super().__init__(level)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        self._take(record.getMessage())


@contextlib.contextmanager
def noting(*lists: list[str]) -> Iterator[None]:
    """Keep the warnings of the block in these lists."""
    with contextlib.ExitStack() as stack:
        for one in lists:
            handler = _Handler(one.append, logging.WARNING)
            _log.addHandler(handler)
            stack.callback(_log.removeHandler, handler)
        yield


@contextlib.contextmanager
def messages(*, quiet: bool) -> Iterator[None]:
    """Show the package's log on standard error, of a `quiet` command only its warnings."""
    handler = _Handler(tell)
    level, propagate = _log.level, _log.propagate
    _log.addHandler(handler)
    _log.setLevel(logging.WARNING if quiet else logging.INFO)
    _log.propagate = False
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)
        _log.propagate = propagate


class StopSignal:
    """True once a signal has asked the command to stop."""

    _since: float | None = None  # by the monotonic clock

    def __bool__(self) -> bool:
        return self._since is not None

    def set(self) -> None:
        """Ask the command to stop; only the first time counts."""
        if self._since is None:
            self._since = time.monotonic()

    def clear(self) -> None:
        """Forget the request."""
        self._since = None

    def seconds_ago(self) -> float:
        """Seconds since the request; 0.0 if there is none."""
        return 0.0 if self._since is None else time.monotonic() - self._since


@contextlib.contextmanager
def stop_signals(names: tuple[str, ...] = _STOPPING, answer: str = "") -> Iterator[StopSignal]:
    """Record stop signals during the block instead of ending the process.

    `answer` is told at once when one comes. A second signal of the same kind has its usual effect.
    Python allows signal handlers in the main thread only; in other threads the block runs and
    records nothing.
    """
    stop = StopSignal()

    def receive(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[number])
        if answer:  # not by sys.stderr, in whose writing the signal may have come
            with contextlib.suppress(OSError):
                os.write(2, f"\nnst_keras: {answer}\n".encode())

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in [getattr(signal, name) for name in names if hasattr(signal, name)]:
            handler = signal.getsignal(number)
            # Jobs in a shell's background ignore Ctrl-C, and nohup ignores SIGHUP: keep it so.
            if handler not in (signal.SIG_IGN, None):
                previous[number] = handler
                signal.signal(number, receive)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
