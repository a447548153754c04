"""Writers of the losses of a run: `metrics.jsonl`, and TensorBoard events."""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

from nst_keras.runtime import files
from nst_keras.runtime.background import Submit, at_once
from nst_keras.runtime.progress import EventWriter
from nst_keras.transfer.iterate import Iterate

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """Accepts every iterate of a run, and is closed at its end."""

    def __call__(self, iterate: Iterate) -> None:
        """Write what is due after this step."""

    def close(self) -> None:
        """Release the file or terminal; no iterate follows."""


class MetricsWriter:
    """Writes `metrics.jsonl`: one JSON line for each logged step, without clock readings.

    Args:
        every: steps from one line to the next; a line is also written where a scale ends.
        resume_step: the step after which the run resumes; lines of later steps are removed.
        submit: takes the work of writing a line; all of it must be done before `close`.
    """

    def __init__(self, path: Path, every: int, resume_step: int, submit: Submit = at_once):
        self._path, self.every, self._submit = path, every, submit
        self._newest = resume_step
        self._file = self._reopened(resume_step)

    def __call__(self, iterate: Iterate) -> None:
        if iterate.step == self._newest:
            return
        if iterate.step < self._newest:  # the run went back after numerical trouble
            last = iterate.step - 1
            self._submit(lambda: self._cut(last))
        self._newest = iterate.step
        if iterate.is_logged(self.every):
            row = {"step": iterate.step, "scale": iterate.scale.index, "terms": iterate.terms}
            line = _json_line(row)
            self._submit(lambda: self._write(line))

    def close(self) -> None:
        """Close the file; its lines are durable already."""
        self._file.close()

    def _cut(self, last_step: int) -> None:
        self._file.close()
        self._file = self._reopened(last_step)

    def _reopened(self, last_step: int) -> TextIO:
        """Remove the rows of later steps, and open the file for appending."""
        kept = [row for row in read_metrics(self._path) if row["step"] <= last_step]
        files.write_text(self._path, "".join(_json_line(row) for row in kept))
        return open(self._path, "a", encoding="utf-8", newline="\n")

    def _write(self, line: str) -> None:
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())  # no checkpoint may be ahead of it


def read_metrics(path: Path) -> list[dict]:
    """The rows of a `metrics.jsonl` by step; damaged lines are left out.

    Returns:
        Mappings with 'step', 'scale' (from 0) and 'terms' (losses by name). Of several rows with
        one step the last counts.
    """
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
    """Writes losses and iteration images as TensorBoard events in a folder.

    Args:
        log_every: steps between losses; those where a scale ends are written, too.
        image_every: steps between images.
        image_at: steps with an image in addition.
        resume_step: the step after which the run resumes.
        submit: takes the work of encoding and writing; all of it must be done before `close`.
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
        self._log_every, self._image_every, self._image_at = log_every, image_every, image_at
        self._resume_step, self._submit = resume_step, submit
        self._events = EventWriter(folder)

    def __call__(self, iterate: Iterate) -> None:
        if iterate.step <= self._resume_step:
            return
        step = iterate.step
        terms = iterate.terms if iterate.is_logged(self._log_every) else {}
        pictured = iterate.is_pictured(self._image_every, self._image_at)
        image = iterate.image if pictured else None
        if terms or image is not None:
            self._submit(lambda: self._events.write(step, terms, image))

    def close(self) -> None:
        """Make the events durable."""
        self._events.close()


def _json_line(row: dict) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"
