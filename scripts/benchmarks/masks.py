"""What masks add to a step: steps with regions against one without, in turn."""

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks import machine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=machine.size, default=(512, 384), help="WIDTHxHEIGHT")
    parser.add_argument("--objective", default="neighbors", help="of the steps")
    parser.add_argument("--precision", default="auto", choices=("auto", *machine.PRECISIONS))
    parser.add_argument("--regions", default="2,4", help="numbers of regions")
    parser.add_argument("--rounds", type=int, default=7)


def measure(options: argparse.Namespace) -> dict:
    """Medians of the ratios to a step of one style everywhere, all taken in turn."""
    machine.start()
    counts = [1, *map(int, options.regions.split(","))]
    steps = [_stepper(options, count) for count in counts]
    ratios: list[list[float]] = [[] for _ in counts]
    plain = []
    for _ in range(options.rounds):
        seconds = [_seconds(step) for step in steps]
        plain.append(seconds[0])
        for own, taken in zip(ratios, seconds, strict=True):
            own.append(taken / seconds[0])
    found = {
        f"{count} regions": round(statistics.median(own), 3)
        for count, own in zip(counts[1:], ratios[1:], strict=True)
    }
    return {
        "size": f"{options.size[0]}x{options.size[1]}",
        "objective": options.objective,
        "seconds_of_a_step": round(statistics.median(plain), 4),
        "times_that_step": found,
        **machine.describe(),
    }


def _stepper(options: argparse.Namespace, count: int) -> Callable[[], object]:
    """One step with so many regions, traced already; 1 stands for no masks."""
    width, height = options.size
    masks = {"style_mask": _waves(height, width, count)} if count > 1 else {}
    run = machine.noise_run(options, count, **masks)
    run.run(1)
    return functools.partial(run.run, 1)


def _waves(height: int, width: int, count: int) -> list[np.ndarray]:
    """Masks with smooth borders, side by side, that add up to 1."""
    places = np.linspace(0.0, count, width)[None, :] + 0.3 * np.sin(np.arange(height) / 40)[:, None]
    places = np.clip(places, 0.5, count - 0.5)
    near = [np.clip(1.5 - np.abs(places - n - 0.5) * 2.0, 0.0, 1.0) ** 4 for n in range(count)]
    total = np.sum(near, axis=0)
    return [(own / total).astype(np.float32) for own in near]


def _seconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began
