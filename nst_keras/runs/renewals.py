"""When the page of a job at work is written again, and until when it is."""

import time

EARLY_SECONDS = (2.0, 5.0, 10.0)  # pauses at first, to be seen by whoever opened the page
SECONDS = 20.0  # the pause after them
SHARE = 0.01  # of the time so far: a page may hold megabytes, so long jobs renew it less often
PAUSED_SECONDS = 60.0  # while a job waits for people
SETUP_SECONDS = 120.0  # until a page is first renewed, on a slow machine


class Renewals:
    """Decides by the clock when a page is due."""

    def __init__(self) -> None:
        self._last, self._count, self._longest = time.monotonic(), 0, 0.0

    def is_due(self, worked: float) -> bool:
        """Whether the page is to be written again, after so many seconds of work."""
        return time.monotonic() - self._last >= self._pause(worked)

    def note(self) -> None:
        """Note that the page is written now."""
        now = time.monotonic()
        if self._count:  # the time until the first renewal is mostly that of setting up
            self._longest = max(self._longest, now - self._last)
        self._last, self._count = now, self._count + 1

    def skip(self) -> None:
        """Leave out the time since the page was last written, in which the job waited."""
        self._last = time.monotonic()

    def within(self, worked: float) -> float:
        """Seconds until the page is renewed unless the job was killed: a step may take longer than
        the pause, and the steps of a larger size several times as long."""
        setup = 0.0 if self._count else SETUP_SECONDS
        return round(max(self._pause(worked), 2.0 * self._longest, setup), 1)

    def _pause(self, worked: float) -> float:
        early = EARLY_SECONDS[self._count] if self._count < len(EARLY_SECONDS) else SECONDS
        return max(early, SHARE * worked)
