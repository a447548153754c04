"""Peak resident memory of a run by size, precision and optimizer, each in a process of its own."""

import argparse
import json
import subprocess
import sys

from benchmarks import machine

_STEPS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", default="512x384,1024x768", help="WIDTHxHEIGHT,...")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--optimizers", default="adam,lbfgs")
    parser.add_argument("--objective", default="neighbors", help="of the runs")
    parser.add_argument("--one", action="store_true", help="measure in this process")


def measure(options: argparse.Namespace) -> dict:
    """Peaks in megabytes, and bytes per pixel above what an imported TensorFlow takes."""
    if options.one:
        return _measure_here(
            options.sizes, options.precisions, options.optimizers, options.objective
        )
    rows = [
        _measure_apart(size, precision, optimizer, options.objective)
        for size in options.sizes.split(",")
        for precision in options.precisions.split(",")
        for optimizer in options.optimizers.split(",")
    ]
    return {"jobs": rows, **machine.describe()}


def _measure_apart(size: str, precision: str, optimizer: str, objective: str) -> dict:
    command = [sys.executable, sys.argv[0], "memory", "--one", f"--sizes={size}"]
    command += [
        f"--precisions={precision}",
        f"--optimizers={optimizer}",
        f"--objective={objective}",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _measure_here(size: str, precision: str, optimizer: str, objective: str) -> dict:
    machine.start()
    from nst_keras import Config, stylize

    idle = machine.peak_memory()
    width, height = machine.size(size)
    config = Config(
        objective=objective,
        size=max(width, height),
        precision=precision,
        optimizer=optimizer,
        iterations=_STEPS,
        coarse_iterations=(_STEPS,),
    )
    content, style = (machine.noise_picture(height, width, seed) for seed in (1, 2))
    for _ in stylize(content, style, config):
        pass
    peak = machine.peak_memory()
    return {
        "size": size,
        "precision": precision,
        "optimizer": optimizer,
        "peak_mb": peak >> 20,
        "bytes_per_pixel": round((peak - idle) / (width * height)),
    }
