"""Seconds and steps to a given objective: our recipes against plain Adam and SciPy's L-BFGS-B.

SciPy takes its evaluations at one scale in float32, from the content image, within [0, 1]. What it
reaches is the target. Our runs take turns between its evaluations, each for as long as the
evaluation took, so that all of them see the same machine. Every picture is judged by the objective
in float32 on its 8-bit pixels, as saved. Neither the time for that counts nor start-up: the first
step of each scale, with all that sets the scale up, is left out.
"""

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import machine, scipy_lbfgs
from benchmarks.reference import ReferenceObjective
from nst_keras import Config, stylize
from nst_keras.devices.precision import settle_precision

_JUDGED = 12  # pictures of each run
_HISTORY = 20  # pairs that SciPy remembers, as many as ours


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--content", default=str(machine.IMAGES / "harbor.jpg"))
    parser.add_argument("--style", default=str(machine.IMAGES / "lily_pond.jpg"))
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--evaluations", type=int, default=500, help="of SciPy")
    parser.add_argument("--precision", default="auto", choices=("auto", *machine.PRECISIONS))
    parser.add_argument("--recipes", default="default,best,plain_adam", help="some of these")


def measure(options: argparse.Namespace) -> dict:
    """The objective, seconds and full-size evaluations of each, and the ratios to SciPy."""
    machine.start()
    content, style = machine.read_pictures(options)
    precision = settle_precision(options.precision)
    reference = ReferenceObjective(content, style, options.size)
    scale = reference.scale
    runners = [
        Runner(name, stylize(content, style, config), scale.pixels, reference)
        for name, config in recipes(options.size, precision).items()
        if name in options.recipes.split(",")
    ]
    scipy = race(reference.objective, reference.start, options.evaluations, runners)
    scipy["objective"] = reference(scipy.pop("picture"))
    return {
        "size": f"{scale.width}x{scale.height}",
        "precision_of_ours": precision,
        "scipy": rounded(scipy),
        **{runner.name: rounded(runner.report(scipy)) for runner in runners},
        **machine.describe(),
    }


def recipes(size: int, precision: str) -> dict[str, Config]:
    """The configs of our runs: the defaults at two qualities, and plain Adam at one scale."""
    plain = {"scales": 1, "learning_rate": 0.02, "beta_2": 0.999, "schedule": "constant"}
    return {
        "default": Config(objective="relative", size=size, precision=precision),
        "best": Config(objective="relative", size=size, precision=precision, quality="best"),
        "plain_adam": Config(
            objective="relative", size=size, precision="float32", iterations=500, **plain
        ),
    }


class Runner:
    """One of our runs, which continues when it is its turn."""

    def __init__(
        self,
        name: str,
        iterates: Iterator[Any],
        pixels: int,
        reference: Callable[[np.ndarray], float],
    ):
        self.name, self._iterates, self._pixels, self._reference = name, iterates, pixels, reference
        self.seconds, self.evaluations = 0.0, 0.0
        self.curve: list[tuple[float, float, float]] = []  # seconds, evaluations, objective
        self.done, self._step = False, 0

    def work(self, seconds: float) -> None:
        """Work for about so long."""
        until = self.seconds + seconds
        while self.seconds < until and not self.done:
            began = time.perf_counter()
            iterate = next(self._iterates)
            self._account(iterate, time.perf_counter() - began)

    def _account(self, iterate: Any, seconds: float) -> None:
        steps = iterate.step - self._step
        sets_up = iterate.step == iterate.scale.first_step
        self._step = iterate.step
        self.seconds += 0.0 if sets_up else seconds
        self.evaluations += steps * iterate.scale.pixels / self._pixels
        last_scale = iterate.scale is iterate.scales[-1]
        within = iterate.step - iterate.scale.first_step + 1
        spacing = max(1, iterate.scale.steps // _JUDGED)
        if last_scale and (within // spacing > (within - steps) // spacing or iterate.is_last):
            self.curve.append((self.seconds, self.evaluations, self._reference(iterate.image)))
        self.done = iterate.is_last

    def report(self, scipy: dict[str, Any]) -> dict[str, Any]:
        """What it reached, and when it had reached what SciPy ended with."""
        reached = [point for point in self.curve if point[2] <= scipy["objective"]]
        seconds, evaluations, objective = self.curve[-1]
        report: dict[str, Any] = {
            "objective": objective,
            "seconds": seconds,
            "full_size_evaluations": evaluations,
            "seconds_to_the_target": reached[0][0] if reached else None,
            "evaluations_to_the_target": reached[0][1] if reached else None,
            "times_as_fast_as_scipy": scipy["seconds"] / reached[0][0] if reached else None,
        }
        return report


def race(objective: Any, start: np.ndarray, evaluations: int, runners: list[Runner]) -> dict:
    """Run SciPy, and the others in turn with it; returns SciPy's best picture and its seconds."""
    evaluate = tf.function(objective.value_and_grad)
    evaluate(tf.constant(start[None]))  # traces
    best: dict[str, Any] = {"total": np.inf}
    spent, count, resumed = 0.0, 0, time.perf_counter()

    def value_and_grad(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal spent, count, resumed
        terms, gradient = evaluate(tf.constant(flat.reshape(1, *start.shape), tf.float32))
        total, gradient = float(terms["total"]), gradient.numpy().ravel().astype(np.float64)
        count += 1
        if total < best["total"]:
            best.update(total=total, picture=flat.reshape(start.shape).astype(np.float32))
        took = time.perf_counter() - resumed
        spent += took
        take_turns(runners, took)
        resumed = time.perf_counter()
        return total, gradient

    found = scipy_lbfgs.minimize(value_and_grad, start, evaluations=evaluations, history=_HISTORY)
    spent += time.perf_counter() - resumed
    while any(not runner.done for runner in runners):
        take_turns(runners, 1.0)
    return {
        "picture": best["picture"],
        "seconds": spent,
        "evaluations": count,
        "said": found.message,
    }


def take_turns(runners: list[Runner], seconds: float) -> None:
    for runner in runners:
        if not runner.done:
            runner.work(seconds)
            if runner.done:
                gc.collect()


def rounded(report: dict[str, Any]) -> dict[str, Any]:
    """The report with numbers of five significant digits."""
    return {
        name: float(f"{value:.5g}") if isinstance(value, float) else value
        for name, value in report.items()
    }
