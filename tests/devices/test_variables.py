"""Variables of several scales: set anew, of any size, of a known shape in programs of XLA."""

import numpy as np
import tensorflow as tf

from nst_keras.devices.variables import Values, Variables, value_of
from nst_keras.devices.xla_programs import Program


def test_shared_ones_are_set_anew_and_others_are_new():
    shared, own = Variables(are_shared=True), Variables()
    first = shared.variable("image", tf.zeros((1, 2, 3)), (1, None, 3))
    second = shared.variable("image", tf.ones((1, 4, 3)), (1, None, 3))
    assert first is second
    np.testing.assert_array_equal(first.numpy(), np.ones((1, 4, 3)))
    assert own.variable("image", tf.zeros(2)) is not own.variable("image", tf.zeros(2))


def test_what_steps_do_not_change_is_a_variable_only_if_it_is_shared():
    value = tf.ones(3)
    assert Variables().constant("factors", value, (None,)) is value
    shared = Variables(are_shared=True)
    held = shared.constant("factors", value, (None,))
    assert shared.constant("factors", tf.zeros(5), (None,)) is held
    assert isinstance(held, tf.Variable) and held.numpy().shape == (5,)


def test_a_graph_serves_values_of_any_size():
    variables, traces = Variables(are_shared=True), []

    def total():
        traces.append(1)
        return tf.reduce_sum(held)

    held = variables.constant("values", tf.ones(3), (None,))
    graph = variables.graph("total", lambda: tf.function(total))
    assert float(graph()) == 3.0
    variables.constant("values", tf.ones(5), (None,))
    assert variables.graph("total", lambda: 1 / 0) is graph
    assert float(graph()) == 5.0 and len(traces) == 1


def test_variables_that_are_not_shared_have_a_graph_for_each_scale():
    made = iter("ab")
    variables = Variables()
    assert [variables.graph("total", lambda: next(made)) for _ in range(2)] == ["a", "b"]


def test_release_frees_only_what_may_have_another_size():
    variables = Variables(are_shared=True)
    free = variables.variable("image", tf.ones((1, 2, 4, 3)))
    fixed = variables.variable("weights", tf.ones(4))
    variables.release()
    assert free.numpy().shape == (1, 0, 0, 3) and fixed.numpy().tolist() == [1.0] * 4


def test_in_a_program_of_xla_values_have_the_shape_that_they_have_now():
    held = Variables(are_shared=True).variable("image", tf.ones((1, 4, 3)), (1, None, 3))
    values, shapes = Values({"image": held, "plain": tf.zeros(2)}), []

    def total():
        shapes.append(values["image"].shape)
        return tf.reduce_sum(values["image"]) + tf.reduce_sum(values["plain"])

    assert float(tf.function(total)()) == 12.0
    assert float(Program(total)()) == 12.0
    assert [shape.as_list() for shape in shapes] == [[1, None, 3], [1, 4, 3]]
    assert [*values] == ["image", "plain"] and len(values) == 2
    assert value_of(held).shape == (1, 4, 3)
