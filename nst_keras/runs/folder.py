"""The folder of a run or of a training: its files, its record, and how much of the work is done."""

import dataclasses
import enum
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from nst_keras.runs.record import Fingerprint, RunRecord, WorkRecord, checked
from nst_keras.runtime import checkpoints, files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config

_Record = TypeVar("_Record", bound=WorkRecord)


class Status(enum.Enum):
    """How much of the requested work is done in a folder."""

    NEW = "new"
    BEGUN = "begun"
    FINISHED = "finished"


class WorkFolder(Generic[_Record]):
    """A folder with the record of one run or training; subclasses say which, and list its files."""

    kind: ClassVar[str]  # for messages
    record_name: ClassVar[str]
    result_name: ClassVar[str]  # of the file that a finished run has
    subfolders: ClassVar[tuple[str, ...]]
    owned: ClassVar[tuple[str, ...]]  # patterns of files that a new run removes; no others
    record_type: type[_Record]

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.record = self.path / self.record_name
        self.result = self.path / self.result_name
        self.flags = self.path / "flags.cfg"
        self.checkpoints = self.path / "checkpoints"
        self.events = self.path / "events"

    def read_record(self) -> _Record:
        """The record; an empty one if there is none that can be read."""
        return checked(self.record_type, files.read_json(self.record))

    def update_record(self, **changes: Any) -> None:
        """Replace fields of the record."""
        dataclasses.replace(self.read_record(), **changes).write(self.record)

    def status(self, fingerprint: Fingerprint, *, overwrite: bool) -> Status:
        """Whether this folder can take the requested work, and how much of it is done.

        Unfinished work is resumed even with `overwrite`, so that a command with that flag can be
        repeated after an interruption, too. Raises InputError if something else is in the folder.
        """
        check_is_folder(self.path)
        with files.checking(f"--workdir={self.path}"):
            if not self.path.exists() or files.is_unused(self.path):
                return Status.NEW  # or killed before the record was written
        record = self.read_record()
        if not record:
            if self.record.exists():
                self.record.read_bytes()  # for the disk's error, which may be gone later
            raise InputError(
                f"--workdir={self.path}: is not empty and is not a {self.kind} folder; "
                "use another folder"
            )
        if record.status and not record.has_begun:
            return Status.NEW
        if record.is_of(fingerprint):
            if not self.is_finished(fingerprint):
                return Status.BEGUN
            return Status.NEW if overwrite else Status.FINISHED
        if overwrite:
            return Status.NEW
        if self.can_extend(record, fingerprint):
            return Status.BEGUN
        raise InputError(
            f"--workdir={self.path}: contains another {self.kind} "
            f"({self._difference(record, fingerprint)}); "
            "use another folder, or --overwrite to replace it"
        )

    def is_finished(self, fingerprint: Fingerprint) -> bool:
        """Whether the folder has the result that is asked for."""
        record = self.read_record()
        return record.is_of(fingerprint) and record.status == "finished" and self.result.exists()

    def can_extend(self, record: _Record, fingerprint: Fingerprint) -> bool:
        """Whether the work of the record can be continued into the work that is asked for."""
        return False

    def check_keeps(self, inputs: Mapping[str, Iterable[Path]]) -> None:
        """Raise InputError if `prepare` would delete a file that the new work reads.

        Args:
            inputs: the files, by the flag that names them.
        """
        if not self.path.is_dir():
            return
        owned = {path.resolve() for pattern in self.owned for path in self.path.glob(pattern)}
        for name, paths in inputs.items():
            for path in paths:
                if path.resolve() in owned:
                    raise InputError(
                        f"--{name}={path}: belongs to the {self.kind} in {self.path}, which would "
                        "be replaced; use another --workdir, or copy the file to another folder"
                    )

    def prepare(self, fingerprint: Fingerprint) -> None:
        """Make the folder for new work without files of earlier work, or raise InputError."""
        with files.preparing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            # The record comes first, so that a crash here leaves a folder that can be taken again.
            self.record_type(status="preparing", requested=fingerprint).write(self.record)
            for pattern in self.owned:
                for path in self.path.glob(pattern):
                    path.unlink()
            for name in self.subfolders:
                (self.path / name).mkdir(exist_ok=True)

    def _difference(self, record: _Record, fingerprint: Fingerprint) -> str:
        if not record.requested.settings:
            return f"{self.record_name} does not say which"
        # What was asked for leaves open what the other has decided, and the new command may not.
        known = [one for one in (record.requested, record.fingerprint) if one.settings]
        nearest = min(known, key=lambda one: len(one.differences(fingerprint)))
        return nearest.describe_differences(fingerprint)


class RunFolder(WorkFolder[RunRecord]):
    """Paths inside a run folder, and its record `run.json`."""

    kind, record_name, result_name = "run", "run.json", "result.png"
    record_type = RunRecord
    subfolders = ("inputs", "iterations", "checkpoints")
    owned = (
        *("flags.cfg", "metrics.jsonl", "latest.jpg", "result.png", "painted.png", "strip.png"),
        *("result.tif", "proof.png"),
        "result_in_*.png",
        *("side_by_side.png", "progress.gif", "progress.mp4", "index.html", "live.html"),
        *("regions/*.png", "regions/*.jpg"),
        *("inputs/*.jpg", "iterations/iteration_*.jpg", f"checkpoints/{checkpoints.PATTERN}"),
        "events/events.out.tfevents.*",
    )

    def __init__(self, path: str | os.PathLike):
        super().__init__(path)
        self.metrics = self.path / "metrics.jsonl"
        self.inputs = self.path / "inputs"
        self.regions = self.path / "regions"  # masks, and overlays that show them
        self.kept = self.regions / "content_keep.png"  # where the photo stays as it is
        self.content = self.inputs / "content.jpg"  # a small copy of the picture
        self.iterations = self.path / "iterations"
        self.latest = self.path / "latest.jpg"
        self.live = self.path / "live.html"  # leads to the live page, for a browser to be opened
        self.deep_result = self.path / "result.tif"  # with 16 bits
        self.painted = self.path / "painted.png"  # the result before `--color` changed its colors
        self.proof = self.path / "proof.png"  # the result as it would print
        self.strip = self.path / "strip.png"
        self.side_by_side = self.path / "side_by_side.png"
        self.gif = self.path / "progress.gif"
        self.mp4 = self.path / "progress.mp4"
        self.page = self.path / "index.html"

    def given(self, name: str, suffix: str) -> Path:
        """A picture that was given as an object in memory, such as 'style 1'.

        It is not among `owned`, since flags of the folder name it.
        """
        return self.inputs / f"given_{name.replace(' ', '_')}{suffix}"

    def style(self, number: int) -> Path:
        """A small copy of a style picture; the first has number 1."""
        return self.inputs / f"style_{number}.jpg"

    def colored_style(self, number: int) -> Path:
        """A small copy of a style in the photo's colors."""
        return self.inputs / f"colored_style_{number}.jpg"

    def recolored(self, kind: str) -> Path:
        """The result in the photo's colors, for one of the values of `--color`."""
        return self.path / f"result_in_{kind}.png"

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

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of `metrics.jsonl` by step: 'step', 'scale' (from 0), 'terms' (losses by name).

        Damaged lines are left out. Of several rows with one step the last counts.
        """
        rows: dict[int, dict[str, Any]] = {}
        if not self.metrics.exists():
            return []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                if files.is_deep(row):
                    continue
                step = int(row["step"])
                rows[step] = {"step": step, "scale": row.get("scale"), "terms": dict(row["terms"])}
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                continue
        return [rows[step] for step in sorted(rows)]

    def can_extend(self, record: RunRecord, fingerprint: Fingerprint) -> bool:
        """Whether only more steps are asked for, at a constant learning rate, as the last ones."""
        if not _has_fewer_steps(record, fingerprint):
            return False
        settings = fingerprint.settings
        are_last = settings.get("detail_iterations", "0") == "0"
        return are_last and settings["schedule"] == "constant"

    def _difference(self, record: RunRecord, fingerprint: Fingerprint) -> str:
        found = super()._difference(record, fingerprint)
        if _has_fewer_steps(record, fingerprint):
            schedule = fingerprint.settings["schedule"]
            found += f"; with --schedule={schedule} every step depends on how many there are"
        return found


def _has_fewer_steps(record: RunRecord, fingerprint: Fingerprint) -> bool:
    there = (record.requested, record.fingerprint)
    return any(fingerprint.has_more_steps_than(found) for found in there)


def existing(path: str, shown: str) -> RunFolder:
    """The folder of a run that has been begun, or an InputError, which begins with `shown`."""
    if not os.path.isdir(path):
        reason = "is not a folder" if os.path.exists(path) else files.missing(path, "folder")
        raise InputError(f"{shown}: {reason}; give a run folder")
    folder = RunFolder(path)
    if not folder.read_record():
        raise InputError(f"{shown}: is not a run folder; it has no run.json that can be read")
    return folder


def fingerprint(config: Config, hashes: dict[str, str]) -> Fingerprint:
    """What identifies the result of a run; see `inputs.Inputs` for the hashes."""
    return Fingerprint.of(config, OPTIONS, hashes)


def steps_fingerprint(whole: Fingerprint) -> Fingerprint:
    """What decides the intermediate states of a run, and so which checkpoints it can use.

    At a constant learning rate, the number of iterations is not part of it.
    """
    if whole.settings["schedule"] != "constant":
        return whole
    settings = {name: text for name, text in whole.settings.items() if name != "iterations"}
    return Fingerprint(settings, whole.hashes)


def default_path(sources: Iterable[str], fingerprint: Fingerprint) -> Path:
    """A path below `runs` that is readable, as runs/photo_painting-3f2a, and the same for the same
    command: it has at most 24 letters, and 72 bytes, of the name of each source."""
    slugs = (re.sub(r"[^\w.-]+", "-", Path(source).stem)[:24] for source in sources)
    short = (slug.encode()[:72].decode(errors="ignore") for slug in slugs)
    names = "_".join(slug or "pictures" for slug in short)
    return Path("runs") / f"{names}-{fingerprint.digest()[:4]}"


def check_is_folder(path: Path) -> None:
    """Raise InputError if a work folder can neither be at this path nor be made there."""
    with files.checking(f"--workdir={path}"):
        if path.exists() and not path.is_dir():
            raise InputError(f"--workdir={path}: is a file, not a folder")
    if files.is_url(str(path)):
        raise InputError(f"--workdir={path}: must be a folder; URLs are not written to")
    if link := files.dangling_link(path):
        raise InputError(f"--workdir={path}: cannot be made: {link}")
