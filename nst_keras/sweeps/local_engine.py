"""Trials as processes of this machine; `ray_engine` has the same on a cluster."""

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
from nst_keras.devices.memory import MEMORY_SHARE, visible_gpus
from nst_keras.runtime.cli import INTERRUPTED
from nst_keras.runtime.signals import StopSignal
from nst_keras.sweeps.folder import last_line, open_log

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")  # TensorFlow's and NumPy's
RUN = (sys.executable, "-m", "nst_keras.run")
RUN_BATCH = (sys.executable, "-m", "nst_keras.run_batch")
# Ctrl-C reaches the sweep alone, which passes it on once: a run takes two signals of a kind for an
# order to drop everything. So it is passed on as a kind that is rarely sent to all processes of a
# service, as SIGTERM is; on Windows as Ctrl-Break, since to be ended there saves nothing.
_APART: dict[str, Any] = {"start_new_session": True}
if hasattr(subprocess, "CREATE_NEW_PROCESS_GROUP"):
    _APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
_END: signal.Signals = getattr(signal, "CTRL_BREAK_EVENT", None) or signal.SIGUSR1


@dataclasses.dataclass(frozen=True)
class Task:
    """What an engine needs to know of a trial, or of a batch of them."""

    name: str
    arguments: tuple[str, ...]  # of the program
    log: Path
    program: tuple[str, ...] = RUN
    parts: tuple["Task", ...] = ()  # the trials of a batch, which go on one by one where it fails
    # Asked before it is begun: with the same arguments it might be made anew.
    is_done: Callable[[], bool] = lambda: False

    @property
    def trials(self) -> tuple["Task", ...]:
        """Those that it stands for."""
        return self.parts or (self,)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A trial that ended: the exit status of its run, and why, where that is not 0."""

    name: str
    status: int
    error: str = ""


@dataclasses.dataclass
class _Attempt:
    task: Task
    process: subprocess.Popen
    retries: int  # that are left
    slot: int


class LocalEngine:
    """Runs as many trials at a time as there are `slots`, each a process of its own.

    Args:
        slots: what each slot's processes have in their environment beside what is there.
        retries: how often a trial goes on whose process was lost, that is, killed by a signal.
    """

    def __init__(self, slots: Sequence[dict[str, str]], retries: int):
        self.slots, self.retries = slots, retries
        self._told_of: set[str] = set()

    def run(
        self, tasks: Sequence[Task], stopping: StopSignal
    ) -> Generator[Outcome | None, None, None]:
        """Each trial's outcome as it ends, and None in between, several times a second.

        Once `stopping` is set no trial starts, and the running ones save their state.
        """
        waiting = collections.deque((task, self.retries) for task in tasks)
        running: list[_Attempt] = []
        told = False
        try:
            while running or (waiting and not stopping):
                if not stopping:
                    yield from self._start_some(waiting, running)
                elif not told:
                    told = True
                    _terminate(running)
                for attempt in [one for one in running if one.process.poll() is not None]:
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
        """What of a process that ended is to be tried again, and how often if that is lost."""
        task, status = attempt.task, attempt.process.returncode
        left = [one for one in task.trials if status and not one.is_done()]
        if not left:
            return []
        if status < 0 and attempt.retries and len(left) == len(task.trials):
            return [(task, attempt.retries - 1)]
        if not task.parts:
            return []
        error = _error(attempt) or f"exit status {status}"
        _log.warning("%s failed (%s); its trials go on one by one", task.name, error)
        return [(one, self.retries) for one in left]

    def _start_some(
        self, waiting: "collections.deque[tuple[Task, int]]", running: list[_Attempt]
    ) -> Iterator[Outcome]:
        """Begin trials in free slots; those that other processes are at work on wait on. Yields
        the outcomes of those that such processes have finished meanwhile."""
        for _ in range(len(waiting)):
            if len(running) == len(self.slots):
                break
            task, retries = waiting.popleft()
            with _held(task) as logs:
                if not logs:
                    waiting.append((task, retries))
                    self._tell_of(task)
                elif done := [one for one in task.trials if one.is_done()]:
                    left = [one for one in task.trials if one not in done]
                    waiting.extendleft((one, retries) for one in reversed(left))
                    yield from (Outcome(one.name, 0) for one in done)
                else:
                    slot = min(set(range(len(self.slots))) - {attempt.slot for attempt in running})
                    process = self._start(task, logs, slot)
                    running.append(_Attempt(task, process, retries, slot))

    def _tell_of(self, task: Task) -> None:
        if task.name not in self._told_of:
            self._told_of.add(task.name)
            _log.warning("%s waits: another process is at work on it", task.name)

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
            # Of a batch: it holds them as long as it lives, whatever becomes of this process.
            pass_fds=[one.fileno() for one in parts],
            **_APART,
        )


@contextlib.contextmanager
def _held(task: Task) -> Iterator[list[BinaryIO]]:
    """The logs of a task and its parts; none if another process holds one of them."""
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(open_log(one.log)) for one in (task, *task.parts)]
        held = [log for log in logs if log]
        yield held if len(held) == len(logs) else []


def make_slots(jobs: int | None) -> list[dict[str, str]]:
    """A slot for each of `jobs`; not given, one for each GPU, or one.

    Several slots share the GPUs, or else the threads, of this machine, and the memory of either.
    """
    gpus = visible_gpus()
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
    """Of each trial of a process that ended, but for those that are tried again."""
    task, status = attempt.task, attempt.process.returncode
    if stopping and -status in (_END, signal.SIGTERM):  # before it could listen
        status = INTERRUPTED
    for one in task.trials:
        if again & {one.name, task.name}:
            continue
        if not status or ((status < 0 or task.parts) and one.is_done()):
            yield Outcome(one.name, 0)
        elif stopping and (status == INTERRUPTED or task.parts):  # these cannot go on alone now
            yield Outcome(one.name, INTERRUPTED)
        else:
            yield Outcome(one.name, max(status, 1), _error(attempt))


def _error(attempt: _Attempt) -> str:
    """Why a process failed."""
    status = attempt.process.returncode
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"its process was killed ({signal.Signals(-status).name})"
    return last_line(attempt.task.log)


def _terminate(running: Sequence[_Attempt]) -> None:
    for attempt in running:
        with contextlib.suppress(OSError):  # it has ended
            attempt.process.send_signal(_END)
