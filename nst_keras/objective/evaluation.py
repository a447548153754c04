"""Evaluations: statistics of images by term name, and the way back to a gradient at the images.

There are three of one interface, with the same results: one image, several images at once (both
here), and an image in tiles (`tiled`). All pass through the network by
`evaluate_features`.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import tensorflow as tf

_EXPONENT_BITS = 0x7F800000  # of a float32
_LEAST = 1e-30  # its inverse is far below float32's largest number

Features = dict[str, tf.Tensor]  # by layer
Extractor = Callable[[tf.Tensor], Features]
Sums = dict[str, tf.Tensor]  # statistics by the name of their term
# Makes statistics of a layer's features (N, h, w, C); without a name, of pixels (N, H, W, 3).
SumsOfLayer = Callable[[str, tf.Tensor], Sums]
_Section = tuple[tf.GradientTape, tf.Tensor, str, tf.Tensor]  # its input, layer and features


class Evaluation(NamedTuple):
    """Statistics, and the way back from them (a vector-Jacobian product).

    Attributes:
        sums: statistics by term name.
        pull_back: makes the gradient with respect to the tensor that the statistics were computed
            from, given those with respect to the statistics. To be called once.
    """

    sums: Sums
    pull_back: Callable[[Sums], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Network:
    """A feature extractor on one device.

    Args:
        sections: its parts in order, with one layer as the output of each: the first takes the
            image, each later one the output of the part before.
        largest_gradient: dynamic loss scaling for float16: gradients of features are scaled before
            they are pulled back through the network, so that the largest is between this and twice
            this, and the gradient at the image is scaled back. None: no scaling, which is faster,
            and right where gradients can neither underflow nor overflow.
    """

    sections: tuple[Extractor, ...]
    largest_gradient: float | None = None


def evaluate(tensor: tf.Tensor, sums_of: Callable[[tf.Tensor], Sums]) -> Evaluation:
    """Statistics of an image or of features.

    Their gradients are added two at a time, since AddN adds three in an order that varies between
    runs.
    """
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(tensor)
        sums = sums_of(tensor)

    def pull_back(cotangents: Sums) -> tf.Tensor:
        gradients = [tape.gradient(value, tensor, cotangents[name]) for name, value in sums.items()]
        return functools.reduce(_added_flat, gradients)

    return Evaluation(sums, pull_back)


def evaluate_features(
    network: Network, images: tf.Tensor, sums_of_layer: SumsOfLayer
) -> Evaluation:
    """Statistics of the features of images (N, H, W, 3), at least one for each layer.

    Each section of the network has a tape of its own, for the same reason as in `evaluate`.
    """
    sections: list[_Section] = []
    layers: dict[str, Evaluation] = {}
    entry = images
    for section in network.sections:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(entry)
            ((layer, features),) = section(entry).items()
        sections.append((tape, entry, layer, features))
        layers[layer] = evaluate(features, functools.partial(sums_of_layer, layer))
        entry = features

    def pull_back(cotangents: Sums) -> tf.Tensor:
        if network.largest_gradient is None:
            return _through(sections, lambda layer: layers[layer].pull_back(cotangents))
        pulled = {layer: own.pull_back(cotangents) for layer, own in layers.items()}
        peaks = [  # of each image
            tf.reduce_max(tf.abs(gradient), axis=(1, 2, 3), keepdims=True)
            for gradient in pulled.values()
        ]
        scale = network.largest_gradient / _power_of_two(tf.reduce_max(tf.stack(peaks), axis=0))
        return _through(sections, lambda layer: scale * pulled[layer]) / scale

    sums = {name: value for own in layers.values() for name, value in own.sums.items()}
    return Evaluation(sums, pull_back)


def _through(sections: list[_Section], at_features: Callable[[str], tf.Tensor]) -> tf.Tensor:
    """The gradient at the images, given those at each layer's features from its statistics."""
    upstream = None
    for tape, entry, layer, features in reversed(sections):
        # The gradient of a Gram is as large as its features and could be computed long before the
        # gradient from deeper layers arrives; waiting for that saves memory.
        with tf.control_dependencies([] if upstream is None else [upstream]):
            own = at_features(layer)
        upstream = tape.gradient(features, entry, own if upstream is None else own + upstream)
    return upstream


class Evaluator(abc.ABC):
    """Evaluates images of one size for one list of terms.

    Attributes:
        in_graph: whether evaluations can be part of a TensorFlow graph.
    """

    in_graph: ClassVar[bool] = True

    @abc.abstractmethod
    def __call__(self, image: tf.Tensor) -> Evaluation:
        """Evaluate an image (1, H, W, 3), RGB in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class WholeEvaluator(Evaluator):
    """Evaluates images in one piece."""

    network: Network
    sums_of_layer: SumsOfLayer

    def __call__(self, image: tf.Tensor) -> Evaluation:
        features = evaluate_features(self.network, image, self.sums_of_layer)
        pixels = evaluate(image, functools.partial(self.sums_of_layer, ""))

        def pull_back(cotangents: Sums) -> tf.Tensor:
            return pixels.pull_back(cotangents) + features.pull_back(cotangents)

        return Evaluation({**pixels.sums, **features.sums}, pull_back)


def evaluate_batch(evaluators: Sequence[WholeEvaluator], images: tf.Tensor) -> Evaluation:
    """Evaluate several images at once, each for its own terms; statistics get a first axis.

    Args:
        evaluators: one for each image, of one network.
        images: (N, H, W, 3).
    """

    def sums_of_layer(layer: str, features: tf.Tensor) -> Sums:
        parts = zip(evaluators, tf.split(features, len(evaluators)), strict=True)
        return stacked([evaluator.sums_of_layer(layer, part) for evaluator, part in parts])

    return WholeEvaluator(evaluators[0].network, sums_of_layer)(images)


def stacked(sums_of_all: Sequence[Sums]) -> Sums:
    """Statistics of several images, stacked along a new first axis."""
    return {name: tf.stack([sums[name] for sums in sums_of_all]) for name in sums_of_all[0]}


def _added_flat(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The sum of two tensors of one shape, flattened in between.

    Graph optimization cannot merge it with the next sum, which has another shape, into an AddN.
    """
    flat = tf.reshape(first, (-1,)) + tf.reshape(second, (-1,))
    return tf.reshape(flat, tf.shape(first))


def _power_of_two(number: tf.Tensor) -> tf.Tensor:
    """The largest power of two up to a positive float32; multiplying by it rounds nothing."""
    bits = tf.bitcast(tf.maximum(number, _LEAST), tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits, _EXPONENT_BITS), tf.float32)
