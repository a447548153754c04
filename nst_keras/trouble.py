"""Numerical trouble: terms that are not finite, and totals that explode."""

import math
from collections.abc import Mapping

import numpy as np

_EVERY = 10  # steps between looks at the size of the total
_GROWTH = 1e3  # of the total: L-BFGS' first steps and noise stay far below
_LOOKS = 3  # first ones that are compared with, and last ones that are all so large


class Watch:
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
