"""The contract of optimizers of one image."""

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from nst_keras.optimizers.lbfgs import ValueAndGrad

# Adds to a variable what a function makes of it and of others of its shape: `add_at_once`, or by
# strips, `tiling.add_by_strips`.
Add = Callable[..., None]


def add_at_once(
    variable: tf.Variable, change: Callable[..., tf.Tensor], *others: tf.Variable | tf.Tensor
) -> None:
    """Add to a variable what `change` makes of it and of others."""
    variable.assign_add(change(variable.read_value(), *map(tf.convert_to_tensor, others)))


class Optimizer(Protocol):
    """What a scale asks of its optimizer."""

    @property
    def steps(self) -> tf.Variable:
        """Steps so far."""

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        """One update of the image, in place; returns the terms that it saw."""

    def variables(self) -> dict[str, tf.Variable]:
        """Everything that the next step depends on, by a name for checkpoints."""
