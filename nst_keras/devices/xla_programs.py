"""Functions that XLA compiles, known to TensorFlow by what they compute.

TensorFlow finds a compiled program, in memory and in its persistent cache, by the names of its
functions, and it numbers these. So it would compile the same steps anew for each picture, scale and
process whose functions were traced in another order. Here functions are copied under names that are
hashes of what they compute, so that what is compiled once serves all.
"""

import contextvars
import hashlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.python.eager import context  # has no public counterpart

_is_for_xla = contextvars.ContextVar("is_for_xla", default=False)


def is_for_xla() -> bool:
    """Whether operations that are called now become part of a program of XLA.

    What XLA fuses better in another form can ask for it.
    """
    return _is_for_xla.get()


class Program:
    """A function of tensors that XLA compiles, once for each combination of their shapes.

    Tensors may be in tuples and dictionaries, beside numbers, which become part of a program.
    AutoGraph does not convert the function. Numbers of its own that differ between pictures should
    be tensors that it captures, for the same reason.

    Attributes:
        function: as TensorFlow knows it.
    """

    def __init__(self, function: Callable):
        self.function = tf.function(_marked(function), jit_compile=True, autograph=False)
        self._traces: dict[tuple, _Trace] = {}

    def __call__(self, *given: Any) -> Any:
        flat = tf.nest.flatten(given)
        kind = tuple((it.shape, it.dtype) if tf.is_tensor(it) else it for it in flat)
        if kind not in self._traces:
            self._traces[kind] = _Trace(self.function.get_concrete_function(*given))
        return self._traces[kind]([it for it in flat if tf.is_tensor(it)])


class _Trace:
    """A function traced for tensors of certain shapes, with its copy."""

    def __init__(self, traced: tf.types.experimental.ConcreteFunction):
        self._traced, self._name = traced, _register(traced)

    def __call__(self, tensors: list[tf.Tensor]) -> Any:
        inputs = [*tensors, *self._traced.captured_inputs]
        results = context.context().call_function(self._name, inputs, len(self._traced.outputs))
        return tf.nest.pack_sequence_as(self._traced.structured_outputs, results)


def _marked(function: Callable) -> Callable:
    """The function, which knows during its trace what it is traced for."""

    def marked(*given: Any) -> Any:
        token = _is_for_xla.set(True)
        try:
            return function(*given)
        finally:
            _is_for_xla.reset(token)

    return marked


def _register(traced: tf.types.experimental.ConcreteFunction) -> bytes:
    """Add copies of a traced function and of all that it calls to TensorFlow; returns its name."""
    library = {own.signature.name: own for own in traced.graph.as_graph_def().library.function}
    names: dict[str, str] = {}
    for definition in _callees_first(traced.function_def, library):
        own = function_pb2.FunctionDef()
        own.CopyFrom(definition)
        _rename(own, names)
        digest = hashlib.sha256(own.SerializeToString(deterministic=True)).hexdigest()
        own.signature.name = names[definition.signature.name] = f"nst_{digest[:32]}"
        if not context.context().has_function(own.signature.name):
            context.context().add_function_def(own)
    return names[traced.function_def.signature.name].encode()


def _callees_first(
    top: function_pb2.FunctionDef, library: dict[str, function_pb2.FunctionDef]
) -> list[function_pb2.FunctionDef]:
    """A function and all that it calls, each one after those that it calls itself."""
    ordered: dict[str, function_pb2.FunctionDef] = {}

    def visit(definition: function_pb2.FunctionDef) -> None:
        for node in definition.node_def:
            for callee in _callees(node):
                if callee.name in library and callee.name not in ordered:
                    visit(library[callee.name])
        ordered[definition.signature.name] = definition

    visit(top)
    return list(ordered.values())


def _callees(node: node_def_pb2.NodeDef) -> list[Any]:
    """The names of functions among a node's attributes, in a fixed order."""
    found = []
    for _, value in sorted(node.attr.items()):
        found += [value.func] if value.HasField("func") else list(value.list.func)
    return found


def _rename(definition: function_pb2.FunctionDef, names: dict[str, str]) -> None:
    """Number the arguments and results, whose names differ between traces, and give the functions
    that it calls the given names."""
    signature, arguments = definition.signature, {}
    for index, argument in enumerate(signature.input_arg):
        arguments[argument.name] = argument.name = f"nst_argument_{index}"
    sources = dict(definition.ret)
    definition.ret.clear()
    for index, result in enumerate(signature.output_arg):
        source = sources[result.name]
        result.name = f"nst_result_{index}"
        definition.ret[result.name] = arguments.get(source, source)
    signature.name = ""
    for attributes in definition.arg_attr.values():
        attributes.attr.pop("_user_specified_name", None)
    for node in definition.node_def:
        node.ClearField("experimental_debug_info")
        for callee in _callees(node):
            callee.name = names.get(callee.name, callee.name)
        renamed = [arguments.get(source, source) for source in node.input]
        del node.input[:]
        node.input.extend(renamed)
