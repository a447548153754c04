"""The folder of a training: its files, its record, and the tables that grow in it."""

import dataclasses
import os

from nst_keras.runs.folder import WorkFolder
from nst_keras.runs.record import WorkRecord
from nst_keras.runtime import checkpoints
from nst_keras.runtime.progress import EventWriter
from nst_keras.runtime.tables import StepTable

BATCH_COLUMNS = ("step", "epoch", "batch", "loss", "accuracy", "learning_rate")
_SCORES = ("loss", "accuracy", "val_loss", "val_accuracy")
EPOCH_COLUMNS = ("step", "epoch", *_SCORES, "learning_rate")


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
        *("flags.cfg", "batches.csv", "epochs.csv", "weights.npz", "labels.json", "index.html"),
        *(f"checkpoints/{checkpoints.PATTERN}", "events/events.out.tfevents.*"),
    )

    def __init__(self, path: str | os.PathLike):
        super().__init__(path)
        self.batches = self.path / "batches.csv"
        self.epochs = self.path / "epochs.csv"
        self.labels = self.path / "labels.json"
        self.page = self.path / "index.html"


class TrainingWriter:
    """Writes `batches.csv` and `epochs.csv`, and TensorBoard events where they are asked for.

    The rows after `step`, which counts batches over all epochs, are dropped; likewise those of
    epochs after `validated_step`.
    """

    def __init__(self, folder: TrainFolder, step: int, validated_step: int, *, tensorboard: bool):
        self._batches = StepTable(folder.batches, BATCH_COLUMNS, step)
        self._epochs = StepTable(folder.epochs, EPOCH_COLUMNS, validated_step)
        self._events = EventWriter(folder.events) if tensorboard else None

    def write(self, step: int, *, ends_epoch: bool, **figures: float | None) -> None:
        """Add a row to epochs.csv if it `ends_epoch`, otherwise to batches.csv."""
        table, prefix = (self._epochs, "epoch/") if ends_epoch else (self._batches, "")
        table.write(step=step, **figures)
        if self._events:
            scores = {f"{prefix}{name}": figures.get(name) for name in _SCORES}
            self._events.write(step, {n: v for n, v in scores.items() if v is not None})

    def sync(self) -> None:
        """Make the rows durable; a checkpoint must not be newer than they are."""
        self._batches.sync()
        self._epochs.sync()

    def close(self) -> None:
        """Make everything durable and close the files."""
        for file in (self._batches, self._epochs, self._events):
            if file:
                file.close()
