"""Early stopping: whether a scale has come to rest."""

import math
from collections.abc import Mapping

import numpy as np


class Plateau:
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
