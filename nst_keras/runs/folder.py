"""The run folder: its files, the job it belongs to, and how far that job is."""

import enum
import json
import os
import re
from pathlib import Path
from typing import Any

from nst_keras.runtime import checkpoints, files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config


class Status(enum.Enum):
    """What a run folder holds of the job that is asked for."""

    NEW = "new"
    BEGUN = "begun"
    FINISHED = "finished"


class RunFolder:
    """Paths inside a run folder, and its `run.json`."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.flags = self.path / "flags.cfg"
        self.record = self.path / "run.json"
        self.metrics = self.path / "metrics.jsonl"
        self.inputs = self.path / "inputs"
        self.iterations = self.path / "iterations"
        self.checkpoints = self.path / "checkpoints"
        self.events = self.path / "events"
        self.latest = self.path / "latest.jpg"
        self.result = self.path / "result.png"
        self.strip = self.path / "strip.png"
        self.side_by_side = self.path / "side_by_side.png"
        self.gif = self.path / "progress.gif"
        self.mp4 = self.path / "progress.mp4"
        self.page = self.path / "index.html"

    @property
    def content(self) -> Path:
        """A small copy of the content."""
        return self.inputs / "content.jpg"

    def style(self, number: int) -> Path:
        """A small copy of a style, the first of which is number 1."""
        return self.inputs / f"style_{number}.jpg"

    def iteration(self, step: int) -> Path:
        """The picture after a step."""
        return self.iterations / f"iteration_{step:05d}.jpg"

    def iterations_there(self) -> list[tuple[int, Path]]:
        """The pictures along the way as (step, path), in the order of steps."""
        found = []
        for path in self.iterations.glob("iteration_*.jpg"):
            if match := re.fullmatch(r"iteration_(\d+)", path.stem):
                found.append((int(match[1]), path))
        return sorted(found)

    def read_record(self) -> dict[str, Any]:
        """What `run.json` says; empty if there is none that can be read."""
        return files.read_json(self.record)

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace `run.json`."""
        files.write_text(self.record, json.dumps(record, indent=1, ensure_ascii=False) + "\n")

    def status(self, job: dict[str, str], *, overwrite: bool) -> Status:
        """Whether this folder can take the job, and how far it is.

        An unfinished run of the same job goes on even with `overwrite`, so that a command with that
        flag can be typed again after an interruption, too.

        Raises:
            InputError: it holds something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--workdir={self.path}: is a file, not a folder")
        if not self.path.exists():
            return Status.NEW
        if files.is_unused(self.path):
            return Status.NEW  # or killed before it had said what it is
        record = self.read_record()
        if record.get("status") == "preparing":
            return Status.NEW  # stopped before it had settled what to do
        if job in (record.get("job"), record.get("request")):
            return self._progress(record, overwrite=overwrite)
        if not record:
            raise InputError(
                f"--workdir={self.path}: is not empty and not a run folder; give another one"
            )
        if overwrite:
            return Status.NEW
        why = _difference(record, job)
        if self.prolongs(job):
            if job["schedule"] == "constant":
                return Status.BEGUN
            why += f"; under --schedule={job['schedule']} more steps would all have been others"
        raise InputError(
            f"--workdir={self.path}: holds another run ({why}); "
            "give another folder, or --overwrite to replace it"
        )

    def prolongs(self, job: dict[str, str]) -> bool:
        """Whether the job is the one of the folder but for more steps at full size."""
        record = self.read_record()
        return any(
            _is_longer(there, job)
            for there in (record.get("request"), record.get("job"))
            if isinstance(there, dict)
        )

    def is_complete(self) -> bool:
        """Whether a finished run was not killed in its very last moments."""
        if files.temporaries(self.path) or not self.page.exists():
            return False
        return self.page.stat().st_mtime_ns >= self.record.stat().st_mtime_ns

    def is_finished(self, job: dict[str, str]) -> bool:
        """Whether it holds the result of the job."""
        record = self.read_record()
        same = job in (record.get("job"), record.get("request"))
        return same and record.get("status") == "finished" and self.result.exists()

    def _progress(self, record: dict[str, Any], *, overwrite: bool) -> Status:
        if record.get("status") != "finished" or not self.result.exists():
            return Status.BEGUN
        return Status.NEW if overwrite else Status.FINISHED

    def remove_animations(self) -> None:
        """Of a run that goes on beyond its end."""
        for path in (self.gif, self.mp4):
            path.unlink(missing_ok=True)

    def prepare(self, request: dict[str, str]) -> None:
        """Make the folder for a job, empty of an earlier run.

        Raises:
            InputError: it cannot be written to.
        """
        with files.preparing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            # First of all the folder says whose it is, so that a crash here can be repeated.
            self.write_record({"status": "preparing", "request": request})
            self._clear()
            for folder in (self.inputs, self.iterations, self.checkpoints):
                folder.mkdir(exist_ok=True)

    def _clear(self) -> None:
        """Remove the files of an earlier run but for its record, and only those."""
        for path in (self.flags, self.metrics, self.latest, self.result):
            path.unlink(missing_ok=True)
        for path in (self.strip, self.side_by_side, self.gif, self.mp4, self.page):
            path.unlink(missing_ok=True)
        for folder, pattern in (
            (self.inputs, "*.jpg"),
            (self.iterations, "iteration_*.jpg"),
            (self.checkpoints, checkpoints.PATTERN),
            (self.events, "events.out.tfevents.*"),
        ):
            for path in folder.glob(pattern):
                path.unlink()


def describe_job(config: Config, hashes: dict[str, Any]) -> dict[str, str]:
    """All that decides the picture: settings by flag name, and hashes in place of files."""
    job = {
        name: option.format(getattr(config, name))
        for name, option in OPTIONS.items()
        if option.changes_result
        and getattr(config, name) is not None
        and (not option.hashed or getattr(config, name) in option.words)
    }
    job = {name: text for name, text in job.items() if text}
    return {**job, **{f"sha256 of {name}": str(value) for name, value in hashes.items()}}


def default_path(config: Config, job: dict[str, str]) -> Path:
    """runs/photo_painting-3f2a: readable, and the same for the same command."""
    names = [_slug(config.content), *(_slug(style) for style in config.style[:2])]
    return Path("runs") / f"{'_'.join(names)}-{files.digest(job)[:4]}"


def _slug(path: str) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(path).stem)[:24] or "picture"


def _difference(record: dict[str, Any], job: dict[str, str]) -> str:
    there = record.get("request")
    if not isinstance(there, dict):
        return "its run.json does not say of what"
    return difference(there, job)


def difference(there: dict[str, Any], job: dict[str, str]) -> str:
    """Which settings of two jobs differ, the first of which comes from a file."""
    names = [name for name in {**there, **job} if there.get(name) != job.get(name)]
    shown = [
        f"{name}: {_brief(there.get(name))} there, {_brief(job.get(name))} here"
        for name in names[:4]
    ]
    return "; ".join(shown) + ("; ..." if len(names) > 4 else "")


def _is_longer(there: dict[str, Any], job: dict[str, str]) -> bool:
    if [name for name in {**there, **job} if there.get(name) != job.get(name)] != ["iterations"]:
        return False
    return (
        "time_limit" not in job
        and str(there.get("iterations")).isdecimal()
        and (int(job["iterations"]) > int(there["iterations"]))
    )


def _brief(text: Any) -> str:
    if not isinstance(text, str):
        return "not set" if text is None else "no text"
    return text if len(text) <= 40 else text[:8] + "..."
