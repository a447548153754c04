"""The way through the network and back; `test_objective` has it at work."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import backprop


@pytest.mark.parametrize("number", [1e-20, 0.9999999, 1.0, 3.0, 1e20])
def test_a_power_of_two_is_the_largest_up_to_a_number(number):
    found = float(backprop._power_of_two(tf.constant(number)))
    assert np.log2(found) % 1 == 0 and found <= np.float32(number) < 2 * found
