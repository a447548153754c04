"""--xla=auto: has XLA compile the steps of a scale where that saves time, by measured times."""

import hashlib
import logging
from collections.abc import Callable

from nst_keras.devices.xla import XlaFigures
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.compiling import CompiledSteps
from nst_keras.transfer.plan import Scale

_log = logging.getLogger(__name__)

_MEASURED = 2  # calls after the first one of a kind, which is slower
# Settings that choose pictures and numbers, which programs take as their inputs. A weight of 0
# leaves a term or its weights of positions out, though.
_INPUTS = {"content", "style", "init", "init_noise", "style_blend", "seed", "learning_rate"}
_INPUTS |= {"color", "color_strength", "profile"}
_INPUTS |= {"style_mask", "style_region", "regions", "region_colors", "region_weights"}
_INPUTS |= {"mask_erosion", "mask_power"}
_INPUTS |= {"strength", "content_detail", "style_colors", "match_content"}
_INPUTS |= {"iterations", "coarse_iterations", "scales", "scale_ratio", "min_size", "size"}
_WEIGHTS = {
    "content_focus",
    "content_weight",
    "style_weight",
    "neighbors_weight",
    "laplacian_weight",
    "tv_weight",
}


def program_kind(
    settings: Settings,
    scale: Scale,
    precision: str,
    pictures: int,
    vectors: int,
    regions: int = 0,
    *,
    keeps: bool = False,
) -> str:
    """A name for what shapes the program of a scale's steps.

    Args:
        pictures: at once.
        vectors: of the styles, that neighbors are chosen from.
        regions: with styles of their own.
        keeps: whether a part of the photo stays as it is.
    """
    own = {name for name, option in OPTIONS.items() if option.changes_result}
    values = [(name, getattr(settings, name)) for name in sorted(own - _INPUTS - _WEIGHTS)]
    values += [(name, bool(getattr(settings, name))) for name in sorted(_WEIGHTS)]
    shape = (scale.width, scale.height, scale.by_layer, precision, pictures, vectors)
    facts = (*shape, regions, keeps, values)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


class XlaTrial:
    """Watches the calls of one scale's steps, and decides what compiles the next ones.

    If an earlier run has found that XLA is faster, it is used at once: its program is at hand. Else
    the first calls are without XLA. If compiling then saves more time than it takes for the steps
    ahead, XLA takes over; if its steps are no faster, it goes back.

    Args:
        steps: what is called.
        known: the figures of earlier runs; None: there are none.
        remember: keeps the figures that are found.
    """

    def __init__(
        self,
        steps: CompiledSteps,
        known: XlaFigures | None,
        remember: Callable[[XlaFigures], None],
    ):
        self._steps, self._figures, self._remember = steps, known or XlaFigures(), remember
        self._calls: list[tuple[int, float]] = []  # since the kind has changed
        self._plain_seconds = 0.0  # of a step without XLA
        self._is_over = False
        if known is not None and known.gain > 1.0:
            steps.xla = self._is_over = True
            _log.info("xla: used from the start, as steps were %.2g times as fast", known.gain)

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
        _log.info(
            "xla: compiling, about %.0f s, as %d steps of %.3g s are left",
            self._figures.compile_seconds,
            steps_left,
            per_step,
        )
        return True

    def _judge(self, per_step: float) -> None:
        """Compare a step of XLA's with one without it; go back if it is no faster."""
        (first_steps, first_seconds), self._is_over = self._calls[0], True
        gain = self._plain_seconds / per_step
        compiling = max(1e-3, first_seconds - first_steps * per_step)
        self._remember(XlaFigures(gain, compiling))
        _log.info("xla: steps are %.2f times as fast, after %.1f s of compiling", gain, compiling)
        self._steps.xla = gain > 1.0
