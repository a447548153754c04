"""A whole run, from the command to the page: seconds by part, pictures per hour and peak memory.

The machine's rate of matrix products is measured before and after, since on shared machines it
changes.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from nst_keras.devices.precision import settle_precision
from nst_keras.devices.products import MatrixProducts
from nst_keras.runs.folder import RunFolder
from nst_keras.settings.command_line import join_groups

_CONFIGS = machine.IMAGES.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flagfile", default=str(_CONFIGS / "monet.cfg"), help="of the run")
    parser.add_argument("--objective", help="another one")
    parser.add_argument("--size", type=int, help="another longest side, in pixels")
    parser.add_argument("--batch", type=int, default=1, help="pictures at once")
    parser.add_argument("--rounds", type=int, default=1, help="medians are reported")


def measure(options: argparse.Namespace) -> dict:
    """Run in fresh processes; returns medians."""
    machine.start()
    precision = settle_precision("auto")
    paces = [_pace(precision)]
    seconds, parts_of_all = [], []
    for _ in range(options.rounds):
        taken, parts = _run(options)
        seconds.append(taken)
        parts_of_all.append(parts)
        paces.append(_pace(precision))
    median = statistics.median(seconds)
    return {
        "flagfile": Path(options.flagfile).name,
        "objective": options.objective or "of the flagfile",
        "batch": options.batch,
        "seconds": [round(one, 1) for one in seconds],
        "median_seconds": round(median, 1),
        "seconds_by_part": {
            name: round(statistics.median(parts[name] for parts in parts_of_all), 2)
            for name in parts_of_all[0]
        },
        "pictures_per_hour": round(options.batch * 3600 / median, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10,
        f"{precision}_gflop_per_second_meanwhile": [round(pace) for pace in paces],
        **machine.describe(),
    }


def _run(options: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """The seconds of a run, or of a batch, and those that it records by part."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            [
                f"--flagfile={options.flagfile}",
                *([f"--objective={options.objective}"] if options.objective else []),
                *([f"--size={options.size}"] if options.size else []),
                f"--seed={seed}",
                f"--workdir={folder}/{seed}",
            ]
            for seed in range(options.batch)
        ]
        command = [sys.executable, "-m", "nst_keras.run", *join_groups(runs)]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the run failed: {done.stderr}")
        taken = time.perf_counter() - began
        return taken, RunFolder(f"{folder}/0").read_record().parts


def _pace(precision: str) -> float:
    """GFLOP/s of matrix products."""
    return MatrixProducts(precision).rate() / 1e9
