"""Where the iterates of a run go: checkpoints, metrics, pictures, TensorBoard and the terminal."""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator

from nst_keras.objective.term_names import kind_of
from nst_keras.runs import extras
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.metrics import MetricsWriter, TensorBoardWriter
from nst_keras.runs.pictures import PictureWriter
from nst_keras.runs.record import RunRecord
from nst_keras.runs.request import RequestedRun
from nst_keras.runtime import cli, console
from nst_keras.runtime.background import Background, Submit, at_once, no_wait
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import StepDropped, first_line
from nst_keras.runtime.progress import Reporter, format_seconds
from nst_keras.transfer.iterate import Iterate

_log = logging.getLogger(__name__)


class ProgressWriter:
    """Shows the newest iterate on standard error."""

    def __init__(self) -> None:
        self._newest: Iterate | None = None
        self._reporter = Reporter(self._describe, self._share)

    def __call__(self, iterate: Iterate) -> None:
        self._newest = iterate
        self._reporter.update(now=iterate.is_last)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._reporter.close()

    def _describe(self) -> str:
        return describe(self._newest) if self._newest else "starting"

    def _share(self) -> float:
        return self._newest.step / self._newest.total_steps if self._newest else 0.0


def describe(iterate: Iterate) -> str:
    """One line: scale, step, losses by kind, speed and the time left."""
    scale = iterate.scale
    losses: dict[str, float] = {}
    for name, value in iterate.terms.items():
        losses[kind_of(name)] = losses.get(kind_of(name), 0.0) + value
    parts = [
        f"scale {scale.index + 1}/{len(iterate.scales)} {scale.width}x{scale.height}",
        f"step {iterate.step}/{iterate.total_steps}",
        *(f"{kind} {value:.4g}" for kind, value in losses.items()),
    ]
    if math.isfinite(iterate.seconds_left):
        parts.append(f"{iterate.steps_per_second:.3g} steps/s")
        parts.append(f"{format_seconds(iterate.seconds_left)} left")
    return "  ".join(parts)


class RunWriter:
    """Writes everything that a run folder keeps.

    Args:
        run: with every setting decided.
        record: that the run begins with.
        background: does the writing.
    """

    def __init__(self, run: RequestedRun, record: RunRecord, background: Background):
        self._run, self._background = run, background
        self.resume_command = record.resume_command
        self.checkpointer = make_checkpointer(run, background.submit, background.wait)
        self._pictures = PictureWriter(run, record, background.submit)
        self._sinks: list[Callable[[Iterate], None]] = []

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
            self._pictures.refresh()
            folder, settings, submit = self._run.folder, self._run.settings, self._background.submit
            # The metrics are first: no checkpoint, which is written later, may be ahead of them.
            metrics = MetricsWriter(folder.metrics, settings.log_every, step, submit)
            writers: list[MetricsWriter | TensorBoardWriter | ProgressWriter] = [metrics]
            if settings.tensorboard:
                writers.append(TensorBoardWriter(folder.events, settings, step, submit))
            if not quiet:
                writers.append(ProgressWriter())
            for writer in writers:
                stack.enter_context(contextlib.closing(writer))
            self._sinks = [metrics, self._pictures, *writers[1:]]
            yield

    def take(self, iterate: Iterate) -> None:
        """Write and show what is due after a step."""
        for sink in self._sinks:
            sink(iterate)

    def interrupt(self, iterate: Iterate) -> None:
        """Leave the newest picture, and a page that says how to resume."""
        self._pictures.show(iterate, status="interrupted")

    def finish(self, iterate: Iterate) -> None:
        """Write the result and everything made of it; the background work must have ended."""
        folder = self._run.folder
        with console.noting(self._run.notes), self._recording_failure():
            self._pictures.finish(iterate)
            extras.copy_result(folder, self._run.settings)
        _log.info("result: %s", folder.result)
        _log.info("gallery: %s", folder.page)

    @contextlib.contextmanager
    def _recording_failure(self) -> Iterator[None]:
        """Have an error in the block recorded as the reason why the run failed."""
        try:
            yield
        except Exception as error:
            line, status = cli.explain(error)
            with contextlib.suppress(Exception):  # the first error is the one to report
                if isinstance(error, StepDropped) or status == cli.INTERRUPTED:
                    self._pictures.refresh(status="interrupted")
                else:
                    reason = line or f"{type(error).__name__}: {first_line(error)}"
                    self._pictures.refresh(status="failed", reason=reason)
            raise


def make_checkpointer(
    run: RequestedRun, submit: Submit = at_once, wait: Callable[[], None] = no_wait
) -> Checkpointer:
    """The checkpointer of a run with every setting decided; see `Checkpointer` for the others."""
    settings = run.settings
    fingerprint = folder_lib.fingerprint(settings, run.inputs.hashes)
    return Checkpointer(
        run.folder.checkpoints,
        folder_lib.steps_fingerprint(fingerprint).digest(),
        every=settings.checkpoint_every,
        minutes=settings.checkpoint_minutes,
        keep=settings.keep_checkpoints,
        submit=submit,
        wait=wait,
    )
