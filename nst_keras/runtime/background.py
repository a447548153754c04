"""A thread that writes to disk while the optimization continues."""

import errno
import logging
import queue
import threading
import time
from collections.abc import Callable

from nst_keras.runtime.errors import reason_of

_log = logging.getLogger(__name__)

Work = Callable[[], object]
Submit = Callable[[Work], None]

_WARN_SECONDS, _GIVE_UP_SECONDS = 60.0, 600.0  # of waiting for a place


def at_once(work: Work) -> None:
    """Do the work immediately: the default for `Background.submit`."""
    work()


class Background:
    """Does work on one thread, in the order of submission, during a `with` block.

    However the block ends, all submitted work is done before it is left. If work raises an error,
    the remaining work is skipped, and the error is raised by the next `submit` or `wait`, or at the
    end of the block unless another error is under way there. No more work is pending than `limit`,
    since each may hold a checkpoint in memory.
    """

    # Why not a ThreadPoolExecutor and a semaphore: these take their locks in Python code, where
    # Ctrl-C can strike between a lock and the block that would release it, and then the thread
    # never ends. A SimpleQueue is whole at any such moment.

    def __init__(self, limit: int = 4):
        self._pending: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._limit = limit
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limit):
            self._places.put(None)
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._open = False
        # Not a daemon: an interpreter that ends waits for it.
        self._thread = threading.Thread(target=self._run, name="nst_keras background")

    def submit(self, work: Work) -> None:
        """Have the work done later; waits while too much is pending.

        What the work uses must not change any more. The work itself must not submit.

        Raises:
            BaseException: of earlier work, the same object.
            TimeoutError: no work was completed for ten minutes.
            RuntimeError: the block is not entered, or was left.
        """
        if not self._open:
            raise RuntimeError("work was submitted outside of the block")
        self._take_place()
        if self._error is not None:
            self._places.put(None)
            raise self._error
        self._pending.put(work)

    def _take_place(self) -> None:
        """Wait for a place, but not forever: network disks may never answer."""
        began = time.monotonic()
        while True:
            try:
                return self._places.get(timeout=_WARN_SECONDS)
            except queue.Empty:
                waited = time.monotonic() - began
                if waited >= _GIVE_UP_SECONDS:
                    raise TimeoutError(errno.ETIMEDOUT, "the disk is not responding") from None
                _log.warning("waiting for the disk for %d s", waited)

    def wait(self) -> None:
        """Wait until all submitted work is done; raises as `submit` does."""
        for _ in range(self._limit):
            self._take_place()
        for _ in range(self._limit):
            self._places.put(None)
        if self._error is not None:
            raise self._error

    def __enter__(self) -> "Background":
        self._thread.start()
        self._open = True
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            self._end()
        except KeyboardInterrupt:  # the first one must not lose work; a second one may
            self._end()
            raise
        self._thread.join()
        if self._error is None or self._error is error:
            return
        if error is None:
            raise self._error
        _log.warning("not everything could be written: %s", reason_of(self._error))

    def _end(self) -> None:
        self._open = False
        self._pending.put(None)
        # Not join: if Ctrl-C interrupts that, Python before 3.13 takes the thread for dead.
        self._ended.get()

    def _run(self) -> None:
        while self._do_next():
            self._places.put(None)
        for _ in range(2):  # `__exit__` may wait twice
            self._ended.put(None)

    def _do_next(self) -> bool:
        """Do the next work; False at the end.

        A function of its own, so that work that is done is released before its place is.
        """
        work = self._pending.get()
        if work is None:
            return False
        try:
            if self._error is None:
                work()
        except BaseException as error:  # of any kind: the submitter gets it
            self._error = error
        return True
