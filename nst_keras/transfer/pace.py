"""How long the steps of a run take: how many a call takes, and how much time is left."""

import math
from collections.abc import Sequence

from nst_keras.runtime.progress import TimeEstimate
from nst_keras.transfer.plan import Scale

# A call into the graph lasts about this long: short enough for Ctrl-C and the progress bar, long
# enough to make Python's overhead negligible.
_CALL_SECONDS = 1.0


class Pace:
    """The time of steps, by those taken so far; it grows with the pixels of a scale.

    Args:
        waiting_pixels: see `cost.waiting_pixels`.

    Attributes:
        setup_seconds: estimated for each later scale.
    """

    def __init__(self, waiting_pixels: int):
        self._waiting_pixels = waiting_pixels
        self._estimate = TimeEstimate()  # of steps times their work
        self.setup_seconds = 0.0

    def observe(self, scale: Scale, steps: int, seconds: float) -> None:
        """Take into account how long steps of a scale took."""
        self._estimate.observe(steps * self._work(scale), seconds)

    def forget(self) -> None:
        """Discard what was observed: steps may be faster from here on."""
        self._estimate = TimeEstimate()

    def seconds_per_step(self, scale: Scale) -> float:
        """The seconds that a step of a scale takes; NaN before the first observation."""
        return self._estimate.seconds(self._work(scale))

    def steps_per_call(self, scale: Scale) -> int:
        """The steps of a scale that take about a second, at least 1."""
        seconds = self.seconds_per_step(scale)
        return 1 if math.isnan(seconds) else max(1, int(_CALL_SECONDS / seconds))

    def seconds_left(self, scales: Sequence[Scale], step: int, present: Scale) -> float:
        """The seconds until all scales have been run, after a step of the `present` one; NaN before
        the first observation."""
        work = sum(
            self._work(scale) * max(0, scale.last_step - max(step, scale.first_step - 1))
            for scale in scales
        )
        ahead = sum(scale.first_step > step for scale in scales) - (present.first_step > step)
        return self._estimate.seconds(work) + ahead * self.setup_seconds

    def _work(self, scale: Scale) -> int:
        """What the time of a step is in proportion to."""
        return scale.pixels + self._waiting_pixels
