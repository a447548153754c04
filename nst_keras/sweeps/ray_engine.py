"""Trials as tasks of a Ray cluster whose machines share the sweep's folder."""

import contextlib
import importlib.util
import logging
import os
import platform
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from nst_keras.devices.memory import MEMORY_SHARE
from nst_keras.runs import session
from nst_keras.runtime import cli
from nst_keras.runtime.cli import INTERRUPTED
from nst_keras.runtime.errors import InputError, first_line
from nst_keras.runtime.signals import StopSignal
from nst_keras.sweeps.folder import last_line, open_log
from nst_keras.sweeps.local_engine import THREADS, Outcome, Task

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.3
_NO_START = "--engine=ray: cannot be started"


class RayEngine:
    """Runs trials wherever Ray has room: in the cluster of RAY_ADDRESS, or on this machine.

    Args:
        cpus: that a trial takes; also the number of its threads.
        gpus: that a trial takes; parts of one are allowed.
        retries: how often a trial goes on whose worker was lost.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, cpus: float, gpus: float, retries: int):
        if not importlib.util.find_spec("ray"):
            raise InputError("--engine=ray: needs pip install 'nst_keras[ray]'")
        self.cpus, self.gpus, self.retries = cpus, gpus, retries

    def run(
        self, tasks: Sequence[Task], stopping: StopSignal
    ) -> Generator[Outcome | None, None, None]:
        """As `engines.LocalEngine.run`."""
        if not tasks:
            return
        import ray

        with _connection(ray):
            self._warn_of_lack(ray.cluster_resources())
            # A worker ends with its trial: TensorFlow keeps memory, and what a signal did to it.
            work = ray.remote(
                num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries, max_calls=1
            )(_work)
            waiting = {
                work.remote(task.arguments, str(task.log), self.cpus, self.gpus, task.is_done): task
                for task in tasks
            }
            told = False
            while waiting:
                if stopping and not told:
                    told = True
                    for reference in waiting:
                        ray.cancel(reference)
                ended, _ = ray.wait(list(waiting), timeout=_POLL_SECONDS)
                for reference in ended:
                    yield _outcome(ray, reference, waiting.pop(reference))
                yield None

    def _warn_of_lack(self, resources: dict[str, float]) -> None:
        for name, needed in (("CPU", self.cpus), ("GPU", self.gpus)):
            if needed > (there := resources.get(name, 0)):
                _log.warning(
                    "a trial takes %g %ss, the cluster has %g; trials wait until it has more",
                    needed, name, there,
                )  # fmt: skip


@contextlib.contextmanager
def _connection(ray: Any) -> Iterator[None]:
    """Ray, started or joined unless somebody did so before, and left again."""
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
        for number, handler in handlers.items():  # Ray puts its own in their place
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _work(
    arguments: tuple[str, ...], log: str, cpus: float, gpus: float, is_done: Callable[[], bool]
) -> int:
    """One trial, in a worker that does nothing else; returns the exit status of its run."""
    for name in THREADS:
        os.environ[name] = str(max(1, int(cpus)))
    os.environ[MEMORY_SHARE] = str(gpus or cpus / (os.cpu_count() or 1))
    # What `ray.cancel` sends; workers may have inherited that it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open_log(Path(log), wait=True) as file:
        assert file  # it was waited for
        os.dup2(file.fileno(), 2)  # also takes what TensorFlow's C++ side says
    if is_done():  # by another process, or by a worker that was lost after it
        return 0
    with (
        open(2, "w", encoding="utf-8", buffering=1, closefd=False) as text,
        contextlib.redirect_stdout(text),
        contextlib.redirect_stderr(text),
    ):
        print(f"nst_keras: on {platform.node()}, process {os.getpid()}")
        try:
            return cli.exit_status(lambda: session.command(list(arguments), time.monotonic()))
        except Exception:
            traceback.print_exc()
            return 1


def _outcome(ray: Any, reference: Any, task: Task) -> Outcome:
    try:
        status = ray.get(reference)
    except ray.exceptions.TaskCancelledError:
        return Outcome(task.name, INTERRUPTED)
    except ray.exceptions.RayError as error:
        if task.is_done():
            return Outcome(task.name, 0)
        return Outcome(task.name, 1, f"its worker was lost: {first_line(error)}")
    return Outcome(task.name, status, last_line(task.log) if status else "")
