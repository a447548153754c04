"""A network of the user: any Keras model that makes features of pictures."""

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nst_keras.devices import keras_settings
from nst_keras.network import extractor
from nst_keras.network.architecture import Architecture, Cost, Layer
from nst_keras.network.graph_identity import graph_identity
from nst_keras.runtime.errors import InputError, first_line

Features = dict[str, tf.Tensor]

# Sizes at which a model is looked at, height and width: multiples of all strides, and odd ones.
_EVEN, _ODD = (256, 384), (251, 373)
_STRIDES = (1, 2, 4, 8, 16, 32, 64, 128)
_NAME = re.compile(r"\w[\w.-]*")
_DTYPES = (tf.float32, tf.bfloat16)
_MATRIX_PRODUCTS = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")
# Operations whose gradient needs their input, or their output.
_NEED_INPUT = (*_MATRIX_PRODUCTS, "MaxPool", "FusedBatchNormV3", "Mul", "Square", "Rsqrt")
_NEED_OUTPUT = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Erf")
_ALIKE = 0.02  # of the largest feature; bfloat16 rounds by half a percent
_EXAMPLE = "use keras.Model(inputs, {'name': output})"


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
            raise InputError(f"extractor: {type(model).__name__} is not a keras.Model")
        self._model = model
        with keras_settings.ours(deterministic=False):
            self._of_any_size = self._traced(None, None)
            even, odd = (self._traced(*size) for size in (_EVEN, _ODD))
        _check_dtypes(self._of_any_size)
        layers = {
            name: _layer(name, *(_shape(it, name) for it in (even, odd)))
            for name in _in_order(even)
        }
        self.architecture = Architecture("extractor", layers, _cost(even), is_local=False)
        self._is_cut = any(
            _shape(odd, name)[:2] != tuple(side // layer.stride for side in _ODD)
            for name, layer in layers.items()
        )

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256, in hexadecimal, of what the model computes, with its weights."""
        return graph_identity(self._of_any_size)

    def features(self, names: Sequence[str]) -> Callable[[tf.Tensor], Features]:
        """A function from pictures to their features in some layers."""
        return functools.partial(self._features, names)

    def sections(self, names: Iterable[str]) -> tuple[Callable[[tf.Tensor], Features], ...]:
        """The same in parts, as `Network` takes them: one for each layer if each can be computed
        from the one before, else one for all."""
        used = [name for name in self.architecture.layers if name in names]
        whole, parts = self.features(used), self._chained(used)
        return parts if parts and self._are_alike(parts, whole) else (whole,)

    def _chained(self, names: Sequence[str]) -> tuple[Callable[[tf.Tensor], Features], ...]:
        """Models from each layer to the next; none if there are no such models."""
        if self._is_cut or not hasattr(self._model, "output_names"):
            return ()
        outputs = self._named(self._model.output)
        try:
            chosen = keras.Model(self._model.inputs[0], {name: outputs[name] for name in names})
            models = extractor.sections(chosen)
        except ValueError:  # a layer needs more than the one before
            return ()
        return tuple(functools.partial(model, training=False) for model in models)

    def _are_alike(
        self,
        parts: Sequence[Callable[[tf.Tensor], Features]],
        whole: Callable[[tf.Tensor], Features],
    ) -> bool:
        """Whether parts make the features of the whole model, whose `call` may do more than its
        layers."""
        side = max(32, *self.architecture.strides.values())
        noise = tf.constant(np.random.default_rng(0).random((1, side, 2 * side, 3), np.float32))
        found: Features = {"": noise}
        for part in parts:
            found |= part(found[[*found][-1]])
        for name, expected in whole(noise).items():
            difference = tf.cast(found[name] - expected, tf.float32)
            largest = tf.reduce_max(tf.abs(tf.cast(expected, tf.float32)))
            if not tf.reduce_max(tf.abs(difference)) <= _ALIKE * largest:
                return False
        return True

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

    def _traced(self, height: int | None, width: int | None) -> Any:
        """The model as a graph, for pictures of this size, or of any size."""
        size = f"of {width}x{height}" if height else "of any size"
        try:
            if not self._model.built:
                self._model(tf.zeros((1, *_EVEN, 3)))
            function = tf.function(
                lambda picture: self._named(self._model(picture, training=False)), autograph=False
            )
            return function.get_concrete_function(tf.TensorSpec((1, height, width, 3)))
        except InputError:
            raise
        except Exception as error:  # of any kind, from the layers of the model
            raise InputError(
                f"extractor: fails with pictures {size} ({first_line(error)}); its only input must "
                "be RGB pictures of any size, as of keras.Input((None, None, 3))"
            ) from error

    def _named(self, outputs: Any) -> Features:
        """The outputs by name; InputError if they have none."""
        if isinstance(outputs, Mapping):
            named = dict(outputs)
        else:
            several = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            names = getattr(self._model, "output_names", ())
            if len(set(names)) != len(several):
                raise InputError(f"extractor: its outputs have no names; {_EXAMPLE}")
            named = dict(zip(names, several, strict=True))
        if not named:
            raise InputError(f"extractor: it has no outputs; {_EXAMPLE}")
        for name, output in named.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise InputError(
                    f"extractor: the name of its output {name!r} must be of letters, digits, '_', "
                    "'-' and '.'"
                )
            if not hasattr(output, "shape"):
                raise InputError(f"extractor: its output {name} is not a tensor; {_EXAMPLE}")
        return named


def _in_order(traced: Any) -> list[str]:
    """The names of the outputs, in the order in which they are computed."""
    operations = traced.graph.get_operations()
    tensors = [id(tensor) for operation in operations for tensor in operation.outputs]
    order = {tensor: number for number, tensor in enumerate(tensors)}
    outputs = dict(zip(sorted(traced.structured_outputs), traced.outputs, strict=True))
    return sorted(outputs, key=lambda name: order[id(outputs[name].op.inputs[0])])


def _check_dtypes(traced: Any) -> None:
    """Refuse features that are not real numbers, and float16, in which gradients vanish."""
    for name, output in traced.structured_outputs.items():
        if output.dtype not in (*_DTYPES, tf.float16):
            raise InputError(
                f"extractor: its output {name} is {output.dtype.name}, but must be float32 or "
                "bfloat16"
            )
    operations = traced.graph.get_operations()
    if any(it.dtype == tf.float16 for operation in operations for it in operation.outputs):
        raise InputError(
            "extractor: it computes in float16, in which gradients of large pictures vanish; build "
            "it in float32 or with the dtype policy mixed_bfloat16"
        )


def _shape(traced: Any, name: str) -> tuple[int, ...]:
    """The shape of an output: height, width, channels."""
    shape = traced.structured_outputs[name].shape
    if shape.rank != 4 or not shape.is_fully_defined() or shape[0] != 1:
        raise InputError(
            f"extractor: its output {name} is of shape {shape} for one picture; it must be of "
            "features (1, height, width, channels)"
        )
    return tuple(shape[1:])


def _layer(name: str, even: tuple[int, ...], odd: tuple[int, ...]) -> Layer:
    """What is known of a layer, given the shapes of its features at both sizes."""
    for stride in _STRIDES:
        if even[:2] == tuple(side // stride for side in _EVEN):
            if any(count < side // stride for count, side in zip(odd, _ODD, strict=False)):
                raise _uneven(name, odd, _ODD)
            return Layer(stride, even[-1])
    raise _uneven(name, even, _EVEN)


def _uneven(name: str, shape: tuple[int, ...], size: tuple[int, int]) -> InputError:
    return InputError(
        f"extractor: its output {name} has {shape[1]}x{shape[0]} positions for a picture of "
        f"{size[1]}x{size[0]}; there must be one for each 1, 2, 4, ... or 128 pixels along both "
        "sides, as with padding='same' and strides of 2"
    )


def _cost(traced: Any) -> Cost:
    """What the whole model costs, as far as its operations are known."""
    pixels = math.prod(_EVEN)
    operations = traced.graph.get_operations()
    kept: dict[int, tf.Tensor] = {}
    for operation in operations:
        needed = [*operation.inputs[:1]] if operation.type in _NEED_INPUT else []
        needed += operation.outputs[:1] if operation.type in _NEED_OUTPUT else []
        kept |= {id(tensor): tensor for tensor in needed if tensor.shape.rank == 4}
    flops = sum(map(_flops, (it for it in operations if it.type in _MATRIX_PRODUCTS)))
    sizes = [_size(tensor) for tensor in kept.values()]
    return Cost(sum(sizes) / pixels, flops / pixels, max(sizes, default=pixels) / pixels)


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
