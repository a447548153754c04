"""Our L-BFGS against SciPy's, from the same content image on the same objective.

Also measures what its recursion adds to a step. Needs SciPy.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf

from benchmarks import machine, scipy_lbfgs
from nst_keras import Config
from nst_keras.transfer.plan import Scale
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--content", default=str(machine.IMAGES / "harbor.jpg"))
    parser.add_argument("--style", default=str(machine.IMAGES / "lily_pond.jpg"))
    parser.add_argument("--size", type=int, default=384, help="longest side in pixels")
    parser.add_argument("--precision", default="float32", choices=machine.PRECISIONS)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--history", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7, help="rounds of the overhead's timing")
    parser.add_argument("--overhead_only", action="store_true")


def measure(options: argparse.Namespace) -> dict:
    """Compare totals and seconds per evaluation; report the share of our recursion, too."""
    machine.start()
    content, style = machine.read_pictures(options)
    problem, scale = lbfgs_problem(content, style, options, options.precision)
    report = {
        "size": f"{scale.width}x{scale.height}",
        "precision": options.precision,
        "history": options.history,
        "recursion": measure_recursion(problem, scale, options.repeats),
        **machine.describe(),
    }
    if not options.overhead_only:
        found = compare_with_scipy(problem, scale, options.evaluations)
        reference, _ = lbfgs_problem(content, style, options, "float32")
        value = reference.objective(scale).value
        for name, picture in found.pop("pictures").items():
            total = value(tf.constant(picture[None], tf.float32))["total"]
            report[f"float32_total_of_{name}"] = round(float(total), 5)
        report |= found
    return report


def lbfgs_problem(
    content: np.ndarray, style: np.ndarray, options: argparse.Namespace, precision: str
) -> tuple[StyleTransferProblem, Scale]:
    """A run of L-BFGS by the default objective at one scale."""
    config = Config(
        objective="relative",
        size=options.size,
        scales=1,
        optimizer="lbfgs",
        history=options.history,
        iterations=10**6,
        precision=precision,
        tile_size="none",
    )
    problem = machine.make_problem(content, style, config)
    return problem, problem.plan.scales[-1]


def measure_recursion(problem: StyleTransferProblem, scale: Scale, repeats: int) -> dict:
    """Seconds of one evaluation, and of one step with a full history, in turn."""
    scale_run = ScaleRun(problem, scale, problem.pictures.first_image)
    evaluate = tf.function(problem.objective(scale).value_and_grad)
    image = tf.constant(problem.pictures.first_image()[None])
    for _ in range(problem.settings.history + 2):
        scale_run.run(1)
    evaluate(image)
    seconds: dict[str, list[float]] = {"evaluation": [], "step": []}
    for _ in range(repeats):
        began = time.perf_counter()
        float(evaluate(image)[0]["total"])
        halfway = time.perf_counter()
        scale_run.run(1)
        seconds["evaluation"].append(halfway - began)
        seconds["step"].append(time.perf_counter() - halfway)
    pairs = zip(seconds["step"], seconds["evaluation"], strict=True)
    return {
        "seconds_per_evaluation": round(statistics.median(seconds["evaluation"]), 4),
        "seconds_per_step": round(statistics.median(seconds["step"]), 4),
        "ratio": round(statistics.median(step / one for step, one in pairs), 3),
    }


def compare_with_scipy(problem: StyleTransferProblem, scale: Scale, evaluations: int) -> dict:
    """The same number of evaluations by both, in turn, so that both see the same machine."""
    start = problem.pictures.first_image()
    objective = problem.objective(scale)
    evaluate = tf.function(objective.value_and_grad)
    scale_run = ScaleRun(problem, scale, lambda: start)
    evaluate(tf.constant(start[None]))
    ours, theirs, seconds = [scale_run.run(1)["total"]], [], {"ours": 0.0, "whole": 0.0}

    def take_step() -> float:
        began = time.perf_counter()
        if len(ours) < evaluations:
            ours.append(scale_run.run(1)["total"])
        return time.perf_counter() - began

    def value_and_grad(flat: np.ndarray) -> tuple[float, np.ndarray]:
        terms, gradient = evaluate(tf.constant(flat.reshape(1, *start.shape), tf.float32))
        theirs.append(float(terms["total"]))
        seconds["ours"] += take_step()
        return theirs[-1], gradient.numpy().ravel().astype(np.float64)

    began = time.perf_counter()
    found = scipy_lbfgs.minimize(
        value_and_grad, start, evaluations=evaluations, history=problem.settings.history
    )
    seconds["whole"] = time.perf_counter() - began
    while len(ours) < evaluations:  # SciPy may have given up
        seconds_alone = take_step()
        seconds["ours"] += seconds_alone
        seconds["whole"] += seconds_alone
    return {
        "evaluations": {"ours": len(ours), "scipy": len(theirs)},
        "seconds_per_evaluation": {
            "ours": round(seconds["ours"] / (len(ours) - 1), 4),
            "scipy": round((seconds["whole"] - seconds["ours"]) / len(theirs), 4),
        },
        "pictures": {"ours": scale_run.picture(), "scipy": found.x.reshape(start.shape)},
        "scipy_said": found.message,
        "curves": {
            "evaluation": (at := _spread(evaluations)),
            "ours": [round(ours[i - 1], 5) for i in at],
            "scipy": [round(theirs[i - 1], 5) for i in at if i <= len(theirs)],
        },
    }


def _spread(count: int) -> list[int]:
    """Some numbers from 1 to `count`, denser at the start."""
    stops = range(10, count + 1, max(10, count // 15))
    return sorted(n for n in {1, 2, 3, 5, *stops, count} if n <= count)
