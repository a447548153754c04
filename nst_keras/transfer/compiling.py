"""Compiled steps, by XLA or without it, of which any number can be taken."""

from collections.abc import Callable

import tensorflow as tf

from nst_keras.devices.variables import Variables
from nst_keras.devices.xla_programs import Program
from nst_keras.objective.objective import TracedOnce


class CompiledSteps:
    """A function that takes a given number of steps.

    It returns the losses of the last step or, for each picture, those of the first step whose total
    is not finite. Later losses do not show where the trouble began, and may even look sound, since
    a GPU clips NaN to black.

    Args:
        step: takes one step and returns its losses of this shape, the total first: (..., terms).
        xla: whether XLA compiles it.
        variables: those of the step; the graph is that of the first scale with the same ones.
        with_conditions: whether it has Python conditions on tensors; converting takes a second.
    """

    def __init__(
        self,
        step: Callable[[], tf.Tensor],
        shape: tuple[int, ...],
        *,
        xla: bool = False,
        variables: Variables | None = None,
        with_conditions: bool = False,
    ):
        self._step, self._shape, self._with_conditions = step, shape, with_conditions
        # The loop is not in the graph. With it, tracing and optimizing take twice as long. And in a
        # graph with a loop, TensorFlow visits nodes in an order that varies between processes, and
        # that order decides whether oneDNN computes the gradients of pooling. If it does not, a
        # single thread computes them, and a step takes a quarter longer.
        self._by_graph = (variables or Variables()).graph(
            shape, lambda: TracedOnce(self._compiled_step())
        )
        # The whole loop is one program, whatever the number of steps: between steps nothing waits
        # for the host, and the image and the optimizer's variables stay where they are.
        self._by_xla = Program(self._loop)
        self.xla = xla

    def __call__(self, count: tf.Tensor) -> tf.Tensor:
        """Take so many steps, a scalar int32."""
        if self.xla:
            return self._by_xla(count)
        losses = tf.zeros(self._shape)
        for _ in range(int(count)):
            losses = self._by_graph(losses)
        return losses

    def _loop(self, count: tf.Tensor) -> tf.Tensor:
        step = self._compiled_step()

        def more(number: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return number + 1, step(before)

        start = (tf.constant(0), tf.zeros(self._shape))
        return tf.while_loop(lambda number, _: number < count, more, start)[1]

    def _compiled_step(self) -> tf.types.experimental.PolymorphicFunction:
        return tf.function(self._one_more, autograph=self._with_conditions)

    def _one_more(self, before: tf.Tensor) -> tf.Tensor:
        """Take a step; returns its losses, or those before it where their total is not finite."""
        return tf.where(tf.math.is_finite(before[..., :1]), self._step(), before)
