"""Where the iterates of a run go: checkpoints, metrics, pictures, TensorBoard and the terminal."""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence

from nst_keras.objective.term_names import kind_of
from nst_keras.runs import output
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.folder import RunFolder, steps_fingerprint
from nst_keras.runs.metrics import MetricsWriter, TensorBoardWriter, Writer
from nst_keras.runs.pictures import PictureWriter
from nst_keras.runs.record import RunRecord
from nst_keras.runtime import cli
from nst_keras.runtime.background import Background, Submit, at_once
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import StepDropped, first_line
from nst_keras.runtime.progress import Reporter, format_seconds
from nst_keras.settings.config import Config
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
        kind = kind_of(name)
        losses[kind] = losses.get(kind, 0.0) + value
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
        config: with every setting decided.
        record: that the run begins with.
        notes: its warnings, a list that may grow during the run.
        background: does the writing.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        record: RunRecord,
        notes: Sequence[str],
        background: Background,
    ):
        self.folder, self.config = folder, config
        self.resume_command = record.resume_command
        self._background = background
        self.checkpointer = make_checkpointer(
            config, folder, record.fingerprint, background.submit, background.wait
        )
        self._pictures = PictureWriter(folder, config, record, notes, background.submit)
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
            writers = self._make_writers(step, quiet=quiet)
            opened = [stack.enter_context(contextlib.closing(writer)) for writer in writers]
            self._sinks = [opened[0], self._pictures, *opened[1:]]
            yield

    def take(self, iterate: Iterate) -> None:
        """Write and show what is due after a step."""
        for sink in self._sinks:
            sink(iterate)

    def interrupt(self, iterate: Iterate) -> None:
        """Leave the newest picture, and a page that says how to resume."""
        self._pictures.interrupt(iterate)

    def finish(self, iterate: Iterate) -> None:
        """Write the result and everything made of it; the background work must have ended."""
        with self._recording_failure():
            self._pictures.finish(iterate)
            output.copy_result(self.folder, self.config)
        _log.info("result: %s", self.folder.result)
        _log.info("gallery: %s", self.folder.page)

    def _make_writers(self, step: int, *, quiet: bool) -> list[Writer]:
        """The writers beside that of the pictures, for a run that resumes after a step."""
        config, folder, submit = self.config, self.folder, self._background.submit
        # The metrics are first: no checkpoint, which is written later, may be ahead of them.
        found: list[Writer] = [MetricsWriter(folder.metrics, config.log_every, step, submit)]
        if config.tensorboard:
            when = (config.log_every, config.image_every, config.image_at)
            found.append(TensorBoardWriter(folder.events, *when, step, submit))
        return found if quiet else [*found, ProgressWriter()]

    @contextlib.contextmanager
    def _recording_failure(self) -> Iterator[None]:
        """Have an error in the block recorded as the reason why the run failed."""
        try:
            yield
        except Exception as error:
            line, status = cli.explain(error)
            with contextlib.suppress(Exception):  # the first error is the one to report
                if isinstance(error, StepDropped) or status == cli.INTERRUPTED:
                    self._pictures.end("interrupted")
                else:
                    reason = line or f"{type(error).__name__}: {first_line(error)}"
                    self._pictures.end("failed", reason)
            raise


def make_checkpointer(
    config: Config,
    folder: RunFolder,
    fingerprint: Fingerprint,
    submit: Submit = at_once,
    wait: Callable[[], None] = lambda: None,
) -> Checkpointer:
    """The checkpointer of a run folder.

    Args:
        fingerprint: of the run, with every setting decided.
        submit, wait: see `Checkpointer`.
    """
    return Checkpointer(
        folder.checkpoints,
        steps_fingerprint(fingerprint).digest(),
        every=config.checkpoint_every,
        minutes=config.checkpoint_minutes,
        keep=config.keep_checkpoints,
        submit=submit,
        wait=wait,
    )
