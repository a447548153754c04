"""The folder of a training: its files, the job it belongs to, and its two tables."""

import json
import os
import re
from pathlib import Path
from typing import Any

from nst_keras.runs.folder import Status, difference
from nst_keras.runtime import checkpoints, files
from nst_keras.runtime.errors import InputError
from nst_keras.training.config import OPTIONS, SOURCES, TrainConfig

BATCH_COLUMNS = ("step", "epoch", "batch", "loss", "accuracy", "learning_rate")
EPOCH_COLUMNS = ("step", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
# What counts of these is their content, which stands in the job as a hash.
_HASHED = (*SOURCES, "image_root", "validation_csv", "initial")


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


def describe_job(config: TrainConfig, hashes: dict[str, str]) -> dict[str, str]:
    """All that decides the weights: settings by flag name, and hashes in place of files."""
    job = {
        name: option.format(getattr(config, name))
        for name, option in OPTIONS.items()
        if option.changes_result and getattr(config, name) is not None and name not in _HASHED
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
