"""Checkpoints: one file each, atomic, with a checksum; the newest undamaged one counts."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nst_keras.runtime import files
from nst_keras.runtime.background import Submit, at_once
from nst_keras.runtime.errors import reason_of

FORMAT = 1
PATTERN = "step_*.npz"  # of the names of checkpoint files

# Arrays by the part of the program that owns them, and by that part's own names.
State = Mapping[str, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state after `step` steps, and `seconds` of work over all resumes."""

    step: int
    seconds: float
    state: State


@dataclasses.dataclass(eq=False)
class Checkpointer:
    """The checkpoints of one run in a folder; those of other runs are ignored."""

    folder: Path
    run: str  # identifies settings, inputs and weights
    _: dataclasses.KW_ONLY
    every: int  # steps between checkpoints, 0: never by steps
    minutes: float  # between checkpoints, 0: never by time
    keep: int  # how many of the newest stay
    submit: Submit = at_once  # takes the work of writing
    wait: Callable[[], None] = lambda: None  # returns when all submitted work is done

    def __post_init__(self) -> None:
        self.ignored: list[str] = []  # messages about files that cannot be used
        self._last_seconds = 0.0
        self._loaded: Checkpoint | None = None

    def is_due(self, step: int, seconds: float) -> bool:
        """Whether the state after `step` steps and `seconds` of work should be saved."""
        by_step = self.every > 0 and step % self.every == 0
        return by_step or 0 < 60.0 * self.minutes <= seconds - self._last_seconds

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, whose arrays must not change any more; only the newest ones stay."""
        path = self._path(checkpoint.step)
        self.submit(lambda: self._write(path, checkpoint))
        self._last_seconds = checkpoint.seconds
        return path

    def peek(self) -> Checkpoint | None:
        """What `latest` will return. Do not hold on to it: its arrays are large."""
        if not self._loaded:
            self._loaded = self._first(self._newest_first())
            if self._loaded:
                self._last_seconds = self._loaded.seconds
        return self._loaded

    def latest(self) -> Checkpoint | None:
        """The newest undamaged checkpoint of this run, or None."""
        found, self._loaded = self.peek(), None
        return found

    def steps(self) -> list[int]:
        """The steps of all undamaged checkpoints, newest first.

        Raises:
            OSError, MemoryError: one could not be read, but perhaps can be later.
        """
        found = []
        for path in self._newest_first():
            try:
                found.append(self._load(path).step)
            except Exception as error:  # damaged, as in `_first`
                if _is_for_now(error):
                    raise
        return found

    def nearest(self, first: int, last: int, *, or_later: bool = True) -> Checkpoint | None:
        """The newest undamaged checkpoint from `first` to `last`; if there is none, None or, with
        `or_later`, the next one after `last`."""
        self.wait()
        found = [path for path in self._newest_first() if path >= self._path(first)]
        after = [path for path in found if path > self._path(last)]
        return self._first((*found[len(after) :], *(reversed(after) if or_later else ())))

    def forget_after(self, step: int) -> None:
        """Remove the checkpoints of later steps, which must not be used any more."""
        self._loaded = None
        self.wait()
        for path in self._newest_first():
            if path > self._path(step):
                path.unlink(missing_ok=True)

    def _first(self, paths: Iterable[Path]) -> Checkpoint | None:
        """The first undamaged one; `ignored` tells of those before it.

        Raises:
            OSError, MemoryError: there is none, and one could not be read, but perhaps can be
                later; without it, the run would begin anew.
        """
        self.ignored.clear()
        unread: Exception | None = None
        for path in paths:
            try:
                return self._load(path)
            except Exception as error:  # on damaged bytes zipfile and NumPy raise many types
                reason = reason_of(error)
                self.ignored.append(f"ignoring checkpoint {path.name}: {reason}")
                if _is_for_now(error):
                    unread = unread or error
        if unread:
            raise unread
        return None

    def _write(self, path: Path, checkpoint: Checkpoint) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = checkpoint.state
        arrays = {f"{owner}/{name}": a for owner in state for name, a in state[owner].items()}
        header: dict[str, Any] = {"format": FORMAT, "run": self.run, "step": checkpoint.step}
        header["seconds"] = round(checkpoint.seconds, 3)
        header["sha256"] = _digest(header, arrays)
        with files.atomic(path) as file:
            arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
            files.write_arrays(file, arrays)
        # One of a later step is damaged or of another run; it must not push this one out.
        earlier = [other for other in self._newest_first() if other < path]
        for old in earlier[self.keep - 1 :]:
            old.unlink(missing_ok=True)

    def _load(self, path: Path) -> Checkpoint:
        # Opened here: NumPy leaves its own file open where the archive is damaged.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as data:
            header = json.loads(bytes(data["header"]))
            arrays = {name: data[name] for name in data.files if name != "header"}
        if header["format"] != FORMAT or header["run"] != self.run:
            raise ValueError("it belongs to another run or version")
        if header.pop("sha256") != _digest(header, arrays):
            raise ValueError("its checksum is wrong")
        return Checkpoint(int(header["step"]), float(header["seconds"]), _nested(arrays))

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:09d}.npz"

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob(PATTERN), reverse=True)


def _nested(arrays: Mapping[str, np.ndarray]) -> State:
    """From 'OWNER/NAME' to two levels; only the owner may not hold a slash."""
    state: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        owner, _, name = key.partition("/")
        state.setdefault(owner, {})[name] = array
    return state


def _digest(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _is_for_now(error: Exception) -> bool:
    """Whether a checkpoint that could not be read may be whole."""
    return isinstance(error, MemoryError) or files.is_trouble_of_disk(error)
