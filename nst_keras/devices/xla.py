"""Whether to use XLA on this machine: what it gained, kept in the user's cache folder.

A file that cannot be read or written is no error: then the first figures count, measured on an
NVIDIA H200 (see docs/benchmarks.md).
"""

import dataclasses
import json
import math
from pathlib import Path

from nst_keras.devices.memory import on_gpu
from nst_keras.runtime import files

_NAME = "xla.json"
_MARGIN = 1.25  # figures of earlier runs are not exact


def settle_xla(xla: bool | str, deterministic: bool) -> bool | str:
    """Whether to use XLA: for 'auto' not on a CPU, where it gains nothing, and not where results
    must not depend on measured times. 'auto' stays where a run has to measure."""
    return False if xla == "auto" and (deterministic or not on_gpu()) else xla


@dataclasses.dataclass(frozen=True)
class XlaFigures:
    """What XLA gains, and what it costs.

    Attributes:
        gain: how many times as fast a step is.
        compile_seconds: until the first step begins.
    """

    gain: float = 2.5
    compile_seconds: float = 20.0

    def seconds(self, step_seconds: float, steps: int, xla: bool | str) -> float:
        """How long steps take, with what is compiled for them.

        Args:
            step_seconds: of a step without XLA.
            xla: whether XLA compiles them; 'auto': where that pays.
        """
        if xla is False or (xla == "auto" and not self.pays(step_seconds, steps)):
            return steps * step_seconds
        return steps * step_seconds / self.gain + self.compile_seconds

    def pays(self, step_seconds: float, steps: int) -> bool:
        """Whether compiling saves more time than it takes, by a margin, for so many steps.

        Args:
            step_seconds: of a step without XLA.
        """
        if self.gain <= 1.0:
            return False
        saved = steps * step_seconds * (1.0 - 1.0 / self.gain)
        return saved > _MARGIN * self.compile_seconds


def recall(folder: Path | None, program: str) -> XlaFigures | None:
    """The figures of a program; None if it was not measured before.

    Args:
        folder: where they are kept; None: nowhere.
    """
    found = _read(folder).get(program)
    if not isinstance(found, dict):
        return None
    try:
        figures = XlaFigures(float(found["gain"]), float(found["compile_seconds"]))
    except (KeyError, TypeError, ValueError):
        return None
    sound = all(math.isfinite(it) and it > 0.0 for it in dataclasses.astuple(figures))
    return figures if sound else None


def remember(folder: Path | None, program: str, figures: XlaFigures) -> None:
    """Keep the figures of a program."""
    if folder is None:
        return
    known = {**_read(folder), program: dataclasses.asdict(figures)}
    try:
        files.write_text(folder / _NAME, json.dumps(known, indent=1))
    except OSError:
        return


def _read(folder: Path | None) -> dict:
    try:
        found = json.loads((folder / _NAME).read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
