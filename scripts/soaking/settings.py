"""Random settings of small jobs, and their inputs."""

import random
from pathlib import Path
from typing import Any

import numpy as np

from nst_keras.imaging import geometry, images
from nst_keras.network import vgg, weights

CHANNELS = (4, 6, 8, 8, 8)  # of each block of the network


def make_inputs(folder: Path) -> None:
    """Write pictures, and weights of a network that takes milliseconds."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, height, width in (
        ("photo_1.png", 40, 60),
        ("photo_2.jpg", 64, 50),
        ("photo_3.png", 96, 96),
        ("painting_1.png", 50, 50),
        ("painting_2.jpg", 40, 70),
        ("painting_3.png", 90, 44),
    ):
        smooth = geometry.resize(rng.random((4, 5, 3), dtype=np.float32), height, width)
        noisy = np.clip(smooth + rng.normal(0, 0.03, smooth.shape), 0, 1)
        images.write_image(folder / name, noisy.astype(np.float32))
    weights.write_weights(folder / "tiny.npz", _tiny_weights(rng))


def _tiny_weights(rng: np.random.Generator) -> weights.Weights:
    """A random VGG19 of a few channels, scaled so that features keep their magnitude."""
    kernels, biases = {}, {}
    for conv in vgg.convolutions("vgg19", channels=CHANNELS):
        deviation = np.sqrt(2.0 / (9 * conv.inputs)) / (60.0 if conv.inputs == 3 else 1.0)
        kernels[conv.name] = rng.normal(0, deviation, conv.kernel_shape).astype(np.float32)
        biases[conv.name] = rng.normal(0, 0.1, conv.outputs).astype(np.float32)
    return weights.Weights("vgg19", CHANNELS, kernels, biases, sha256="0" * 64)


def random_flags(rng: random.Random, inputs: Path) -> list[str]:
    """The flags of a job of a few steps on a picture of 48 to 96 px."""
    settings = {
        **_input_settings(rng, inputs),
        **_size_settings(rng),
        **_optimizer_settings(rng),
        **_objective_settings(rng),
        **_recorder_settings(rng),
        "workdir": "run",
    }
    flags = [f"--{name}={value}" for name, value in settings.items() if value is not None]
    switches = (("noscores", 0.6), ("nogif", 0.3), ("frame_labels", 0.2), ("overwrite", 0.2))
    return flags + [f"--{name}" for name, share in switches if rng.random() < share]


def _sometimes(rng: random.Random, share: float, *values: Any) -> Any:
    """One of the values with this probability; otherwise None: the flag is not given."""
    return rng.choice(values) if rng.random() < share else None


def _input_settings(rng: random.Random, inputs: Path) -> dict[str, Any]:
    paintings = sorted(inputs.glob("painting_*"))
    styles = rng.sample(paintings, rng.choice((1, 1, 2, 3)))
    blend = ",".join(str(rng.randint(1, 5)) for _ in styles)
    init = ("noise", "content", "gray", "mean", "style", "style_stats", inputs / "painting_1.png")
    return {
        "content": rng.choice(sorted(inputs.glob("photo_*"))),
        "style": ",".join(map(str, styles)),
        "style_blend": _sometimes(rng, 0.4, blend) if len(styles) > 1 else None,
        "weights": inputs / "tiny.npz",
        "init": _sometimes(rng, 0.6, *init),
        "init_noise": _sometimes(rng, 0.2, 0.05),
        "seed": _sometimes(rng, 0.5, rng.randint(1, 99)),
    }


def _size_settings(rng: random.Random) -> dict[str, Any]:
    """Sizes and steps; with tiles, layers that need little overlap."""
    tiled = rng.random() < 0.3
    size = rng.randint(64, 96) if tiled else rng.randint(48, 96)
    tiles = {
        "tile_size": rng.choice((40, 44, 48)),
        "style_layers": "block1_conv1,block2_conv1",
        "content_layers": "block2_conv2",
    }
    return {
        "size": size,
        "min_size": rng.randint(32, 44),
        "scales": rng.choice((1, 1, 2, 2, 3)),
        "iterations": rng.randint(2, 5 if tiled else 9),
        "coarse_iterations": rng.randint(1, 4),
        "fit": _sometimes(rng, 0.2, "crop"),
        **(tiles if tiled else {"tile_size": _sometimes(rng, 0.7, "none")}),
    }


def _optimizer_settings(rng: random.Random) -> dict[str, Any]:
    keras = rng.choice(("rmsprop", "nadam", "adamax", "adagrad", "lion", "sgd"))
    name = rng.choice((None, None, "adam", "adam", "lbfgs", "lbfgs", "lbfgs", keras))
    schedule = _sometimes(rng, 0.3, "linear", "cosine", "exponential", "piecewise", "constant")
    return {
        "optimizer": name,
        "learning_rate": 1 if name == "sgd" else None,
        "history": rng.choice((2, 5, 20)) if name == "lbfgs" else None,
        "line_search": _sometimes(rng, 0.4, "backtrack") if name == "lbfgs" else None,
        "schedule": schedule,
        "schedule_at": "2:0.5,4:0.25" if schedule == "piecewise" else None,
        "warmup_steps": _sometimes(rng, 0.2, 1, 3),
        "average": _sometimes(rng, 0.3, 0.5, 0.9),
        "tolerance": _sometimes(rng, 0.3, 0.01, 0.1, 0.9),
        "patience": rng.randint(1, 3),
    }


def _objective_settings(rng: random.Random) -> dict[str, Any]:
    neighbors = {
        "neighbor_layers": "block1_conv1,block2_conv1",  # which need little overlap of tiles
        "detail_iterations": rng.randint(0, 4),
        "match_every": rng.randint(1, 3),
    }
    objective = rng.choice(("relative", "neighbors"))
    return {
        "objective": objective,
        **(neighbors if objective == "neighbors" else {}),
        "content_focus": _sometimes(rng, 0.3, 0.5),
        "laplacian_weight": _sometimes(rng, 0.3, 0, 6),
        "variables": _sometimes(rng, 0.3, "pyramid"),
        "precision": _sometimes(rng, 0.85, "float32", "bfloat16"),
        "balance": _sometimes(rng, 0.25, "content:1,style:4,tv:0.1", "style:3,content:1"),
        "style_weight": _sometimes(rng, 0.3, 2, 30),
        "tv_weight": _sometimes(rng, 0.2, 0, 20),
        "pooling": _sometimes(rng, 0.3, "avg", "max"),
        "padding": _sometimes(rng, 0.3, "zero", "replicate"),
    }


def _recorder_settings(rng: random.Random) -> dict[str, Any]:
    outputs = ("copy.png", "copy.png", "copy.jpg", "copy.webp", "copy.bmp")
    return {
        "log_every": rng.randint(1, 4),
        "image_every": _sometimes(rng, 0.7, 0, 1, 2, 3),
        "image_at": _sometimes(rng, 0.4, "2", "1,3"),
        "checkpoint_every": rng.randint(0, 4),
        "checkpoint_minutes": _sometimes(rng, 0.4, 0, 0.005),
        "keep_checkpoints": rng.randint(1, 3),
        "output": _sometimes(rng, 0.4, *outputs),
    }
