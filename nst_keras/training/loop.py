"""Epochs times batches: trains, validates, logs, saves, and goes on where it was stopped."""

import dataclasses
import json
import logging
import time
from typing import Any

import numpy as np
import tensorflow as tf

from nst_keras.network import weights
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer
from nst_keras.runtime.console import format_seconds
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.signals import StopSignal
from nst_keras.training import input_pipeline
from nst_keras.training import trainer as trainer_lib
from nst_keras.training.config import TrainConfig
from nst_keras.training.datasets import LabeledSet
from nst_keras.training.folder import BATCH_COLUMNS, EPOCH_COLUMNS, Table, TrainFolder
from nst_keras.training.input_pipeline import Augmentation
from nst_keras.training.trainer import Score, Trainer

_log = logging.getLogger(__name__)


_SECONDS_BETWEEN_LINES = 30.0
# What TensorFlow says of a file that is gone, locked or damaged, but of other things, too.
_UNREADABLE = (
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.InvalidArgumentError,
)


@dataclasses.dataclass
class TrainingProgress:
    """How far a training is; counts from 0, and of whole batches only."""

    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done; all of them: it is to be validated
    loss: float = 0.0  # sums over the epoch's batches so far
    accuracy: float = 0.0
    best_epoch: int = -1
    best_accuracy: float = -1.0
    best_loss: float = 0.0
    seconds: float = 0.0  # of work, over all resumes


class TrainLoop:
    """One training in its folder."""

    def __init__(
        self,
        config: TrainConfig,
        data: LabeledSet,
        trainer: Trainer,
        folder: TrainFolder,
        checkpointer: Checkpointer,
        stopping: StopSignal,
    ):
        self.config, self.data, self.trainer = config, data, trainer
        self.folder, self.checkpointer, self.stopping = folder, checkpointer, stopping
        self.batches = input_pipeline.batches_per_epoch(data.train, config.batch_size)
        self.total_steps = self.batches * config.epochs
        self.best: dict[str, np.ndarray] = {}  # the network of the best epoch
        self.state = self._restore()
        self._batch_rows = Table(folder.batches, BATCH_COLUMNS, self.step)
        # An epoch that is still to be validated has no row yet, or one that will be written again.
        whole = self.state.epoch * self.batches
        self._epoch_rows = Table(folder.epochs, EPOCH_COLUMNS, whole)
        self._events = _Events(folder) if config.tensorboard else None
        self._mark = time.monotonic()
        self._line_at, self._began_at = 0.0, (self.step, self.state.seconds)

    @property
    def step(self) -> int:
        """Batches done, over all epochs."""
        return self.state.epoch * self.batches + self.state.batch

    def run(self) -> bool:
        """Train to the end or to a stop signal; whether it is the end. The state is saved.

        Raises:
            InputError: a picture cannot be read, although it was checked before.
            FloatingPointError: the loss is not finite.
        """
        try:
            while not self._is_over():
                if not self._finish_epoch():
                    self._save()
                    return False
            return True
        except _UNREADABLE as error:
            found = input_pipeline.refusal(self.data.train) or input_pipeline.refusal(
                self.data.validation
            )
            if not found:
                raise
            raise InputError(found) from error
        finally:
            for log in (self._batch_rows, self._epoch_rows, self._events):
                if log:
                    log.close()

    def finish(self) -> dict[str, Any] | None:
        """Write the best weights; the figures for the record, or None if a stop signal came."""
        figures: dict[str, Any] = {"best_epoch": self.state.best_epoch + 1}
        if len(self.data.validation):
            figures["val_accuracy"] = self.state.best_accuracy
        with trainer_lib.loaded(self.trainer, self.best):
            weights.write_weights(self.folder.weights, self.trainer.weights())
            if self.data.test:
                score = self.trainer.evaluate(self.data.test, self.stopping)
                if score is None:
                    return None
                figures |= {"test_loss": score.loss, "test_accuracy": score.accuracy}
        return figures | {"epochs": self.state.epoch, "seconds": round(self.state.seconds, 1)}

    def _is_over(self) -> bool:
        waited = self.state.epoch - 1 - self.state.best_epoch
        if self.config.patience and self.state.epoch and waited >= self.config.patience:
            _log.info("no better validation accuracy for %d epochs: this is the end", waited)
            return True
        return self.state.epoch >= self.config.epochs

    def _finish_epoch(self) -> bool:
        """Train what is left of the epoch and validate; False if a stop signal came."""
        if self.state.batch < self.batches and not self._train_epoch():
            return False
        validation: Score | None = None
        if len(self.data.validation):
            validation = self.trainer.evaluate(self.data.validation, self.stopping)
            if validation is None:
                return False
        self._end_epoch(validation)
        self._save()
        # A signal that came just now, at the very end, leaves nothing to train.
        return not self.stopping or self._is_over()

    def _train_epoch(self) -> bool:
        config, state = self.config, self.state
        dataset = input_pipeline.training_batches(
            self.data.train,
            config.image_size,
            config.batch_size,
            Augmentation(config.flip, config.shift, config.color),
            seed=config.seed,
            epoch=state.epoch,
            first=state.batch,
        )
        for images, labels in self.trainer.batches(dataset):
            rate = self._learning_rate(self.step + 1)
            score = self.trainer.step(images, labels, rate)
            state.batch += 1
            state.loss += score.loss
            state.accuracy += score.accuracy
            self._log_batch(score, rate)
            if self.stopping:
                return False
            if state.batch < self.batches and self.checkpointer.is_due(self.step, self._clock()):
                self._save()
        return True

    def _learning_rate(self, step: int) -> float:
        config = self.config
        return trainer_lib.learning_rate(
            config.learning_rate, config.schedule, config.warmup_steps, step, self.total_steps
        )

    def _log_batch(self, score: Score, rate: float) -> None:
        state = self.state
        if self.step % self.config.log_every == 0:
            self._batch_rows.write(
                step=self.step,
                epoch=state.epoch + 1,
                batch=state.batch,
                loss=score.loss,
                accuracy=score.accuracy,
                learning_rate=rate,
            )
            if self._events:
                self._events.write(self.step, loss=score.loss, accuracy=score.accuracy)
        if self._clock() >= self._line_at:
            self._line_at = state.seconds + _SECONDS_BETWEEN_LINES
            _log.info("%s", self._describe())

    def _describe(self) -> str:
        """One line: epoch, batch, means over the epoch so far, speed and the time left."""
        state, (first, seconds) = self.state, self._began_at
        pace = (state.seconds - seconds) / max(1, self.step - first)
        return (
            f"epoch {state.epoch + 1}/{self.config.epochs} batch {state.batch}/{self.batches}  "
            f"loss {state.loss / state.batch:.4g}  accuracy {state.accuracy / state.batch:.1%}  "
            f"{self.config.batch_size / max(pace, 1e-9):.3g} pictures/s  "
            f"{format_seconds(pace * (self.total_steps - self.step))} left"
        )

    def _end_epoch(self, validation: Score | None) -> None:
        state, step = self.state, self.step
        row = {
            "loss": state.loss / self.batches,
            "accuracy": state.accuracy / self.batches,
            "val_loss": validation.loss if validation else None,
            "val_accuracy": validation.accuracy if validation else None,
        }
        rate = self._learning_rate(step)
        self._epoch_rows.write(step=step, epoch=state.epoch + 1, learning_rate=rate, **row)
        if self._events:
            figures = {f"epoch/{name}": v for name, v in row.items() if v is not None}
            self._events.write(step, **figures)
        if validation is None or self._is_better(validation):
            self._keep_best(validation)
        told = [f"{n} {v:.1%}" if "accuracy" in n else f"{n} {v:.4g}" for n, v in row.items() if v]
        _log.info("epoch %d/%d done: %s", state.epoch + 1, self.config.epochs, "  ".join(told))
        state.epoch, state.batch, state.loss, state.accuracy = state.epoch + 1, 0, 0.0, 0.0

    def _is_better(self, validation: Score) -> bool:
        """Of equal accuracies the one of the lower loss."""
        new, old = (
            (validation.accuracy, -validation.loss),
            (
                self.state.best_accuracy,
                -self.state.best_loss,
            ),
        )
        return new > old

    def _keep_best(self, validation: Score | None) -> None:
        self.state.best_epoch = self.state.epoch
        if validation:
            self.state.best_accuracy, self.state.best_loss = validation.accuracy, validation.loss
        self.best = self.trainer.network()
        weights.write_weights(self.folder.weights, self.trainer.weights())

    def _clock(self) -> float:
        """Seconds of work so far, over all resumes."""
        now = time.monotonic()
        self.state.seconds += now - self._mark
        self._mark = now
        return self.state.seconds

    def _save(self) -> None:
        """The state as a checkpoint, behind the rows that belong to it."""
        seconds = self._clock()
        self._batch_rows.sync()
        self._epoch_rows.sync()
        counts = json.dumps(dataclasses.asdict(self.state)).encode()
        arrays = self.trainer.arrays() | {"state": np.frombuffer(counts, np.uint8)}
        arrays |= {f"best/{name}": array for name, array in self.best.items()}
        self.checkpointer.save(Checkpoint(self.step, seconds, arrays))

    def _restore(self) -> TrainingProgress:
        saved = self.checkpointer.latest()
        for skipped in self.checkpointer.skipped:
            _log.warning("a checkpoint is left out: %s", skipped)
        if not saved:
            return TrainingProgress()
        self.trainer.restore(saved.arrays)
        self.best = {
            name.removeprefix("best/"): array
            for name, array in saved.arrays.items()
            if name.startswith("best/")
        }
        state = TrainingProgress(**json.loads(bytes(saved.arrays["state"])))
        _log.info("going on after epoch %d, batch %d", state.epoch + (state.batch > 0), state.batch)
        return state


class _Events:
    """TensorBoard events in the folder."""

    def __init__(self, folder: TrainFolder):
        self._writer = tf.summary.create_file_writer(str(folder.events))

    def write(self, step: int, **figures: float) -> None:
        with self._writer.as_default(step=step):
            for name, value in figures.items():
                tf.summary.scalar(name, value)

    def close(self) -> None:
        """Make the events durable."""
        self._writer.close()
