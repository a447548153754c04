"""The folder of a training: its files and its record."""

import dataclasses
import os
from pathlib import Path

from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import WorkFolder
from nst_keras.runs.record import Fingerprint, WorkRecord
from nst_keras.runtime import checkpoints
from nst_keras.training.config import OPTIONS, TrainConfig


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
    return folder_lib.default_path((config.backbone, source), fingerprint)
