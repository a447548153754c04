"""Steps as graphs: one step, and the loop over steps."""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

_Losses = TypeVar("_Losses")


def compiled_step(
    step: Callable[[], _Losses], *, xla: bool, with_conditions: bool = False
) -> Callable[[], _Losses]:
    """A step as a graph of its own, outside of the graph of the loop over steps.

    In a graph with a loop, TensorFlow visits nodes in an order that varies between processes, and
    on that order depends whether oneDNN computes the gradients of pooling. If it does not, a single
    thread computes them, and a step takes a quarter longer. Besides, XLA would compile again for
    each number of steps.

    Args:
        with_conditions: whether the step has Python conditions on tensors; converting them takes a
            second.
    """
    return tf.function(
        step,
        jit_compile=xla or None,
        autograph=with_conditions,
        experimental_attributes={"_noinline": True},
    )


def repeated(step: Callable[[], tf.Tensor], count: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Take `count` steps in a graph.

    Returns the losses of the last step or, for each picture, those of the first step whose total is
    not finite. Later losses do not show where the trouble began, and may even look sound, since a
    GPU clips NaN to black.

    Args:
        step: takes one and returns its losses, the total first: (..., terms), float32.
        shape: of the losses.
    """

    def more(number: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sound = tf.math.is_finite(before[..., :1])
        return number + 1, tf.where(sound, step(), before)

    start = (tf.constant(0), tf.zeros(shape))
    return tf.while_loop(lambda number, _: number < count, more, start)[1]
