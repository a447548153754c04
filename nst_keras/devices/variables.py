"""Variables that scales have in common, so that one graph of a step serves all of them.

A graph knows its variables, not their values. Where the axes that differ between scales have no
fixed length, the next scale only has to set the variables anew. Tracing and optimizing a graph
takes as long as many steps of a small picture.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from nst_keras.devices.xla_programs import is_for_xla

Shape = Sequence[int | None]  # None: an axis of any length


class Variables:
    """The variables of one scale, or of several scales one after another.

    Args:
        are_shared: whether several scales use them. One that is asked for again is set to its new
            value, whose axes of any length may have another one.

    Attributes:
        generation: how often they have been released: a scale of an earlier one has lost its own.
    """

    def __init__(self, are_shared: bool = False):
        self.are_shared, self.generation = are_shared, 0
        self._by_name: dict[str, tf.Variable] = {}
        self._graphs: dict[Hashable, Any] = {}

    def variable(self, name: str, value: tf.Tensor, shape: Shape | None = None) -> tf.Variable:
        """A variable of this value.

        Args:
            shape: what shared values may have; None: that of `any_size`.
        """
        if not self.are_shared:
            return tf.Variable(value, trainable=False)
        if name in self._by_name:
            self._by_name[name].assign(value)
        else:
            shape = any_size(value) if shape is None else shape
            self._by_name[name] = tf.Variable(value, trainable=False, shape=shape)
        return self._by_name[name]

    def constant(
        self, name: str, value: tf.Tensor, shape: Shape | None = None
    ) -> tf.Tensor | tf.Variable:
        """The same for what steps do not change: just the value, unless it is shared."""
        return self.variable(name, value, shape) if self.are_shared else value

    def release(self) -> None:
        """Free the memory of shared values with axes of any length, for the next scale."""
        self.generation += self.are_shared
        for variable in self._by_name.values():
            if not variable.shape.is_fully_defined():
                lengths = [length or 0 for length in variable.shape]
                variable.assign(tf.zeros(lengths, variable.dtype))

    def graph(self, kind: Hashable, make: Callable[[], Any]) -> Any:
        """The graph of a kind that uses these variables, made by the first scale that shares it."""
        if not self.are_shared:
            return make()
        if kind not in self._graphs:
            self._graphs[kind] = make()
        return self._graphs[kind]


def any_size(value: tf.Tensor) -> Shape:
    """The shape of a value for pictures of any size: pictures and features have four axes, of which
    that is the height and the width."""
    shape = tuple(value.shape)
    return (shape[0], None, None, shape[3]) if len(shape) == 4 else shape


def value_of(variable: tf.Tensor | tf.Variable) -> tf.Tensor:
    """The value of a tensor or a variable; in a program of XLA, which is compiled for one size
    only, of the shape that it has now."""
    value = tf.convert_to_tensor(variable)
    if isinstance(variable, tf.Variable) and is_for_xla():
        with tf.init_scope():
            value.set_shape(variable.read_value().shape)
    return value


class Values(Mapping[str, tf.Tensor]):
    """The values of tensors and variables by name, each read when it is asked for."""

    def __init__(self, named: Mapping[str, tf.Tensor | tf.Variable]):
        self._named = named

    def __getitem__(self, name: str) -> tf.Tensor:
        return value_of(self._named[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)
