"""The right values of the pictures of a corpus, kept in its folder."""

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import numpy as np

from .reading import Outcome


@dataclasses.dataclass(frozen=True)
class Case:
    """A picture file and what reading it must give."""

    name: str  # of the file
    data: bytes
    # sRGB in [0, 1], shape (height, width, 3); None if the file must be refused.
    pixels: np.ndarray | None
    # The most that a value may differ, in [0, 1]; words that a refusal or a note must have.
    tolerance: float = 0.6 / 255
    words: str = ""


@dataclasses.dataclass
class Expected:
    """What reading must give, by file name; empty for folders of other people's files."""

    FILES: ClassVar = ("expected.json", "expected.npz")

    rules: dict[str, dict]
    pixels: dict[str, np.ndarray]

    @classmethod
    def load(cls, folder: Path) -> "Expected":
        """Read what `save` has written, if the folder has it."""
        rules, arrays = (folder / name for name in cls.FILES)
        if not rules.exists():
            return cls({}, {})
        with np.load(arrays) as found:
            return cls(json.loads(rules.read_text()), dict(found))

    @classmethod
    def save(cls, folder: Path, cases: list[Case]) -> None:
        """Write the files of a corpus, and what reading them must give."""
        folder.mkdir(parents=True, exist_ok=True)
        for case in cases:
            (folder / case.name).write_bytes(case.data)
        rules = {case.name: {"tolerance": case.tolerance, "words": case.words} for case in cases}
        (folder / cls.FILES[0]).write_text(json.dumps(rules, indent=1))
        pixels = {case.name: case.pixels for case in cases if case.pixels is not None}
        np.savez_compressed(folder / cls.FILES[1], **pixels)

    def problems(self, path: Path, outcome: Outcome) -> list[str]:
        """How an outcome differs from what it must be; empty if the file is not known."""
        rule = self.rules.get(path.name)
        if rule is None or outcome.problems:
            return []
        right, found = self.pixels.get(path.name), outcome.pixels
        said = outcome.refusal or "; ".join(outcome.notes)
        if rule["words"] not in said:
            return [f"says {said!r} without {rule['words']!r}"]
        if right is None:
            return [] if found is None else ["was read and must be refused"]
        if found is None:
            return [f"was refused: {said}"]
        if found.shape != right.shape:
            return [f"has the shape {found.shape} instead of {right.shape}"]
        error = float(np.abs(found - right).max())
        return [f"differs by {error:.4f} ({said})"] if error > rule["tolerance"] else []
