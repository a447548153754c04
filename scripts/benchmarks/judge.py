"""The default objective at one scale in float32, which compares all pictures."""

import numpy as np
import tensorflow as tf

from nst_keras import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import scales, setup
from nst_keras.transfer.problem import FeatureExtractors, StyleTransferProblem


class Judge:
    """The objective for a photo and a painting (H, W, 3) at a longest side of `size` pixels."""

    def __init__(self, content: np.ndarray, style: np.ndarray, size: int):
        plain = resolve(Config(size=size, scales=1, precision="float32"))
        plan = scales.plan_job(plain, content.shape[:2])
        painter = StyleTransferProblem(
            plain, content, [style], FeatureExtractors(plain, setup.load_weights(plain)), plan
        )
        self.scale, self.start = plan[-1], painter.first_image()
        self.objective = painter.objective(self.scale)
        self._value = tf.function(self.objective.value)

    def __call__(self, picture: np.ndarray) -> float:
        """The total loss of a picture (H, W, 3) in [0, 1], as it would be saved with 8 bits."""
        return float(self._value(tf.constant(as_saved(picture)[None]))["total"])


def as_saved(picture: np.ndarray) -> np.ndarray:
    """The picture rounded to 8 bits per value."""
    return np.round(picture * 255.0).astype(np.float32) / np.float32(255.0)
