"""Where the iterates of a run go, and what is written of the last one."""

import contextlib
import dataclasses
import functools
import logging
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

from nst_keras.imaging import color_spaces, deep, images
from nst_keras.runs import extras, gallery, output_copy, setup
from nst_keras.runs.metrics import MetricsWriter
from nst_keras.runs.progress_line import ProgressWriter
from nst_keras.runs.record import RunRecord
from nst_keras.runs.region_pictures import write_prepared
from nst_keras.runs.renewals import PAUSED_SECONDS, Renewals
from nst_keras.runs.requested import RequestedRun
from nst_keras.runtime import cli
from nst_keras.runtime.background import Background
from nst_keras.runtime.errors import StepDropped
from nst_keras.runtime.progress import EventWriter, format_spent
from nst_keras.runtime.timeline import SCORES, WRITING, Timeline, describe_parts
from nst_keras.transfer.iterate import Iterate, References

_log = logging.getLogger(__name__)


class RunWriter:
    """Writes everything that a run folder keeps, of a planned run that begins with `record`."""

    def __init__(
        self,
        run: RequestedRun,
        record: RunRecord,
        background: Background,
        timeline: Timeline | None = None,
    ):
        self.folder, self.resume_command = run.folder, record.resume_command
        self.checkpointer = setup.make_checkpointer(run, background.submit, background.wait)
        self._run, self._record, self._submit = run, record, background.submit
        self._renewals = Renewals()
        self.is_stopped = False  # by a callback
        self._timeline, self._parts_before = timeline or Timeline(), dict(record.parts)

    @contextlib.contextmanager
    def open(self, *, quiet: bool) -> Iterator[None]:
        """Accept the iterates that follow the newest checkpoint, during the block."""
        saved = self.checkpointer.peek()
        step = saved.step if saved else 0
        del saved  # its arrays are large
        for message in self.checkpointer.ignored:
            _log.warning("%s", message)
        if step:
            _log.info("resuming after step %d", step)
        with self._recording_failure(), contextlib.ExitStack() as stack:
            self._refresh()
            settings = self._run.settings
            # The metrics are first: no checkpoint, which is written later, may be ahead of them.
            self._metrics = MetricsWriter(self.folder, settings.log_every, step, self._submit)
            self._sinks: list[Callable[[Iterate], None]] = [self._metrics, self.write_pictures]
            if settings.tensorboard:
                events = stack.enter_context(contextlib.closing(EventWriter(self.folder.events)))
                self._sinks.append(functools.partial(self._write_events, events, step))
            if not quiet:
                self._sinks.append(stack.enter_context(contextlib.closing(ProgressWriter())))
            self._sinks.append(self._tell_callbacks)
            yield

    def take(self, iterate: Iterate) -> None:
        """Write and show what is due after a step."""
        with self._timeline.part(WRITING):
            for sink in self._sinks:
                sink(iterate)

    def take_end(self, iterate: Iterate) -> None:
        """Write what is due of a step because it has become the last one after it was taken."""
        with self._timeline.part(WRITING):
            self._metrics(iterate)
            self.write_pictures(iterate)

    def _tell_callbacks(self, iterate: Iterate) -> None:
        self.is_stopped |= self._run.told.take(iterate)

    def parts(self) -> dict[str, float]:
        """Where the seconds of the run went so far, by part, over all resumes."""
        now = self._timeline.seconds()
        names = dict.fromkeys([*self._parts_before, *now])
        return {
            name: round(self._parts_before.get(name, 0.0) + now.get(name, 0.0), 2) for name in names
        }

    def finish(self, iterate: Iterate) -> None:
        """Write the result and everything made of it; the background work must have ended."""
        folder, settings = self.folder, self._run.settings
        profile = self._run.inputs.profile
        _log.info("writing the result and its page")
        with (
            cli.noting(self._run.notes),
            self._recording_failure(),
            self._timeline.part(WRITING),
        ):
            for earlier in (folder.gif, folder.mp4):  # of fewer steps, if it was killed at its end
                earlier.unlink(missing_ok=True)
            images.write_image(folder.latest, iterate.image, profile=profile)
            if settings.color in ("content_exact", "histogram"):
                images.write_image(folder.painted, iterate.painted, profile=profile)
            self._note_early_end(iterate)
            texts = self._record.png_texts()
            images.write_image(folder.result, iterate.image, texts, profile)
            if settings.bits == 16:
                deep.write_deep(folder.deep_result, iterate.image, profile)
            with Background() as beside:  # pictures of pictures need no TensorFlow
                beside.submit(lambda: self._write_made_of_pictures(iterate.scale.height))
                self._evaluate_result(iterate)
            extras.write_proof(folder, settings)
            extras.write_video(folder, settings)
            pending = os.path.abspath(settings.output) if settings.output else ""
            self._refresh(
                status="finished", parts=self.parts(), seconds_left=None, pending_copy=pending
            )
        if settings.output:
            with self._timeline.part(WRITING):  # if this fails, the run is finished nevertheless
                self._refresh(copies=output_copy.write(folder, settings), pending_copy="")
        parts = self._timeline.seconds()
        total = format_spent(sum(parts.values()))
        _log.info("time: %s, including %s", total, describe_parts(parts))
        _log.info("page: %s", folder.page.absolute().as_uri())

    def _write_made_of_pictures(self, height: int) -> None:
        """Write what takes seconds at most: strips, `height` px high, and the GIF."""
        extras.write_strips(self.folder, self._run.settings, height)
        extras.write_gif(self.folder, self._run.settings)

    def _evaluate_result(self, iterate: Iterate) -> None:
        """Have the record say the losses of the result and its scores."""
        self._update(final_terms=iterate.evaluate())
        if self._run.settings.scores:
            from nst_keras.runs import scores  # imports TensorFlow, which is there by now

            with self._timeline.part(SCORES):
                self._update(scores=scores.score_result(iterate))

    def _note_early_end(self, iterate: Iterate) -> None:
        """Have the record say that the run was asked to finish before its last step."""
        if iterate.ends_run and iterate.step < iterate.total_steps:
            scale = iterate.scale
            self._update(finished_early=iterate.step)
            _log.warning(
                "finished early, as asked on the live page: after step %d of %d, at %dx%d",
                *(iterate.step, iterate.total_steps, scale.width, scale.height),
            )

    def write_prepared(self, references: References) -> None:
        """Have pictures written of what the run makes of its inputs."""
        profile = self._run.inputs.profile
        self._submit(lambda: write_prepared(self.folder, self._run.settings, references, profile))

    def write_pictures(self, iterate: Iterate) -> None:
        """Write the iteration image, and show the step on the page, where these are due."""
        settings = self._run.settings
        if iterate.is_pictured(settings.image_every, settings.image_at):
            path, image = self.folder.iteration(iterate.step), iterate.image
            profile = self._run.inputs.profile
            self._submit(lambda: images.write_image(path, image, profile=profile))
        left = iterate.seconds_left
        self._update(
            step=iterate.step,
            seconds=round(iterate.seconds, 1),
            seconds_left=round(left, 1) if math.isfinite(left) else None,
        )
        due = self._renewals.is_due(iterate.seconds) and not iterate.is_last
        if due or iterate.stopped:  # a run that resumes after this step does not note it again
            self._renewals.note()
            self.show(iterate)

    def _write_events(self, events: EventWriter, resume_step: int, iterate: Iterate) -> None:
        """Write the losses that are logged and the image that is kept to TensorBoard."""
        step, settings = iterate.step, self._run.settings
        if step <= resume_step:
            return
        terms = iterate.terms if iterate.is_logged(settings.log_every) else {}
        pictured = iterate.is_pictured(settings.image_every, settings.image_at)
        image = iterate.image if pictured else None
        if image is not None and (profile := self._run.inputs.profile):
            space = color_spaces.from_icc(profile)
            image = space.to_srgb(image) if space else image
        if terms or image is not None:
            self._submit(lambda: events.write(step, terms, image))

    def show(self, iterate: Iterate, **changes: Any) -> None:
        """Have the newest picture, the record with these changes, and the page written."""
        self._update(**changes)
        image, record, within = iterate.image, self._record, self._within()

        def write() -> None:
            images.write_image(self.folder.latest, image, profile=self._run.inputs.profile)
            self._write_page(record, within)

        self._submit(write)

    def note_pause(self, iterate: Iterate, paused: bool) -> None:
        """Have the page say that the run waits, or that it goes on.

        While it waits, this is called at least every `renewals.PAUSED_SECONDS`.
        """
        self._renewals.skip()
        self.show(iterate, status="paused" if paused else "running")

    def _refresh(self, **changes: Any) -> None:
        """Write the record with these changes, and the page, at once."""
        self._update(**changes)
        self._write_page(self._record, self._within())

    def _update(self, **changes: Any) -> None:
        self._record = dataclasses.replace(self._record, notes=tuple(self._run.notes), **changes)

    def _within(self) -> float:
        within = self._renewals.within(self._record.seconds or 0.0)
        return max(within, PAUSED_SECONDS) if self._record.status == "paused" else within

    def _write_page(self, record: RunRecord, within: float) -> None:
        record.write(self.folder.record)
        gallery.write_page(self.folder, within)

    @contextlib.contextmanager
    def _recording_failure(self) -> Iterator[None]:
        """Have an error in the block recorded as the reason why the run failed."""
        try:
            yield
        except Exception as error:
            reason, status = cli.failure(error)
            with contextlib.suppress(Exception):  # the first error is the one to report
                if isinstance(error, StepDropped) or status == cli.INTERRUPTED:
                    self._refresh(status="interrupted", seconds_left=None)
                else:
                    self._refresh(status="failed", reason=reason, seconds_left=None)
            raise
