"""The folder of a training: its files, its record, and the tables that grow in it."""

import dataclasses
import os
from collections.abc import Mapping

from nst_keras.runs.folder import WorkFolder
from nst_keras.runs.record import WorkRecord
from nst_keras.runtime import checkpoints
from nst_keras.runtime.progress import EventWriter
from nst_keras.runtime.tables import StepTable

_BATCH_COLUMNS = ("step", "epoch", "batch", "loss", "accuracy", "learning_rate")
_SCORES = ("loss", "accuracy", "val_loss", "val_accuracy")
_EPOCH_COLUMNS = ("step", "epoch", *_SCORES, "learning_rate")


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
        self.labels = self.path / "labels.json"
        self.checkpoints = self.path / "checkpoints"
        self.events = self.path / "events"


class TrainingWriter:
    """Writes `batches.csv` and `epochs.csv`, and TensorBoard events where they are asked for.

    Args:
        step: batches done, over all epochs; the rows of later ones are dropped.
        validated_step: likewise for the epochs that are validated.
    """

    def __init__(self, folder: TrainFolder, step: int, validated_step: int, *, tensorboard: bool):
        self._batches = StepTable(folder.batches, _BATCH_COLUMNS, step)
        self._epochs = StepTable(folder.epochs, _EPOCH_COLUMNS, validated_step)
        self._events = EventWriter(folder.events) if tensorboard else None

    def write_batch(self, step: int, **figures: float) -> None:
        """Add a row to batches.csv."""
        self._write(self._batches, "", step, figures)

    def write_epoch(self, step: int, **figures: float | None) -> None:
        """Add a row to epochs.csv."""
        self._write(self._epochs, "epoch/", step, figures)

    def sync(self) -> None:
        """Make the rows durable; a checkpoint must not be newer than they are."""
        self._batches.sync()
        self._epochs.sync()

    def close(self) -> None:
        """Make everything durable and close the files."""
        for file in (self._batches, self._epochs, self._events):
            if file:
                file.close()

    def _write(
        self, table: StepTable, prefix: str, step: int, figures: Mapping[str, float | None]
    ) -> None:
        table.write(step=step, **figures)
        if self._events:
            scores = {f"{prefix}{name}": figures.get(name) for name in _SCORES}
            self._events.write(step, {n: v for n, v in scores.items() if v is not None})
