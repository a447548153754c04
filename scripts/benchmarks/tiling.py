"""The cost of tiles: evaluations in tiles of several sizes against one of a whole picture.

Where the picture itself does not fit the device, the whole one may be smaller: the comparison is by
pixel.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from benchmarks import machine
from nst_keras import Config
from nst_keras.devices.precision import settle_precision
from nst_keras.network import vgg
from nst_keras.objective import tiles
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.plan import Scale
from nst_keras.transfer.problem import StyleTransferProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=machine.size, default=(2048, 1536), help="WIDTHxHEIGHT")
    parser.add_argument("--whole", type=machine.size, help="size of the whole picture, if smaller")
    parser.add_argument("--tile_sizes", default="512,768,1024,1536", help="px, ...")
    parser.add_argument("--precision", default="auto", choices=("auto", *machine.PRECISIONS))
    parser.add_argument("--rounds", type=int, default=3)


def measure(options: argparse.Namespace) -> dict:
    """Medians of evaluations taken in turn, and their ratios to that of the whole picture."""
    machine.start()
    precision = settle_precision(options.precision)
    width, height = options.size
    whole_size = options.whole or options.size
    sides = list(map(int, options.tile_sizes.split(",")))
    (whole_evaluation,) = _evaluations(whole_size, precision, [None])
    evaluations = [whole_evaluation, *_evaluations(options.size, precision, sides)]
    times: list[list[float]] = [[] for _ in evaluations]
    for _ in range(options.rounds):
        for evaluate, taken in zip(evaluations, times, strict=True):
            began = time.perf_counter()
            evaluate()
            taken.append(time.perf_counter() - began)
    whole, *tiled = (statistics.median(taken) for taken in times)
    whole_per_pixel = whole / (whole_size[0] * whole_size[1])
    architecture = vgg.architecture("vgg19")
    settings = resolve(_config(options.size, precision, sides[0]))
    field = tiles.receptive_field(map(architecture.__getitem__, settings.layers))
    rows = []
    for side, seconds in zip(sides, tiled, strict=True):
        parts = tiles.plan_tiles(height, width, side, field)
        pixels = sum(tile.pixels for tile in parts)
        rows.append(
            {
                "tile_size": side,
                "tiles": len(parts),
                "pixels_with_halos": round(pixels / (width * height), 3),
                "seconds": round(seconds, 2),
                "times_the_whole": round(seconds / (width * height) / whole_per_pixel, 3),
            }
        )
    return {
        "size": f"{width}x{height}",
        "precision": precision,
        "whole": {"size": f"{whole_size[0]}x{whole_size[1]}", "seconds": round(whole, 4)},
        "evaluations": rows,
        **machine.describe(),
    }


def _config(size: tuple[int, int], precision: str, side: int | None) -> Config:
    return Config(
        objective="relative",
        size=max(size),
        scales=1,
        precision=precision,
        tile_size=side or "none",
    )


def _evaluations(
    size: tuple[int, int], precision: str, sides: Sequence[int | None]
) -> list[Callable[[], None]]:
    """Evaluations of noise of a size, in tiles of each side, or whole for a side of None."""
    width, height = size
    content, style = (machine.noise_picture(height, width, seed) for seed in (1, 2))
    problem = machine.make_problem(content, style, _config(size, precision, sides[0]))
    scale = problem.plan.scales[-1]
    return [_evaluation(problem, scale, side, content) for side in sides]


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
