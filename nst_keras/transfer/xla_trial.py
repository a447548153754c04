"""--xla=auto: has XLA compile the steps of a scale where that saves time, by measured times."""

import logging
from collections.abc import Callable

from nst_keras.devices.xla import XlaFigures
from nst_keras.transfer.compiling import CompiledSteps

_log = logging.getLogger(__name__)

_MEASURED = 2  # calls after the first one of a kind, which is slower


class XlaTrial:
    """Watches the calls of one scale's steps, and decides what compiles the next ones.

    The first calls are without XLA. If compiling then saves more time than it takes for the steps
    ahead, XLA takes over; if its steps are no faster, it goes back.

    Args:
        steps: what is called.
        figures: what is known of XLA for these steps.
        remember: keeps the figures that are found.
    """

    def __init__(
        self, steps: CompiledSteps, figures: XlaFigures, remember: Callable[[XlaFigures], None]
    ):
        self._steps, self._figures, self._remember = steps, figures, remember
        self._calls: list[tuple[int, float]] = []  # since the kind has changed
        self._plain_seconds = 0.0  # of a step without XLA
        self._is_over = False

    def observe(self, steps: int, seconds: float, steps_left: int) -> bool:
        """Take note of a call; returns whether the next one has to be compiled first.

        Args:
            steps, seconds: of the call.
            steps_left: of the scale.
        """
        if self._is_over:
            return False
        self._calls.append((steps, seconds))
        if len(self._calls) <= _MEASURED:
            return False
        measured = self._calls[-_MEASURED:]
        per_step = min(seconds / steps for steps, seconds in measured)
        if self._steps.xla:
            self._judge(per_step)
            return False  # both kinds have been compiled by now
        if not self._figures.pays(per_step, steps_left):
            return False  # later, fewer steps are left, but the pace may have been wrong
        self._plain_seconds, self._calls = per_step, []
        self._steps.xla = True
        _log.info("xla: compiling, as %d steps of %.3g s are left", steps_left, per_step)
        return True

    def _judge(self, per_step: float) -> None:
        """Compare a step of XLA's with one without it; go back if it is no faster."""
        (first_steps, first_seconds), self._is_over = self._calls[0], True
        gain = self._plain_seconds / per_step
        compiling = max(0.0, first_seconds - first_steps * per_step)
        self._remember(XlaFigures(gain, compiling))
        _log.info("xla: steps are %.2f times as fast, after %.1f s of compiling", gain, compiling)
        self._steps.xla = gain > 1.0
