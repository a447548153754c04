"""Monitors of the losses of one scale: early stopping and divergence."""

import math
from collections.abc import Mapping

import numpy as np

_EVERY = 10  # steps between checks of the size of the total
_GROWTH = 1e3  # of the total; the first steps of L-BFGS and noise stay far below
_CHECKS = 3  # the first ones, for comparison, and the last ones, which must all be so large
_TINY = 1e-4  # a first total below this says nothing: the content may be the style


class EarlyStopping:
    """Compares the total with the one `patience` steps before, at fixed steps of one scale.

    Args:
        tolerance: the scale stops if the total fell by less than this share; 0: never.
        first_step: of the scale.
        state: of the same scale, from `state`.
    """

    def __init__(
        self, tolerance: float, patience: int, first_step: int, state: Mapping[str, np.ndarray]
    ):
        self.tolerance, self.first_step = tolerance, first_step
        self._every = patience if tolerance else math.inf
        self._last, stopped = map(float, state.get("early_stopping", (math.nan, 0)))
        self.stopped = bool(stopped)

    def next_check(self, step: int) -> float:
        """The first step after this one at which totals are compared."""
        return _next(step, self.first_step, self._every)

    def update(self, step: int, total: float) -> None:
        """Compare the total of a step, if one is due."""
        if self.next_check(step - 1) == step:
            self.stopped = bool(self._last - total < self.tolerance * abs(self._last))
            self._last = total

    def state(self) -> dict[str, np.ndarray]:
        """Arrays for a checkpoint."""
        state = np.array([self._last, float(self.stopped)])
        return {"early_stopping": state} if self.tolerance else {}


class DivergenceMonitor:
    """Finds losses that are not finite, and a total that explodes.

    The total is compared with that of the scale's first step and with those of the first checks.

    Args:
        first_step, state: as for `EarlyStopping`.
        last_step: of the scale.

    Attributes:
        is_large: whether the newest total is much larger than usual.
        last_good: the last step whose losses were as usual; None before there is one.
    """

    def __init__(self, first_step: int, last_step: int, state: Mapping[str, np.ndarray]):
        self._first_step, self._last_step = first_step, last_step
        # Checks in a row at which the total was too large, the total of the first step, and those
        # of the first checks.
        known = map(float, state.get("divergence", (0, math.nan)))
        exploded, self._first_total, *self._first_totals = known
        self._exploded = int(exploded)
        self.is_large = False
        self.last_good: int | None = None

    def next_check(self, step: int) -> float:
        """The first step after this one at which the size of the total is checked."""
        return _next(step, self._first_step, _EVERY)

    def update(self, step: int, losses: Mapping[str, float]) -> None:
        """Check the losses of a step.

        Raises:
            FloatingPointError: they are not finite, or the total has exploded. A single large total
                is accepted, since the next step may lower it again.
        """
        if bad := [name for name, value in losses.items() if not math.isfinite(value)]:
            names = ", ".join(name for name in bad if name != "total") or "the gradient"
            raise FloatingPointError(f"{names} not finite at step {step}")
        total = losses["total"]
        if step == self._first_step:
            self._first_total = total
        usual = self._usual()
        self.is_large = usual is not None and total > _GROWTH * abs(usual)
        if not self.is_large:
            self.last_good = step
        if self.next_check(step - 1) == step:
            self._exploded = self._exploded + 1 if self.is_large else 0
            if len(self._first_totals) < _CHECKS and not self.is_large:
                self._first_totals.append(total)
        if self.is_large and (self._exploded == _CHECKS or step == self._last_step):
            raise FloatingPointError(
                f"the total has grown from {usual:.3g} to {total:.3g} at step {step}"
            )

    def _usual(self) -> float | None:
        """The largest of the totals for comparison, by its size, since terms of the user's may be
        negative; None: there are too few."""
        known = list(self._first_totals)
        if abs(self._first_total) > _TINY:  # False for NaN
            known.append(self._first_total)
        elif len(known) < _CHECKS:  # one alone may be 0, if the content is the style
            return None
        return max(known, key=abs)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays for a checkpoint."""
        state = np.array([self._exploded, self._first_total, *self._first_totals])
        return {"divergence": state}


def _next(step: int, first_step: int, every: float) -> float:
    """The first step after this one that ends a group of `every` steps of a scale."""
    return step + every - (step - first_step + 1) % every
