"""What all optimizers of one image have in common."""

import abc
import contextlib
from collections.abc import Callable

import tensorflow as tf

# Makes the losses of an image (1, H, W, 3) by name, with their 'total', and the total's gradient.
ValueAndGrad = Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], tf.Tensor]]
# Adds to a variable the result of a function of it and of others of its shape: `add_at_once`, or
# strip by strip `strips.add_by_strips`.
Add = Callable[..., None]
# Makes a variable of a name and a value: `make_variable`, or one that other sizes of the image use,
# too.
MakeVariable = Callable[[str, tf.Tensor], tf.Variable]
# What depends on the size of the image or the number of steps, by name: itself, or such a variable.
MakeConstant = Callable[[str, tf.Tensor], tf.Tensor | tf.Variable]


class Optimizer(abc.ABC):
    """Moves one image, a variable of RGB in [0, 1] and of the `shape` (1, H, W, 3).

    Attributes:
        steps: the number of steps so far.
    """

    steps: tf.Variable

    @abc.abstractmethod
    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        """Update the image in place, with one evaluation.

        Returns:
            The losses by name, with their 'total': of the image before the step, or after it where
            the evaluation is of the next point.
        """

    @abc.abstractmethod
    def variables(self) -> dict[str, tf.Variable]:
        """The variables on which the next step depends, by their names in checkpoints."""

    def restart(self) -> None:  # noqa: B027 - most optimizers need nothing
        """Forget what is known of the objective, which has changed; the image stays."""

    def warning(self) -> str:
        """A warning for the user about the optimizer's progress; empty if there is none."""
        return ""


def after(gradient: tf.Tensor) -> contextlib.AbstractContextManager:
    """Have the block of a step take effect only once there is the gradient.

    In a graph, what does not use the gradient would not wait for it, and a step whose evaluation
    fails, as for want of memory, would leave some variables changed.
    """
    return tf.control_dependencies([gradient])


def make_variable(name: str, value: tf.Tensor) -> tf.Variable:
    """A variable of a value, for images of one size."""
    return tf.Variable(value, trainable=False)


def add_at_once(
    variable: tf.Variable, change: Callable[..., tf.Tensor], *others: tf.Variable | tf.Tensor
) -> None:
    """Add to a variable the result of `change` for its value and the values of others."""
    variable.assign_add(change(variable.read_value(), *map(tf.convert_to_tensor, others)))
