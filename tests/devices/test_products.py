"""Matrix products that tell the rate of a device."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices import products as products_lib
from nst_keras.devices.products import MatrixProducts
from tests.conftest import require_precision


@pytest.fixture
def small(monkeypatch):
    """Matrices of 8 columns, so that NumPy can follow."""
    monkeypatch.setattr(products_lib, "_SIDE", 8)
    monkeypatch.setattr(products_lib, "_SIDE_ON_GPU", 8)


@pytest.mark.parametrize("xla", [False, True])
def test_so_many_products_are_computed_one_after_the_other(small, xla):
    products = MatrixProducts("float32", rows=3, xla=xla)
    left, right = products._left.numpy(), products._right.numpy()
    assert (left.shape, right.shape, products.flop) == ((3, 8), (8, 8), 2 * 3 * 8 * 8)
    for count in (0, 1, 5):
        expected = (left @ np.linalg.matrix_power(right, count))[0, 0]
        found = products._run(tf.constant(count))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_one_graph_serves_any_number_of_products(small):
    products = MatrixProducts("float32", rows=3)
    for count in (1, 2, 3):
        assert products(count) > 0
    assert products._run.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_many_products_stay_finite(small, precision):
    require_precision(precision)
    assert np.isfinite(float(MatrixProducts(precision)._run(tf.constant(1000))))


def test_the_rate_is_the_best_of_three_measurements(small, monkeypatch):
    seconds = iter([9.0, 0.01, 0.2, 0.1, 0.4])  # a first one, one product, and three times five
    counts = []

    def measure(self, count):
        counts.append(count)
        return next(seconds)

    monkeypatch.setattr(MatrixProducts, "__call__", measure)
    products = MatrixProducts("float32", rows=3)
    assert products.rate() == pytest.approx(5 * products.flop / 0.1)
    assert counts == [1, 1, 5, 5, 5]
