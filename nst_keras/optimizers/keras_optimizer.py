"""Keras' optimizers on one image."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from nst_keras.optimizers.lbfgs import ValueAndGrad
from nst_keras.optimizers.schedules import Schedule

# All but Ftrl, which starts from black whatever the image is, and those that are for layers.
_KERAS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adadelta": keras.optimizers.Adadelta,
    "adafactor": keras.optimizers.Adafactor,
    # Keras' start of 0.1 would make the first steps depend on the size of the objective.
    "adagrad": functools.partial(keras.optimizers.Adagrad, initial_accumulator_value=1e-12),
    "adamax": keras.optimizers.Adamax,
    # Decay would darken the picture.
    "adamw": functools.partial(keras.optimizers.AdamW, weight_decay=0.0),
    "lamb": keras.optimizers.Lamb,
    "lion": keras.optimizers.Lion,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


class KerasOptimizer:
    """An optimizer of Keras on one image variable, working in its pixel unit."""

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        rate: Schedule,
        pixel_range: float,
        **options: Any,
    ):
        known = inspect.signature(_KERAS[name]).parameters
        options = {key: value for key, value in options.items() if key in known}
        self.name, self.pixel_range = name, pixel_range
        self._optimizer = _KERAS[name](learning_rate=rate, **options)
        self._pixels = keras.Variable(tf.zeros(shape), name="pixels")
        self._optimizer.build([self._pixels])

    @property
    def steps(self) -> tf.Variable:
        """Steps so far."""
        return self._optimizer.iterations.value

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        """One update of the image, in place; returns the terms before it."""
        terms, gradient = value_and_grad(image.read_value())
        self._pixels.assign(image * self.pixel_range)
        self._optimizer.apply([gradient / self.pixel_range], [self._pixels])
        image.assign(self._pixels / self.pixel_range)
        return terms

    def variables(self) -> dict[str, tf.Variable]:
        """Everything that the next step depends on, by a name for checkpoints."""
        own = self._optimizer.variables
        return {f"{self.name}_{index}": variable.value for index, variable in enumerate(own)}
