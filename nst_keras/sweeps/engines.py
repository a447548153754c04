"""Runs trials: as processes of this machine, or on a Ray cluster that shares the sweep's folder."""

import collections
import contextlib
import dataclasses
import importlib.util
import logging
import math
import os
import platform
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from nst_keras.devices import choice, memory
from nst_keras.runs import session
from nst_keras.runtime import child
from nst_keras.runtime.cli import INTERRUPTED, StopSignal
from nst_keras.runtime.errors import InputError, first_line
from nst_keras.settings import command_line
from nst_keras.settings.config import COMMAND
from nst_keras.sweeps.folder import last_line, open_log

_log = logging.getLogger(__name__)

_POLL_SECONDS, _RAY_POLL_SECONDS = 0.1, 0.3
_THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")  # TensorFlow's and NumPy's
RUN = child.command("nst_keras.run")
# Ctrl-C reaches only the sweep, which then sends each run one signal: a run that gets the same
# signal twice ends at once. It sends SIGUSR1, since a service manager may send SIGTERM to all
# processes itself; on Windows Ctrl-Break, since a terminated process cannot save its state there.
_DETACHED: dict[str, Any] = {"start_new_session": True}
if hasattr(subprocess, "CREATE_NEW_PROCESS_GROUP"):
    _DETACHED = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
_END: signal.Signals = getattr(signal, "CTRL_BREAK_EVENT", None) or signal.SIGUSR1


@dataclasses.dataclass(frozen=True)
class Task:
    """A trial, or a batch of trials, as an engine sees it."""

    name: str
    arguments: tuple[str, ...]  # of `nst_keras.run`
    log: Path
    parts: tuple["Task", ...] = ()  # the trials of a batch, which run one by one if it fails
    # Whether the trial is finished, perhaps by another process: then it must not start again.
    is_done: Callable[[], bool] = lambda: False
    # The reason of failure in the record of the run, perhaps of an earlier attempt.
    failure: Callable[[], str] = lambda: ""

    @property
    def trials(self) -> tuple["Task", ...]:
        """The trials of a batch, or the trial itself."""
        return self.parts or (self,)


class Outcome(NamedTuple):
    """A trial that ended: the exit status of its run, and the reason unless that is 0."""

    name: str
    status: int
    error: str = ""


def _failure_reason(trial: Task, before: str, log: Path) -> str:
    """Why a trial failed: as its run recorded, unless that is what was there `before` the attempt,
    or else the last line of the log."""
    reason = trial.failure()
    return reason if reason and reason != before else last_line(log)


class _Attempt(NamedTuple):
    task: Task
    process: subprocess.Popen
    retries: int  # that are left
    slot: dict[str, str]
    failures: dict[str, str]  # recorded by earlier attempts, by the trial's name


@dataclasses.dataclass(eq=False)
class LocalEngine:
    """Runs as many trials at a time as there are slots, each in a process of its own."""

    slots: Sequence[dict[str, str]]  # environment variables for the processes of each
    retries: int  # how often a trial is resumed whose process was lost, that is, killed by a signal

    def __post_init__(self) -> None:
        self._free = list(self.slots)
        self._waiting: collections.deque[tuple[Task, int]] = collections.deque()  # with retries
        self._running: list[_Attempt] = []
        self._announced: set[str] = set()  # tasks that another process is running

    def run(
        self, tasks: Sequence[Task], stopping: StopSignal
    ) -> Generator[Outcome | None, None, None]:
        """Yield the outcome of each trial when it ends, and None several times a second.

        Once `stopping` is set no trial starts, and the running ones save their state.
        """
        self._waiting.extend((task, self.retries) for task in tasks)
        signaled = False
        try:
            while self._running or (self._waiting and not stopping):
                if not stopping:
                    yield from self._start_some()
                elif not signaled:
                    signaled = True
                    self._terminate()
                for attempt in [a for a in self._running if a.process.poll() is not None]:
                    self._running.remove(attempt)
                    self._free.append(attempt.slot)
                    yield from self._settle(attempt, stopping)
                yield None
                time.sleep(_POLL_SECONDS)
        finally:
            self._terminate()
            for attempt in self._running:
                attempt.process.wait()

    def _start_some(self) -> Iterator[Outcome]:
        """Start trials in free slots, but none that another process is running; yields the outcomes
        of those that another process has finished meanwhile."""
        for _ in range(len(self._waiting)):
            if not self._free:
                break
            task, retries = self._waiting.popleft()
            with _held(task) as logs:
                if not logs:
                    self._waiting.append((task, retries))
                    if task.name not in self._announced:
                        self._announced.add(task.name)
                        _log.warning("%s: waiting because another process is running it", task.name)
                elif done := [trial for trial in task.trials if trial.is_done()]:
                    left = [trial for trial in task.trials if trial not in done]
                    self._waiting.extendleft((trial, retries) for trial in reversed(left))
                    yield from (Outcome(trial.name, 0) for trial in done)
                else:
                    self._start(task, logs, retries)

    def _start(self, task: Task, logs: Sequence[BinaryIO], retries: int) -> None:
        slot = self._free.pop(0)
        failures = {trial.name: trial.failure() for trial in task.trials}
        log, *parts = logs
        log.write(f"nst_keras: on {platform.node()}\n".encode())
        log.flush()
        process = subprocess.Popen(
            [*RUN, *task.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **slot},
            # A batch holds the logs of its trials until it ends, even if this process ends before.
            pass_fds=[part.fileno() for part in parts],
            **_DETACHED,
        )
        self._running.append(_Attempt(task, process, retries, slot, failures))

    def _settle(self, attempt: _Attempt, stopping: StopSignal) -> Iterator[Outcome]:
        """Yield the outcomes of a process that ended, except of trials that are tried again."""
        task, status = attempt.task, attempt.process.returncode
        if stopping and -status in (_END, signal.SIGTERM):  # before it handled signals
            status = INTERRUPTED
        may_be_done = status < 0 or task.parts
        done = [t for t in task.trials if not status or (may_be_done and t.is_done())]
        left = [trial for trial in task.trials if trial not in done]
        yield from (Outcome(trial.name, 0) for trial in done)
        if stopping and (status == INTERRUPTED or task.parts):  # no time to run these alone
            yield from (Outcome(trial.name, INTERRUPTED) for trial in left)
        elif not stopping and status < 0 and attempt.retries and not done:
            self._waiting.appendleft((task, attempt.retries - 1))
        elif left and task.parts:
            error = _error(attempt, left[0]) or f"exit status {status}"
            _log.warning("%s failed (%s); running its trials one by one", task.name, error)
            self._waiting.extendleft((trial, self.retries) for trial in reversed(left))
        elif left:
            yield Outcome(task.name, max(status, 1), _error(attempt, task))

    def _terminate(self) -> None:
        for attempt in self._running:
            with contextlib.suppress(OSError):  # the process has ended
                attempt.process.send_signal(_END)


@contextlib.contextmanager
def _held(task: Task) -> Iterator[list[BinaryIO]]:
    """Open the logs of a task and its parts; empty if another process holds one of them."""
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(open_log(part.log)) for part in (task, *task.parts)]
        held = [log for log in logs if log]
        yield held if len(held) == len(logs) else []


def make_slots(jobs: int | None, device: str = choice.AUTO) -> list[dict[str, str]]:
    """The environment variables of as many slots as `jobs`; by default one for each GPU, or one.

    Several slots share the GPUs, or the threads if there are none, and the memory. The CPU or one
    GPU, if that is the `device` of the trials, is chosen by themselves.
    """
    gpus = memory.visible_gpus() if device in (choice.AUTO, choice.GPU) else []
    jobs = jobs or max(1, len(gpus))
    shared: dict[str, str] = {}
    if (on_each := math.ceil(jobs / max(1, len(gpus)))) > 1:
        shared = {memory.MEMORY_SHARE: f"{1 / on_each:.4f}"}
    if jobs > 1 and not gpus:
        threads = str(max(1, memory.cpu_cores() // jobs))
        shared |= {name: threads for name in _THREADS if name not in os.environ}
    return [
        {**shared, "CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if len(gpus) > 1 else shared
        for slot in range(jobs)
    ]


def _error(attempt: _Attempt, trial: Task) -> str:
    """Why the process of a trial failed."""
    status = attempt.process.returncode
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"its process was killed ({signal.Signals(-status).name})"
    return _failure_reason(trial, attempt.failures[trial.name], attempt.task.log)


@dataclasses.dataclass(frozen=True)
class RayEngine:
    """Runs trials wherever Ray has resources: in the cluster of RAY_ADDRESS, or on this machine.

    Raises InputError if Ray is not installed.
    """

    cpus: float  # for each trial; also the number of its threads
    gpus: float  # for each trial; fractions are allowed
    retries: int  # how often a trial is resumed whose worker was lost

    def __post_init__(self) -> None:
        if not importlib.util.find_spec("ray"):
            raise InputError("--engine=ray: needs pip install '.[ray]'")

    def run(
        self, tasks: Sequence[Task], stopping: StopSignal
    ) -> Generator[Outcome | None, None, None]:
        """As `LocalEngine.run`."""
        if not tasks:
            return
        import ray

        with _connection(ray):
            resources = ray.cluster_resources()
            text = "each trial needs %g %ss but the cluster has %g; waiting until it has more"
            for name, needed in (("CPU", self.cpus), ("GPU", self.gpus)):
                if needed > (there := resources.get(name, 0)):
                    _log.warning(text, needed, name, there)
            # A worker runs one trial: TensorFlow keeps memory and the effects of a signal.
            work = ray.remote(
                num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries, max_calls=1
            )(_run_in_worker)
            waiting = {
                work.remote(task, self.cpus, self.gpus): (task, task.failure()) for task in tasks
            }
            cancelled = False
            while waiting:
                if stopping and not cancelled:
                    cancelled = True
                    for reference in waiting:
                        ray.cancel(reference)
                ended, _ = ray.wait(list(waiting), timeout=_RAY_POLL_SECONDS)
                for reference in ended:
                    yield _ray_outcome(ray, reference, *waiting.pop(reference))
                yield None


@contextlib.contextmanager
def _connection(ray: Any) -> Iterator[None]:
    """Start or join Ray for the block, unless that was done before."""
    if ray.is_initialized():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        what = "--engine=ray: cannot be started"
        if address := os.environ.get("RAY_ADDRESS"):
            what = f"RAY_ADDRESS={address}: cannot be joined"
        raise InputError(f"{what}: {first_line(error)}") from error
    with contextlib.suppress(ValueError):  # not the main thread
        for number, handler in handlers.items():  # Ray has replaced them
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _run_in_worker(task: Task, cpus: float, gpus: float) -> int:
    """Run one trial, in a worker of its own; returns the exit status of the run."""
    for name in _THREADS:
        os.environ[name] = str(max(1, int(cpus)))
    os.environ[memory.MEMORY_SHARE] = str(gpus or cpus / (os.cpu_count() or 1))
    # `ray.cancel` sends it, and workers may have inherited that it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open_log(task.log, wait=True) as file:
        assert file  # since it waits
        os.dup2(file.fileno(), 2)  # for the output of TensorFlow's C++ code, too
    if task.is_done():  # by another process, or by a worker that was lost after it
        return 0
    with (
        open(2, "w", encoding="utf-8", buffering=1, closefd=False) as text,
        contextlib.redirect_stdout(text),
        contextlib.redirect_stderr(text),
    ):
        print(f"nst_keras: on {platform.node()}, process {os.getpid()}")
        try:
            return command_line.run(COMMAND, session.do_runs, list(task.arguments))
        except Exception:
            traceback.print_exc()
            return 1


def _ray_outcome(ray: Any, reference: Any, task: Task, failure: str) -> Outcome:
    """The outcome of a trial that ended; `failure` is the reason that was recorded before."""
    try:
        status = ray.get(reference)
    except ray.exceptions.TaskCancelledError:
        return Outcome(task.name, INTERRUPTED)
    except ray.exceptions.RayError as error:
        if task.is_done():
            return Outcome(task.name, 0)
        return Outcome(task.name, 1, f"its worker was lost: {first_line(error)}")
    return Outcome(task.name, status, _failure_reason(task, failure, task.log) if status else "")
