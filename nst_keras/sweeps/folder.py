"""The folder of a sweep: a run folder and a log for each trial, and the progress of each trial."""

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nst_keras.imaging import images
from nst_keras.network import weights
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder, Status, check_is_folder
from nst_keras.runs.record import Fingerprint
from nst_keras.runs.requested import check_means
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.progress import check_tensorboard
from nst_keras.sweeps.trials import Trial, locate
from nst_keras.transfer import inputs
from nst_keras.transfer.plan import cropped_size, plan_run

_TAIL = 20_000  # bytes at the end of a log, among which its last line is looked for
_ENOUGH = 64  # px, to which pictures are reduced that are only checked


class TrialState(NamedTuple):
    """The progress of a trial, as its folder shows it."""

    trial: Trial
    status: Status
    replaces: bool  # the folder holds another run, which the trial will replace
    fingerprint: Fingerprint  # of what is asked for
    size: tuple[int, int]  # of the content picture: height, width


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
        with files.checking(f"--workdir={self.path}"):
            is_unused = not self.path.exists() or not any(self.path.iterdir())
        if not is_unused and not self.trials.is_dir():
            raise InputError(
                f"--workdir={self.path}: is not empty and is not a sweep folder; use another folder"
            )

    def prepare(self) -> None:
        """Make the folder, or raise InputError if it cannot be written to."""
        with files.preparing(self.path):
            self.trials.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)

    def states(self, trials: Sequence[Trial], *, overwrite: bool) -> dict[str, TrialState]:
        """The progress of each trial, by its name. Reads all inputs.

        With `overwrite` a trial replaces a run of other settings in its folder; a finished run of
        its own settings stays. Raises InputError if an input cannot be read, or if the folder of a
        trial holds something else.
        """
        read = functools.cache(_read_input)  # each file once, however many trials use it
        states = {}
        for trial in trials:
            config, folder, replaces = trial.config, self.run(trial.name), False
            try:
                found = {
                    name: read(
                        flag, str(path), config.max_pixels, config.truncated, config.backbone
                    )
                    for name, flag, path in inputs.sources(config)
                }
                size = found["content"][1]
                plan_run(config, cropped_size(config, size))  # for the errors that it raises
            except InputError as error:
                raise locate(error, trial.settings, trial.place) from error
            asked = folder_lib.fingerprint(
                config, {name: sha256 for name, (sha256, _) in found.items()}
            )
            try:
                status = folder.status(asked, overwrite=False)
            except InputError as error:
                if not overwrite or not folder.read_record():
                    raise InputError(f"{trial.place}: {error}") from error
                status, replaces = Status.NEW, True
            if status is not Status.FINISHED:
                _check_means(trial)
            states[trial.name] = TrialState(trial, status, replaces, asked, size)
        return states


def _check_means(trial: Trial) -> None:
    """Raise InputError if this machine lacks what a trial needs beside its inputs."""
    try:
        check_means(trial.config)
        if trial.config.tensorboard:
            check_tensorboard()
    except InputError as error:
        raise locate(error, trial.settings, trial.place) from error


def _read_input(
    flag: str, path: str, max_pixels: int, truncated: bool, backbone: str
) -> tuple[str, tuple[int, int]]:
    """The SHA-256 of an input that can be read, and the height and width of a picture."""
    try:
        if flag == "--weights":
            return weights.read_weights(path, backbone).sha256, (0, 0)
        picture = images.read_image(path, flag, max_pixels, enough=_ENOUGH, truncated=truncated)
    except InputError as error:
        raise InputError(str(error), flag.removeprefix("--")) from error
    return picture.sha256, picture.size


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
