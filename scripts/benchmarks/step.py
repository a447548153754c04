"""One optimization step against a plain Keras step, PyTorch's, and the device's matrix products.

The ceiling is the rate of matrix products in the step's precision, which fill the device and run
within one graph, taken in turn with the steps; `share` is the part of it that the step reaches,
counting the multiplications and additions of VGG19's convolutions, forward and back to the image,
and of the Gram matrices. `--sweep` measures sizes, precisions, XLA and batches in one process.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks import machine, plain_keras
from nst_keras import Config
from nst_keras.devices.memory import on_gpu
from nst_keras.devices.products import MatrixProducts
from nst_keras.transfer.batch import ScaleBatch
from nst_keras.transfer.scale_run import ScaleRun

# Per pixel and step: 2 * 9 * inputs * outputs at each position of each convolution up to
# block5_conv2, once forward and once back, and three products of the features with N x N matrices
# for each Gram: one forward and two back, as automatic differentiation does; ours needs only one
# back, which leaves 1.55e6.
_FLOP_PER_PIXEL = 1.58e6
_SWEPT_SIZES = (512, 384), (1024, 768), (2048, 1536)
_MOST_PIXELS_OF_BATCH = 1024 * 768  # in a sweep; larger pictures fill a device alone
_BATCH = 4  # pictures at once in a sweep
_LOW = "bfloat16"  # the precision that a sweep tells most of
_SECONDS_OF_PEER = 20.0  # that PyTorch's steps have beyond those of a sweep
_LEAST_SECONDS = 0.1  # of a measurement on a GPU, whose steps take milliseconds

Work = Callable[[int], None]  # takes so many steps, and returns when they are done


class Case(NamedTuple):
    """What is measured in one row of a sweep."""

    width: int
    height: int
    precision: str
    xla: bool = False
    batch: int = 1

    @property
    def flop(self) -> float:
        """Floating-point operations of one step of all pictures."""
        return _FLOP_PER_PIXEL * self.width * self.height * self.batch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size", default=(512, 384), type=machine.size, help="WIDTHxHEIGHT in pixels"
    )
    parser.add_argument("--precision", default="float32", choices=machine.PRECISIONS)
    parser.add_argument("--rounds", type=int, default=12, help="medians are reported")
    parser.add_argument("--steps", type=int, default=2, help="steps per round; more on a GPU")
    parser.add_argument("--xla", action="store_true", help="compile our step with XLA")
    parser.add_argument("--batch", type=int, default=1, help="pictures at once, against one")
    parser.add_argument("--sweep", action="store_true", help="measure a table of cases")
    parser.add_argument(
        "--seconds", type=float, default=110.0, help="after these, a sweep begins no further case"
    )


def measure(options: argparse.Namespace) -> dict:
    """Measure one case or a sweep; seconds are medians."""
    machine.start()
    if options.sweep:
        rows = []
        for row in _sweep(options):
            print(json.dumps(row), file=sys.stderr, flush=True)  # in case that it is stopped
            rows.append(row)
        return {"cases": rows, **machine.describe()}
    case = Case(*options.size, options.precision, options.xla)
    work: dict[str, Work] = {"ours": our_steps(case)}
    if options.batch > 1:
        work["batch"] = our_steps(case._replace(batch=options.batch))
    work["plain"] = plain_keras.steps(*pictures(case))
    dtypes = list(dict.fromkeys(("float32", options.precision)))
    ceilings = {dtype: MatrixProducts(dtype, xla=on_gpu()) for dtype in dtypes}
    work |= {dtype: _products(products) for dtype, products in ceilings.items()}
    first = _first_seconds(work)
    seconds = time_in_turn(work, options.rounds, options.steps)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rates = {dtype: products.flop / medians[dtype] for dtype, products in ceilings.items()}
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["plain"], strict=True)]
    return {
        **_figures(case, medians["ours"], rates[options.precision], first["ours"]),
        "ceiling_gflop_per_second": {dtype: round(rate / 1e9, 1) for dtype, rate in rates.items()},
        "plain_keras_seconds_per_step": round(medians["plain"], 5),
        "ratio_to_plain_keras": round(statistics.median(ratios), 3),
        **_pytorch([f"{case.width}x{case.height}"], case.precision).get(
            f"{case.width}x{case.height}", {}
        ),
        **_batch_figures(seconds, options.batch),
        "peak_memory_mb": machine.peak_memory() >> 20,
        "rounds": options.rounds,
        **machine.describe(),
    }


def _sweep(options: argparse.Namespace) -> Iterator[dict]:
    """The rows of a table, the most telling cases first; those that time is too short for say so.

    A case that fails is a row with its error. PyTorch's steps follow.
    """
    began = time.perf_counter()
    ceilings: dict[str, MatrixProducts] = {}
    for case in swept_cases():
        row = {**_name(case)}
        if time.perf_counter() - began > options.seconds:
            yield {**row, "skipped": f"after {options.seconds:g} s"}
            continue
        if case.precision not in ceilings:
            ceilings[case.precision] = MatrixProducts(case.precision, xla=on_gpu())
        try:
            yield _row(case, ceilings[case.precision], options)
        except (tf.errors.OpError, ValueError) as error:
            yield {**row, "error": f"{type(error).__name__}: {str(error)[:200]}"}
    left = options.seconds + _SECONDS_OF_PEER - (time.perf_counter() - began)
    sizes = [f"{width}x{height}" for width, height in _swept_sizes()]
    for size, figures in _pytorch(sizes, _LOW, left).items():
        yield {"size": size, "precision": _LOW, **figures}


def swept_cases() -> list[Case]:
    """The cases of a sweep on this device."""
    low, sizes = _LOW, _swept_sizes()
    cases = [Case(*size, low, xla) for size in sizes for xla in (False, True)]
    cases += [Case(*size, "float32") for size in sizes]
    small = [size for size in sizes if size[0] * size[1] <= _MOST_PIXELS_OF_BATCH]
    cases += [Case(*size, low, batch=_BATCH) for size in small]
    if on_gpu():
        cases += [Case(*size, "float16") for size in sizes]
        cases += [Case(*size, "float32", xla=True) for size in sizes]
        cases += [Case(*size, low, xla=True, batch=_BATCH) for size in small]
    return cases


def _swept_sizes() -> tuple[tuple[int, int], ...]:
    return _SWEPT_SIZES if on_gpu() else _SWEPT_SIZES[:2]


def _row(case: Case, products: MatrixProducts, options: argparse.Namespace) -> dict:
    if on_gpu():
        tf.config.experimental.reset_memory_stats("GPU:0")
    work = {"ours": our_steps(case), "products": _products(products)}
    first = _first_seconds(work)
    seconds = time_in_turn(work, max(3, options.rounds // 4), options.steps)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rate = products.flop / medians["products"]
    row = _figures(case, medians["ours"], rate, first["ours"])
    return {**row, "ceiling_gflop_per_second": round(rate / 1e9, 1)}


def _name(case: Case) -> dict:
    return {
        "size": f"{case.width}x{case.height}",
        "precision": case.precision,
        "xla": case.xla,
        "batch": case.batch,
    }


def _figures(case: Case, seconds: float, ceiling: float, first: float) -> dict:
    """What is told of our step in a case."""
    figures = {
        **_name(case),
        "seconds_per_step": round(seconds, 5),
        "steps_per_second": round(1.0 / seconds, 3),
        "gflop_per_second": round(case.flop / seconds / 1e9, 1),
        "share": round(case.flop / seconds / ceiling, 3),
        # Setting up, tracing, compiling, and choosing algorithms.
        "first_steps_seconds": round(first, 2),
    }
    if on_gpu():
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        figures["gpu_memory_mb"] = peak >> 20
    return figures


def _first_seconds(work: dict[str, Work]) -> dict[str, float]:
    """Seconds of the first two steps of each kind of work, which trace, compile and fill caches."""
    seconds = {}
    for name, run in work.items():
        began = time.perf_counter()
        run(2)
        seconds[name] = time.perf_counter() - began
    return seconds


def time_in_turn(work: dict[str, Work], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds per step of each kind of work, from rounds in which all take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    counts = {name: _count(run, steps) for name, run in work.items()}
    for _ in range(rounds):
        for name, run in work.items():
            began = time.perf_counter()
            run(counts[name])
            seconds[name].append((time.perf_counter() - began) / counts[name])
    return seconds


def _count(run: Work, steps: int) -> int:
    """Steps of a measurement: on a GPU as many as take a while."""
    if not on_gpu():
        return steps
    began = time.perf_counter()
    run(steps)
    return max(steps, round(_LEAST_SECONDS / (time.perf_counter() - began) * steps))


def _products(products: MatrixProducts) -> Work:
    return lambda count: products(count) and None


def our_steps(case: Case) -> Work:
    """The step of `--objective=relative`, of one picture or of several at once."""
    content, style = pictures(case)
    config = Config(
        objective="relative",
        size=max(case.width, case.height),
        scales=1,
        iterations=10**6,
        precision=case.precision,
        xla=case.xla,
        tile_size="none",
    )
    # Each picture has targets of its own; they share the network.
    problems = [machine.make_problem(content, style, config) for _ in range(case.batch)]
    scale = problems[0].plan.scales[-1]
    batch = ScaleBatch([ScaleRun(problem, scale, lambda: content) for problem in problems])
    return lambda steps: batch.run(steps) and None


def pictures(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The content and the style of a case, (H, W, 3)."""
    content, style = (machine.noise_picture(case.height, case.width, seed) for seed in (1, 2))
    return content, style


def _batch_figures(seconds: dict[str, list[float]], count: int) -> dict[str, float]:
    """What a batch of so many pictures gains over one after the other, and its speed."""
    if count == 1:
        return {}
    gains = [count * a / b for a, b in zip(seconds["ours"], seconds["batch"], strict=True)]
    each = statistics.median(seconds["batch"]) / count
    return {
        "batch": count,
        "batch_seconds_per_step_and_picture": round(each, 4),
        "batch_gain": round(statistics.median(gains), 3),
    }


def _pytorch(
    sizes: Sequence[str], precision: str, seconds: float | None = None
) -> dict[str, dict[str, float]]:
    """PyTorch's seconds per step of the same work by size and mode; empty without PyTorch.

    Args:
        sizes: WIDTHxHEIGHT each.
        seconds: after these, what has been measured has to do.
    """
    if importlib.util.find_spec("torch") is None:
        return {}
    command = [sys.executable, "-m", "benchmarks.pytorch", ",".join(sizes), precision]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths}
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, timeout=seconds, check=True
        )
        text = done.stdout
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as ended:
        # What it has measured so far; of its failure, standard error tells.
        text = ended.stdout or b""
    rows = [json.loads(line) for line in text.decode().splitlines()]
    return {row["size"]: row["figures"] for row in rows}
