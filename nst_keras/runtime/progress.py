"""The progress of a job on standard error: a bar on a terminal, plain lines elsewhere."""

import contextlib
import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from nst_keras.runtime.console import tell

if TYPE_CHECKING:
    from rich.console import RenderableType

_LINE_SECONDS = 30.0  # at most, between two plain lines
_LINE_SHARE = 0.1  # of the job, likewise


class Reporter:
    """Shows the progress of a job until it is closed.

    Args:
        describe: returns one line about the progress.
        share: returns the share of the job that is done, 0 to 1.
        by_share: whether plain lines come at the start and at each tenth of the job, too; they
            always come every half minute. Then `share` is called at every update.
    """

    def __init__(
        self, describe: Callable[[], str], share: Callable[[], float], *, by_share: bool = True
    ):
        self._describe, self._share, self._by_share = describe, share, by_share
        self._next_share, self._next_time = 0.0, time.monotonic() + _LINE_SECONDS
        self._bar = _Bar(describe, share) if sys.stderr.isatty() else None

    def update(self, *, now: bool = False) -> None:
        """Print a line if one is due, or if it must be `now`; a bar updates by itself."""
        if self._bar or not (now or self._is_due()):
            return
        self._next_time = time.monotonic() + _LINE_SECONDS
        self._next_share = self._share() + _LINE_SHARE
        tell(f"nst_keras: {self._describe()}")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            self._bar.close()

    def _is_due(self) -> bool:
        if time.monotonic() >= self._next_time:
            return True
        return self._by_share and self._share() >= self._next_share


class _Bar:
    """A line and a bar below it, at the foot of a terminal, drawn by a thread of its own."""

    def __init__(self, describe: Callable[[], str], share: Callable[[], float]):
        from rich import console, live  # Keras depends on it; only terminals need it

        self._describe, self._share = describe, share
        self._live = live.Live(
            get_renderable=self._render, console=console.Console(stderr=True), refresh_per_second=4
        )
        self._live.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._live.stop()

    def _render(self) -> "RenderableType":
        from rich import console, progress_bar, text

        bar = progress_bar.ProgressBar(1.0, self._share())
        return console.Group(text.Text(self._describe()), bar)


class TimeEstimate:
    """Estimates how long work takes from the time that earlier work took.

    Args:
        memory: the weight of all earlier observations against the newest one, 0 to 1. With 0 only
            the newest counts: then observe everything since the start each time.
    """

    def __init__(self, memory: float = 0.0):
        self._memory = memory
        self._seconds_per_unit = math.nan

    def observe(self, work: float, seconds: float) -> None:
        """Take into account that `work` units, more than 0, took `seconds`."""
        new = max(seconds, 1e-9) / work  # the clock may not have advanced
        old = new if math.isnan(self._seconds_per_unit) else self._seconds_per_unit
        self._seconds_per_unit = self._memory * old + (1.0 - self._memory) * new

    def seconds(self, work: float) -> float:
        """The seconds that `work` units take; NaN before the first observation."""
        return self._seconds_per_unit * work


def format_seconds(seconds: float) -> str:
    """A duration as on a clock, rounded up to seconds: 1:02:03 or 2:03."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
