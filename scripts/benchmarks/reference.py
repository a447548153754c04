"""The default objective at one scale in float32, with which all pictures are compared."""

import numpy as np
import tensorflow as tf

from benchmarks import machine
from nst_keras import Config


class ReferenceObjective:
    """The objective of a photo and a painting (H, W, 3) at a longest side in pixels."""

    def __init__(self, content: np.ndarray, style: np.ndarray, size: int):
        config = Config(
            objective="relative", size=size, scales=1, precision="float32", tile_size="none"
        )
        problem = machine.make_problem(content, style, config)
        self.scale, self.start = problem.plan.scales[-1], problem.pictures.first_image()
        self.objective = problem.objective(self.scale)
        self._value = tf.function(self.objective.value)

    def __call__(self, picture: np.ndarray) -> float:
        """The total of a picture (H, W, 3) in [0, 1], as it would be saved with 8 bits."""
        return float(self._value(tf.constant(as_saved(picture)[None]))["total"])


def as_saved(picture: np.ndarray) -> np.ndarray:
    """The picture with 8 bits per value."""
    return np.round(picture * 255.0).astype(np.float32) / np.float32(255.0)
