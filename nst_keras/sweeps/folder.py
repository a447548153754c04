"""The folder of a sweep: a run folder and a log for each trial, and the progress of each trial."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nst_keras.imaging import images
from nst_keras.network import weights
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder, Status, check_is_folder
from nst_keras.runs.record import Fingerprint
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import Settings
from nst_keras.sweeps.trials import Trial
from nst_keras.transfer import inputs

_TAIL = 20_000  # bytes at the end of a log, among which its last line is looked for


class TrialState(NamedTuple):
    """The progress of a trial, as its folder shows it."""

    status: Status
    replaces: bool  # the folder holds another run, which the trial will replace
    fingerprint: Fingerprint  # of the trial
    size: tuple[int, int]  # of the content picture: height, width


class _Input(NamedTuple):
    sha256: str
    size: tuple[int, int] = (0, 0)  # of a picture: height, width


class SweepFolder:
    """Paths inside the folder of a sweep."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.trials = self.path / "trials"
        self.logs = self.path / "logs"
        self.results = self.path / "results.csv"
        self.page = self.path / "index.html"

    def run(self, trial: str) -> RunFolder:
        """The run folder of a trial, by its name."""
        return RunFolder(self.trials / trial)

    def log(self, trial: str) -> Path:
        """The log of a trial, with the output of all attempts."""
        return self.logs / f"{trial}.log"

    def failure(self, trial: str) -> Path:
        """A file with the reason why a trial failed, for all processes that share the folder."""
        return self.logs / f"{trial}.failed"

    def read_failure(self, trial: str) -> str:
        """The reason in `failure`; empty if there is none."""
        try:
            return self.failure(trial).read_text("utf-8", "surrogateescape").strip()
        except FileNotFoundError:
            return ""

    def check(self) -> None:
        """Raise InputError if the folder belongs to something else."""
        check_is_folder(self.path)
        if self.path.exists() and any(self.path.iterdir()) and not self.trials.is_dir():
            raise InputError(
                f"--workdir={self.path}: is not empty and not a sweep folder; use another folder"
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
        """The progress of each trial, by its name. Reads all inputs.

        With `overwrite` a trial replaces a run of other settings in its folder; a finished run of
        its own settings stays.

        Raises:
            InputError: an input cannot be read, or the folder of a trial holds something else.
        """
        read = functools.cache(_read_input)  # each file once, however many trials use it
        return {trial.name: self._state(trial, read, overwrite=overwrite) for trial in trials}

    def _state(self, trial: Trial, read: Callable[..., _Input], *, overwrite: bool) -> TrialState:
        try:
            found = _read_inputs(trial.config, read)
        except InputError as error:
            raise trial.locate(error) from error
        hashes = {name: item.sha256 for name, item in found.items()}
        fingerprint = folder_lib.fingerprint(trial.config, hashes)
        folder, size = self.run(trial.name), found["content"].size
        try:
            status = folder.status(fingerprint, overwrite=False)
            return TrialState(status, False, fingerprint, size)
        except InputError as error:
            if not overwrite or not folder.read_record():
                raise InputError(f"{trial.place}: {error}") from error
            return TrialState(Status.NEW, True, fingerprint, size)


def _read_inputs(config: Settings, read: Callable[..., _Input]) -> dict[str, _Input]:
    found = {}
    for name, flag, path in inputs.sources(config):
        try:
            if name == "weights":
                found[name] = read(flag, path, backbone=config.backbone)
            else:
                found[name] = read(flag, path, config.max_pixels)
        except InputError as error:
            raise InputError(str(error), flag.removeprefix("--")) from error
    return found


def _read_input(flag: str, path: str, limit: int = 0, backbone: str = "") -> _Input:
    """Check that a picture of at most `limit` pixels, or the weights of a backbone, can be read."""
    if backbone:
        return _Input(weights.read_weights(path, backbone).sha256)
    picture = images.read_image(path, flag, limit)
    return _Input(picture.sha256, picture.pixels.shape[:2])


@contextlib.contextmanager
def open_log(path: Path, *, wait: bool = False) -> Iterator[BinaryIO | None]:
    """Open the log of a trial for appending, locked against other processes.

    Yields None if another process has it open, or waits for that process to end. Processes that
    inherit the open file hold the lock, too, so that no trial is started twice at a time, even if
    the sweep that started it was killed and the trial lives on.
    """
    with open(path, "ab") as file:
        yield file if files.lock(file, wait=wait) else None


def last_line(path: Path) -> str:
    """The last line of a log; for a failed trial, usually the reason."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("nst_keras: ") if lines else ""
