"""A thread that writes to the disk while the optimization goes on."""

import errno
import logging
import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType

_log = logging.getLogger(__name__)

Work = Callable[[], None]
Submit = Callable[[Work], None]


_TELL_SECONDS, _MOST_SECONDS = 60.0, 600.0  # of waiting for a place
_LIMIT = 4  # each may hold a checkpoint in memory


def at_once(work: Work) -> None:
    """Do the work right here: what stands in for `Background.submit` unless a job has one."""
    work()


def no_wait() -> None:
    """What stands in for `Background.wait` then."""


class Background:
    """Does work on one thread, in the order in which it was submitted.

        with Background() as background:
            background.submit(work)

    Whatever ends the block, all that was submitted is done before it is left. What the work raises
    ends it: nothing more is done, and the error is raised where the next work is submitted, or at
    the end of the block unless another error is under way there.

    Args:
        limit: how many may be submitted and not done; one more waits for its place.
    """

    def __init__(self, limit: int = _LIMIT):
        # SimpleQueue is whole at any moment at which Ctrl-C may strike; queue.Queue might be left
        # with its lock held or its count wrong, and the thread would never end.
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._limit = limit
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limit):
            self._places.put(None)
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._open = False
        # Not a daemon: even an interpreter that ends lets it finish.
        self._thread = threading.Thread(target=self._work, name="nst_keras background")

    def submit(self, work: Work) -> None:
        """Have the work done later; waits while too much is to be done.

        What it uses must not change any more. Work itself must not submit.

        Raises:
            BaseException: what earlier work raised, the same object.
            TimeoutError: nothing got done for ten minutes.
            RuntimeError: outside of the block nobody would do it.
        """
        if not self._open:
            raise RuntimeError("work was submitted to a thread that does not run")
        self._take_place()
        if self._error is not None:
            self._places.put(None)
            raise self._error
        self._waiting.put(work)

    def _take_place(self) -> None:
        """Wait until there is one, but not for ever: network disks may never answer."""
        began = time.monotonic()
        while True:
            try:
                return self._places.get(timeout=_TELL_SECONDS)
            except queue.Empty:
                waited = time.monotonic() - began
                if waited >= _MOST_SECONDS:
                    raise TimeoutError(errno.ETIMEDOUT, "the disk does not answer") from None
                _log.warning("waiting for the disk for %d s", waited)

    def wait(self) -> None:
        """Until all that was submitted is done.

        Raises:
            BaseException: what the work raised.
        """
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._end()
        except KeyboardInterrupt:  # as one just before would; only the next one gets out at once
            self._end()
            raise
        self._thread.join()
        if self._error is None or self._error is error:
            return
        if error is None:
            raise self._error
        _log.warning("not all could be written: %s", self._error)

    def _end(self) -> None:
        self._open = False
        self._waiting.put(None)
        # Not join: where Ctrl-C interrupts that, Python before 3.13 takes the thread for dead.
        self._ended.get()

    def _work(self) -> None:
        while self._do(self._waiting.get()):
            self._places.put(None)
        for _ in range(2):  # for as many as may wait for it: see __exit__
            self._ended.put(None)

    def _do(self, work: Work | None) -> bool:
        """A function of its own, so that the thread holds on to no work that is done."""
        if work is None:
            return False
        try:
            if self._error is None:
                work()
        except BaseException as error:  # of any kind: it is the submitter's
            self._error = error
        return True
