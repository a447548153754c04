"""The folder of a run: its files and its record."""

import os
import re
from pathlib import Path

from nst_keras.runs import work_folder
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.record import RunRecord
from nst_keras.runs.work_folder import WorkFolder
from nst_keras.runtime import checkpoints, files
from nst_keras.settings.config import OPTIONS, Config


class RunFolder(WorkFolder[RunRecord]):
    """Paths inside a run folder, and its record `run.json`."""

    kind, record_name, result_name = "run", "run.json", "result.png"
    record_type = RunRecord
    subfolders = ("inputs", "iterations", "checkpoints")
    owned = (
        *("flags.cfg", "metrics.jsonl", "latest.jpg", "result.png", "strip.png"),
        *("side_by_side.png", "progress.gif", "progress.mp4", "index.html"),
        *("inputs/*.jpg", "iterations/iteration_*.jpg", f"checkpoints/{checkpoints.PATTERN}"),
        "events/events.out.tfevents.*",
    )

    def __init__(self, path: str | os.PathLike):
        super().__init__(path)
        self.flags = self.path / "flags.cfg"
        self.metrics = self.path / "metrics.jsonl"
        self.inputs = self.path / "inputs"
        self.iterations = self.path / "iterations"
        self.checkpoints = self.path / "checkpoints"
        self.events = self.path / "events"
        self.latest = self.path / "latest.jpg"
        self.strip = self.path / "strip.png"
        self.side_by_side = self.path / "side_by_side.png"
        self.gif = self.path / "progress.gif"
        self.mp4 = self.path / "progress.mp4"
        self.page = self.path / "index.html"

    @property
    def content(self) -> Path:
        """A small copy of the content picture."""
        return self.inputs / "content.jpg"

    def style(self, number: int) -> Path:
        """A small copy of a style picture; the first has number 1."""
        return self.inputs / f"style_{number}.jpg"

    def iteration(self, step: int) -> Path:
        """The picture after a step."""
        return self.iterations / f"iteration_{step:05d}.jpg"

    def existing_iterations(self) -> list[tuple[int, Path]]:
        """The iteration images that are there as (step, path), by step."""
        found = []
        for path in self.iterations.glob("iteration_*.jpg"):
            if match := re.fullmatch(r"iteration_(\d+)", path.stem):
                found.append((int(match[1]), path))
        return sorted(found)

    def can_extend(self, record: RunRecord, fingerprint: Fingerprint) -> bool:
        """Whether only more steps are asked for, and at a constant learning rate."""
        return _has_fewer_steps(record, fingerprint) and _is_constant(fingerprint)

    def prolongs(self, fingerprint: Fingerprint) -> bool:
        """Whether what is asked for is the run of this folder with more steps at full size."""
        return _has_fewer_steps(self.read_record(), fingerprint)

    def is_complete(self) -> bool:
        """Whether a finished run also finished its last writes, and was not killed before."""
        if files.temporaries(self.path) or not self.page.exists():
            return False
        return self.page.stat().st_mtime_ns >= self.record.stat().st_mtime_ns

    def remove_animations(self) -> None:
        """Remove the animations of a finished run that is extended by more steps."""
        for path in (self.gif, self.mp4):
            path.unlink(missing_ok=True)

    def _difference(self, record: RunRecord, fingerprint: Fingerprint) -> str:
        found = super()._difference(record, fingerprint)
        if _has_fewer_steps(record, fingerprint):
            schedule = fingerprint.settings["schedule"]
            found += f"; with --schedule={schedule} every step depends on how many there are"
        return found


def _has_fewer_steps(record: RunRecord, fingerprint: Fingerprint) -> bool:
    there = (record.requested, record.fingerprint)
    return any(fingerprint.has_more_steps_than(found) for found in there)


def _is_constant(fingerprint: Fingerprint) -> bool:
    return fingerprint.settings["schedule"] == "constant"


def fingerprint(config: Config, hashes: dict[str, str]) -> Fingerprint:
    """What identifies the result of a run; see `inputs.Inputs` for the hashes."""
    return Fingerprint.of(config, OPTIONS, hashes)


def steps_fingerprint(whole: Fingerprint) -> Fingerprint:
    """What decides the states of a run on its way, so that its checkpoints can be used.

    At a constant learning rate that does not depend on how many steps are still to come.
    """
    return whole.without("iterations") if _is_constant(whole) else whole


def default_path(config: Config, fingerprint: Fingerprint) -> Path:
    """runs/photo_painting-3f2a: readable, and the same for the same command."""
    names = [work_folder.slug(path, "picture") for path in (config.content, *config.style[:2])]
    return work_folder.default_path("_".join(names), fingerprint)
