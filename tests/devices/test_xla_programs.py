"""Programs of XLA: they compute what their functions do, and equal ones are the same program."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices.xla_programs import Program, is_for_xla


def names(program):
    return [trace._name for trace in program._traces.values()]


def scaled_sum(factor):
    """A program with a loop and a function in it, which captures a factor."""
    tensor, inner = tf.constant(factor), tf.function(lambda x: tf.reduce_sum(x) * tensor)

    def function(x):
        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda n, _: n < 3, lambda n, y: (n + 1, y + inner(x)), start)[1]

    return Program(function)


def test_what_differs_only_in_captured_tensors_is_the_same_program():
    first, second = scaled_sum(2.0), scaled_sum(5.0)
    assert float(first(tf.ones(4))) == 24.0 and float(second(tf.ones(4))) == 60.0
    assert names(first) == names(second)


def test_what_computes_something_else_is_another_program():
    programs = [Program(lambda x: x + 1.0), Program(lambda x: x + 2.0), Program(lambda x: x * 1.0)]
    assert [float(program(tf.constant(3.0))) for program in programs] == [4.0, 5.0, 3.0]
    assert len({name for program in programs for name in names(program)}) == 3


def test_each_combination_of_shapes_and_numbers_has_its_trace():
    traced = []

    def function(tensors, window):
        traced.append(window)
        return {"part": tensors["x"][window[0] : window[1]], "whole": tensors["x"] * 2.0}

    program = Program(function)
    for size, window in ((4, (0, 2)), (4, (1, 3)), (5, (0, 2)), (4, (0, 2))):
        x = tf.range(size, dtype=tf.float32)
        found = program({"x": x}, window)
        np.testing.assert_array_equal(found["part"], x[slice(*window)])
        np.testing.assert_array_equal(found["whole"], x * 2.0)
    assert traced == [(0, 2), (1, 3), (0, 2)]


def test_each_program_changes_its_own_variable():
    variables = [tf.Variable(float(number)) for number in (1, 10)]
    programs = [Program(lambda x, own=own: own.assign_add(x)) for own in variables]
    for program in programs:
        for _ in range(2):
            program(tf.constant(3.0))
    assert [float(own) for own in variables] == [7.0, 16.0]
    assert names(programs[0]) == names(programs[1])


def test_only_what_is_traced_for_xla_knows_it():
    seen = []

    def function(x):
        seen.append(is_for_xla())
        return x

    Program(function)(tf.constant(1.0))
    tf.function(function, autograph=False)(tf.constant(1.0))

    def failing(x):
        raise ValueError("in a trace")

    with pytest.raises(ValueError, match="in a trace"):
        Program(failing)(tf.constant(1.0))
    function(tf.constant(1.0))
    assert seen == [True, False, False]
