"""Runs trials as processes of this machine; `ray_engine` runs them on a cluster."""

import collections
import contextlib
import dataclasses
import logging
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from nst_keras.devices import memory
from nst_keras.devices.memory import MEMORY_SHARE
from nst_keras.runtime.cli import INTERRUPTED, StopSignal
from nst_keras.sweeps.folder import last_line, open_log

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")  # TensorFlow's and NumPy's
RUN = (sys.executable, "-m", "nst_keras.run")
# Ctrl-C reaches the sweep alone, which passes it on once, since a run that gets two signals of a
# kind ends at once. It passes on a signal that is rarely sent to all processes of a service, unlike
# SIGTERM; on Windows Ctrl-Break, since a terminated process cannot save its state there.
_DETACHED: dict[str, Any] = {"start_new_session": True}
if hasattr(subprocess, "CREATE_NEW_PROCESS_GROUP"):
    _DETACHED = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
_END: signal.Signals = getattr(signal, "CTRL_BREAK_EVENT", None) or signal.SIGUSR1


@dataclasses.dataclass(frozen=True)
class Task:
    """A trial, or a batch of trials, as an engine sees it."""

    name: str
    arguments: tuple[str, ...]  # of the program
    log: Path
    program: tuple[str, ...] = RUN
    parts: tuple["Task", ...] = ()  # the trials of a batch, which run one by one if it fails
    # Whether the trial is finished, perhaps by another process: then it must not start again.
    is_done: Callable[[], bool] = lambda: False
    # The reason of failure in the record of the run, perhaps of an earlier attempt.
    failure: Callable[[], str] = lambda: ""

    @property
    def trials(self) -> tuple["Task", ...]:
        """The trials of a batch, or the trial itself."""
        return self.parts or (self,)

    def failures(self) -> dict[str, str]:
        """The recorded reason of failure of each trial, by name."""
        return {trial.name: trial.failure() for trial in self.trials}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A trial that ended: the exit status of its run, and the reason unless that is 0."""

    name: str
    status: int
    error: str = ""


@dataclasses.dataclass
class _Attempt:
    task: Task
    process: subprocess.Popen
    retries: int  # that are left
    slot: int
    failures: dict[str, str]  # recorded by earlier attempts


class LocalEngine:
    """Runs as many trials at a time as there are slots, each in a process of its own.

    Args:
        slots: environment variables for the processes of each slot.
        retries: how often a trial is resumed whose process was lost, that is, killed by a signal.
    """

    def __init__(self, slots: Sequence[dict[str, str]], retries: int):
        self.slots, self.retries = slots, retries
        self._waited_for: set[str] = set()

    def run(
        self, tasks: Sequence[Task], stopping: StopSignal
    ) -> Generator[Outcome | None, None, None]:
        """Yield the outcome of each trial when it ends, and None several times a second.

        Once `stopping` is set no trial starts, and the running ones save their state.
        """
        waiting = collections.deque((task, self.retries) for task in tasks)
        running: list[_Attempt] = []
        signaled = False
        try:
            while running or (waiting and not stopping):
                if not stopping:
                    yield from self._start_some(waiting, running)
                elif not signaled:
                    signaled = True
                    _terminate(running)
                for attempt in [a for a in running if a.process.poll() is not None]:
                    running.remove(attempt)
                    again = [] if stopping else self._again(attempt)
                    waiting.extendleft(reversed(again))
                    yield from _outcomes(attempt, stopping, {task.name for task, _ in again})
                yield None
                time.sleep(_POLL_SECONDS)
        finally:
            _terminate(running)
            for attempt in running:
                attempt.process.wait()

    def _again(self, attempt: _Attempt) -> list[tuple[Task, int]]:
        """What to try again after a process has ended, with the retries that are left."""
        task, status = attempt.task, attempt.process.returncode
        left = [trial for trial in task.trials if status and not trial.is_done()]
        if not left:
            return []
        if status < 0 and attempt.retries and len(left) == len(task.trials):
            return [(task, attempt.retries - 1)]
        if not task.parts:
            return []
        error = _error(attempt, left[0]) or f"exit status {status}"
        _log.warning("%s failed (%s); running its trials one by one", task.name, error)
        return [(trial, self.retries) for trial in left]

    def _start_some(
        self, waiting: "collections.deque[tuple[Task, int]]", running: list[_Attempt]
    ) -> Iterator[Outcome]:
        """Start trials in free slots, except those that another process is running.

        Yields the outcomes of those that another process has finished meanwhile.
        """
        for _ in range(len(waiting)):
            if len(running) == len(self.slots):
                break
            task, retries = waiting.popleft()
            with _held(task) as logs:
                if not logs:
                    waiting.append((task, retries))
                    self._report_wait(task)
                elif done := [trial for trial in task.trials if trial.is_done()]:
                    left = [trial for trial in task.trials if trial not in done]
                    waiting.extendleft((trial, retries) for trial in reversed(left))
                    yield from (Outcome(trial.name, 0) for trial in done)
                else:
                    slot = min(set(range(len(self.slots))) - {attempt.slot for attempt in running})
                    failures = task.failures()
                    process = self._start(task, logs, slot)
                    running.append(_Attempt(task, process, retries, slot, failures))

    def _report_wait(self, task: Task) -> None:
        if task.name not in self._waited_for:
            self._waited_for.add(task.name)
            _log.warning("%s: waiting, another process is running it", task.name)

    def _start(self, task: Task, logs: Sequence[BinaryIO], slot: int) -> subprocess.Popen:
        log, *parts = logs
        log.write(f"nst_keras: on {platform.node()}\n".encode())
        log.flush()
        return subprocess.Popen(
            [*task.program, *task.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **self.slots[slot]},
            # A batch holds the logs of its trials until it ends, even if this process ends before.
            pass_fds=[part.fileno() for part in parts],
            **_DETACHED,
        )


@contextlib.contextmanager
def _held(task: Task) -> Iterator[list[BinaryIO]]:
    """Open the logs of a task and its parts; empty if another process holds one of them."""
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(open_log(part.log)) for part in (task, *task.parts)]
        held = [log for log in logs if log]
        yield held if len(held) == len(logs) else []


def make_slots(jobs: int | None) -> list[dict[str, str]]:
    """The environment variables of as many slots as `jobs`; by default one for each GPU, or one.

    Several slots share the GPUs, or the threads if there are none, and the memory.
    """
    gpus = memory.visible_gpus()
    jobs = jobs or max(1, len(gpus))
    shared: dict[str, str] = {}
    if (on_each := math.ceil(jobs / max(1, len(gpus)))) > 1:
        shared = {MEMORY_SHARE: f"{1 / on_each:.4f}"}
    if jobs > 1 and not gpus:
        threads = str(max(1, memory.cpu_cores() // jobs))
        shared |= {name: threads for name in THREADS if name not in os.environ}
    return [
        {**shared, "CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if len(gpus) > 1 else shared
        for slot in range(jobs)
    ]


def _outcomes(attempt: _Attempt, stopping: StopSignal, again: set[str]) -> Iterator[Outcome]:
    """The outcome of each trial of a process that ended, except those that are tried again."""
    task, status = attempt.task, attempt.process.returncode
    if stopping and -status in (_END, signal.SIGTERM):  # before it handled signals
        status = INTERRUPTED
    for trial in task.trials:
        if again & {trial.name, task.name}:
            continue
        if not status or ((status < 0 or task.parts) and trial.is_done()):
            yield Outcome(trial.name, 0)
        elif stopping and (status == INTERRUPTED or task.parts):  # no time to run these alone
            yield Outcome(trial.name, INTERRUPTED)
        else:
            yield Outcome(trial.name, max(status, 1), _error(attempt, trial))


def _error(attempt: _Attempt, trial: Task) -> str:
    """Why the process of a trial failed."""
    status = attempt.process.returncode
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"its process was killed ({signal.Signals(-status).name})"
    return failure_reason(trial, attempt.failures[trial.name], attempt.task.log)


def failure_reason(trial: Task, before: str, log: Path) -> str:
    """Why a trial failed: as its run recorded, or else the last line of the log.

    Args:
        before: the recorded reason when the attempt started. If it is still the same, the run may
            have ended before it could record another.
    """
    reason = trial.failure()
    return reason if reason and reason != before else last_line(log)


def _terminate(running: Sequence[_Attempt]) -> None:
    for attempt in running:
        with contextlib.suppress(OSError):  # the process has ended
            attempt.process.send_signal(_END)
