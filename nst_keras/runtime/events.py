"""TensorBoard events."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np


class EventWriter:
    """Writes scalars and images as TensorBoard events to a folder."""

    def __init__(self, folder: Path):
        import tensorflow as tf  # only jobs that ask for events come here

        self._summary = tf.summary
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(
        self, step: int, scalars: Mapping[str, float], image: np.ndarray | None = None
    ) -> None:
        """Add the values of a step, and perhaps an image: floats in [0, 1] (height, width, 3)."""
        with self._writer.as_default(step=step):
            for name, value in scalars.items():
                self._summary.scalar(name, value)
            if image is not None:
                self._summary.image("image", image[None])

    def close(self) -> None:
        """Make the events durable."""
        self._writer.close()
