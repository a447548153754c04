"""Where the iterates of a job go: checkpoints, metrics, pictures, and those who watch."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from nst_keras import files, output, progress
from nst_keras.background import Background, Submit, at_once, no_wait
from nst_keras.checkpoints import Checkpointer
from nst_keras.config import Config
from nst_keras.progress import Iterate
from nst_keras.recorder import Recorder
from nst_keras.workdir import RunFolder

_log = logging.getLogger("nst_keras")


class Desk:
    """Writes what a run folder keeps.

    Args:
        config: settled.
        record: the first content of `run.json`.
        background: where the writing is done.
    """

    def __init__(
        self, folder: RunFolder, config: Config, record: dict[str, Any], background: Background
    ):
        self.folder, self.config = folder, config
        self.again: str = record["resume_command"]
        self._background = background
        self.checkpointer = make_checkpointer(
            config, folder, record["job"], background.submit, background.wait
        )
        self._pictures = Recorder(folder, config, record, background.submit)
        self._sinks: list[Callable[[Iterate], None]] = []

    @contextlib.contextmanager
    def open(self, *, quiet: bool) -> Iterator[None]:
        """Take iterates from the newest checkpoint on during the block."""
        saved = self.checkpointer.latest()
        step = saved.step if saved else 0
        del saved  # it is read again when it is needed
        for skipped in self.checkpointer.skipped:
            _log.warning("a checkpoint is left out: %s", skipped)
        if step:
            _log.info("going on after step %d", step)
        self._pictures.refresh()
        with contextlib.ExitStack() as stack:
            # First, since no checkpoint, which is written later, must be ahead of the metrics.
            metrics = stack.enter_context(contextlib.closing(self._metrics(step)))
            self._sinks = [metrics, self._pictures]
            for make in self._reporters(quiet=quiet):
                self._sinks.append(stack.enter_context(contextlib.closing(make(step))))
            yield

    def _metrics(self, step: int) -> progress.Writer:
        every = self.config.log_every
        return progress.MetricsWriter(self.folder.metrics, every, step, self._background.submit)

    def _reporters(self, *, quiet: bool) -> Iterator[Callable[[int], progress.Writer]]:
        """What tells of an iterate once it is kept, as asked for: TensorBoard, and the terminal."""
        if self.config.tensorboard:
            yield self._events
        if not quiet:
            yield lambda _: progress.make_reporter()

    def _events(self, step: int) -> progress.Writer:
        config = self.config
        return progress.TensorBoardWriter(
            self.folder.events,
            config.log_every,
            config.image_every,
            config.image_at,
            step,
            self._background.submit,
        )

    def take(self, iterate: Iterate) -> None:
        """Write and tell what is due."""
        for sink in self._sinks:
            sink(iterate)

    def interrupt(self, iterate: Iterate | None = None) -> None:
        """Leave a page that says how to go on, and the newest picture if it is at hand."""
        self._pictures.interrupt(iterate)

    def finish(self, iterate: Iterate) -> None:
        """Write the result and all that is made of it; the background must have ended."""
        self._pictures.finish(iterate)
        output.copy_result(self.folder, self.config)
        _log.info("result: %s", self.folder.result)
        _log.info("gallery: %s", self.folder.page)


def make_checkpointer(
    config: Config,
    folder: RunFolder,
    job: dict[str, str],
    submit: Submit = at_once,
    wait: Callable[[], None] = no_wait,
) -> Checkpointer:
    """That of a run folder, for the job that is described.

    Args:
        submit, wait: see `Checkpointer`.
    """
    return Checkpointer(
        folder.checkpoints,
        files.digest(_decisive(job)),
        every=config.checkpoint_every,
        minutes=config.checkpoint_minutes,
        keep=config.keep_checkpoints,
        submit=submit,
        wait=wait,
    )


def _decisive(job: dict[str, str]) -> dict[str, str]:
    """What of a job decides its states on the way: at a constant rate not how many are to come."""
    constant = job["schedule"] == "constant"
    return {name: text for name, text in job.items() if name != "iterations" or not constant}
