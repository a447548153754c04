"""The page of a training: its curves, which classes it confuses, and what it says of some pictures.

Like the page of a run, it needs no network and no other file.
"""

import dataclasses
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_keras.imaging.animation import evenly
from nst_keras.runs import page
from nst_keras.runs.embedding import data_uri
from nst_keras.runs.public import without_folders
from nst_keras.runs.renewals import Renewals
from nst_keras.runtime import files
from nst_keras.runtime.tables import read_steps
from nst_keras.training.config import TrainConfig
from nst_keras.training.datasets import Pictures
from nst_keras.training.folder import BATCH_COLUMNS, EPOCH_COLUMNS, TrainFolder

MAX_POINTS = 500  # of a curve
SAMPLES, SAMPLE_SIDE = 24, 160  # pictures with their predictions, and the side in px
MOST_CONFUSED = 300  # classes of which the page has a table: its size is their square


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What the finished network says of pictures that it was not trained with."""

    pictures: Pictures
    classes: np.ndarray  # int (N,): the class that it finds most likely
    kind: str  # of the pictures: validation or test

    def confusion(self, count: int) -> np.ndarray:
        """How many pictures of each class (rows) were taken for each class (columns)."""
        cells = np.bincount(self.pictures.labels * count + self.classes, minlength=count * count)
        return cells.reshape(count, count)

    def samples(self) -> list[int]:
        """Indices of some pictures, half of them wrong if there are as many, spread evenly."""
        right = self.classes == self.pictures.labels
        wrong = evenly(np.flatnonzero(~right).tolist(), SAMPLES // 2)
        return wrong + evenly(np.flatnonzero(right).tolist(), SAMPLES - len(wrong))


class TrainingPage:
    """Writes the page of a training again and again."""

    def __init__(self, folder: TrainFolder, config: TrainConfig, names: tuple[str, ...]):
        self._folder, self._config, self._names = folder, config, names
        self._renewals, self._is_written = Renewals(), False

    def refresh(self, place: str, share: float, seconds: float, left: float | None) -> None:
        """Write the page of a training at work unless that was done just before; see `page.state`.

        Args:
            seconds: of work so far.
        """
        if self._is_written and not self._renewals.is_due(seconds):
            return
        within = self._renewals.within(seconds)
        if self._is_written:
            self._renewals.note()
        self._is_written = True
        self._write(page.state("running", place, share, left, "", self._resume()), within)

    def stop(self, status: str, place: str, share: float, reason: str = "") -> None:
        """Write the page of a training that was interrupted or has failed."""
        known = [os.path.dirname(path) for path in (self._config.csv, self._config.folder) if path]
        told = without_folders(reason, known)
        self._write(page.state(status, place, share, None, told, self._resume()))

    def finish(self, predictions: Predictions | None) -> None:
        """Write the page of a finished training."""
        self._write("", None, predictions)

    def _resume(self) -> str:
        return f"nst train --workdir={self._folder.path.absolute().name}"

    def _write(
        self, state: str, within: float | None = None, predictions: Predictions | None = None
    ) -> None:
        data: dict[str, Any] = {
            "epochs": _columns(self._folder.epochs, EPOCH_COLUMNS),
            "batches": _columns(self._folder.batches, BATCH_COLUMNS),
            "classes": list(self._names),
            "confusion": None,
            "live": page.live(within),
        }
        samples = ""
        if predictions:
            if len(self._names) <= MOST_CONFUSED:
                data["confusion"] = predictions.confusion(len(self._names)).tolist()
            samples = self._samples(predictions)
        title = f"Training of {self._config.backbone.upper()}"
        text = page.fill_template(
            "training",
            title,
            data,
            description=f"{title}: {len(self._names)} classes",
            scripts=("renewal",),
            facts=self._facts(data["epochs"]),
            state=state,
            samples=samples,
            hide_samples="" if samples else " hidden",
            refresh=page.REFRESH if within is not None else "",
        )
        files.write_text(self._folder.page, text)

    def _facts(self, epochs: dict[str, list[float | None]]) -> str:
        done = len(epochs["epoch"])
        found = [f"{len(self._names)} classes", f"{done} of {self._config.epochs} epochs"]
        if best := [value for value in epochs["val_accuracy"] if value is not None]:
            found.append(f"{max(best):.1%} of validation pictures right in the best epoch")
        return " ".join(f"<span>{page.escape(fact)}</span>" for fact in found)

    def _samples(self, predictions: Predictions) -> str:
        """The pictures with their true and predicted classes."""
        figures = []
        for index in predictions.samples():
            pixels = predictions.pictures.read(index, SAMPLE_SIDE)
            truth = self._names[predictions.pictures.labels[index]]
            found = self._names[predictions.classes[index]]
            kind, mark = ("right", "\u2713") if found == truth else ("wrong", "\u2717")
            words = f"{mark} {found}" if found == truth else f"{mark} {found}, is {truth}"
            shown = page.image(_thumbnail(pixels), f"{truth}, taken for {found}")
            caption = f"<figcaption>{page.escape(words)}</figcaption>"
            figures.append(f'<figure class="{kind}">{shown}{caption}</figure>')
        return "".join(figures)


def _columns(path: Path, columns: tuple[str, ...]) -> dict[str, list[float | None]]:
    """The columns of a table of numbers; an empty cell is None."""
    rows = evenly(read_steps(path, columns), MAX_POINTS)
    return {name: [_number(row[index]) for row in rows] for index, name in enumerate(columns)}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _thumbnail(pixels: np.ndarray) -> dict[str, Any]:
    """The central square of a picture, uint8 (H, W, 3), as a data URI."""
    image = Image.fromarray(pixels)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    size = min(side, SAMPLE_SIDE)
    image = image.resize((size, size), box=(left, top, left + side, top + side))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return {"uri": data_uri(buffer.getvalue(), "WEBP"), "width": size, "height": size}
