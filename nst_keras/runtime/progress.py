"""The progress of a job: on standard error, and as TensorBoard events."""

import contextlib
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from nst_keras.runtime.cli import tell
from nst_keras.runtime.errors import InputError, printable

_LOG_COLUMNS = 1000  # of plain lines: enough for everything
_LINE_SECONDS, _LINE_SHARE = 30.0, 0.1  # at most, between two plain lines; the share of the job
_MEMORY = 0.7  # weight of all earlier observations of a `TimeEstimate` against the newest one


class Reporter:
    """Shows the progress of a job until it is closed: a bar on a terminal, plain lines elsewhere.

    `describe` returns one line about the progress that fits a number of columns, `share` the share
    of the job that is done, 0 to 1. Lines come by the clock and, if `by_share`, also at each tenth
    of the job.
    """

    def __init__(
        self, describe: Callable[[int], str], share: Callable[[], float], *, by_share: bool = True
    ):
        self._describe, self._share, self._by_share = describe, share, by_share
        self._next_share, self._next_time = 0.0, time.monotonic() + _LINE_SECONDS
        self._bar = self._show_bar() if on_terminal() else None

    def update(self, *, now: bool = False) -> None:
        """Print a line if one is due, or if it must be `now`; a bar updates by itself."""
        if self._bar:
            return
        is_time = now or time.monotonic() >= self._next_time
        if is_time or (self._by_share and self._share() >= self._next_share):
            self._next_time = time.monotonic() + _LINE_SECONDS
            self._next_share = self._share() + _LINE_SHARE
            tell(self._describe(_LOG_COLUMNS))

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            with contextlib.suppress(OSError):  # the terminal may be gone
                self._bar.stop()

    def _show_bar(self):
        """A line and a bar below it, at the foot of a terminal, drawn by a thread of its own."""
        from rich import console, live  # Keras depends on it; only terminals need it

        self._screen = console.Console(stderr=True)
        bar = live.Live(get_renderable=self._render, console=self._screen, refresh_per_second=4)
        bar.start()
        return bar

    def _render(self):
        from rich import console, progress_bar, table, text

        share, width = self._share(), self._screen.width
        line = text.Text(printable(self._describe(width)), no_wrap=True, overflow="ellipsis")
        row = table.Table.grid(padding=(0, 1), expand=True)
        row.add_column(ratio=1)
        row.add_column(justify="right", no_wrap=True)
        row.add_row(progress_bar.ProgressBar(1.0, share), f"{math.floor(100.0 * share)} %")
        return console.Group(line, row)


def on_terminal() -> bool:
    """Whether standard error is a terminal; False if it is missing or closed."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, OSError, ValueError):
        return False


def fitting(parts: Sequence[tuple[int, str]], columns: int) -> str:
    """The parts of a line that fit so many columns, in their order, with two spaces between them.

    Args:
        parts: a rank and a text each; those of the lowest rank are left out last.
    """
    kept: list[int] = []
    for number in sorted(range(len(parts)), key=lambda number: parts[number][0]):
        if len("  ".join(parts[n][1] for n in [*kept, number])) <= columns:
            kept.append(number)
    return "  ".join(parts[number][1] for number in sorted(kept))


def check_tensorboard() -> None:
    """Raise InputError unless TensorBoard is installed, which shows the events."""
    if not importlib.util.find_spec("tensorboard"):
        raise InputError("--tensorboard: needs pip install '.[tensorboard]'")


class EventWriter:
    """Writes scalars and images as TensorBoard events to a folder."""

    def __init__(self, folder: Path):
        import tensorflow as tf  # only jobs that ask for events come here

        self._summary, self._writer = tf.summary, tf.summary.create_file_writer(str(folder))

    def write(
        self, step: int, scalars: Mapping[str, float], image: np.ndarray | None = None
    ) -> None:
        """Add the values of a step, and perhaps an image: floats in [0, 1], (height, width, 3)."""
        with self._writer.as_default(step=step):
            for name, value in scalars.items():
                self._summary.scalar(name, value)
            if image is not None:
                self._summary.image("image", image[None])

    def close(self) -> None:
        """Make the events durable."""
        self._writer.close()


class TimeEstimate:
    """Estimates how long work takes from the time that earlier work took, the newest most."""

    def __init__(self) -> None:
        self._seconds_per_unit = math.nan

    def observe(self, work: float, seconds: float) -> None:
        """Take into account that `work` units, more than 0, took `seconds`."""
        new = max(seconds, 1e-9) / work  # the clock may not have advanced
        old = new if math.isnan(self._seconds_per_unit) else self._seconds_per_unit
        self._seconds_per_unit = _MEMORY * old + (1.0 - _MEMORY) * new

    def seconds(self, work: float) -> float:
        """The seconds that `work` units take; NaN before the first observation."""
        return self._seconds_per_unit * work


def format_spent(seconds: float) -> str:
    """Time that has passed, as `format_seconds`, but rounded to the nearest second."""
    return format_seconds(round(seconds))


def format_seconds(seconds: float) -> str:
    """A duration as on a clock, rounded up to seconds: 1:02:03 or 2:03."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
