"""The progress of a sweep, and the estimated time left."""

import math
import time
from collections.abc import Callable, Sequence

from nst_keras.runs.record import RunRecord
from nst_keras.runtime.progress import TimeEstimate, format_seconds

_READ_SECONDS = 1.0  # between readings of the run folders


class SweepProgress:
    """Counts the trials of a sweep, and estimates how long the rest takes.

    Args:
        read: returns the record of a trial, by its name.
        names: of the trials to be done.
    """

    def __init__(self, read: Callable[[str], RunRecord], names: Sequence[str]):
        self._read_record, self.names = read, names
        self.ended: set[str] = set()
        self.failed: set[str] = set()
        self._began = self._read_at = time.monotonic()
        self._shares = {name: self._read(name) for name in names}
        self._before = sum(self._shares.values())  # done when the sweep began
        self._estimate = TimeEstimate()

    def note(self, name: str, *, failed: bool) -> None:
        """Count a trial that has ended."""
        (self.failed if failed else self.ended).add(name)

    def seconds_left(self) -> float:
        """An estimate for all trials that are left; NaN until some work is done."""
        self._read_all()
        done = sum(self._shares.values()) - self._before
        if done > 0:
            self._estimate.observe(done, time.monotonic() - self._began)
        # A failed trial counts neither as work done nor as work to do.
        left = sum(1.0 - share for name, share in self._shares.items() if name not in self.failed)
        return self._estimate.seconds(left)

    def describe(self) -> str:
        """One line: how many trials are done and have failed, and the time left."""
        parts = [f"{len(self.ended)} of {len(self.names)} trials done"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        left = self.seconds_left()
        if left and not math.isnan(left):
            parts.append(f"{format_seconds(left)} left")
        return "  ".join(parts)

    def share(self) -> float:
        """The share of the work that is done, 0 to 1, leaving out failed trials."""
        self._read_all()
        shares = [share for name, share in self._shares.items() if name not in self.failed]
        return sum(shares) / max(1, len(shares))

    def _read_all(self) -> None:
        for name in tuple(self.ended):  # the progress bar calls from a thread of its own
            self._shares[name] = 1.0
        if time.monotonic() - self._read_at < _READ_SECONDS:
            return
        for name in self.names:
            if name not in self.ended and name not in self.failed:
                self._shares[name] = self._read(name)
        self._read_at = time.monotonic()

    def _read(self, name: str) -> float:
        """The share of its steps that an unfinished trial has done, below 1."""
        record = self._read_record(name)
        total = record.total_steps or 0
        return min(max(record.step or 0, 0) / total, 0.99) if total > 0 else 0.0
