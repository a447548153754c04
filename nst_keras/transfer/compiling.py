"""Steps compiled into one function that takes any number of them."""

from collections.abc import Callable

import tensorflow as tf

from nst_keras.objective.objective import TracedOnce


def compiled_steps(
    step: Callable[[], tf.Tensor],
    shape: tuple[int, ...],
    *,
    xla: bool = False,
    with_conditions: bool = False,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Compile a function that takes a given number of steps.

    It returns the losses of the last step or, for each picture, those of the first step whose total
    is not finite. Later losses do not show where the trouble began, and may even look sound, since
    a GPU clips NaN to black.

    Args:
        step: takes one step and returns its losses of this shape, the total first: (..., terms).
        with_conditions: whether it has Python conditions on tensors; converting takes a second.
    """
    # A graph of its own: in a graph with a loop, TensorFlow visits nodes in an order that varies
    # between processes, and that order decides whether oneDNN computes the gradients of pooling.
    # If it does not, a single thread computes them, and a step takes a quarter longer. Besides, XLA
    # would compile again for each number of steps.
    one_step = tf.function(
        step,
        jit_compile=xla or None,
        autograph=with_conditions,
        experimental_attributes={"_noinline": True},
    )

    def more(number: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sound = tf.math.is_finite(before[..., :1])
        return number + 1, tf.where(sound, one_step(), before)

    def steps(count: tf.Tensor) -> tf.Tensor:
        start = (tf.constant(0), tf.zeros(shape))
        return tf.while_loop(lambda number, _: number < count, more, start)[1]

    return TracedOnce(tf.function(steps, autograph=False))
