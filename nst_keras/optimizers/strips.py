"""Updates of large images strip by strip, in memory that TensorFlow's allocator does not keep."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_ALIGNMENT = 64  # bytes
_STRIP_PIXELS = 1 << 20  # pixels per strip, about


def add_by_strips(
    variable: tf.Variable, change: Callable[..., tf.Tensor], *others: tf.Variable | tf.Tensor
) -> None:
    """Add to a variable (1, H, W, N) the results of `change` for strips of it and of others.

    It does what `optimizer.add_at_once` does, but its only temporary of the image's size is a NumPy
    array, which is freed at once. TensorFlow's allocator would keep the memory.
    """
    found = aligned_array(variable.shape, variable.dtype.as_numpy_dtype)
    values = [np.asarray(tf.convert_to_tensor(one)) for one in (variable, *others)]
    for start, stop in strips(*variable.shape[1:3]):
        found[:, start:stop] = change(*(tf.constant(one[:, start:stop]) for one in values))
    del values  # TensorFlow copies a variable that changes while arrays share its memory
    variable.assign_add(shared_tensor(found))


def strips(height: int, width: int) -> list[tuple[int, int]]:
    """Ranges of rows that make up an image, as (start, stop), of about `_STRIP_PIXELS` each."""
    count = max(1, round(height * width / _STRIP_PIXELS))
    rows = -(-height // count)
    return [(start, min(start + rows, height)) for start in range(0, height, rows)]


def shared_tensor(array: np.ndarray) -> tf.Tensor:
    """A tensor that shares the memory of an aligned array."""
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def aligned_array(shape: Sequence[int], dtype: type) -> np.ndarray:
    """An uninitialized array whose memory a tensor can share; a large one is freed at once."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(tuple(shape))
