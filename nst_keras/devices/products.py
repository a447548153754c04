"""Products of matrices that fill a device: what a step could reach at best.

They run one after the other within one graph, since a call from Python takes longer than a small
product on a GPU.
"""

import time

import tensorflow as tf

from nst_keras.devices.memory import on_gpu

# Rows and columns of the right matrix. Smaller ones do not fill a large GPU; larger ones tell
# nothing new on a CPU, and take long.
_SIDE, _SIDE_ON_GPU = 2304, 8192
_SHRINK = 0.95  # so that random matrices, multiplied again and again, do not grow
_LEAST_SECONDS = 0.05  # of a measurement


class MatrixProducts:
    """Matrix products in one precision.

    Args:
        dtype: 'float32', 'bfloat16' or 'float16'.
        rows: of the left matrix; fewer take less time, and tell the rate less well.
        xla: whether XLA compiles them, which takes seconds, and chooses the best algorithm.

    Attributes:
        flop: floating-point operations of one product.
    """

    def __init__(self, dtype: str, rows: int | None = None, *, xla: bool = False):
        side = _SIDE_ON_GPU if on_gpu() else _SIDE
        rows = rows or side
        self.flop = 2.0 * rows * side * side
        left = tf.random.stateless_normal((rows, side), (1, 2))
        right = _SHRINK * tf.random.stateless_normal((side, side), (3, 4)) / side**0.5
        self._left, self._right = tf.cast(left, dtype), tf.cast(right, dtype)
        self._run = tf.function(self._products, autograph=False, jit_compile=xla or None)

    def __call__(self, count: int) -> float:
        """Compute so many products; returns the seconds that they took."""
        began = time.perf_counter()
        self._run(tf.constant(count)).numpy()
        return time.perf_counter() - began

    def rate(self) -> float:
        """Floating-point operations per second: the best of three measurements."""
        self(1)
        count = max(1, round(_LEAST_SECONDS / self(1)))
        return count * self.flop / min(self(count) for _ in range(3))

    def _products(self, count: tf.Tensor) -> tf.Tensor:
        start = (tf.constant(0), self._left)
        _, product = tf.while_loop(
            lambda number, _: number < count,
            lambda number, left: (number + 1, tf.matmul(left, self._right)),
            start,
        )
        return product[0, 0]
