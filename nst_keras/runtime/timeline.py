"""Where the time of a job goes."""

import contextlib
import time
from collections.abc import Iterator, Mapping

from nst_keras.runtime.progress import format_spent

# The parts of a run, in their order. First steps of a scale trace and compile; scores are apart,
# since they may be left out.
READING, IMPORT, PLANNING, SETUP = "reading", "import", "planning", "setup"
FIRST_STEPS, STEPS, SAVING = "first steps", "steps", "saving"
WRITING, SCORES, PAUSED = "writing", "scores", "paused"
_OTHER = "other"  # what belongs to no part


class Timeline:
    """Counts the seconds of each part of a job. A part within another is not counted for that.

    Args:
        started: when the job began, by the monotonic clock; by default now.
    """

    def __init__(self, started: float | None = None):
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []  # the parts under way, the innermost last
        self._counted_until = time.monotonic() if started is None else started

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of the block for this part."""
        self._count()
        self._open.append(name)
        try:
            yield
        finally:
            self._count()
            self._open.pop()

    def seconds(self) -> dict[str, float]:
        """The seconds so far by part, in the order in which parts began."""
        self._count()
        return dict(self._seconds)

    def current(self) -> str:
        """The innermost part that is under way, '' if there is none; for any thread."""
        return "".join(self._open[-1:])

    def _count(self) -> None:
        name = self._open[-1] if self._open else _OTHER
        now = time.monotonic()
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._counted_until
        self._counted_until = now


def describe_parts(seconds: Mapping[str, float]) -> str:
    """One line: the time of each part, those of less than a tenth together as others."""
    least = 0.1 * sum(seconds.values())
    shown = {name: it for name, it in seconds.items() if it >= least and name != _OTHER}
    rest = sum(seconds.values()) - sum(shown.values())
    parts = [f"{name} {format_spent(it)}" for name, it in shown.items()]
    return ", ".join([*parts, f"{_OTHER} {format_spent(rest)}"])
