"""The cost of tiles: evaluations in tiles of several sizes against one of the whole picture."""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks import machine
from nst_keras import Config
from nst_keras.devices.precision import settle_precision
from nst_keras.objective import tiles
from nst_keras.transfer.plan import Scale
from nst_keras.transfer.problem import StyleTransferProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=machine.size, default=(2048, 1536), help="WIDTHxHEIGHT")
    parser.add_argument("--tile_sizes", default="512,768,1024,1536", help="px, ...")
    parser.add_argument("--precision", default="auto", choices=("auto", *machine.PRECISIONS))
    parser.add_argument("--rounds", type=int, default=3)


def measure(options: argparse.Namespace) -> dict:
    """Medians of evaluations taken in turn, and their ratios to that of the whole picture."""
    machine.start()
    width, height = options.size
    content, style = (machine.noise_picture(height, width, seed) for seed in (1, 2))
    precision = settle_precision(options.precision)
    config = Config(
        objective="relative",
        size=max(width, height),
        scales=1,
        precision=precision,
        tile_size="none",
    )
    problem = machine.make_problem(content, style, config)
    sides = [None, *map(int, options.tile_sizes.split(","))]
    evaluations = [_evaluation(problem, problem.plan.scales[-1], side, content) for side in sides]
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(options.rounds):
        for evaluate, taken in zip(evaluations, times, strict=True):
            began = time.perf_counter()
            evaluate()
            taken.append(time.perf_counter() - began)
    whole = statistics.median(times[0])
    field = tiles.receptive_field(problem.settings.layers, problem.settings.backbone)
    rows = []
    for side, taken in zip(sides, times, strict=True):
        parts = tiles.plan_tiles(height, width, side, field)
        pixels = sum(tile.pixels for tile in parts)
        rows.append(
            {
                "tile_size": side,
                "tiles": len(parts),
                "pixels_with_halos": round(pixels / (width * height), 3),
                "seconds": round(statistics.median(taken), 2),
                "times_the_whole": round(statistics.median(taken) / whole, 3),
            }
        )
    return {
        "size": f"{width}x{height}",
        "precision": precision,
        "evaluations": rows,
        **machine.describe(),
    }


def _evaluation(
    problem: StyleTransferProblem, scale: Scale, side: int | None, picture: np.ndarray
) -> Callable[[], None]:
    """One evaluation of value and gradient, traced already."""
    objective = problem.objective(scale, side)
    evaluate = objective.value_and_grad if side else tf.function(objective.value_and_grad)
    image = tf.constant(picture[None])

    def run() -> None:
        terms, _ = evaluate(image)
        float(terms["total"])

    run()
    return run
