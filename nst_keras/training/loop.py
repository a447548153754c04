"""The loop of a training: epochs of batches, validation, logs, checkpoints and resuming."""

import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from nst_keras.network import weights
from nst_keras.optimizers import schedules
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer
from nst_keras.runtime.cli import StopSignal
from nst_keras.runtime.errors import InputError, first_line
from nst_keras.runtime.progress import Reporter, fitting, format_seconds
from nst_keras.training import input_pipeline
from nst_keras.training.datasets import LabeledSet
from nst_keras.training.folder import TrainFolder, TrainingWriter
from nst_keras.training.page import Predictions, TrainingPage
from nst_keras.training.trainer import Score, Trainer

_log = logging.getLogger(__name__)
_KEPT_CHECKPOINTS = 2


@dataclasses.dataclass
class TrainingProgress:
    """The progress of a training in whole batches; counts start at 0."""

    epoch: int = 0
    batch: int = 0  # batches done in this epoch; when all are, validation is next
    loss: float = 0.0  # the sum of the means of this epoch's batches
    accuracy: float = 0.0  # likewise
    best_epoch: int = -1  # -1: none yet
    best_accuracy: float = -1.0
    best_loss: float = 0.0
    seconds: float = 0.0  # of work, over all resumes


class TrainLoop:
    """A training in its folder; resumes from the newest checkpoint of this `job`."""

    def __init__(
        self, data: LabeledSet, trainer: Trainer, folder: TrainFolder, job: str, stop: StopSignal
    ):
        self.data, self.trainer, self.folder, self.stop = data, trainer, folder, stop
        self.config = config = trainer.config
        self.checkpointer = Checkpointer(
            folder.checkpoints,
            job,
            every=config.checkpoint_every,
            minutes=config.checkpoint_minutes,
            keep=_KEPT_CHECKPOINTS,
        )
        self.batches = len(data.train) // config.batch_size
        self.total_steps = self.batches * config.epochs
        self.progress = TrainingProgress()
        self.best: Mapping[str, np.ndarray] = {}  # the network of the best epoch
        self._restore()
        self._schedule = schedules.make_schedule(
            config.schedule,
            config.learning_rate,
            steps=self.total_steps,
            end=0.0,
            fall_steps=self.total_steps,  # so that the last step still has a rate above 0
            warmup_steps=config.warmup_steps,
        )
        validated = self.progress.epoch * self.batches
        self._writer = TrainingWriter(folder, self.step, validated, tensorboard=config.tensorboard)
        self._page = TrainingPage(folder, config, data.names)
        self._mark = time.monotonic()
        self._resumed_at = self.step
        # Where the pace is measured from: after the first step, which compiles.
        self._paced_from: tuple[int, float] | None = None
        self._reporter: Reporter | None = None

    @property
    def step(self) -> int:
        """Batches done, over all epochs."""
        return self.progress.epoch * self.batches + self.progress.batch

    def run(self, *, quiet: bool) -> dict[str, Any] | None:
        """Train, then write the best weights and test them; report progress unless `quiet`.

        Returns the figures for the record, or None if a stop signal came; the state is saved.

        Raises:
            InputError: a picture cannot be read, although it was checked before.
            FloatingPointError: the loss is not finite.
        """
        try:
            figures = self._finish() if self._take_epochs(quiet=quiet) else None
        except Exception as error:
            with contextlib.suppress(Exception):  # the first error is the one to report
                self._page.stop("failed", self._place(), self._share(), first_line(error))
            raise
        if figures is None:
            self._page.stop("interrupted", self._place(), self._share())
        return figures

    def _take_epochs(self, *, quiet: bool) -> bool:
        """Train to the end; False if a stop signal came before."""
        if not quiet:
            self._reporter = Reporter(self._describe, self._share, by_share=False)
        try:
            while not self._is_over():
                self._refresh_page()
                if not self._finish_epoch():
                    self._save()
                    return False
            return True
        except tf.errors.InvalidArgumentError as error:
            if message := input_pipeline.unreadable(error):
                raise InputError(message) from error
            raise
        finally:
            if self._reporter:
                self._reporter.close()
            self._writer.close()

    def _finish(self) -> dict[str, Any] | None:
        progress = self.progress
        figures: dict[str, Any] = {"best_epoch": progress.best_epoch + 1}
        if len(self.data.validation):
            figures["val_accuracy"] = progress.best_accuracy
        self.trainer.restore({"model": self.best})
        weights.write_weights(self.folder.result, self.trainer.weights())
        if self.data.test:
            score = self.trainer.evaluate(self.data.test, self.stop)
            if score is None:
                return None
            figures |= {"test_loss": score.loss, "test_accuracy": score.accuracy}
        if not self._write_final_page():
            return None
        return figures | {"epochs": progress.epoch, "seconds": round(progress.seconds, 1)}

    def _write_final_page(self) -> bool:
        """Write the page with what the best weights say of unseen pictures; False if a stop signal
        came."""
        kind, pictures = (
            ("test", self.data.test) if self.data.test else ("validation", self.data.validation)
        )
        if not len(pictures):
            self._page.finish(None)
            return True
        classes = self.trainer.predict(pictures, self.stop)
        if classes is None:
            return False
        self._page.finish(Predictions(pictures, classes, kind))
        return True

    def _refresh_page(self) -> None:
        left = self._seconds_left()
        self._page.refresh(self._place(), self._share(), self.progress.seconds, left)

    def _place(self) -> str:
        progress = self.progress
        epochs = self.config.epochs
        epoch = f"epoch {min(progress.epoch + 1, epochs):,} of {epochs:,}"
        return f"{epoch}, batch {progress.batch:,} of {self.batches:,}"

    def _share(self) -> float:
        return self.step / self.total_steps

    def _is_over(self) -> bool:
        epoch, patience = self.progress.epoch, self.config.patience
        waited = epoch - 1 - self.progress.best_epoch
        if patience and epoch and waited >= patience:
            _log.info("stopping early: no better validation accuracy for %d epochs", waited)
            return True
        return epoch >= self.config.epochs

    def _finish_epoch(self) -> bool:
        """Train the rest of the epoch and validate; False if a stop signal came."""
        if self.progress.batch < self.batches and not self._train_epoch():
            return False
        validation: Score | None = None
        if len(self.data.validation):
            validation = self.trainer.evaluate(self.data.validation, self.stop)
            if validation is None:
                return False
        self._end_epoch(validation)
        self._save()
        # After the last epoch a signal comes too late to matter.
        return not self.stop or self._is_over()

    def _train_epoch(self) -> bool:
        progress = self.progress
        dataset = input_pipeline.training_batches(
            self.data.train, self.config, epoch=progress.epoch, first=progress.batch
        )
        for images, labels in self.trainer.batches(dataset):
            rate = self._learning_rate(self.step)
            score = self.trainer.step(images, labels, rate)
            progress.batch += 1
            progress.loss += score.loss
            progress.accuracy += score.accuracy
            if self.step % self.config.log_every == 0:
                row = {"epoch": progress.epoch + 1, "batch": progress.batch, **vars(score)}
                self._writer.write(self.step, ends_epoch=False, learning_rate=rate, **row)
            self._count_seconds()
            self._paced_from = self._paced_from or (self.step, progress.seconds)
            self._refresh_page()
            if self._reporter:
                self._reporter.update(now=self.step == self._resumed_at + 1)
            if self.stop:
                return False
            is_due = self.checkpointer.is_due(self.step, progress.seconds)
            if is_due and progress.batch < self.batches:
                self._save()
        return True

    def _learning_rate(self, step: int) -> float:
        """The learning rate of a step, which counts from 0."""
        return float(self._schedule(tf.constant(step)))

    def _describe(self, columns: int) -> str:
        """One line that fits so many columns: epoch, batch, means over the epoch so far, speed, and
        the time left."""
        progress, done = self.progress, self.progress.batch
        place = f"epoch {progress.epoch + 1}/{self.config.epochs} batch {done}/{self.batches}"
        parts = [(0, place)]
        if done:
            parts.append((3, f"loss {progress.loss / done:.4g}"))
            parts.append((2, f"accuracy {progress.accuracy / done:.1%}"))
        if pace := self._seconds_per_step():
            parts.append((4, f"{self.config.batch_size / pace:.3g} pictures/s"))
            parts.append((1, f"{format_seconds(pace * (self.total_steps - self.step))} left"))
        return fitting(parts, columns)

    def _seconds_per_step(self) -> float | None:
        """The mean since the first step of this process, which compiles; None before the next."""
        first, seconds = self._paced_from or (self.step, self.progress.seconds)
        if self.step <= first or self.progress.seconds <= seconds:
            return None
        return (self.progress.seconds - seconds) / (self.step - first)

    def _seconds_left(self) -> float | None:
        pace = self._seconds_per_step()
        return pace * (self.total_steps - self.step) if pace else None

    def _end_epoch(self, validation: Score | None) -> None:
        progress = self.progress
        figures = {
            "loss": progress.loss / self.batches,
            "accuracy": progress.accuracy / self.batches,
            "val_loss": validation.loss if validation else None,
            "val_accuracy": validation.accuracy if validation else None,
        }
        place = {"epoch": progress.epoch + 1, "learning_rate": self._learning_rate(self.step - 1)}
        self._writer.write(self.step, ends_epoch=True, **place, **figures)
        shown = [
            f"{name} {value:.1%}" if "accuracy" in name else f"{name} {value:.4g}"
            for name, value in figures.items()
            if value is not None
        ]
        _log.info("epoch %d/%d done: %s", progress.epoch + 1, self.config.epochs, "  ".join(shown))
        if validation is None or self._is_better(validation):
            if validation:
                progress.best_accuracy, progress.best_loss = validation.accuracy, validation.loss
            progress.best_epoch = progress.epoch
            self.best = self.trainer.state()["model"]
            weights.write_weights(self.folder.result, self.trainer.weights())
        progress.epoch += 1
        progress.batch, progress.loss, progress.accuracy = 0, 0.0, 0.0

    def _is_better(self, validation: Score) -> bool:
        """Whether the accuracy is higher than the best one, or equal with a lower loss."""
        best = self.progress.best_accuracy, -self.progress.best_loss
        return (validation.accuracy, -validation.loss) > best

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._mark
        self._mark = now

    def _save(self) -> None:
        """Save a checkpoint, after the rows that belong to it."""
        self._count_seconds()
        self._writer.sync()
        counts = json.dumps(dataclasses.asdict(self.progress)).encode()
        state = self.trainer.state() | {
            "best": self.best,
            "progress": {"json": np.frombuffer(counts, np.uint8)},
        }
        self.checkpointer.save(Checkpoint(self.step, self.progress.seconds, state))

    def _restore(self) -> None:
        """Take up the state of the newest checkpoint, if there is one."""
        saved = self.checkpointer.latest()
        for message in self.checkpointer.ignored:
            _log.warning("%s", message)
        if not saved:
            return
        self.trainer.restore(saved.state)
        self.best = saved.state.get("best", {})
        progress = TrainingProgress(**json.loads(bytes(saved.state["progress"]["json"])))
        _log.info("resuming at epoch %d, batch %d", progress.epoch + 1, progress.batch + 1)
        self.progress = progress
