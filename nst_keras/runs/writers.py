"""Where the iterates of a job go: checkpoints, metrics, pictures, and those who watch."""

import contextlib
import logging
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from nst_keras.runs import metrics as metrics_lib
from nst_keras.runs import pictures
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.pictures import PictureWriter
from nst_keras.runtime import console, files
from nst_keras.runtime.background import Background, Submit, at_once, no_wait
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.console import format_seconds
from nst_keras.settings.config import Config
from nst_keras.transfer.iterate import Iterate

_log = logging.getLogger(__name__)


class LineReporter:
    """Plain lines for logs: at each tenth of the job, but at least every half minute."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream
        self._next_share, self._next_seconds = 0.0, 0.0

    def __call__(self, iterate: Iterate) -> None:
        share = iterate.step / iterate.total_steps
        if (
            share < self._next_share
            and iterate.seconds < self._next_seconds
            and not iterate.is_last
        ):
            return
        self._next_share, self._next_seconds = share + 0.1, iterate.seconds + 30.0
        console.tell(describe(iterate), self._stream)

    def close(self) -> None:
        """Nothing is held open."""


class BarReporter:
    """A line and a bar below it, on a terminal."""

    def __init__(self) -> None:
        self._newest: Iterate | None = None
        self._bar = console.Bar(self._look)

    def __call__(self, iterate: Iterate) -> None:
        self._newest = iterate

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.close()

    def _look(self) -> tuple[str, float]:
        if self._newest is None:
            return "starting", 0.0
        return describe(self._newest), self._newest.step / self._newest.total_steps


def make_reporter() -> LineReporter | BarReporter:
    """A bar on a terminal, plain lines elsewhere."""
    return BarReporter() if sys.stderr.isatty() else LineReporter()


def describe(iterate: Iterate) -> str:
    """One line: scale, step, losses, speed and the time left."""
    scale = iterate.scale
    groups: dict[str, float] = {}
    for name, value in iterate.terms.items():
        group = name.split("/")[0]
        groups[group] = groups.get(group, 0.0) + value
    parts = [
        f"scale {scale.index + 1}/{len(iterate.scales)} {scale.width}x{scale.height}",
        f"step {iterate.step}/{iterate.total_steps}",
        *(f"{name} {value:.4g}" for name, value in groups.items()),
    ]
    if math.isfinite(iterate.seconds_left):
        parts.append(f"{iterate.steps_per_second:.3g} steps/s")
        parts.append(f"{format_seconds(iterate.seconds_left)} left")
    return "  ".join(parts)


class RunWriter:
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
        self._pictures = PictureWriter(folder, config, record, background.submit)
        self._sinks: list[Callable[[Iterate], None]] = []

    @contextlib.contextmanager
    def open(self, *, quiet: bool) -> Iterator[None]:
        """Take iterates from the newest checkpoint on during the block."""
        saved = self.checkpointer.peek()
        step = saved.step if saved else 0
        del saved  # its arrays are large
        for message in self.checkpointer.ignored:
            _log.warning("%s", message)
        if step:
            _log.info("resuming after step %d", step)
        self._pictures.refresh()
        with contextlib.ExitStack() as stack:
            # First, since no checkpoint, which is written later, must be ahead of the metrics.
            metrics = stack.enter_context(contextlib.closing(self._metrics(step)))
            self._sinks = [metrics, self._pictures]
            for make in self._reporters(quiet=quiet):
                self._sinks.append(stack.enter_context(contextlib.closing(make(step))))
            yield

    def _metrics(self, step: int) -> metrics_lib.Writer:
        every = self.config.log_every
        return metrics_lib.MetricsWriter(self.folder.metrics, every, step, self._background.submit)

    def _reporters(self, *, quiet: bool) -> Iterator[Callable[[int], metrics_lib.Writer]]:
        """What tells of an iterate once it is kept, as asked for: TensorBoard, and the terminal."""
        if self.config.tensorboard:
            yield self._events
        if not quiet:
            yield lambda _: make_reporter()

    def _events(self, step: int) -> metrics_lib.Writer:
        config = self.config
        return metrics_lib.TensorBoardWriter(
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
        pictures.copy_result(self.folder, self.config)
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
