"""Signals that ask a command to stop."""

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

# What a person, a terminal that closes, a cluster about to take the machine back, and a sweep on
# Windows send.
_STOPPING = tuple(
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGBREAK")
    if hasattr(signal, name)
)


@contextlib.contextmanager
def stop_signals() -> Iterator[list[float]]:
    """A list that gets the moment, by the monotonic clock, at which a signal asked for an end.

    A second Ctrl-C has its usual effect. Other threads than the main one cannot take signals.
    """
    received: list[float] = []

    def take(number: int, _frame: object) -> None:
        received.append(time.monotonic())
        signal.signal(number, previous[number])

    previous: dict[int, Any] = {}
    with contextlib.suppress(ValueError):
        for number in _STOPPING:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):  # as for a job in a shell's background
                previous[number] = handler
                signal.signal(number, take)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
