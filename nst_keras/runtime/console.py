"""What a command hears and says: its flags' errors, stop signals, log lines and exit status."""

import contextlib
import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

_log = logging.getLogger("nst_keras")  # of the whole package


def tell(line: str, stream: TextIO | None = None) -> None:
    """Write a line to standard error, or nothing where that is not possible.

    A night's work does not end because its pipe or terminal is gone or the log's disk is full.
    """
    with contextlib.suppress(OSError, ValueError):
        print(line, file=stream or sys.stderr, flush=True)


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


def format_seconds(seconds: float) -> str:
    """1:02:03 or 2:03."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
