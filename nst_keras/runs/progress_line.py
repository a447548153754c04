"""The line that shows how far a run has come."""

import math

from nst_keras.objective.term_names import by_kind
from nst_keras.runtime.progress import Reporter, fitting, format_seconds
from nst_keras.transfer.iterate import Iterate


class ProgressWriter(Reporter):
    """Shows the newest iterate on standard error."""

    def __init__(self) -> None:
        self._newest: Iterate | None = None
        super().__init__(
            lambda columns: describe(self._newest, columns),
            lambda: self._newest.step / self._newest.total_steps if self._newest else 0.0,
        )

    def __call__(self, iterate: Iterate) -> None:
        self._newest = iterate
        self.update(now=iterate.is_last)


def describe(iterate: Iterate | None, columns: int = 1000) -> str:
    """One line that fits so many columns: scale, step, losses by kind, speed and the time left."""
    if iterate is None:
        return "starting"
    scale = iterate.scale
    where = f"scale {scale.index + 1}/{len(iterate.scales)} {scale.width}x{scale.height}"
    parts = [(2, where), (0, f"step {iterate.step}/{iterate.total_steps}")]
    ranks = {"total": 3, "style": 5, "content": 6}
    losses = by_kind(iterate.terms)
    parts += [(ranks.get(kind, 7), f"{kind} {value:.4g}") for kind, value in losses.items()]
    if math.isfinite(iterate.seconds_left):
        left = format_seconds(iterate.seconds_left)
        parts += [(4, f"{iterate.steps_per_second:.3g} steps/s"), (1, f"{left} left")]
    return fitting(parts, columns)
