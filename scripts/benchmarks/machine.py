"""Sample pictures, the description of the machine, and peak memory, for all benchmarks."""

import resource
import sys
from pathlib import Path

import numpy as np

from nst_keras.devices import startup

IMAGES = Path(__file__).parent.parent.parent / "configs" / "images"
PRECISIONS = ("float32", "bfloat16", "float16")


def start() -> None:
    """Start TensorFlow as a run does."""
    startup.start_tensorflow(deterministic=False, seed=0)
    startup.one_operation_at_a_time()


def describe() -> dict:
    """The device and the versions."""
    import keras
    import tensorflow as tf

    return {
        "device": startup.describe_device(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def size(text: str) -> tuple[int, int]:
    """Parse 'WIDTHxHEIGHT' to (width, height)."""
    width, height = text.split("x")
    return int(width), int(height)


def noise_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth colored noise: (H, W, 3) floats in [0, 1]."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 16 + 1, width // 16 + 1, 3), dtype=np.float32)
    fine = rng.random((height, width, 3), dtype=np.float32)
    return 0.7 * coarse.repeat(16, 0).repeat(16, 1)[:height, :width] + 0.3 * fine
