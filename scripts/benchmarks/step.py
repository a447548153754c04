"""One optimization step against a plain Keras step and against the machine's matrix product.

The ceiling is the median of large matrix products in the step's precision, taken in turn with the
steps; `share` is the part of it that the step reaches, counting the multiplications and additions
of VGG19's convolutions, forward and back to the image, and of the Gram matrices.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks import machine
from nst_keras import Config
from nst_keras.network import weights as weights_lib
from nst_keras.network.vgg import layer_names
from nst_keras.transfer.batch import ScaleBatch
from nst_keras.transfer.scale_run import ScaleRun

# Per pixel and step: 2 * 9 * inputs * outputs at each position of each convolution up to
# block5_conv2, once forward and once back, and three products of the features with N x N matrices
# for each Gram: one forward and two back, as automatic differentiation does; ours needs only one
# back, which leaves 1.55e6.
_FLOP_PER_PIXEL = 1.58e6
_CEILING_ROUNDS = 12
_SHAPES = (4096, 2304), (2304, 2048)  # of a convolution in block4, unrolled
PRODUCT_FLOP = 2.0 * _SHAPES[0][0] * _SHAPES[0][1] * _SHAPES[1][1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size", default=(512, 384), type=machine.size, help="WIDTHxHEIGHT in pixels"
    )
    parser.add_argument("--precision", default="float32", choices=machine.PRECISIONS)
    parser.add_argument("--rounds", type=int, default=_CEILING_ROUNDS, help="medians are reported")
    parser.add_argument("--steps", type=int, default=2, help="steps per round")
    parser.add_argument("--xla", action="store_true", help="compile our step with XLA")
    parser.add_argument("--batch", type=int, default=1, help="pictures at once, against one")


def measure(options: argparse.Namespace) -> dict:
    """Time our step, the plain one and matrix products in turn; seconds are medians."""
    machine.start()
    width, height = options.size
    content = machine.noise_picture(height, width, seed=1)
    style = machine.noise_picture(height, width, seed=2)
    dtypes = list(dict.fromkeys(("float32", options.precision)))
    work = {
        "ours": our_steps(content, style, options.precision, xla=options.xla),
        **_batch(content, style, options),
        "plain": plain_steps(content, style),
        **{dtype: matrix_products(dtype) for dtype in dtypes},
    }
    seconds = time_in_turn(work, options.rounds, options.steps)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    flop = _FLOP_PER_PIXEL * width * height
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["plain"], strict=True)]
    return {
        "size": f"{width}x{height}",
        "precision": options.precision,
        "xla": options.xla,
        "seconds_per_step": round(medians["ours"], 4),
        "steps_per_second": round(1.0 / medians["ours"], 3),
        "gflop_per_second": round(flop / medians["ours"] / 1e9, 1),
        "ceiling_gflop_per_second": {
            dtype: round(PRODUCT_FLOP / medians[dtype] / 1e9, 1) for dtype in dtypes
        },
        "share": round(flop / medians["ours"] / (PRODUCT_FLOP / medians[options.precision]), 3),
        "plain_keras_seconds_per_step": round(medians["plain"], 4),
        "ratio_to_plain_keras": round(statistics.median(ratios), 3),
        **_batch_figures(seconds, options.batch),
        "peak_memory_mb": machine.peak_memory() >> 20,
        "rounds": options.rounds,
        **machine.describe(),
    }


def time_in_turn(
    work: dict[str, Callable[[int], None]], rounds: int, steps: int
) -> dict[str, list[float]]:
    """Seconds per step of each kind of work, from rounds in which all take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for run in work.values():
        run(2)  # traces, and fills caches
    for _ in range(rounds):
        for name, run in work.items():
            began = time.perf_counter()
            run(steps)
            seconds[name].append((time.perf_counter() - began) / steps)
    return seconds


def matrix_products(dtype: str) -> Callable[[int], None]:
    """Large matrix products of this type, as a measure of the machine."""
    left, right = (tf.cast(tf.random.stateless_normal(s, (1, 2)), dtype) for s in _SHAPES)
    product = tf.function(lambda: tf.matmul(left, right))

    def run(count: int) -> None:
        for _ in range(count):
            product()
        tf.test.experimental.sync_devices()

    return run


def our_steps(
    content: np.ndarray, style: np.ndarray, precision: str, *, count: int = 1, xla: bool = False
) -> Callable[[int], None]:
    """The step of `--objective=relative`, of one picture or of several at once."""
    config = Config(
        objective="relative",
        size=max(content.shape[:2]),
        scales=1,
        iterations=10**6,
        precision=precision,
        xla=xla,
        tile_size="none",
    )
    problem = machine.make_problem(content, style, config)
    runs = [ScaleRun(problem, problem.plan.scales[-1], lambda: content) for _ in range(count)]
    batch = ScaleBatch(runs)
    return lambda steps: batch.run(steps) and None


def _batch(
    content: np.ndarray, style: np.ndarray, options: argparse.Namespace
) -> dict[str, Callable[[int], None]]:
    if options.batch == 1:
        return {}
    count, xla = options.batch, options.xla
    return {"batch": our_steps(content, style, options.precision, count=count, xla=xla)}


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


def plain_steps(content: np.ndarray, style: np.ndarray) -> Callable[[int], None]:
    """The step of the usual tutorials: VGG19 of Keras, GradientTape, Adam of Keras."""
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
