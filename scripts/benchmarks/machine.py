"""Sample pictures, problems, a description of the machine, and its peak memory."""

import argparse
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nst_keras import Config
from nst_keras.devices import startup
from nst_keras.imaging import images
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.inputs import read_inputs

if TYPE_CHECKING:
    from nst_keras.transfer.problem import StyleTransferProblem
    from nst_keras.transfer.scale_run import ScaleRun

IMAGES = Path(__file__).parent.parent.parent / "configs" / "images"
PRECISIONS = ("float32", "bfloat16", "float16")


def start() -> None:
    """Start TensorFlow as a run does."""
    startup.start_tensorflow()
    startup.one_operation_at_a_time()


def read_pictures(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """The pictures that --content and --style name: float32 RGB in [0, 1], (H, W, 3)."""
    return (
        images.read_image(options.content, "--content").pixels,
        images.read_image(options.style, "--style").pixels,
    )


def make_problem(
    content: np.ndarray, style: Any, config: Config, **masks: Any
) -> "StyleTransferProblem":
    """The problem of a content (H, W, 3) and one style or a list of them, as a run makes it.

    `masks` are those of `read_inputs`.
    """
    from nst_keras.transfer.planning import make_plan
    from nst_keras.transfer.problem import StyleTransferProblem

    settings = resolve(config)
    inputs = read_inputs(settings, content, style, **masks)
    return StyleTransferProblem(settings, inputs, make_plan(settings, inputs))


def noise_run(options: argparse.Namespace, styles: int = 1, **masks: Any) -> "ScaleRun":
    """A run of steps on pictures of noise, whole and at one scale, by the size, the objective and
    the precision of the options; `masks` are those of `read_inputs`."""
    from nst_keras.transfer.scale_run import ScaleRun

    width, height = options.size
    config = Config(
        objective=options.objective,
        size=max(options.size),
        scales=1,
        precision=options.precision,
        tile_size="none",
    )
    content, *others = (noise_picture(height, width, seed) for seed in range(styles + 1))
    problem = make_problem(content, others, config, **masks)
    return ScaleRun(problem, problem.plan.scales[-1], problem.pictures.first_image)


def describe() -> dict:
    """The device and the versions of libraries, for a report."""
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
    """Parse 'WIDTHxHEIGHT' into (width, height)."""
    width, height = text.split("x")
    return int(width), int(height)


def noise_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Colored noise with large forms: (H, W, 3) floats in [0, 1]."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 16 + 1, width // 16 + 1, 3), dtype=np.float32)
    fine = rng.random((height, width, 3), dtype=np.float32)
    return 0.7 * coarse.repeat(16, 0).repeat(16, 1)[:height, :width] + 0.3 * fine
