"""Writes the iteration images, the record and the page during a run, and at its end the result."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nst_keras.imaging import geometry, images
from nst_keras.runs import extras, gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.record import RunRecord
from nst_keras.runtime.background import Submit, at_once
from nst_keras.settings.config import Config
from nst_keras.transfer.iterate import Iterate

_THUMBNAIL = 1024  # px, longest side of the inputs' copies on the page
# Between renewals of the page: it holds megabytes, so long runs renew it less often.
_REFRESH_SECONDS = 20.0
_REFRESH_SHARE = 0.01  # of the time so far


class PictureWriter:
    """Writes what a person looks at; call it with every iterate.

    Args:
        record: that the run begins with.
        notes: its warnings, a list that may grow during the run.
        submit: takes the work of encoding and writing during the run; all of it must be done before
            `finish`, which reads what was written.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        record: RunRecord,
        notes: Sequence[str],
        submit: Submit = at_once,
    ):
        self.folder, self.config = folder, config
        self._record, self._notes = record, notes
        self._submit, self._refreshed = submit, time.monotonic()

    def __call__(self, iterate: Iterate) -> None:
        if iterate.is_pictured(self.config.image_every, self.config.image_at):
            path, image = self.folder.iteration(iterate.step), iterate.image
            self._submit(lambda: images.write_image(path, image))
        self._update(step=iterate.step, seconds=round(iterate.seconds, 1))
        pause = max(_REFRESH_SECONDS, _REFRESH_SHARE * iterate.seconds)
        due = time.monotonic() - self._refreshed >= pause and not iterate.is_last
        if due or iterate.stopped:  # a run that resumes after this step does not note it again
            self._show(iterate)
            self._refreshed = time.monotonic()

    def interrupt(self, iterate: Iterate) -> None:
        """Leave the newest picture, and a page that says how to resume."""
        self._update(status="interrupted")
        self._show(iterate)

    def end(self, status: str, reason: str = "") -> None:
        """Leave a record and a page that say how the run ended, at once."""
        self._update(status=status, reason=reason)
        self.refresh()

    def finish(self, iterate: Iterate) -> None:
        """Write the result, its scores and strips and the animations, and complete the page."""
        images.write_image(self.folder.latest, iterate.image)
        images.write_image(self.folder.result, iterate.image, self._record.png_texts())
        self._update(final_terms=iterate.evaluate())
        if self.config.scores:
            self._update(scores=extras.scores(iterate))
        extras.write_strips(self.folder, self.config, iterate.scale.height)
        extras.write_animations(self.folder, self.config)
        self._update(status="finished")
        self.refresh()

    def refresh(self) -> None:
        """Write the record and the page again, at once."""
        self._update()
        self._write_page(self._record)

    def _update(self, **changes: Any) -> None:
        self._record = dataclasses.replace(self._record, notes=tuple(self._notes), **changes)

    def _show(self, iterate: Iterate) -> None:
        self._update()
        image, record = iterate.image, self._record

        def write() -> None:
            images.write_image(self.folder.latest, image)
            self._write_page(record)

        self._submit(write)

    def _write_page(self, record: RunRecord) -> None:
        record.write(self.folder.record)
        gallery.write_page(self.folder)


def write_thumbnail(path: Path, pixels: np.ndarray) -> None:
    """Write a small copy of an input, RGB in [0, 1] (H, W, 3), for the page."""
    images.write_image(path, geometry.thumbnail(pixels, _THUMBNAIL))
