"""Faults of the disk in one process."""

import builtins
import contextlib
import errno
import io
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Faults:
    """Counts the file operations of a process below a folder, and makes one of them fail.

    Args:
        kind: of FAULTS, or empty to count only.
        at: the number of that operation, from 1.
        size: bytes; see FAULTS.
    """

    _FUNCTIONS = (
        # Python 3.10's pathlib has its own references to these, so what it does is not counted.
        *((os, name) for name in ("replace", "fsync", "unlink", "mkdir")),
        *((module, "open") for module in (builtins, io)),  # pathlib uses that of io
    )

    def __init__(self, kind: str, at: int, size: int, folder: Path):
        self.kind, self.at, self.size = kind, at, size
        self.count = 0
        self._folder, self._lock = str(folder.resolve()), threading.Lock()

    @contextlib.contextmanager
    def installed(self) -> Iterator["Faults"]:
        """Count and fail during the block. Limits of the process remain after it."""
        normal = [(module, name, getattr(module, name)) for module, name in self._FUNCTIONS]
        if self.kind == "torn":  # Python ignores this signal by default, and the write raises
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        try:
            for module, name, function in normal:
                setattr(module, name, self._wrapped(name, function))
            yield self
        finally:
            for module, name, function in normal:
                setattr(module, name, function)

    def _wrapped(self, name: str, function: Callable) -> Callable:
        def call(*arguments, **named):
            if self._is_counted(name, arguments, named):
                self._before(name, arguments[0])
            return function(*arguments, **named)

        return call

    def _is_counted(self, name: str, arguments: tuple, named: dict[str, Any]) -> bool:
        """Whether an operation writes in the folder.

        The path of a descriptor is unknown, but only files of the folder are synchronized.
        """
        if name == "fsync":
            return True
        if not arguments or not isinstance(arguments[0], str | os.PathLike):
            return False
        if name == "open":
            mode = arguments[1] if len(arguments) > 1 else named.get("mode", "r")
            if not set(mode) & set("wax+"):
                return False
        return os.path.abspath(arguments[0]).startswith(self._folder + os.sep)

    def _before(self, name: str, what: Any) -> None:
        with self._lock:
            self.count += 1
            strikes = self.count == self.at
        if not strikes:
            return
        if self.kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind in ("torn", "limit"):
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, hard))
        if self.kind == "full" and name != "unlink":  # which needs no space
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(what))


def run_with_fault(fault: tuple[str, int, int], flags: list[str]) -> int:
    """Run in this process and folder with a fault (kind, at, size); returns the exit status."""
    from nst_keras.runs import command as run_lib

    with Faults(*fault, Path.cwd()).installed() as faults:
        status = run_lib.main(flags)
    if not faults.kind:
        print(f"soak: {faults.count} file operations", file=sys.stderr)
    return status
