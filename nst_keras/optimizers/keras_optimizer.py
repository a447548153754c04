"""Keras' optimizers on one image."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from nst_keras.optimizers.optimizer import ValueAndGrad
from nst_keras.optimizers.schedules import Schedule

# Not Ftrl, which starts from black whatever the image is, nor optimizers for whole layers.
_KERAS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adadelta": keras.optimizers.Adadelta,
    "adafactor": keras.optimizers.Adafactor,
    # Keras' start of 0.1 would make the first steps depend on the size of the objective.
    "adagrad": functools.partial(keras.optimizers.Adagrad, initial_accumulator_value=1e-12),
    "adamax": keras.optimizers.Adamax,
    # Weight decay would darken the picture.
    "adamw": functools.partial(keras.optimizers.AdamW, weight_decay=0.0),
    "lamb": keras.optimizers.Lamb,
    "lion": keras.optimizers.Lion,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


class KerasOptimizer:
    """One of Keras' optimizers on one image variable.

    Args:
        name: its name in `facts`.
        shape: the image's, (1, H, W, 3).
        rate: learning rate for pixels in [0, `pixel_range`], the unit in which it works.
        options: arguments of Keras' class.
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        rate: Schedule,
        pixel_range: float,
        **options: Any,
    ):
        self.pixel_range = pixel_range
        self._optimizer = _KERAS[name](learning_rate=rate, **options)
        self._pixels = keras.Variable(tf.zeros(shape), name="pixels")
        self._optimizer.build([self._pixels])

    @property
    def steps(self) -> tf.Variable:
        """The number of steps so far."""
        return self._optimizer.iterations.value

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        """Update the image in place; returns the losses before the update, by name."""
        losses, gradient = value_and_grad(image.read_value())
        self._pixels.assign(image * self.pixel_range)
        self._optimizer.apply([gradient / self.pixel_range], [self._pixels])
        image.assign(self._pixels / self.pixel_range)
        return losses

    def variables(self) -> dict[str, tf.Variable]:
        """The variables on which the next step depends, by their names in checkpoints."""
        own = self._optimizer.variables
        return {str(index): variable.value for index, variable in enumerate(own)}

    def warning(self) -> str:
        """An empty text: none of these stalls."""
        return ""
