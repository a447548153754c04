"""A sweep on disk: a run folder and a log for each trial, and how far each trial is."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nst_keras.imaging import images
from nst_keras.network import weights
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import Settings
from nst_keras.sweeps.trials import Trial
from nst_keras.transfer import inputs

_TAIL = 20_000  # bytes of a log in which its last line is looked for


class TrialState(NamedTuple):
    """What a trial's folder holds of the trial's job."""

    status: Status
    replaces: bool  # what the folder holds is another run, which the trial will replace
    job: dict[str, str]
    size: tuple[int, int]  # of the content: height, width


class _Input(NamedTuple):
    sha256: str
    size: tuple[int, int] = (0, 0)  # of a picture: height, width


class SweepFolder:
    """Paths inside a sweep's folder."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.trials = self.path / "trials"
        self.logs = self.path / "logs"
        self.results = self.path / "results.csv"
        self.page = self.path / "index.html"

    def run(self, trial: str) -> RunFolder:
        """The run folder of the trial of this name."""
        return RunFolder(self.trials / trial)

    def log(self, trial: str) -> Path:
        return self.logs / f"{trial}.log"

    def failure(self, trial: str) -> Path:
        """Why the last attempt at a trial failed, for all processes that share the folder."""
        return self.logs / f"{trial}.failed"

    def read_failure(self, trial: str) -> str:
        """The reason in `failure`; empty if there is none."""
        try:
            return self.failure(trial).read_text("utf-8", "surrogateescape").strip()
        except FileNotFoundError:
            return ""

    def check(self) -> None:
        """Raise InputError if the folder belongs to something else."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--workdir={self.path}: is a file, not a folder")
        if self.path.exists() and any(self.path.iterdir()) and not self.trials.is_dir():
            raise InputError(
                f"--workdir={self.path}: is not empty and holds no sweep; give another one"
            )

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            InputError: it cannot be written to.
        """
        with files.preparing(self.path):
            self.trials.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)

    def states(self, trials: Sequence[Trial], *, overwrite: bool) -> dict[str, TrialState]:
        """By name, how far each trial is and whether it must replace another run. Reads all inputs.

        With `overwrite` a run of other settings is replaced; a finished one of these stays.

        Raises:
            InputError: an input cannot be read, or a trial's folder holds something else.
        """
        read = functools.cache(_read_input)  # each file once, however many trials take it
        return {trial.name: self._state(trial, read, overwrite=overwrite) for trial in trials}

    def _state(self, trial: Trial, read: Callable[..., _Input], *, overwrite: bool) -> TrialState:
        try:
            found = _read_inputs(trial.config, read)
        except InputError as error:
            raise trial.locate(error) from error
        job = folder_lib.describe_job(trial.config, {n: one.sha256 for n, one in found.items()})
        size = found["content"].size
        folder = self.run(trial.name)
        try:
            return TrialState(folder.status(job, overwrite=False), False, job, size)
        except InputError as error:
            if not overwrite or not folder.read_record():
                raise InputError(f"{trial.place}: {error}") from error
            return TrialState(Status.NEW, True, job, size)


def _read_inputs(config: Settings, read: Callable[..., _Input]) -> dict[str, _Input]:
    limit, backbone = config.max_megapixels * 10**6, config.backbone
    return {
        name: read(flag, path, backbone=backbone) if name == "weights" else read(flag, path, limit)
        for name, flag, path in inputs.sources(config)
    }


def _read_input(flag: str, path: str, limit: int = 0, backbone: str = "") -> _Input:
    """A picture of at most `limit` pixels, or weights of a backbone, that can be read."""
    if backbone:
        return _Input(weights.read_weights(path, backbone).sha256)
    picture = images.read_image(path, flag, limit)
    return _Input(picture.sha256, picture.pixels.shape[:2])


# Logs.


@contextlib.contextmanager
def open_log(path: Path, *, wait: bool = False) -> Iterator[BinaryIO | None]:
    """A trial's log to append to; while another process has it open: None, or `wait` for its end.

    Processes that inherit the file hold it, too, so that no trial is begun twice at a time, even if
    the sweep that began it was killed and trials of it live on.
    """
    with open(path, "ab") as file:
        yield file if files.lock(file, wait=wait) else None


def last_line(path: Path) -> str:
    """The last line that a trial wrote: of a failed one, the reason."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("nst_keras: ") if lines else ""
