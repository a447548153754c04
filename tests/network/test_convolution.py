"""Our convolution is that of Keras with a ReLU."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.network.convolution import Convolution
from tests.conftest import require_precision


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_features_and_gradients_are_those_of_keras(padding, precision):
    require_precision(precision)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(0, 1, (2, 7, 9, 3)), precision)
    found = []
    kinds = Convolution, functools.partial(keras.layers.Conv2D, activation="relu")
    for kind in kinds:
        layer = kind(5, 3, padding=padding, dtype=precision)
        layer.build(images.shape)
        weights = np.random.default_rng(1)
        layer.set_weights([weights.normal(0, 1, own.shape) for own in layer.weights])
        with tf.GradientTape() as tape:
            tape.watch(images)
            features = layer(images)
        found.append((features, tape.gradient(features, images)))
    (own, own_gradient), (expected, expected_gradient) = found
    assert own.shape == layer.compute_output_shape(images.shape) and 0 < np.mean(own > 0) < 1
    np.testing.assert_array_equal(own, expected)
    np.testing.assert_array_equal(own_gradient, expected_gradient)
