"""Signals that ask a command to stop."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

# Sent by a person, a closing terminal, a cluster about to take the machine back, and a sweep on
# Windows.
_STOPPING = tuple(
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGBREAK")
    if hasattr(signal, name)
)


class StopSignal:
    """True once a signal has asked the command to stop."""

    def __init__(self) -> None:
        self._since: float | None = None  # by the monotonic clock

    def __bool__(self) -> bool:
        return self._since is not None

    def set(self) -> None:
        """Ask the command to stop; only the first time counts."""
        if self._since is None:
            self._since = time.monotonic()

    def clear(self) -> None:
        """Forget the request."""
        self._since = None

    def seconds_ago(self) -> float:
        """Seconds since the request; 0.0 if there is none."""
        return 0.0 if self._since is None else time.monotonic() - self._since


@contextlib.contextmanager
def stop_signals() -> Iterator[StopSignal]:
    """Record stop signals during the block instead of ending the process.

    A second signal of the same kind has its usual effect. Python allows signal handlers in the main
    thread only; in other threads the block runs and records nothing.
    """
    stop = StopSignal()

    def receive(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[number])

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _STOPPING:
            handler = signal.getsignal(number)
            # Jobs in a shell's background ignore Ctrl-C, and nohup ignores SIGHUP: keep it so.
            if handler not in (signal.SIG_IGN, None):
                previous[number] = handler
                signal.signal(number, receive)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
