"""Writes the figures of a training to its folder."""

from nst_keras.runtime.progress import EventWriter
from nst_keras.runtime.tables import StepTable
from nst_keras.training.folder import TrainFolder

_BATCH_COLUMNS = ("step", "epoch", "batch", "loss", "accuracy", "learning_rate")
_EPOCH_COLUMNS = (
    *("step", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"),
)


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
        self._batches.write(step=step, **figures)
        if self._events:
            scalars = {name: figures[name] for name in ("loss", "accuracy")}
            self._events.write(step, scalars)

    def write_epoch(self, step: int, **figures: float | None) -> None:
        """Add a row to epochs.csv."""
        self._epochs.write(step=step, **figures)
        if self._events:
            names = ("loss", "accuracy", "val_loss", "val_accuracy")
            scalars = {f"epoch/{name}": figures[name] for name in names}
            self._events.write(step, {n: v for n, v in scalars.items() if v is not None})

    def sync(self) -> None:
        """Make the rows durable; a checkpoint must not be newer than they are."""
        self._batches.sync()
        self._epochs.sync()

    def close(self) -> None:
        """Make everything durable and close the files."""
        for file in (self._batches, self._epochs, self._events):
            if file:
                file.close()
