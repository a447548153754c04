"""Updates of large images strip by strip, in memory that TensorFlow's allocator does not keep."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_ALIGNMENT = 64  # bytes
_STRIP_PIXELS = 1 << 20  # of the strips in which the variation is computed


def add_by_strips(
    variable: tf.Variable, change: Callable[..., tf.Tensor], *others: tf.Variable | tf.Tensor
) -> None:
    """Add to a variable (1, H, W, N) what `change` makes of strips of it and of others.

    As `optimizers.add_at_once`, but for TensorFlow's allocator, which does not give back what
    temporaries of that size took.
    """
    found = aligned_array(variable.shape, variable.dtype.as_numpy_dtype)
    values = [np.asarray(tf.convert_to_tensor(one)) for one in (variable, *others)]
    for start, stop in strips(*variable.shape[1:3]):
        found[:, start:stop] = change(*(tf.constant(one[:, start:stop]) for one in values))
    del values  # a variable that is looked at is copied when it changes
    variable.assign_add(shared_tensor(found))


def strips(height: int, width: int) -> list[tuple[int, int]]:
    """Rows from, to and without, of about `_STRIP_PIXELS` each."""
    count = max(1, round(height * width / _STRIP_PIXELS))
    rows = -(-height // count)
    return [(start, min(start + rows, height)) for start in range(0, height, rows)]


def shared_tensor(array: np.ndarray) -> tf.Tensor:
    """An aligned array as a tensor of the same memory."""
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def aligned_array(shape: Sequence[int], dtype: type) -> np.ndarray:
    """Memory that can also be a tensor's, and goes back to the system when it is large."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(tuple(shape))
