"""Trials in batches, each a process; what a batch leaves undone is done one by one."""

import dataclasses
import logging
import sys
from collections.abc import Generator, Mapping, Sequence

from nst_keras import run_batch
from nst_keras.console import INTERRUPTED
from nst_keras.engines import LocalEngine, Outcome, Task
from nst_keras.sweep_folder import SweepFolder

_log = logging.getLogger("nst_keras")


class BatchEngine:
    """Has trials done in batches, and the others by an engine that does them one by one.

    Args:
        engine: runs processes.
        groups: names of trials that can be done at once.
        folder: of the sweep.
        jobs: of the trials, as their folders know them when they are finished.
        command: takes what `run_batch.join` makes of the arguments of a batch.
    """

    def __init__(
        self,
        engine: LocalEngine,
        groups: Sequence[Sequence[str]],
        folder: SweepFolder,
        jobs: Mapping[str, dict[str, str]],
        command: Sequence[str] = (sys.executable, "-m", "nst_keras.run_batch"),
    ):
        self._alone, self._groups, self._folder, self._jobs = engine, groups, folder, jobs
        self._together = LocalEngine(engine.slots, engine.retries, command)

    def run(
        self, tasks: Sequence[Task], stopping: Sequence[float]
    ) -> Generator[Outcome | None, None, None]:
        """As `engines.LocalEngine.run`."""
        batches = self._batches(tasks)
        taken = {task.name for batch in batches.values() for task in batch}
        left = [task for task in tasks if task.name not in taken]
        joined = [self._joined(name, batch) for name, batch in batches.items()]
        for outcome in self._together.run(joined, stopping):
            if outcome is None:
                yield None
                continue
            undone = yield from self._ended(outcome, batches[outcome.name])
            left += undone
        yield from self._alone.run(left, stopping)

    def _batches(self, tasks: Sequence[Task]) -> dict[str, list[Task]]:
        """Those groups of which nothing is finished, by names that no trial can have."""
        by_name = {task.name: task for task in tasks}
        whole = [group for group in self._groups if len(group) > 1 and by_name.keys() >= {*group}]
        return {
            f"batch {number}": [by_name[name] for name in group]
            for number, group in enumerate(whole, start=1)
        }

    def _joined(self, name: str, batch: Sequence[Task]) -> Task:
        arguments = run_batch.join([task.arguments for task in batch])
        return Task(name, arguments, self._folder.log(name).absolute())

    def _ended(
        self, outcome: Outcome, batch: Sequence[Task]
    ) -> Generator[Outcome, None, list[Task]]:
        """The outcomes of a batch's trials; returns those that are to be done one by one."""
        undone = []
        for task in batch:
            if self._folder.run(task.name).is_finished(self._jobs[task.name]):
                yield Outcome(task.name, 0)
            elif outcome.status == INTERRUPTED:
                yield dataclasses.replace(outcome, name=task.name)
            else:
                undone.append(task)
        if undone:
            _log.warning(
                "%s ended before it was done (%s); its trials go on one by one",
                outcome.name,
                outcome.error or f"exit status {outcome.status}",
            )
        return undone
