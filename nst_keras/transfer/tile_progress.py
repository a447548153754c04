"""The progress within a single evaluation in tiles."""

import logging
import time
from collections.abc import Callable

from nst_keras.runtime.errors import StepDropped

_log = logging.getLogger(__name__)

_LOG_SECONDS = 30.0  # between lines about one evaluation


class TileProgress:
    """Logs the progress of a single evaluation if it takes long, and gives it up if asked to."""

    def __init__(self, is_dropped: Callable[[], bool] = lambda: False):
        self._is_dropped, self._last = is_dropped, time.monotonic()

    def __call__(self, done: int, in_all: int) -> None:
        """Report a tile that is done; an evaluation with a gradient takes each tile twice."""
        now = time.monotonic()
        if done == in_all:
            self._last = now
        elif now - self._last >= _LOG_SECONDS:
            self._last = now
            _log.info("within this step: tile %d of %d", done, in_all)
        if self._is_dropped():
            raise StepDropped(f"tile {done} of {in_all}")
