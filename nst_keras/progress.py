"""What one reported step is, how long the rest takes, and where reports go."""

import dataclasses
import json
import logging
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np

from nst_keras import console, files
from nst_keras.background import Submit, at_once
from nst_keras.scales import Scale

_log = logging.getLogger(__name__)


class PictureSource(Protocol):
    """What an iterate asks of the scale at work."""

    def picture(self) -> np.ndarray:
        """Float32 RGB in [0, 1], (height, width, 3)."""

    def value(self) -> dict[str, float]:
        """The terms of the picture."""

    def score(self) -> dict[str, float]:
        """Figures beyond the loss: see `scores`."""


@dataclasses.dataclass
class Iterate:
    """The job after `step` steps. Its image is only to be had until the next iterate is asked for.

    Terms are those that the last step saw: before its update, or with lbfgs after it. Seconds are
    those of work so far, over all resumes; `seconds_left` is an estimate, NaN before there is one.
    """

    step: int
    total_steps: int
    scale: Scale
    scales: tuple[Scale, ...]
    terms: dict[str, float]
    seconds: float
    seconds_left: float
    steps_per_second: float
    rests: bool = False  # the scale ends here, before its last step
    stage: "PictureSource | None" = dataclasses.field(repr=False, default=None)

    @property
    def image(self) -> np.ndarray:
        """The picture: float32 RGB in [0, 1], (height, width, 3).

        Raises:
            RuntimeError: the job has gone on; pictures are large, so none is kept unasked.
        """
        return self._current_stage().picture()

    def evaluate(self) -> dict[str, float]:
        """The terms of the image itself, under the same condition."""
        return self._current_stage().value()

    def score(self) -> dict[str, float]:
        """Figures of the image beyond its loss (see `scores`), under the same condition."""
        return self._current_stage().score()

    @property
    def ends_scale(self) -> bool:
        return self.rests or self.step == self.scale.last_step

    def is_logged(self, every: int) -> bool:
        """Whether its terms belong into the metrics: every so many steps and where a scale ends."""
        return is_due(self.step, every) or self.ends_scale

    def is_pictured(self, every: int, at: Sequence[int] = ()) -> bool:
        """Whether its image is kept: every so many steps, at the last, and at some by name."""
        return is_due(self.step, every) or self.step in at or (every > 0 and self.is_last)

    @property
    def is_last(self) -> bool:
        return self.step == self.total_steps or (self.rests and self.scale == self.scales[-1])

    def _current_stage(self) -> "PictureSource":
        if self.stage is None:
            raise RuntimeError("read the image of an iterate before asking for the next iterate")
        return self.stage


def is_due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps (0: never) happens after this one."""
    return every > 0 and step % every == 0


class Pace:
    """Seconds per step, and what is left of the whole job, from the steps seen so far.

    Costs are taken to grow with the pixels. Recent steps count most, so a change of load shows.
    """

    _MEMORY = 0.7

    def __init__(self, scales: tuple[Scale, ...]):
        self._scales = scales
        self._seconds_per_pixel_step = math.nan

    def saw(self, scale: Scale, steps: int, seconds: float) -> None:
        """Take note that `steps` steps at this scale took `seconds`."""
        new = max(seconds, 1e-9) / (steps * scale.pixels)  # clocks may not have ticked
        old = new if math.isnan(self._seconds_per_pixel_step) else self._seconds_per_pixel_step
        self._seconds_per_pixel_step = self._MEMORY * old + (1.0 - self._MEMORY) * new

    def seconds_per_step(self, scale: Scale) -> float:
        return self._seconds_per_pixel_step * scale.pixels

    def seconds_left(self, step: int) -> float:
        """An estimate for all that comes after `step`."""
        pixel_steps = sum(
            scale.pixels * max(0, scale.last_step - max(step, scale.first_step - 1))
            for scale in self._scales
        )
        return self._seconds_per_pixel_step * pixel_steps


class Writer(Protocol):
    """Takes every iterate, and is closed in the end."""

    def __call__(self, iterate: Iterate) -> None:
        """Take note of it."""

    def close(self) -> None:
        """There are no more."""


class TileProgress:
    """Says how far a single evaluation is, where one takes long."""

    _SECONDS = 30.0

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, done: int, in_all: int) -> None:
        """After each tile; an evaluation with a gradient takes each tile twice."""
        now = time.monotonic()
        if done == in_all:
            self._said = now
        elif now - self._said >= self._SECONDS:
            self._said = now
            _log.info("within this step: tile %d of %d", done, in_all)


class MetricsWriter:
    """`metrics.jsonl`: one JSON line per logged step, without clock readings.

    `submit` takes the work of writing a line; all of it must be done before `close`.
    """

    def __init__(self, path: Path, every: int, resume_step: int, submit: Submit = at_once):
        self._path, self.every, self._submit = path, every, submit
        self._newest = resume_step
        self._file = self._reopened(resume_step)

    def __call__(self, iterate: Iterate) -> None:
        if iterate.step == self._newest:
            return
        if iterate.step < self._newest:  # numerical trouble, and it went back
            last = iterate.step - 1
            self._submit(lambda: self._cut(last))
        self._newest = iterate.step
        if iterate.is_logged(self.every):
            row = {"step": iterate.step, "scale": iterate.scale.index, "terms": iterate.terms}
            line = _json_line(row)
            self._submit(lambda: self._write(line))

    def close(self) -> None:
        """The lines are durable already."""
        self._file.close()

    def _cut(self, last_step: int) -> None:
        self._file.close()
        self._file = self._reopened(last_step)

    def _reopened(self, last_step: int) -> TextIO:
        """The file without the rows of later steps, open for the rest of the run."""
        kept = [row for row in read_metrics(self._path) if row["step"] <= last_step]
        files.write_text(self._path, "".join(_json_line(row) for row in kept))
        return open(self._path, "a", encoding="utf-8", newline="\n")

    def _write(self, line: str) -> None:
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())  # must not fall behind the checkpoints


def read_metrics(path: Path) -> list[dict]:
    """The rows of a `metrics.jsonl` by step; lines that are not whole are left out."""
    rows: dict[int, dict] = {}
    if not path.exists():
        return []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            if files.is_deep(row):
                continue
            step = int(row["step"])
            rows[step] = {"step": step, "scale": row.get("scale"), "terms": dict(row["terms"])}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
    return [rows[step] for step in sorted(rows)]


class TensorBoardWriter:
    """Losses at every logged step, and iteration images, as TensorBoard events in a folder.

    `submit` takes the work of encoding and writing; all of it must be done before `close`.
    """

    def __init__(
        self,
        folder: Path,
        log_every: int,
        image_every: int,
        image_at: Sequence[int],
        resume_step: int,
        submit: Submit = at_once,
    ):
        import tensorflow as tf  # only runs that ask for events come here

        self._summary = tf.summary
        self._log_every, self._image_every, self._image_at = log_every, image_every, image_at
        self._resume_step, self._submit = resume_step, submit
        self._writer = tf.summary.create_file_writer(str(folder))

    def __call__(self, iterate: Iterate) -> None:
        if iterate.step <= self._resume_step:
            return
        step = iterate.step
        terms = iterate.terms if iterate.is_logged(self._log_every) else {}
        pictured = iterate.is_pictured(self._image_every, self._image_at)
        image = iterate.image if pictured else None
        if terms or image is not None:
            self._submit(lambda: self._write(step, terms, image))

    def close(self) -> None:
        """Make the events durable."""
        self._writer.close()

    def _write(self, step: int, terms: dict[str, float], image: np.ndarray | None) -> None:
        with self._writer.as_default(step=step):
            for name, value in terms.items():
                self._summary.scalar(name, value)
            if image is not None:
                self._summary.image("image", image[None])


class LineReporter:
    """Plain lines for logs: at each tenth of the job, but at least every half minute."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream
        self._next_share, self._next_seconds = 0.0, 0.0

    def __call__(self, iterate: Iterate) -> None:
        share = iterate.step / iterate.total_steps
        if (
            share < self._next_share
            and iterate.seconds < self._next_seconds
            and not iterate.is_last
        ):
            return
        self._next_share, self._next_seconds = share + 0.1, iterate.seconds + 30.0
        console.tell(describe(iterate), self._stream)

    def close(self) -> None:
        """Nothing is held open."""


class BarReporter:
    """A line and a bar below it, on a terminal."""

    def __init__(self) -> None:
        self._newest: Iterate | None = None
        self._bar = console.Bar(self._look)

    def __call__(self, iterate: Iterate) -> None:
        self._newest = iterate

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.close()

    def _look(self) -> tuple[str, float]:
        if self._newest is None:
            return "starting", 0.0
        return describe(self._newest), self._newest.step / self._newest.total_steps


def make_reporter() -> LineReporter | BarReporter:
    """A bar on a terminal, plain lines elsewhere."""
    return BarReporter() if sys.stderr.isatty() else LineReporter()


def describe(iterate: Iterate) -> str:
    """One line: scale, step, losses, speed and the time left."""
    scale = iterate.scale
    groups: dict[str, float] = {}
    for name, value in iterate.terms.items():
        group = name.split("/")[0]
        groups[group] = groups.get(group, 0.0) + value
    parts = [
        f"scale {scale.index + 1}/{len(iterate.scales)} {scale.width}x{scale.height}",
        f"step {iterate.step}/{iterate.total_steps}",
        *(f"{name} {value:.4g}" for name, value in groups.items()),
    ]
    if math.isfinite(iterate.seconds_left):
        parts.append(f"{iterate.steps_per_second:.3g} steps/s")
        parts.append(f"{format_seconds(iterate.seconds_left)} left")
    return "  ".join(parts)


def format_seconds(seconds: float) -> str:
    """1:02:03 or 2:03."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _json_line(row: dict) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"
