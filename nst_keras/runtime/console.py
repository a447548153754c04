"""What a command shows on a terminal: lines, a progress bar, and the package's log."""

import contextlib
import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

_log = logging.getLogger("nst_keras")  # the parent of all loggers of the package


def tell(line: str, stream: TextIO | None = None) -> None:
    """Write a line to `stream`, by default standard error; do nothing if that fails.

    A long job must not end because its terminal is gone or the disk of its log is full.
    """
    with contextlib.suppress(OSError, ValueError):
        print(line, file=stream or sys.stderr, flush=True)


class Bar:
    """A line of text above a progress bar, at the bottom of a terminal.

    Args:
        look: returns the current text and the share that is done, from 0 to 1.
    """

    def __init__(self, look: Callable[[], tuple[str, float]]):
        from rich import console, live  # Keras depends on it; only terminals need it

        self._look = look
        self._live = live.Live(
            get_renderable=self._render, console=console.Console(stderr=True), refresh_per_second=4
        )
        self._live.start()

    def close(self) -> None:
        """Restore the terminal, if it still exists."""
        with contextlib.suppress(OSError):
            self._live.stop()

    def _render(self) -> "RenderableType":
        from rich import console, progress_bar, text

        line, share = self._look()
        return console.Group(text.Text(line), progress_bar.ProgressBar(1.0, share))


class _Lines(logging.Handler):
    """Shows log records on standard error, looked up anew for each."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(f"nst_keras: {record.getMessage()}")


class _Collector(logging.Handler):
    """Appends warnings to lists."""

    def __init__(self, lists: Sequence[list[str]]):
        super().__init__(logging.WARNING)
        self._lists = lists

    def emit(self, record: logging.LogRecord) -> None:
        for warnings in self._lists:
            warnings.append(record.getMessage())


@contextlib.contextmanager
def noting(*lists: list[str]) -> Iterator[None]:
    """Append the warnings that are logged during the block to these lists."""
    handler = _Collector(lists)
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)


@contextlib.contextmanager
def messages(*, quiet: bool) -> Iterator[list[str]]:
    """Show the package's log during the block; yields the growing list of its warnings.

    With `quiet`, only warnings and errors are shown.
    """
    warnings: list[str] = []
    handler = _Lines()
    level, propagate = _log.level, _log.propagate
    _log.addHandler(handler)
    _log.setLevel(logging.WARNING if quiet else logging.INFO)
    _log.propagate = False
    try:
        with noting(warnings):
            yield warnings
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)
        _log.propagate = propagate


def format_seconds(seconds: float) -> str:
    """Seconds, rounded up, as 1:02:03 or 2:03."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
