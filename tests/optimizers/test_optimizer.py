"""The contract of optimizers, and how a variable is updated at once."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.optimizers.facts import FACTS
from nst_keras.optimizers.optimizer import Optimizer, add_at_once
from tests.conftest import picture
from tests.optimizers.conftest import RATES, made, quadratic, rate_of


@pytest.mark.parametrize("name", FACTS)
def test_every_optimizer_has_what_the_contract_asks_for(name):
    optimizer = made(name, rate_of(RATES[name]))
    for method, declared in inspect.getmembers(Optimizer, inspect.isfunction):
        if not method.startswith("_"):
            own = inspect.signature(getattr(type(optimizer), method))
            assert own.parameters.keys() == inspect.signature(declared).parameters.keys(), method
    assert isinstance(optimizer.steps, tf.Variable) and optimizer.warning() == ""
    assert all(isinstance(one, tf.Variable) for one in optimizer.variables().values())


@pytest.mark.parametrize("name", FACTS)
def test_a_step_is_one_evaluation_at_or_beside_the_image(name):
    optimizer, image = made(name, rate_of(RATES[name])), tf.Variable(picture(4, 5)[None])
    evaluate, seen = quadratic(), []

    def value_and_grad(pixels):
        seen.append(pixels.numpy())
        return evaluate(pixels)

    for step in range(1, 4):
        losses = optimizer.step(image, value_and_grad)
        assert len(seen) == step == int(optimizer.steps)
        assert set(losses) == {"total"}


def test_what_is_added_at_once_is_made_of_the_variable_and_the_others():
    variable, other = tf.Variable([1.0, 2.0]), tf.Variable([3.0, 4.0])
    add_at_once(variable, lambda x, y, z: x * y + z, other, tf.constant([0.5, 0.25]))
    np.testing.assert_array_equal(variable, [1 + 3.5, 2 + 8.25])
    np.testing.assert_array_equal(other, [3, 4])
