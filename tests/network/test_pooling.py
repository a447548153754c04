"""Pooling for XLA equals TensorFlow's, in its values and its gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices.xla_programs import Program
from nst_keras.network import pooling


def features(height, width, ties=False):
    values = np.random.default_rng(1).normal(size=(2, height, width, 3)).astype(np.float32)
    return tf.constant(np.round(values) if ties else values)


def value_and_gradient(layer, features):
    with tf.GradientTape() as tape:
        tape.watch(features)
        pooled = layer(features)
        weights = tf.reshape(tf.range(1, 1 + np.prod(pooled.shape)), pooled.shape)
        total = tf.reduce_sum(tf.cast(weights, pooled.dtype) * pooled)
    return pooled, tape.gradient(total, features)


@pytest.mark.parametrize("size", [(6, 8), (7, 5)], ids=str)
@pytest.mark.parametrize(
    ("ours", "of_keras"),
    [
        (pooling.MaxPooling, keras.layers.MaxPooling2D),
        (pooling.AveragePooling, keras.layers.AveragePooling2D),
    ],
)
def test_layers_equal_those_of_keras(ours, of_keras, size):
    for ties in (False, True):  # equal values in a square: the gradient goes to the first one
        values = features(*size, ties=ties)
        expected = value_and_gradient(of_keras(2), values)
        layer = ours(2)
        by_xla = Program(lambda values, layer=layer: value_and_gradient(layer, values))
        for found in (by_xla(values), value_and_gradient(layer, values)):
            for own, other in zip(found, expected, strict=True):
                # The mean of 4 numbers of about 1, and a weight: a few roundings of 1e-7.
                np.testing.assert_allclose(own, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_means_of_squares_by_numpy(side, dtype):
    values = tf.cast(features(9, 12), dtype)
    wide = tf.cast(values, tf.float32).numpy()[:, : 9 // side * side]
    expected = wide.reshape(2, 9 // side, side, 12 // side, side, 3).mean((2, 4))
    found = Program(lambda values: pooling.mean_of_squares(values, side))(values)
    assert found.dtype == dtype
    # The result is rounded once: by 2^-24 or, in bfloat16, by 2^-9 of its size.
    relative = 2.0**-8 if dtype == "bfloat16" else 1e-6
    np.testing.assert_allclose(tf.cast(found, tf.float32), expected, rtol=relative, atol=relative)
