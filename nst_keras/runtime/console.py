"""Messages of a command: lines on standard error, and the warnings that records keep."""

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

_log = logging.getLogger("nst_keras")  # of the whole package


def tell(line: str, stream: TextIO | None = None) -> None:
    """Write a line to standard error, or nothing where that is not possible.

    A long job must not end because its pipe or terminal is gone or the log's disk is full.
    """
    with contextlib.suppress(OSError, ValueError):
        print(line, file=stream or sys.stderr, flush=True)


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
