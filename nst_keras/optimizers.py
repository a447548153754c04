"""Optimisers of one image: our Adam and L-BFGS, and those of Keras by name.

All share a contract: `step(image, value_and_grad)` moves the image, a variable (1, H, W, 3) of RGB
in [0, 1], and returns the terms that it saw; `variables()` is all that the next step depends on;
`steps` counts.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from nst_keras.lbfgs import Lbfgs, ValueAndGrad
from nst_keras.schedules import Schedule

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

# Lightness, red against blue, green against both (Ohta, Kanade and Sakai 1980), each of length 1.
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], np.float32)
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)

# Adds to a variable what a function makes of it and of others of its shape: `add_at_once`, or by
# strips, `tiling.add_by_strips`.
Add = Callable[..., None]


def add_at_once(
    variable: tf.Variable, change: Callable[..., tf.Tensor], *others: tf.Variable | tf.Tensor
) -> None:
    """Add to a variable what `change` makes of it and of others."""
    variable.assign_add(change(variable.read_value(), *map(tf.convert_to_tensor, others)))


class Optimizer(Protocol):
    """What a scale asks of its optimiser."""

    @property
    def steps(self) -> tf.Variable:
        """Steps so far."""

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        """One update of the image, in place; returns the terms that it saw."""

    def variables(self) -> dict[str, tf.Variable]:
        """Everything that the next step depends on, by a name for checkpoints."""


def make_optimizer(
    name: str,
    shape: tuple[int, ...],
    rate: Schedule,
    *,
    pixel_range: float,
    bounded: bool,
    history: int,
    backtrack: bool,
    term_names: tuple[str, ...] = ("total",),
    opponent: bool = False,
    add: Add = add_at_once,
    **options: float,
) -> Optimizer:
    """The optimiser of this name, 'adam', 'lbfgs' or one of Keras', for an image of this shape.

    Args:
        rate: step size for pixels in [0, `pixel_range`]; of lbfgs, factor on its step.
        bounded, history, backtrack, term_names: see `Lbfgs`.
        opponent, add: see `Adam`.
        options: beta_1, beta_2, epsilon and momentum; each optimiser takes those that it knows.
    """
    if name == "lbfgs":
        return Lbfgs(
            shape,
            rate=rate,
            history=history,
            backtrack=backtrack,
            bounded=bounded,
            term_names=term_names,
        )
    if name == "adam":
        options.pop("momentum", None)
        return Adam(
            shape, rate=rate, pixel_range=pixel_range, opponent=opponent, add=add, **options
        )
    return KerasOptimizer(name, shape, rate=rate, pixel_range=pixel_range, **options)


class Adam:
    """Adam on one image variable: algorithm 1 of Kingma and Ba (2015).

    Args:
        opponent: takes gradients and steps in opponent colours. Those of red, green and blue say
            nearly the same, so that Adam, which levels each of its coordinates by itself, would
            hardly move the colour beside the lightness.
        add: how to update what is as large as the image.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        rate: Schedule,
        pixel_range: float = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        epsilon: float = 1e-8,
        opponent: bool = False,
        add: Add = add_at_once,
    ):
        # On pixels that are r times as large, gradients are r times as small, and so is a step.
        self.rate, self.pixel_range = rate, pixel_range
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon * pixel_range
        self.opponent, self._add = opponent, add
        self.first = tf.Variable(tf.zeros(shape), trainable=False)
        self.second = tf.Variable(tf.zeros(shape), trainable=False)
        self.steps = tf.Variable(0, trainable=False, dtype=tf.int64)

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        """One update of the image, in place; returns the terms before it."""
        terms, gradient = value_and_grad(image.read_value())
        rate = self.rate(self.steps.read_value()) / self.pixel_range
        self.steps.assign_add(1)
        step = tf.cast(self.steps.read_value(), tf.float32)
        # What the moments lack of their bias towards their start at 0.
        rate *= tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)

        def mean(first: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
            return (1.0 - self.beta_1) * (self._turned(gradient) - first)

        def mean_square(second: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
            return (1.0 - self.beta_2) * (tf.square(self._turned(gradient)) - second)

        def move(_: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
            return self._turned_back(-rate * first / (tf.sqrt(second) + self.epsilon))

        self._add(self.first, mean, gradient)
        self._add(self.second, mean_square, gradient)
        self._add(image, move, self.first, self.second)
        return terms

    def _turned(self, gradient: tf.Tensor) -> tf.Tensor:
        return turn_colours(gradient, OPPONENT.T) if self.opponent else gradient

    def _turned_back(self, step: tf.Tensor) -> tf.Tensor:
        return turn_colours(step, OPPONENT) if self.opponent else step

    def variables(self) -> dict[str, tf.Variable]:
        """Everything that the next step depends on, by a name for checkpoints."""
        return {"adam_first": self.first, "adam_second": self.second, "adam_steps": self.steps}


class KerasOptimizer:
    """An optimiser of Keras on one image variable, working in its pixel unit."""

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


def turn_colours(pixels: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """Each pixel of (..., 3), a row, times a matrix (3, 3)."""
    return tf.reshape(tf.matmul(tf.reshape(pixels, (-1, 3)), matrix), tf.shape(pixels))
