"""How far a sweep is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from nst_keras.runtime import console
from nst_keras.runtime.console import format_seconds

_LINE_SECONDS = 30.0  # between plain lines while no trial ends
_READ_SECONDS = 1.0  # between looks at the run folders


class SweepProgress:
    """Counts trials, and tells from how far they came in which time how long the rest takes.

    Args:
        read: gives a trial's record by its name.
        names: the trials to be done.
    """

    def __init__(self, read: Callable[[str], Mapping[str, Any]], names: Sequence[str]):
        self._read_record, self.names = read, names
        self.ended: set[str] = set()
        self.failed: set[str] = set()
        self._began = self._read_at = time.monotonic()
        self._shares = {name: self._read(name) for name in names}
        self._before = sum(self._shares.values())  # done when the sweep began

    def note(self, name: str, *, failed: bool) -> None:
        """A trial has ended."""
        (self.failed if failed else self.ended).add(name)

    def seconds_left(self) -> float | None:
        """An estimate for all trials that are left; None until something is done."""
        self._look()
        # Failed trials are no work done, and none to be done.
        left = sum(1.0 - share for name, share in self._shares.items() if name not in self.failed)
        done = sum(self._shares.values()) - self._before
        elapsed = time.monotonic() - self._began
        return left * elapsed / done if done > 0 else None

    def describe(self) -> str:
        """One line."""
        parts = [f"{len(self.ended)} of {len(self.names)} trials done"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        left = self.seconds_left()
        if left:
            parts.append(f"{format_seconds(left)} left")
        return "  ".join(parts)

    def share(self) -> float:
        """Of all trials that did not fail, how much is done: 0 to 1."""
        self._look()
        shares = [share for name, share in self._shares.items() if name not in self.failed]
        return sum(shares) / max(1, len(shares))

    def _look(self) -> None:
        for name in tuple(self.ended):  # the bar looks from a thread of its own
            self._shares[name] = 1.0
        if time.monotonic() - self._read_at < _READ_SECONDS:
            return
        for name in self.names:
            if name not in self.ended and name not in self.failed:
                self._shares[name] = self._read(name)
        self._read_at = time.monotonic()

    def _read(self, name: str) -> float:
        """The share of its steps that a trial that is not finished has done."""
        record = self._read_record(name)
        step, total = record.get("step"), record.get("total_steps")
        if not isinstance(step, int) or not isinstance(total, int) or total < 1:
            return 0.0
        return min(min(max(step, 0), total) / total, 0.99)


class Lines:
    """Plain lines for logs: whenever a trial ends, and every half minute."""

    def __init__(self, board: SweepProgress, stream: TextIO | None = None):
        self.board, self._stream = board, stream
        self._next = time.monotonic() + _LINE_SECONDS

    def __call__(self, *, ended: bool) -> None:
        if ended or time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            console.tell(f"nst_keras: {self.board.describe()}", self._stream)

    def close(self) -> None:
        """Nothing is held open."""


class Bar:
    """A line and a bar below it, on a terminal."""

    def __init__(self, board: SweepProgress):
        self._bar = console.Bar(lambda: (board.describe(), board.share()))

    def __call__(self, *, ended: bool) -> None:
        """The bar looks by itself."""

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.close()


def make_reporter(board: SweepProgress) -> Any:
    """A bar on a terminal, plain lines elsewhere."""
    return Bar(board) if sys.stderr.isatty() else Lines(board)
