"""Numerical trouble: terms that are not finite, and totals that explode."""

import math
from collections.abc import Mapping

_GROWTH = 1e3  # of the total: L-BFGS' first steps and noise stay far below
_REPORTS = 3  # first ones that are compared with, and last ones that are all so large


class Watch:
    """Looks at the terms of one scale as they come in."""

    def __init__(self) -> None:
        self._begun: list[float] = []  # totals of the first reports
        self._exploded = 0  # reports in a row

    def saw(self, step: int, terms: Mapping[str, float]) -> None:
        """Take note of the terms of a step.

        Raises:
            FloatingPointError: they are not finite, or the total has exploded. A single total that
                is large has not: the next step may take it back.
        """
        if bad := [name for name, value in terms.items() if not math.isfinite(value)]:
            names = ", ".join(name for name in bad if name != "total") or "the gradient"
            raise FloatingPointError(f"{names} not finite at step {step}")
        if len(self._begun) < _REPORTS:  # the very first one may be 0, from a content = style
            self._begun.append(terms["total"])
            return
        usual = max(self._begun)
        self._exploded = self._exploded + 1 if terms["total"] > _GROWTH * usual else 0
        if self._exploded == _REPORTS:
            raise FloatingPointError(
                f"the total has grown from {usual:.3g} to {terms['total']:.3g} at step {step}"
            )
