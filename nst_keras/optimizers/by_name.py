"""Optimizers by name: ours, and Keras' on one image. `facts` describes them without TensorFlow."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from nst_keras.optimizers import keras_text
from nst_keras.optimizers.adam import Adam
from nst_keras.optimizers.lbfgs import Lbfgs
from nst_keras.optimizers.optimizer import (
    Add,
    MakeVariable,
    Optimizer,
    ValueAndGrad,
    add_at_once,
    after,
    make_variable,
)
from nst_keras.optimizers.schedules import Product, Schedule

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


def make_optimizer(
    name: str,
    shape: tuple[int, ...],
    rate: Schedule,
    settings: Mapping[str, Any],
    *,
    pixel_range: float = 1.0,
    bounded: bool = False,
    loss_names: tuple[str, ...] = ("total",),
    add: Add = add_at_once,
    variable: MakeVariable = make_variable,
) -> Optimizer:
    """Make an optimizer.

    Args:
        name: one of `facts.FACTS`, or the text of an optimizer of Keras (see `keras_text`).
        rate: the step size for pixels in [0, `pixel_range`]; for lbfgs, a factor on its steps; for
            the text of an optimizer, on its own rate.
        settings: a value for each of the settings that the optimizer takes (see `facts`).
        bounded: whether pixels stay within [0, 1].
        loss_names: the keys of the objective's losses.
        add: updates variables as large as the image.
        variable: makes the variables of those that suit images of any size (see `facts`).
    """
    if name == "lbfgs":
        return Lbfgs(shape, rate=rate, bounded=bounded, loss_names=loss_names, **settings)
    if name == "adam":
        return Adam(
            shape, rate=rate, pixel_range=pixel_range, add=add, variable=variable, **settings
        )
    if keras_text.is_text(name):
        return KerasOptimizer(_from_text(name, rate), shape, pixel_range)
    return KerasOptimizer(_KERAS[name](learning_rate=rate, **settings), shape, pixel_range)


def _from_text(text: str, factor: Schedule) -> keras.optimizers.Optimizer:
    """The optimizer of Keras that a text describes, with its learning rate times a factor."""
    found = keras_text.config_of(text)
    keras_text.check_classes(found)
    rate = found["config"]["learning_rate"]
    if isinstance(rate, dict):
        rate = keras.optimizers.schedules.deserialize(rate)
    found["config"]["learning_rate"] = 1.0  # only then can it be set later
    made = keras.optimizers.deserialize(found)
    made.learning_rate = Product(rate, factor)
    return made


class KerasOptimizer(Optimizer):
    """One of Keras' optimizers, which works on pixels in [0, `pixel_range`]."""

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, shape: tuple[int, ...], pixel_range: float
    ):
        self.pixel_range, self._optimizer = pixel_range, optimizer
        self._pixels = keras.Variable(tf.zeros(shape), dtype="float32", name="pixels")
        optimizer.build([self._pixels])
        self.steps = optimizer.iterations.value

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        losses, gradient = value_and_grad(image.read_value())
        gradient = gradient / self.pixel_range
        with after(gradient):
            self._pixels.assign(image * self.pixel_range)
            # Otherwise Keras adds up the gradients of replicas, even of a single one, in a way that
            # keeps the graph in memory forever (`tf.custom_gradient`).
            across_replicas = tf.distribute.get_replica_context().merge_call
            across_replicas(lambda _: self._optimizer.apply([gradient], [self._pixels]))
            image.assign(self._pixels / self.pixel_range)
        return losses

    def variables(self) -> dict[str, tf.Variable]:
        own = self._optimizer.variables
        return {str(index): variable.value for index, variable in enumerate(own)}
