"""What a traced function computes, as a hash that is the same in another process."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, function_pb2

# Attributes that do not change what an operation computes, or hold names of variables.
_IGNORED = ("_class", "_output_shapes", "container", "shared_name", "debug_name")

_Library = Mapping[str, function_pb2.FunctionDef]


def graph_identity(traced: tf.types.experimental.ConcreteFunction) -> str:
    """SHA-256, in hexadecimal, of operations, their connections, and the values that they use.

    Names do not count: Keras numbers layers in the order in which they are made.
    """
    library = {own.signature.name: own for own in traced.graph.as_graph_def().library.function}
    digest = hashlib.sha256()
    for text in _described(traced.function_def, library):
        digest.update(text + b"\n")
    variables = {id(variable.handle): variable for variable in traced.graph.variables}
    for captured in traced.captured_inputs:
        value = np.ascontiguousarray(variables.get(id(captured), captured))
        digest.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    return digest.hexdigest()


def _described(definition: function_pb2.FunctionDef, library: _Library) -> Iterator[bytes]:
    """The operations of a function, known by their numbers."""
    numbers = {own.name: f"argument {n}" for n, own in enumerate(definition.signature.input_arg)}
    numbers |= {node.name: f"{number}" for number, node in enumerate(definition.node_def)}

    def numbered(source: str) -> str:
        start = "^" if source.startswith("^") else ""  # a dependency without a value
        name, *output = source.removeprefix("^").split(":")
        return ":".join([start + numbers[name], *output])

    for node in definition.node_def:
        yield f"{node.op} {[*map(numbered, node.input)]}".encode()
        for name, value in sorted(node.attr.items()):
            if name not in _IGNORED:
                yield name.encode()
                yield from _described_attribute(value, library)
    for result in definition.signature.output_arg:
        yield numbered(definition.ret[result.name]).encode()


def _described_attribute(value: attr_value_pb2.AttrValue, library: _Library) -> Iterator[bytes]:
    called = [value.func] if value.HasField("func") else value.list.func
    if not called:
        yield value.SerializeToString(deterministic=True)
    for function in called:
        if function.name in library:
            yield from _described(library[function.name], library)
