"""What the live page shows of a run: written by the thread that paints, read by the server's."""

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nst_keras.live.controls import Controls
from nst_keras.live.picture import LivePicture
from nst_keras.runtime.progress import format_seconds

STARTING, PAINTING, PAUSED, WRITING = "starting", "painting", "paused", "writing"
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
_ENDED = (FINISHED, STOPPED, FAILED)
_MOST_POINTS = 240  # of a curve; beyond, every other one is left out

Points = list[tuple[int, float]]  # steps and losses


class Progress(NamedTuple):
    """How far a run is."""

    step: int
    total_steps: int
    scale: int  # counted from 1
    scales: int
    width: int  # px, of the scale
    height: int
    steps_per_second: float  # NaN before there is an estimate, as the next one
    seconds_left: float


class Curves:
    """Losses by step for small charts: at most so many points that a chart can show."""

    def __init__(self) -> None:
        self._points: dict[str, Points] = {}

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Add the losses of a step, and forget those of later ones: a run may go back."""
        for name, value in losses.items():
            before = [point for point in self._points.get(name, []) if point[0] < step]
            if len(before) >= _MOST_POINTS:
                before = before[::2]
            self._points[name] = [*before, (step, value)]  # a new list: others read the old one

    def points(self) -> dict[str, Points]:
        """The points of each curve by name, without losses that are not finite."""
        return {
            name: [point for point in points if math.isfinite(point[1])]
            for name, points in dict(self._points).items()
        }


class Board:
    """Everything that the live page shows. All methods may be called in any thread.

    Args:
        title: of the page.
        files: what the run writes, by what it is, such as 'result': paths.
        activity: what the run does at the moment, in words, while it is painting.
    """

    def __init__(
        self,
        title: str,
        files: Mapping[str, str],
        controls: Controls,
        picture: LivePicture,
        activity: Callable[[], str] = lambda: "",
    ):
        self.title, self.files = title, dict(files)
        self.controls, self.picture, self._activity = controls, picture, activity
        self._lock = threading.Lock()
        self._phase, self._note, self._caption, self._device = STARTING, "", "", ""
        self._progress: Progress | None = None
        self._curves = Curves()

    @property
    def has_ended(self) -> bool:
        """Whether the page shows its last state."""
        return self._phase in _ENDED

    def enter(self, phase: str, note: str = "") -> None:
        """Show that the run is in another phase, with a line about it."""
        with self._lock:
            self._phase, self._note = phase, note

    def caption(self, text: str) -> None:
        """Say what the picture is."""
        self._caption = text

    def name_device(self, text: str) -> None:
        """Say what the run computes on."""
        self._device = text

    def advance(self, progress: Progress, losses: Mapping[str, float]) -> None:
        """Show a step and its losses by kind."""
        with self._lock:
            self._progress = progress
            self._curves.add(progress.step, losses)

    def state(self) -> dict[str, Any]:
        """What the page shows now, as data for JSON: texts for people, points of curves."""
        with self._lock:
            phase, note, progress = self._phase, self._note, self._progress
            curves = self._curves.points()
        return {
            "title": self.title,
            "phase": phase,
            "headline": self._headline(phase, progress),
            "note": note,
            "ended": phase in _ENDED,
            "share": progress.step / progress.total_steps if progress else 0.0,
            "facts": self._facts(phase, progress),
            "curves": curves,
            "picture": self.picture.number,
            "caption": self._caption,
            "actions": self.controls.allowed(),
            "files": self.files,
        }

    def _headline(self, phase: str, progress: Progress | None) -> str:
        if phase in (STARTING, PAINTING, PAUSED):
            if self.controls.is_stopping:
                return "Stopping after the current step"
            if self.controls.is_finishing:
                return "Finishing after the current step"
            if self.controls.is_paused and phase == PAINTING:
                return "Pausing after the current step"
        if phase == PAINTING:
            where = f", scale {progress.scale} of {progress.scales}" if progress else ""
            return self._activity() or f"Painting{where}"
        return {WRITING: "Writing the result"}.get(phase, phase.capitalize())

    def _facts(self, phase: str, progress: Progress | None) -> list[str]:
        facts = []
        if progress:
            facts.append(f"step {progress.step:,} of {progress.total_steps:,}")
            facts.append(f"{progress.width} \u00d7 {progress.height} px")
            if phase in (PAINTING, PAUSED) and math.isfinite(progress.seconds_left):
                facts.append(f"{progress.steps_per_second:.3g} steps/s")
                facts.append(f"{format_seconds(progress.seconds_left)} left")
        return [*facts, self._device] if self._device else facts
