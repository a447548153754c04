"""A network of the user: any Keras model that makes features of pictures."""

import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nst_keras.network import extractor
from nst_keras.network.architecture import Architecture, Layer
from nst_keras.runtime.errors import InputError, first_line

Features = dict[str, tf.Tensor]

# Sizes at which a model is looked at, height and width: multiples of all strides up to 128, and odd
# ones.
_EVEN, _ODD = (256, 384), (251, 373)
_NAME = re.compile(r"\w[\w.-]*")
_MATRIX_PRODUCTS = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")
# Operations whose gradient needs their input, or their output.
_NEED_INPUT = (*_MATRIX_PRODUCTS, "MaxPool", "FusedBatchNormV3", "Mul", "Square", "Rsqrt")
_NEED_OUTPUT = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Erf")


class CustomExtractor:
    """The features that a model of the user makes.

    Args:
        model: takes pictures (N, H, W, 3) of any size, float32 RGB in [0, 1], and returns features
            (N, h, w, channels) by name: in a dictionary, or in a list with Keras' names of outputs.

    Attributes:
        architecture: of the features.

    Raises:
        InputError: it is no such model.
    """

    def __init__(self, model: Any):
        if not isinstance(model, keras.Model):
            raise InputError(f"extractor: {type(model).__name__} is no keras.Model")
        self._model = model
        even, odd = (self._traced(*size) for size in (_EVEN, _ODD))
        names = self._in_order(even)
        layers = {name: _layer(name, *(_shape(it, name) for it in (even, odd))) for name in names}
        self.architecture = Architecture("extractor", layers, (_cost(even),), is_local=False)
        self._is_cut = any(
            _shape(odd, name)[:2] != tuple(side // layer.stride for side in _ODD)
            for name, layer in layers.items()
        )

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256, in hexadecimal, of the model's layers and weights."""
        digest = hashlib.sha256()
        for name, layer in self.architecture.layers.items():
            digest.update(f"{name} {layer}\n".encode())
        for part in _leaves(self._model):
            digest.update(_description(part).encode())
        for value in self._model.get_weights():
            array = np.ascontiguousarray(value, np.float32)
            digest.update(f"{array.shape}".encode() + array.tobytes())
        return digest.hexdigest()

    def features(self, names: Sequence[str]) -> Callable[[tf.Tensor], Features]:
        """A function from pictures to their features in some layers."""
        return functools.partial(self._features, names)

    def sections(self, names: Sequence[str]) -> tuple[Callable[[tf.Tensor], Features], ...]:
        """The same in parts, as `Network` takes them: one for each layer if each can be computed
        from the one before, else one for all."""
        names = [name for name in self.architecture.layers if name in names]
        outputs = None if self._is_cut else self._symbolic()
        if outputs is not None:
            try:
                chosen = {name: outputs[name] for name in names}
                return extractor.sections(keras.Model(self._model.inputs[0], chosen))
            except ValueError:  # a layer needs more than the one before
                pass
        return (self.features(names),)

    def _features(self, names: Sequence[str], pictures: tf.Tensor) -> Features:
        outputs = self._named(self._model(pictures, training=False))
        if not self._is_cut:
            return {name: outputs[name] for name in names}
        return {name: self._cut(name, outputs[name], pictures) for name in names}

    def _cut(self, name: str, features: tf.Tensor, pictures: tf.Tensor) -> tf.Tensor:
        """The features without positions that reach beyond the pictures, as 'same' padding gives
        them where sides are no multiples of the stride."""
        stride = self.architecture[name].stride
        rows, columns = (
            static // stride if static else tf.shape(pictures)[axis] // stride
            for axis, static in ((1, pictures.shape[1]), (2, pictures.shape[2]))
        )
        if isinstance(rows, int) and tuple(features.shape[1:3]) == (rows, columns):
            return features
        return features[:, :rows, :columns]

    def _traced(self, height: int, width: int) -> Any:
        """The model as a graph, for a picture of this size."""
        try:
            if not self._model.built:
                self._model(tf.zeros((1, height, width, 3)))
            function = tf.function(
                lambda picture: self._named(self._model(picture, training=False)), autograph=False
            )
            return function.get_concrete_function(tf.TensorSpec((1, height, width, 3)))
        except InputError:
            raise
        except Exception as error:  # of any kind, from the layers of the model
            raise InputError(
                f"extractor: fails with a picture of {width}x{height} ({first_line(error)}); it "
                "must take RGB pictures of any size, as with keras.Input((None, None, 3))"
            ) from error

    def _named(self, outputs: Any) -> Features:
        if isinstance(outputs, Mapping):
            return dict(outputs)
        several = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        names = getattr(self._model, "output_names", ())
        if len(set(names)) != len(several):
            raise InputError("extractor: its outputs have no names; return them in a dictionary")
        return dict(zip(names, several, strict=True))

    def _symbolic(self) -> dict[str, keras.KerasTensor] | None:
        """The outputs of a functional model by name, as it was built; None for other models."""
        if not isinstance(self._model, keras.Model) or not hasattr(self._model, "output_names"):
            return None
        return self._named(self._model.output)

    def _in_order(self, traced: Any) -> list[str]:
        """The names of the outputs, in the order in which they are computed."""
        order = {id(tensor): number for number, tensor in enumerate(_tensors(traced))}
        outputs = dict(zip(sorted(traced.structured_outputs), traced.outputs, strict=True))
        return sorted(outputs, key=lambda name: order[id(outputs[name].op.inputs[0])])


def _shape(traced: Any, name: str) -> tuple[int, ...]:
    """The shape of an output: height, width, channels."""
    shape = traced.structured_outputs[name].shape
    if shape.rank != 4 or not shape.is_fully_defined():
        raise InputError(
            f"extractor: its output {name} is of shape {shape}; it must be of features "
            "(pictures, height, width, channels)"
        )
    return tuple(shape[1:])


def _layer(name: str, even: tuple[int, ...], odd: tuple[int, ...]) -> Layer:
    """What is known of a layer, given the shapes of its features at both sizes."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"extractor: {name!r}, a name of its outputs, has other characters than "
            "letters, digits, '_', '-' and '.'"
        )
    height, width, channels = even
    stride = round(_EVEN[0] / height)
    covered = (height * stride, width * stride) == _EVEN
    if not covered or any(size < side // stride for size, side in zip(odd, _ODD, strict=False)):
        raise InputError(
            f"extractor: its output {name} has {width}x{height} positions for a picture of "
            f"{_EVEN[1]}x{_EVEN[0]}, which they must cover evenly; use padding='same'"
        )
    return Layer(stride, channels)


def _cost(traced: Any) -> Layer:
    """What the whole model costs, as one layer."""
    pixels = math.prod(_EVEN)
    operations = traced.graph.get_operations()
    kept: dict[int, tf.Tensor] = {}
    for operation in operations:
        needed = [*operation.inputs[:1]] if operation.type in _NEED_INPUT else []
        needed += operation.outputs[:1] if operation.type in _NEED_OUTPUT else []
        kept |= {id(tensor): tensor for tensor in needed if tensor.shape.rank == 4}
    flops = sum(map(_flops, (it for it in operations if it.type in _MATRIX_PRODUCTS)))
    values = sum(map(_size, kept.values()))
    largest = max(map(_size, kept.values()), default=pixels)
    return Layer(1, max(1, round(largest / pixels)), kept=values / pixels, flops=flops / pixels)


def _flops(operation: tf.Operation) -> float:
    """Multiplications and additions of a convolution or a product of matrices."""
    first, second = operation.inputs[:2]
    if operation.type == "DepthwiseConv2dNative":
        per_value = math.prod(second.shape[:2])
    elif operation.type == "Conv2D":
        per_value = math.prod(second.shape[:3])
    else:
        per_value = first.shape[-1] or 0
    return 2.0 * per_value * _size(operation.outputs[0])


def _size(tensor: tf.Tensor) -> int:
    return int(tensor.shape.num_elements() or 0)


def _tensors(traced: Any) -> Iterator[tf.Tensor]:
    for operation in traced.graph.get_operations():
        yield from operation.outputs


def _leaves(layer: Any) -> Iterator[Any]:
    """The layers of which a model is made, without those that hold other layers."""
    parts = getattr(layer, "layers", ())
    if not parts:
        yield layer
    for part in parts:
        yield from _leaves(part)


def _description(layer: Any) -> str:
    """The kind and settings of a layer, without names, which Keras numbers as they are made."""
    try:
        settings = {name: value for name, value in layer.get_config().items() if "name" not in name}
        return f"{type(layer).__name__} {json.dumps(settings, sort_keys=True, default=_kind)}\n"
    except (NotImplementedError, TypeError, ValueError):  # a layer without a config
        return f"{type(layer).__name__}\n"


def _kind(value: Any) -> str:
    return type(value).__name__
