"""Our L-BFGS against SciPy's, from the same content image on the same objective.

Also measures what the two-loop recursion adds to a step. Needs SciPy.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf
from nst_keras.transfer.setup import load_weights

from benchmarks import machine, scipy_lbfgs
from nst_keras import Config
from nst_keras.imaging import images
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.problem import FeatureExtractors, StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun
from nst_keras.transfer.scales import Scale, plan_job


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--content", default=str(machine.IMAGES / "harbor.jpg"))
    parser.add_argument("--style", default=str(machine.IMAGES / "lily_pond.jpg"))
    parser.add_argument("--size", type=int, default=384, help="longest side in pixels")
    parser.add_argument("--precision", default="float32", choices=machine.PRECISIONS)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--history", type=int, default=20)
    parser.add_argument(
        "--repeats", type=int, default=7, help="rounds for the time of the recursion"
    )
    parser.add_argument("--overhead_only", action="store_true")


def measure(options: argparse.Namespace) -> dict:
    """Total losses and seconds per evaluation of both, and the recursion's share of a step."""
    machine.start()
    content = images.read_image(options.content, "--content").pixels
    style = images.read_image(options.style, "--style").pixels
    painter, scale = lbfgs_painter(content, style, options, options.precision)
    report = {
        "size": f"{scale.width}x{scale.height}",
        "precision": options.precision,
        "history": options.history,
        "recursion": measure_recursion(painter, scale, options.repeats),
        **machine.describe(),
    }
    if not options.overhead_only:
        found = compare_with_scipy(painter, scale, options.evaluations)
        judge, _ = lbfgs_painter(content, style, options, "float32")
        value = judge.objective(scale).value
        for name, picture in found.pop("pictures").items():
            total = value(tf.constant(picture[None], tf.float32))["total"]
            report[f"float32_total_of_{name}"] = round(float(total), 5)
        report |= found
    return report


def lbfgs_painter(
    content: np.ndarray, style: np.ndarray, options: argparse.Namespace, precision: str
) -> tuple[StyleTransferProblem, Scale]:
    """The default objective at one scale."""
    config = resolve(
        Config(
            size=options.size,
            scales=1,
            optimizer="lbfgs",
            history=options.history,
            iterations=10**6,
            precision=precision,
        )
    )
    plan = plan_job(config, content.shape[:2])
    return StyleTransferProblem(
        config, content, [style], FeatureExtractors(config, load_weights(config)), plan
    ), plan[-1]


def measure_recursion(painter: StyleTransferProblem, scale: Scale, repeats: int) -> dict:
    """Seconds of one evaluation and of one step with a full history, measured in turn."""
    stage = ScaleRun(painter, scale, painter.first_image)
    evaluate = tf.function(painter.objective(scale).value_and_grad)
    image = tf.constant(painter.first_image()[None])
    for _ in range(painter.config.history + 2):
        stage.run(1)
    evaluate(image)
    seconds: dict[str, list[float]] = {"evaluation": [], "step": []}
    for _ in range(repeats):
        began = time.perf_counter()
        float(evaluate(image)[0]["total"])
        halfway = time.perf_counter()
        stage.run(1)
        seconds["evaluation"].append(halfway - began)
        seconds["step"].append(time.perf_counter() - halfway)
    pairs = zip(seconds["step"], seconds["evaluation"], strict=True)
    return {
        "seconds_per_evaluation": round(statistics.median(seconds["evaluation"]), 4),
        "seconds_per_step": round(statistics.median(seconds["step"]), 4),
        "ratio": round(statistics.median(step / one for step, one in pairs), 3),
    }


def compare_with_scipy(painter: StyleTransferProblem, scale: Scale, evaluations: int) -> dict:
    """The same number of evaluations of both, in turn, so that both see the same load."""
    start = painter.first_image()
    objective = painter.objective(scale)
    evaluate = tf.function(objective.value_and_grad)
    stage = ScaleRun(painter, scale, lambda: start)
    evaluate(tf.constant(start[None]))
    ours, theirs, seconds = [stage.run(1)["total"]], [], {"ours": 0.0, "whole": 0.0}

    def take_step() -> float:
        began = time.perf_counter()
        if len(ours) < evaluations:
            ours.append(stage.run(1)["total"])
        return time.perf_counter() - began

    def value_and_grad(flat: np.ndarray) -> tuple[float, np.ndarray]:
        terms, gradient = evaluate(tf.constant(flat.reshape(1, *start.shape), tf.float32))
        theirs.append(float(terms["total"]))
        seconds["ours"] += take_step()
        return theirs[-1], gradient.numpy().ravel().astype(np.float64)

    began = time.perf_counter()
    found = scipy_lbfgs.minimize(
        value_and_grad, start, evaluations=evaluations, history=painter.config.history
    )
    seconds["whole"] = time.perf_counter() - began
    while len(ours) < evaluations:  # SciPy may have stopped early
        seconds_alone = take_step()
        seconds["ours"] += seconds_alone
        seconds["whole"] += seconds_alone
    return {
        "evaluations": {"ours": len(ours), "scipy": len(theirs)},
        "seconds_per_evaluation": {
            "ours": round(seconds["ours"] / (len(ours) - 1), 4),
            "scipy": round((seconds["whole"] - seconds["ours"]) / len(theirs), 4),
        },
        "pictures": {"ours": stage.picture(), "scipy": found.x.reshape(start.shape)},
        "scipy_said": found.message,
        "curves": {
            "evaluation": (at := _spread(evaluations)),
            "ours": [round(ours[i - 1], 5) for i in at],
            "scipy": [round(theirs[i - 1], 5) for i in at if i <= len(theirs)],
        },
    }


def _spread(count: int) -> list[int]:
    """Some numbers from 1 to `count`, most of them at the start."""
    stops = range(10, count + 1, max(10, count // 15))
    return sorted(n for n in {1, 2, 3, 5, *stops, count} if n <= count)
