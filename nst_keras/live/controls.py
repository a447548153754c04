"""What people at the live page ask of the run."""

import threading
from collections.abc import Callable

ACTIONS = ("pause", "resume", "stop", "finish")


class Controls:
    """Requests to pause, resume, stop or finish a run. All methods may be called in any thread.

    Args:
        stop: asks the run to save its state and stop, as Ctrl-C does.
    """

    def __init__(self, stop: Callable[[], None]):
        self._stop, self._changed = stop, threading.Condition()
        self._paused = self._finishing = self._stopping = False
        self._open = True

    @property
    def is_paused(self) -> bool:
        """Whether the run is to wait after its current step."""
        return self._paused

    @property
    def is_finishing(self) -> bool:
        """Whether the run is to end after its current step, as if that were its last one."""
        return self._finishing

    @property
    def is_stopping(self) -> bool:
        """Whether the run was asked on the page to save its state and stop."""
        return self._stopping

    def allowed(self) -> tuple[str, ...]:
        """The actions that can be asked for now."""
        if not self._open or self._finishing or self._stopping:
            return ()
        return ("resume" if self._paused else "pause", "stop", "finish")

    def ask(self, action: str) -> bool:
        """Ask for one of `ACTIONS`; returns False if it makes no sense now."""
        with self._changed:
            if action not in self.allowed():
                return False
            self._paused = action == "pause"  # stopping and finishing end a pause
            self._finishing = action == "finish"
            self._stopping = action == "stop"
            if self._stopping:
                self._stop()
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """Allow no more actions: the run has taken its last step."""
        with self._changed:
            self._open = self._paused = False
            self._changed.notify_all()

    def wait_while_paused(self, is_over: Callable[[], bool]) -> None:
        """Wait until nobody wants a pause any more, or `is_over`, which is asked often."""
        with self._changed:
            while self._paused and not is_over():
                self._changed.wait(0.1)
            self._paused = False
