#!/usr/bin/env python
"""Measure speed: `python scripts/bench.py step|lbfgs [--size=...] [--precision=float32]`.

step: one step against that of a plain Keras program. lbfgs: our L-BFGS against SciPy's, from the
same content image on the same objective, and what its recursion adds to a step. Prints one JSON
object. Machines differ and are shared, so look at the ratios: both sides of each were measured in
turn within the same run.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from nst_keras import Config, devices, images
from nst_keras import weights as weights_lib
from nst_keras.loop import load_weights, plan_job
from nst_keras.resolution import resolve
from nst_keras.scales import Scale
from nst_keras.stages import Painter, Stage
from nst_keras.vgg import layer_names

_IMAGES = Path(__file__).parent.parent / "configs" / "images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("step", help="one optimisation step against a plain Keras step")
    step.add_argument("--size", default="512x384", help="WIDTHxHEIGHT in pixels")
    step.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    step.add_argument("--repeats", type=int, default=7, help="rounds; medians are reported")
    step.add_argument("--steps", type=int, default=3, help="steps per round")
    lbfgs = commands.add_parser("lbfgs", help="L-BFGS against SciPy's; needs SciPy")
    lbfgs.add_argument("--content", default=str(_IMAGES / "harbour.jpg"))
    lbfgs.add_argument("--style", default=str(_IMAGES / "lily_pond.jpg"))
    lbfgs.add_argument("--size", type=int, default=384, help="longest side in pixels")
    lbfgs.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    lbfgs.add_argument("--evaluations", type=int, default=300)
    lbfgs.add_argument("--history", type=int, default=20)
    lbfgs.add_argument("--repeats", type=int, default=7, help="rounds of the overhead's timing")
    lbfgs.add_argument("--overhead_only", action="store_true")
    options = parser.parse_args()
    if options.command == "lbfgs":
        report = bench_lbfgs(options)
    else:
        width, height = (int(side) for side in options.size.split("x"))
        report = bench_step(width, height, options.precision, options.repeats, options.steps)
    json.dump(report, sys.stdout, indent=1)
    print()


def bench_step(width: int, height: int, precision: str, repeats: int, steps: int) -> dict:
    """Our step and the plain one, in turn; seconds are medians per step."""
    content, style = _picture(height, width, seed=1), _picture(height, width, seed=2)
    ours = our_steps(content, style, precision)
    plain = plain_steps(content, style)
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for run in (ours, plain):
        run(1)  # traces
    for _ in range(repeats):
        for name, run in (("ours", ours), ("plain", plain)):
            began = time.perf_counter()
            run(steps)
            seconds[name].append((time.perf_counter() - began) / steps)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["plain"], strict=True)]
    return {
        "size": f"{width}x{height}",
        "precision": precision,
        "seconds_per_step": round(medians["ours"], 4),
        "steps_per_second": round(1.0 / medians["ours"], 3),
        "plain_keras_seconds_per_step": round(medians["plain"], 4),
        "ratio_to_plain_keras": round(statistics.median(ratios), 3),
        "peak_memory_mb": peak_memory() >> 20,
        "repeats": repeats,
        "device": devices.describe_device(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def bench_lbfgs(options: argparse.Namespace) -> dict:
    """Totals and seconds per evaluation of both, and the share of our recursion in a step."""
    content = images.read_image(options.content, "--content").pixels
    style = images.read_image(options.style, "--style").pixels
    painter, scale = lbfgs_painter(content, style, options, options.precision)
    report = {
        "size": f"{scale.width}x{scale.height}",
        "precision": options.precision,
        "history": options.history,
        "recursion": measure_recursion(painter, scale, options.repeats),
        "device": devices.describe_device(),
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
) -> tuple[Painter, Scale]:
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
    return Painter(config, content, [style], load_weights(config), plan), plan[-1]


def measure_recursion(painter: Painter, scale: Scale, repeats: int) -> dict:
    """Seconds of one evaluation, and of one step with a full history, in turn."""
    stage = Stage(painter, scale, painter.first_image())
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


def compare_with_scipy(painter: Painter, scale: Scale, evaluations: int) -> dict:
    """The same number of evaluations by both, in turn, so that both see the same machine."""
    from scipy import optimize

    start = painter.first_image()
    objective = painter.objective(scale)
    evaluate = tf.function(objective.value_and_grad)
    stage = Stage(painter, scale, start)
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
    found = optimize.minimize(
        value_and_grad,
        start.ravel().astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * start.size,
        options={
            "maxcor": painter.config.history,
            "maxfun": evaluations,
            "maxiter": 10**6,
            "ftol": 0.0,
            "gtol": 0.0,
        },
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
        "pictures": {"ours": stage.picture(), "scipy": found.x.reshape(start.shape)},
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


def our_steps(content: np.ndarray, style: np.ndarray, precision: str) -> Callable[[int], None]:
    """The step of the product at its defaults."""
    height, width = content.shape[:2]
    config = resolve(Config(size=max(height, width), scales=1, precision=precision))
    scale = Scale(0, height, width, steps=10**6, first_step=1)
    painter = Painter(config, content, [style], load_weights(config), (scale,))
    stage = Stage(painter, scale, content)
    return lambda steps: stage.run(steps) and None


def plain_steps(content: np.ndarray, style: np.ndarray) -> Callable[[int], None]:
    """What one writes after the tutorials: VGG19 of Keras, GradientTape, Keras' Adam."""
    content_layer = "block5_conv2"
    style_layers = [f"block{block}_conv1" for block in range(1, 6)]
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    weights = weights_lib.read_weights(weights_lib.embedded_path(), "vgg19")
    for name in layer_names("vgg19"):
        vgg.get_layer(name).set_weights([weights.kernels[name], weights.biases[name]])
    vgg.trainable = False
    outputs = {name: vgg.get_layer(name).output for name in [content_layer, *style_layers]}
    extractor = keras.Model(vgg.inputs, outputs)

    def features(image):
        return extractor(keras.applications.vgg19.preprocess_input(image * 255.0))

    def gram(feature):
        _, rows, columns, _ = feature.shape
        return tf.einsum("bijc,bijd->bcd", feature, feature) / float(rows * columns)

    targets = features(tf.constant(content[None]))[content_layer]
    style_features = features(tf.constant(style[None]))
    grams = {name: gram(style_features[name]) for name in style_layers}
    image = tf.Variable(content[None])
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build([image])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            found = features(image)
            loss = tf.reduce_mean((found[content_layer] - targets) ** 2)
            for name in style_layers:
                loss += tf.reduce_mean((gram(found[name]) - grams[name]) ** 2)
            loss += tf.reduce_mean((image[:, 1:] - image[:, :-1]) ** 2)
            loss += tf.reduce_mean((image[:, :, 1:] - image[:, :, :-1]) ** 2)
        optimizer.apply_gradients([(tape.gradient(loss, image), image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))
        return loss

    def run(steps: int) -> None:
        for _ in range(steps):
            loss = step()
        loss.numpy()

    return run


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _picture(height: int, width: int, seed: int) -> np.ndarray:
    """Coloured noise with large forms: (H, W, 3) floats in [0, 1]."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 16 + 1, width // 16 + 1, 3), dtype=np.float32)
    fine = rng.random((height, width, 3), dtype=np.float32)
    return 0.7 * coarse.repeat(16, 0).repeat(16, 1)[:height, :width] + 0.3 * fine


if __name__ == "__main__":
    main()
