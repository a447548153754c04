"""Updates of large images strip by strip."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.optimizers import strips

SIZE = 213, 179


@pytest.mark.parametrize(("height", "width"), [(16, 16), (5000, 700), (333, 6000), (8192, 6144)])
def test_strips_are_all_rows_once_in_parts_of_about_a_megapixel(height, width):
    found = strips.strips(height, width)
    assert found[0][0] == 0 and found[-1][1] == height
    assert [start for start, _ in found[1:]] == [stop for _, stop in found[:-1]]
    assert all((stop - start) * width <= 1.5 * 2**20 for start, stop in found)
    assert len(found) <= 1 + 1.5 * height * width / 2**20


def test_what_is_added_by_strips_is_what_would_be_added_at_once(monkeypatch):
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 1000)
    rng = np.random.default_rng(5)
    start, other = (rng.random((1, *SIZE, 3), dtype=np.float32) for _ in range(2))
    variable, second = tf.Variable(3 * start - 1), tf.Variable(other)
    for given in (second, tf.constant(other)):
        before = variable.numpy()
        strips.add_by_strips(variable, lambda x, y: y * y - x, given)
        np.testing.assert_array_equal(variable, before + (other * other - before))
    np.testing.assert_array_equal(second, other)


def test_adding_by_strips_leaves_the_variable_where_it_is():
    """A new buffer for each step would let TensorFlow's pool grow by images."""
    variable, other = tf.Variable(tf.zeros((1, *SIZE, 3))), tf.Variable(tf.ones((1, *SIZE, 3)))
    before = np.asarray(variable.read_value()).ctypes.data
    for _ in range(2):
        strips.add_by_strips(variable, lambda x, y: x + y, other)
        assert np.asarray(variable.read_value()).ctypes.data == before
    np.testing.assert_array_equal(variable, np.full((1, *SIZE, 3), 3, np.float32))


@pytest.mark.parametrize(("shape", "dtype"), [((1, 7, 5, 3), np.float32), ((3, 1), np.float64)])
def test_an_aligned_array_is_a_tensor_of_the_same_memory(shape, dtype):
    array = strips.aligned_array(shape, dtype)
    assert array.shape == shape and array.dtype == dtype and array.ctypes.data % 64 == 0
    array[:] = 2.0
    tensor = strips.shared_tensor(array)
    array[0] = 5.0
    np.testing.assert_array_equal(tensor, array)
    assert float(np.min(tensor)) in (2.0, 5.0) and np.asarray(tensor).flat[0] == 5.0
