"""Reads one picture in a process of its own, and says what came of it."""

import dataclasses
import os
import pickle
import re
import select
import signal
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from nst_keras.imaging.images import read_image
from nst_keras.runtime.errors import InputError

_FLAG = "--content"


@dataclasses.dataclass
class Outcome:
    """What came of reading a file."""

    path: Path
    pixels: np.ndarray | None = None  # float32 (height, width, 3), if it was read
    notes: tuple[str, ...] = ()
    refusal: str = ""  # the reason, without flag and path, if it was refused
    seconds: float = 0.0
    megabytes: float = 0.0  # the growth of the process' peak memory
    problems: list[str] = dataclasses.field(default_factory=list)


def read_in_process(path: Path, max_pixels: int, timeout: float) -> Outcome:
    """Read a picture as `run` reads the content, in a fork of this process."""
    outcome = Outcome(path)
    receiving, sending = os.pipe()
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        child = os.fork()
        if not child:
            _be_the_child(path, max_pixels, sending, output.fileno())
        os.close(sending)
        sent = _receive(receiving, started + timeout)
        if sent is None:
            os.kill(child, signal.SIGKILL)
            outcome.problems.append(f"took more than {timeout:g} s")
        _, status, usage = os.wait4(child, 0)
        outcome.seconds = time.monotonic() - started
        outcome.megabytes = usage.ru_maxrss / 1024  # of a fork, this starts at the parent's
        output.seek(0)
        if printed := output.read().decode(errors="replace").strip():
            outcome.problems.append(f"printed {printed.splitlines()[0]!r}")
    if sent:
        vars(outcome).update(pickle.loads(sent) | {"problems": outcome.problems})
        outcome.problems.extend(_flaws(outcome))
    elif sent is not None:
        outcome.problems.append(f"died: status {os.waitstatus_to_exitcode(status)}")
    return outcome


def _be_the_child(path: Path, max_pixels: int, sending: int, output: int) -> None:
    """Read the picture, send what came of it, and end the process."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    found: dict = {}
    try:
        picture = read_image(path, _FLAG, max_pixels)
        found = {"pixels": picture.pixels, "notes": picture.notes}
        if picture.pixels.size > 1 << 22:  # only small pictures have known values
            flawless = np.isfinite(picture.pixels).all()
            found["pixels"] = picture.pixels[:16, :16] if flawless else np.full((1, 1, 3), np.nan)
    except InputError as error:
        found = {"refusal": str(error).removeprefix(f"{_FLAG}={path}: ")}
        if found["refusal"] == str(error) or "\n" in str(error):
            found["refusal"] = f"not one line with the flag: {error!r}"
    except BaseException:
        found = {"refusal": f"traceback: {traceback.format_exc()}"}
    with os.fdopen(sending, "wb") as file:
        file.write(pickle.dumps(found))
    os._exit(0)


def _receive(pipe: int, until: float) -> bytes | None:
    """Everything that comes through a pipe until its end; None if that takes too long."""
    parts = []
    with os.fdopen(pipe, "rb", buffering=0) as file:
        while True:
            ready, _, _ = select.select([file], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            part = file.read(1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)


def _flaws(outcome: Outcome) -> list[str]:
    """What is wrong with an outcome whatever the file holds."""
    if re.match(r"traceback|not one line", outcome.refusal):
        return [outcome.refusal.strip().replace("\n", " | ")]
    pixels = outcome.pixels
    if pixels is None:
        return []
    if pixels.dtype != np.float32 or pixels.ndim != 3 or pixels.shape[2] != 3:
        return [f"has the shape {pixels.shape} and type {pixels.dtype}"]
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        return [f"has values from {pixels.min()} to {pixels.max()}"]
    return []
