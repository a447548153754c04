"""Runs as processes, most of them forked from a server that has imported TensorFlow."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from .faults import run_with_fault

# Imported once, by a server from which most runs are forked. TensorFlow can be forked after its
# import, because it starts threads only with its first operation.
PRELOADED = [
    "tensorflow",
    "keras",
    "PIL.Image",
    "nst_keras.runs.command",
    "nst_keras.transfer.loop",
]
LONGEST_SECONDS = 600.0  # for one run; a longer one hangs
POLL_SECONDS = 0.02
SCRIPT = Path(__file__).parent.parent / "soak.py"
FORKED = "soak: forked"  # the first line of a forked run; no signal is sent before it


def forked_run(log: Connection, folder: str, fault: tuple[str, int, int], flags: list[str]) -> None:
    """Run a whole process that the server has forked."""
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    log.close()
    # The server's streams do not write to the pipe. These stay open as long as the process.
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(folder)
    try:
        print(FORKED, file=sys.stderr)
        status = run_with_fault(fault, flags)
    except KeyboardInterrupt:  # as Python itself does if nothing catches it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        raise
    sys.exit(status)


class Process:
    """A running command, forked from the server, or plain: started as a new process.

    Its log is a pipe, because a limit on the size of files would apply to a log file, too.
    """

    _lock = threading.Lock()  # multiprocessing polls all its children at each start

    def __init__(
        self,
        flags: list[str],
        folder: Path,
        fault: tuple[str, int, int] = ("", 0, 0),
        *,
        plain: bool = False,
    ):
        self._text, self._plain = bytearray(), plain
        self._reader, writer = multiprocessing.Pipe(duplex=False)
        os.set_blocking(self._reader.fileno(), False)
        start = self._start_plain if plain else self._start_forked
        with self._lock:
            start(writer, folder, fault, flags)
        writer.close()

    @property
    def log(self) -> str:
        return self._text.decode("utf-8", "replace")

    def status(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        self._drain()
        with self._lock:
            status = self._poll()
        if status is not None:
            self._drain()
        return status

    def send(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.status() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def wait(self, seconds: float) -> int | None:
        """The exit status, or None after so many seconds."""
        until = time.monotonic() + seconds
        while (status := self.status()) is None and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return status

    def begin(self) -> None:
        """Wait until a forked process has begun to run the command."""
        while not self._plain and FORKED not in self.log and self.status() is None:
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Kill the process if it still runs."""
        self.send(signal.SIGKILL)
        self.wait(LONGEST_SECONDS)
        self._reader.close()

    def _start_plain(
        self, writer: Connection, folder: Path, fault: tuple[str, int, int], flags: list[str]
    ) -> None:
        command = [sys.executable, "-m", "nst_keras.run", *flags]
        if fault[0]:
            words = ":".join(map(str, fault))
            command = [sys.executable, str(SCRIPT), f"--faulty={words}", "--", *flags]
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=writer.fileno(),
            stderr=writer.fileno(),
        )
        self._pid, self._poll = process.pid, process.poll

    def _start_forked(
        self, writer: Connection, folder: Path, fault: tuple[str, int, int], flags: list[str]
    ) -> None:
        process = multiprocessing.get_context("forkserver").Process(
            target=forked_run, args=(writer, str(folder), fault, flags), daemon=True
        )
        process.start()
        assert process.pid is not None  # it has started
        self._pid, self._poll = process.pid, lambda: process.exitcode

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while block := os.read(self._reader.fileno(), 1 << 16):
                self._text += block
