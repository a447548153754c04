"""Steps compiled into one function that takes any number of them, by XLA or without it."""

import functools
from collections.abc import Callable

import tensorflow as tf

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
        with_conditions: whether it has Python conditions on tensors; converting takes a second.
    """

    def __init__(
        self,
        step: Callable[[], tf.Tensor],
        shape: tuple[int, ...],
        *,
        xla: bool = False,
        with_conditions: bool = False,
    ):
        self._step, self._shape, self._with_conditions = step, shape, with_conditions
        self._traced: dict[bool, TracedOnce | Program] = {}  # by whether XLA compiles it
        self.xla = xla

    def __call__(self, count: tf.Tensor) -> tf.Tensor:
        """Take so many steps, a scalar int32."""
        if self.xla not in self._traced:
            self._traced[self.xla] = self._by_xla() if self.xla else self._by_graph()
        return self._traced[self.xla](count)

    def _by_graph(self) -> TracedOnce:
        # A step is a graph of its own: in a graph with a loop, TensorFlow visits nodes in an order
        # that varies between processes, and that order decides whether oneDNN computes the
        # gradients of pooling. If it does not, a single thread computes them, and a step takes a
        # quarter longer.
        attributes = {"_noinline": True}
        one_step = tf.function(
            self._step, autograph=self._with_conditions, experimental_attributes=attributes
        )
        loop = functools.partial(self._loop, one_step)
        return TracedOnce(tf.function(loop, autograph=False))

    def _by_xla(self) -> Program:
        # The whole loop is one program, whatever the number of steps: between steps nothing waits
        # for the host, and the image and the optimizer's variables stay where they are.
        one_step = tf.function(self._step, autograph=self._with_conditions)
        return Program(functools.partial(self._loop, one_step))

    def _loop(self, one_step: Callable[[], tf.Tensor], count: tf.Tensor) -> tf.Tensor:
        def more(number: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            sound = tf.math.is_finite(before[..., :1])
            return number + 1, tf.where(sound, one_step(), before)

        start = (tf.constant(0), tf.zeros(self._shape))
        return tf.while_loop(lambda number, _: number < count, more, start)[1]
