"""The folder of a training: its files, the job it belongs to, and its two tables."""

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

from nst_keras.runs.folder import Status, difference
from nst_keras.runtime import checkpoints, files
from nst_keras.runtime.errors import InputError
from nst_keras.training.config import OPTIONS, TrainConfig

BATCH_COLUMNS = ("step", "epoch", "batch", "loss", "accuracy", "learning_rate")
EPOCH_COLUMNS = ("step", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


class TrainFolder:
    """Paths inside the folder, and its record."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.flags = self.path / "flags.cfg"
        self.record = self.path / "training.json"
        self.batches = self.path / "batches.csv"
        self.epochs = self.path / "epochs.csv"
        self.weights = self.path / "weights.npz"
        self.labels = self.path / "labels.json"
        self.checkpoints = self.path / "checkpoints"
        self.events = self.path / "events"

    def read_record(self) -> dict[str, Any]:
        """What `training.json` says; empty if there is none that can be read."""
        return files.read_json(self.record)

    def write_record(self, **fields: Any) -> None:
        """Replace these fields of `training.json`."""
        self._write(self.read_record() | fields)

    def status(self, job: dict[str, str], *, overwrite: bool) -> Status:
        """Whether this folder can take the job, and how far it is.

        Raises:
            InputError: it holds something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--workdir={self.path}: is a file, not a folder")
        if not self.path.exists() or files.is_unused(self.path):
            return Status.NEW
        record = self.read_record()
        if not record:
            raise InputError(f"--workdir={self.path}: is not empty and holds no training")
        if record.get("status") == "preparing":
            return Status.NEW  # stopped before it had begun
        if record.get("job") == job:
            if record.get("status") != "finished" or not self.weights.exists():
                return Status.BEGUN
            return Status.NEW if overwrite else Status.FINISHED
        if not overwrite:
            raise InputError(
                f"--workdir={self.path}: holds another training ({_difference(record, job)}); "
                "give another folder, or --overwrite to replace it"
            )
        return Status.NEW

    def prepare(self, job: dict[str, str], status: Status) -> None:
        """Make the folder, for a new job empty of an earlier one.

        Raises:
            InputError: it cannot be written to.
        """
        with files.preparing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            if status is Status.NEW:
                # The folder says whose it is first of all, so that a crash here can be repeated.
                self._write({"status": "preparing", "job": job})
                self._clear()

    def _write(self, record: dict[str, Any]) -> None:
        files.write_text(self.record, json.dumps(record, indent=1, ensure_ascii=False) + "\n")

    def _clear(self) -> None:
        """Remove the files of an earlier training but for its record, and only those."""
        for path in (self.flags, self.batches, self.epochs, self.weights, self.labels):
            path.unlink(missing_ok=True)
        for path in self.checkpoints.glob(checkpoints.PATTERN):
            path.unlink()
        for path in self.events.glob("events.out.tfevents.*"):
            path.unlink()


class Table:
    """A CSV file that grows by rows, without clock readings; the first column is the step.

    Opened for a resume, it forgets the rows behind that step, which will be written again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], resume_step: int):
        kept = [row for row in read_table(path, columns) if int(row["step"]) <= resume_step]
        self.columns = columns
        text = "".join(_csv_line([row[name] for name in columns]) for row in kept)
        files.write_text(path, _csv_line(list(columns)) + text)
        self._file = open(path, "a", 1, "utf-8", newline="")  # noqa: SIM115  open for the whole run

    def write(self, **cells: Any) -> None:
        """Add a row; numbers with six digits, None as an empty cell."""
        self._file.write(_csv_line([_text(cells[name]) for name in self.columns]))

    def sync(self) -> None:
        """Make the rows durable: they must not fall behind a checkpoint."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self.sync()
        self._file.close()


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The whole rows of a table; empty if there is none."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]  # a crash may have cut the last row
    header, *lines = whole.splitlines() or [""]
    if header != ",".join(columns):
        return []
    # No cell is quoted: to a CSV reader, one damaged letter could join all rows behind it.
    rows = [dict(zip(columns, line.split(","), strict=False)) for line in lines]
    return [row for row in rows if len(row) == len(columns) and _is_step(row["step"])]


def _is_step(text: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,18}", text))


def describe_job(config: TrainConfig, hashes: dict[str, str]) -> dict[str, str]:
    """All that decides the weights: settings by flag name, and hashes in place of files."""
    job = {
        name: option.format(getattr(config, name))
        for name, option in OPTIONS.items()
        if option.changes_result and getattr(config, name) is not None and not option.hashed
    }
    return {**job, **{f"sha256 of {name}": value for name, value in hashes.items()}}


def default_path(config: TrainConfig, job: dict[str, str]) -> Path:
    """runs/vgg19_photos-3f2a: readable, and the same for the same command."""
    source = "cifar100" if config.cifar100 else Path(str(config.csv or config.folder)).stem
    slug = re.sub(r"[^\w.-]+", "-", source)[:24] or "pictures"
    return Path("runs") / f"{config.backbone}_{slug}-{files.digest(job)[:4]}"


def _difference(record: dict[str, Any], job: dict[str, str]) -> str:
    there = record.get("job")
    if not isinstance(there, dict):
        return "its training.json does not say of what"
    return difference(there, job)


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
