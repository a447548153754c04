"""Compiled steps: which losses they return, and that each is traced once."""

import math

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.transfer.compiling import CompiledSteps


def losses_by_call(table):
    """A step that returns the rows of a table in turn, and the count of its calls."""
    count, rows = tf.Variable(0), tf.constant(table, tf.float32)

    def step():
        count.assign_add(1)
        return rows[count - 1]

    return step, count


def run(step, count, shape):
    return CompiledSteps(step, shape)(tf.constant(count)).numpy()


def test_the_losses_of_the_last_step_are_returned():
    step, count = losses_by_call([[1, 5], [2, 6], [3, 7], [4, 8]])
    np.testing.assert_array_equal(run(step, 3, (2,)), [3, 7])
    assert int(count) == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_losses_that_are_not_finite_are_kept(bad):
    step, count = losses_by_call([[1, 5], [bad, 6], [3, 7], [math.nan, 8]])
    np.testing.assert_array_equal(run(step, 4, (2,)), [bad, 6])
    assert int(count) == 4


def test_each_picture_keeps_its_own_first_losses_that_are_not_finite():
    nan = math.nan
    step, _ = losses_by_call(
        [[[1, 5], [1, 6]], [[nan, 6], [2, 7]], [[3, 7], [3, 8]], [[4, 8], [nan, 9]]]
    )
    np.testing.assert_array_equal(run(step, 3, (2, 2)), [[nan, 6], [3, 8]])


def test_a_loss_beside_the_total_may_be_anything():
    step, _ = losses_by_call([[1, math.nan], [2, 6]])
    np.testing.assert_array_equal(run(step, 2, (2,)), [2, 6])


@pytest.mark.parametrize("xla", [False, True])
def test_a_step_is_traced_once(xla):
    variable, traced = tf.Variable(0.0), []

    def step():
        traced.append(1)
        variable.assign_add(1.0)
        return variable[None] * 2.0

    steps = CompiledSteps(step, (1,), xla=xla)
    assert [steps(tf.constant(count)).numpy().item() for count in (1, 3)] == [2.0, 8.0]
    assert len(traced) == 1


@pytest.mark.parametrize("xla", [False, True])
def test_it_may_go_over_to_xla_and_back_between_calls(xla):
    variable = tf.Variable(1.0)

    def step():
        variable.assign(variable * 2.0)
        return variable[None]

    steps = CompiledSteps(step, (1,), xla=xla)
    found = []
    for _ in range(3):
        found.append(steps(tf.constant(2)).numpy().item())
        steps.xla = not steps.xla
    assert found == [4.0, 16.0, 64.0]


def test_conditions_on_tensors_are_compiled_by_xla():
    variable = tf.Variable(0.0)

    def step():
        if variable < 2.0:
            variable.assign_add(1.0)
        else:
            variable.assign_add(10.0)
        return variable[None]

    steps = CompiledSteps(step, (1,), xla=True, with_conditions=True)
    assert steps(tf.constant(4)).numpy().item() == 22.0
