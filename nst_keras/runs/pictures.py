"""Writes the iteration images, the record and the page during a run, and at its end the result."""

import dataclasses
import time
from typing import Any

from nst_keras.imaging import images
from nst_keras.runs import extras, gallery
from nst_keras.runs.record import RunRecord
from nst_keras.runs.request import RequestedRun
from nst_keras.runtime.background import Submit, at_once
from nst_keras.transfer.iterate import Iterate

# Between renewals of the page: it holds megabytes, so long runs renew it less often.
_REFRESH_SECONDS = 20.0
_REFRESH_SHARE = 0.01  # of the time so far


class PictureWriter:
    """Writes what a person looks at; call it with every iterate.

    Args:
        run: with every setting decided.
        record: that the run begins with.
        submit: takes the work of encoding and writing during the run; all of it must be done before
            `finish`, which reads what was written.
    """

    def __init__(self, run: RequestedRun, record: RunRecord, submit: Submit = at_once):
        self.folder, self._run, self._record = run.folder, run, record
        self._submit, self._refreshed = submit, time.monotonic()

    def __call__(self, iterate: Iterate) -> None:
        settings = self._run.settings
        if iterate.is_pictured(settings.image_every, settings.image_at):
            path, image = self.folder.iteration(iterate.step), iterate.image
            self._submit(lambda: images.write_image(path, image))
        self._update(step=iterate.step, seconds=round(iterate.seconds, 1))
        pause = max(_REFRESH_SECONDS, _REFRESH_SHARE * iterate.seconds)
        due = time.monotonic() - self._refreshed >= pause and not iterate.is_last
        if due or iterate.stopped:  # a run that resumes after this step does not note it again
            self.show(iterate)
            self._refreshed = time.monotonic()

    def show(self, iterate: Iterate, **changes: Any) -> None:
        """Have the newest picture, the record with these changes, and the page written."""
        self._update(**changes)
        image, record = iterate.image, self._record

        def write() -> None:
            images.write_image(self.folder.latest, image)
            self._write_page(record)

        self._submit(write)

    def refresh(self, **changes: Any) -> None:
        """Write the record with these changes, and the page, at once."""
        self._update(**changes)
        self._write_page(self._record)

    def finish(self, iterate: Iterate) -> None:
        """Write the result, its scores and strips and the animations, and complete the page."""
        images.write_image(self.folder.latest, iterate.image)
        images.write_image(self.folder.result, iterate.image, self._record.png_texts())
        self._update(final_terms=iterate.evaluate())
        if self._run.settings.scores:
            self._update(scores=extras.scores(iterate))
        extras.write_strips(self.folder, self._run.settings, iterate.scale.height)
        extras.write_animations(self.folder, self._run.settings)
        self.refresh(status="finished")

    def _update(self, **changes: Any) -> None:
        self._record = dataclasses.replace(self._record, notes=tuple(self._run.notes), **changes)

    def _write_page(self, record: RunRecord) -> None:
        record.write(self.folder.record)
        gallery.write_page(self.folder)
