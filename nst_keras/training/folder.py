"""The folder of a training: its files, its record, and its two tables."""

import csv
import dataclasses
import io
import os
import re
from pathlib import Path
from typing import Any

from nst_keras.runs import work_folder
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.record import WorkRecord
from nst_keras.runs.work_folder import WorkFolder
from nst_keras.runtime import checkpoints, files
from nst_keras.training.config import OPTIONS, TrainConfig

BATCH_COLUMNS = ("step", "epoch", "batch", "loss", "accuracy", "learning_rate")
EPOCH_COLUMNS = ("step", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


@dataclasses.dataclass(frozen=True)
class TrainRecord(WorkRecord):
    """What a training says of itself; the figures are those of its end."""

    best_epoch: int | None = None  # counts from 1
    val_accuracy: float | None = None  # of the best epoch; accuracies are shares of 1
    test_loss: float | None = None
    test_accuracy: float | None = None
    epochs: int | None = None  # that were trained
    seconds: float | None = None  # of work, over all resumes


class TrainFolder(WorkFolder[TrainRecord]):
    """Paths inside the folder of a training, and its record `training.json`."""

    kind, record_name, result_name = "training", "training.json", "weights.npz"
    record_type = TrainRecord
    subfolders = ("checkpoints",)
    owned = (
        *("flags.cfg", "batches.csv", "epochs.csv", "weights.npz", "labels.json"),
        *(f"checkpoints/{checkpoints.PATTERN}", "events/events.out.tfevents.*"),
    )

    def __init__(self, path: str | os.PathLike):
        super().__init__(path)
        self.flags = self.path / "flags.cfg"
        self.batches = self.path / "batches.csv"
        self.epochs = self.path / "epochs.csv"
        self.weights = self.result
        self.labels = self.path / "labels.json"
        self.checkpoints = self.path / "checkpoints"
        self.events = self.path / "events"


def fingerprint(config: TrainConfig, hashes: dict[str, str]) -> Fingerprint:
    """What identifies the weights that a training ends with.

    Args:
        hashes: of the pictures and labels ('data') and of the weights it starts with ('initial').
    """
    return Fingerprint.of(config, OPTIONS, hashes)


def default_path(config: TrainConfig, fingerprint: Fingerprint) -> Path:
    """runs/vgg19_photos-3f2a: readable, and the same for the same command."""
    source = "cifar100" if config.cifar100 else str(config.csv or config.folder)
    name = work_folder.slug(source, "pictures")
    return work_folder.default_path(f"{config.backbone}_{name}", fingerprint)


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


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
