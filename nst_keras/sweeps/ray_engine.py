"""Runs trials on a Ray cluster whose machines share the folder of the sweep."""

import contextlib
import importlib.util
import logging
import os
import platform
import signal
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from nst_keras.devices.memory import MEMORY_SHARE
from nst_keras.runs import session
from nst_keras.runtime.cli import INTERRUPTED, StopSignal
from nst_keras.runtime.errors import InputError, first_line
from nst_keras.settings import command_line, flags
from nst_keras.sweeps.folder import open_log
from nst_keras.sweeps.local_engine import THREADS, Outcome, Task, failure_reason

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.3
_NO_START = "--engine=ray: cannot be started"


class RayEngine:
    """Runs trials wherever Ray has resources: in the cluster of RAY_ADDRESS, or on this machine.

    Args:
        cpus: CPUs for each trial; also the number of its threads.
        gpus: GPUs for each trial; fractions are allowed.
        retries: how often a trial is resumed whose worker was lost.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, cpus: float, gpus: float, retries: int):
        if not importlib.util.find_spec("ray"):
            raise InputError("--engine=ray: needs pip install '.[ray]'")
        self.cpus, self.gpus, self.retries = cpus, gpus, retries

    def run(
        self, tasks: Sequence[Task], stopping: StopSignal
    ) -> Generator[Outcome | None, None, None]:
        """As `LocalEngine.run`."""
        if not tasks:
            return
        import ray

        with _connection(ray):
            self._warn_of_lack(ray.cluster_resources())
            # A worker runs one trial: TensorFlow keeps memory and the effects of a signal.
            work = ray.remote(
                num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries, max_calls=1
            )(_work)
            waiting = {}
            for task in tasks:
                job = (task.arguments, str(task.log), self.cpus, self.gpus, task.is_done)
                waiting[work.remote(*job)] = (task, task.failure())
            cancelled = False
            while waiting:
                if stopping and not cancelled:
                    cancelled = True
                    for reference in waiting:
                        ray.cancel(reference)
                ended, _ = ray.wait(list(waiting), timeout=_POLL_SECONDS)
                for reference in ended:
                    yield _outcome(ray, reference, *waiting.pop(reference))
                yield None

    def _warn_of_lack(self, resources: dict[str, float]) -> None:
        for name, needed in (("CPU", self.cpus), ("GPU", self.gpus)):
            if needed > (there := resources.get(name, 0)):
                _log.warning(
                    "each trial needs %g %ss but the cluster has %g; waiting until it has more",
                    needed, name, there,
                )  # fmt: skip


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
        address = os.environ.get("RAY_ADDRESS")
        what = f"RAY_ADDRESS={address}: cannot be joined" if address else _NO_START
        raise InputError(f"{what}: {first_line(error)}") from error
    with contextlib.suppress(ValueError):  # not the main thread
        for number, handler in handlers.items():  # Ray has replaced them
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _work(
    arguments: tuple[str, ...], log: str, cpus: float, gpus: float, is_done: Callable[[], bool]
) -> int:
    """Run one trial, in a worker of its own; returns the exit status of the run."""
    for name in THREADS:
        os.environ[name] = str(max(1, int(cpus)))
    os.environ[MEMORY_SHARE] = str(gpus or cpus / (os.cpu_count() or 1))
    # `ray.cancel` sends it, and workers may have inherited that it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open_log(Path(log), wait=True) as file:
        assert file  # since it waits
        os.dup2(file.fileno(), 2)  # for the output of TensorFlow's C++ code, too
    if is_done():  # by another process, or by a worker that was lost after it
        return 0
    with (
        open(2, "w", encoding="utf-8", buffering=1, closefd=False) as text,
        contextlib.redirect_stdout(text),
        contextlib.redirect_stderr(text),
    ):
        print(f"nst_keras: on {platform.node()}, process {os.getpid()}")
        try:
            return command_line.run(flags.COMMAND, session.do_runs, list(arguments))
        except Exception:
            traceback.print_exc()
            return 1


def _outcome(ray: Any, reference: Any, task: Task, failure: str) -> Outcome:
    """The outcome of a trial that ended.

    Args:
        failure: that an earlier attempt recorded.
    """
    try:
        status = ray.get(reference)
    except ray.exceptions.TaskCancelledError:
        return Outcome(task.name, INTERRUPTED)
    except ray.exceptions.RayError as error:
        if task.is_done():
            return Outcome(task.name, 0)
        return Outcome(task.name, 1, f"its worker was lost: {first_line(error)}")
    return Outcome(task.name, status, failure_reason(task, failure, task.log) if status else "")
