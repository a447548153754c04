"""Monitors of one scale's losses: early stopping and divergence."""

import math
from collections.abc import Mapping

import numpy as np


class EarlyStopping:
    """Compares the total with that of `patience` steps before, at fixed steps of one scale.

    Args:
        tolerance: the scale rests if the total fell by less than this share; 0: never.
        patience: steps between comparisons.
        first_step: of the scale.
        state: of the same scale, from `state`.
    """

    def __init__(
        self,
        tolerance: float,
        patience: int,
        first_step: int,
        state: Mapping[str, np.ndarray] | None = None,
    ):
        self.tolerance, self.patience, self.first_step = tolerance, patience, first_step
        self._last = math.nan
        self.rests = False
        if state is not None and "plateau" in state:
            self._last, rests = (float(number) for number in state["plateau"])
            self.rests = bool(rests)

    def next_step(self, step: int) -> float:
        """The first step after this one at which totals are compared."""
        if not self.tolerance:
            return math.inf
        taken = step - self.first_step + 1
        return step + self.patience - taken % self.patience

    def saw(self, step: int, total: float) -> None:
        """Take note of the total of a step."""
        if not self.tolerance or (step - self.first_step + 1) % self.patience:
            return
        self.rests = bool(self._last - total < self.tolerance * abs(self._last))
        self._last = total

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        if not self.tolerance:
            return {}
        return {"plateau": np.array([self._last, float(self.rests)])}


_EVERY = 10  # steps between looks at the size of the total
_GROWTH = 1e3  # of the total: L-BFGS' first steps and noise stay far below
_LOOKS = 3  # first ones that are compared with, and last ones that are all so large


class DivergenceMonitor:
    """Looks at the terms of one scale.

    Args:
        first_step: of the scale.
        state: of the same scale, from `state`.
    """

    def __init__(self, first_step: int, state: Mapping[str, np.ndarray] | None = None):
        self._first_step = first_step
        self._begun: list[float] = []  # totals at the first looks
        self._exploded = 0  # looks in a row
        if state is not None and "watch" in state:
            exploded, *self._begun = (float(number) for number in state["watch"])
            self._exploded = int(exploded)

    def next_step(self, step: int) -> int:
        """The first step after this one at which the total is looked at."""
        taken = step - self._first_step + 1
        return step + _EVERY - taken % _EVERY

    def saw(self, step: int, terms: Mapping[str, float]) -> None:
        """Take note of the terms of a step.

        Raises:
            FloatingPointError: they are not finite, or the total has exploded. A single total that
                is large has not: the next step may take it back.
        """
        if bad := [name for name, value in terms.items() if not math.isfinite(value)]:
            names = ", ".join(name for name in bad if name != "total") or "the gradient"
            raise FloatingPointError(f"{names} not finite at step {step}")
        if (step - self._first_step + 1) % _EVERY == 0:
            self._look(step, terms["total"])

    def _look(self, step: int, total: float) -> None:
        if len(self._begun) < _LOOKS:  # one alone may be 0, where the content is the style
            self._begun.append(total)
            return
        usual = max(self._begun)
        self._exploded = self._exploded + 1 if total > _GROWTH * usual else 0
        if self._exploded == _LOOKS:
            raise FloatingPointError(
                f"the total has grown from {usual:.3g} to {total:.3g} at step {step}"
            )

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {"watch": np.array([self._exploded, *self._begun])} if self._begun else {}
