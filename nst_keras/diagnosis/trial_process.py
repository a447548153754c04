"""The process that starts TensorFlow and paints, seen from outside: its findings, or its end."""

import contextlib
import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from nst_keras.diagnosis.finding import PROBLEM, Finding
from nst_keras.runtime import child

TRIAL = child.command("nst_keras.diagnosis.trial")
_LIMIT = 240.0  # seconds; some GPUs take minutes to compile for the first time
_WITHOUT_AVX = "AVX"  # in what TensorFlow says where the processor lacks instructions


def findings_of_trial(command: tuple[str, ...] = TRIAL, limit: float = _LIMIT) -> Iterator[Finding]:
    """The findings of the process as they come; how it ended is a problem, if it failed.

    Args:
        limit: seconds after which the process is ended.
    """
    late = threading.Event()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        timer = threading.Timer(limit, _end, (process, late))
        timer.start()
        try:
            assert process.stdout
            for line in process.stdout:
                if finding := _read(line):
                    yield finding
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
        if late.is_set():
            text = f"was not done after {limit:.0f} s and was ended"
            yield Finding(PROBLEM, "painting", text, "see whether other programs use the device")
        elif status:
            yield _failure(status, _last_line(errors))


def _end(process: subprocess.Popen, late: threading.Event) -> None:
    late.set()
    process.kill()


def _read(line: str) -> Finding | None:
    """The finding in a line; None for lines that libraries write."""
    with contextlib.suppress(ValueError, TypeError):
        return Finding(**json.loads(line))
    return None


def _failure(status: int, said: str) -> Finding:
    """What to say of a process that ended by a signal or an error."""
    how = f"ended with status {status}"
    if status < 0:
        with contextlib.suppress(ValueError):
            how = f"was ended by {signal.Signals(-status).name}"
    if status == -signal.SIGILL or _WITHOUT_AVX in said:
        remedy = "use a TensorFlow that was built for this processor: the usual ones need AVX"
    elif status == -getattr(signal, "SIGKILL", 0):
        remedy = "it may lack memory: close other programs"
    else:
        remedy = "install TensorFlow again: pip install --force-reinstall tensorflow keras"
    return Finding(
        PROBLEM, "TensorFlow", f"its process {how}{f' ({said})' if said else ''}", remedy
    )


def _last_line(file: IO[bytes]) -> str:
    """The last line of what the process wrote to standard error; empty if there is none."""
    file.seek(0)
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
