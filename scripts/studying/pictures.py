"""The pictures of a study: each pair of photo and painting, painted by each candidate."""

import csv
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    """A photo and a painting."""

    name: str
    content: Path
    style: Path


def read_pairs(path: Path) -> list[Pair]:
    """The rows of a CSV file with the columns name, content and style; paths are relative to it."""
    with open(path, encoding="utf-8", newline="") as file:
        return [
            Pair(row["name"], path.parent / row["content"], path.parent / row["style"])
            for row in csv.DictReader(file)
        ]


def read_candidates(path: Path) -> dict[str, list[str]]:
    """Flags by the candidate's name, from a CSV file with the columns name and flags."""
    with open(path, encoding="utf-8", newline="") as file:
        return {row["name"]: shlex.split(row["flags"]) for row in csv.DictReader(file)}


def picture_path(folder: Path, candidate: str, pair: str) -> Path:
    """Where the picture of a pair by a candidate is kept."""
    return folder / "pictures" / candidate / f"{pair}.png"


def paint(folder: Path, pairs: Sequence[Pair], candidates: dict[str, list[str]]) -> None:
    """Paint what is missing; a picture that is there already may be of any other tool."""
    for candidate, flags in candidates.items():
        for pair in pairs:
            output = picture_path(folder, candidate, pair.name)
            if output.exists():
                continue
            print(f"{candidate}: {pair.name}", flush=True)
            run = [f"--workdir={folder / 'runs' / candidate / pair.name}", f"--output={output}"]
            run += ["--nogif", "--noscores", "--image_every=0", "--overwrite"]
            given = [f"--content={pair.content}", f"--style={pair.style}", *flags]
            output.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([sys.executable, "-m", "nst_keras.run", *run, *given], check=True)
