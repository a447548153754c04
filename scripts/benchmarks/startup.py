"""Seconds from the command to the first step, and of these, TensorFlow's own import.

Starts `python -m nst_keras.run` on the sample pictures and waits for the first row of its losses.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine

_POLL_SECONDS = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--rounds", type=int, default=5, help="medians are reported")


def measure(options: argparse.Namespace) -> dict:
    """Start fresh processes of both kinds in turn; returns medians."""
    imports, starts = [], []
    for _ in range(options.rounds):
        imports.append(_seconds_to_import())
        starts.append(_seconds_to_first_step(options.size))
    return {
        "size": options.size,
        "seconds_to_first_step": round(statistics.median(starts), 2),
        "of_these_importing_tensorflow": round(statistics.median(imports), 2),
        "rounds": options.rounds,
        **machine.describe(),
    }


def _seconds_to_import() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, capture_output=True)
    return time.perf_counter() - began


def _seconds_to_first_step(size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        metrics = Path(folder, "run", "metrics.jsonl")
        command = [sys.executable, "-m", "nst_keras.run", "--log_every=1", f"--size={size}"]
        command += [f"--content={machine.IMAGES / 'harbor.jpg'}"]
        command += [f"--style={machine.IMAGES / 'lily_pond.jpg'}", f"--workdir={metrics.parent}"]
        began = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job:
            while not _has_a_row(metrics):
                if job.poll() is not None:
                    raise SystemExit(f"the run ended without a step: {job.stderr.read()}")
                time.sleep(_POLL_SECONDS)
            seconds = time.perf_counter() - began
            job.kill()
    return seconds


def _has_a_row(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False
