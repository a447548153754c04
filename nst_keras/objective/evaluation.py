"""Evaluations: statistics of images by term name, and the way back to a gradient at the images.

There are three, with the same results: of one image, and of several images at once (both here), and
of an image in tiles (`tiled`). All pass through the network by `evaluate_features`.

Each statistic comes with its own pull-back. `tf.custom_gradient` would do the same, but in a graph
it enters a function that holds the graph and its weights into a registry that is never emptied.
"""

import abc
import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import tensorflow as tf

_EXPONENT_BITS = 0x7F800000  # of a float32
_LEAST = 1e-30  # its inverse is far below float32's largest number

Features = Mapping[str, tf.Tensor]  # by layer
Length: TypeAlias = int | tf.Tensor  # in pixels: float32 where a graph serves images of any size
Extractor = Callable[[tf.Tensor], Features]
Sums = dict[str, tf.Tensor]  # statistics by the name of their term
# Makes the gradient by the input of a function from that by its output (a vector-Jacobian product).
# To be called once.
PullBack = Callable[[Any], Any]
Statistic = tuple[tf.Tensor, PullBack]  # sums over the positions of a tensor


class Evaluation(NamedTuple):
    """Statistics by term name, and their common pull-back to the tensor they were computed from."""

    sums: Sums
    pull_back: PullBack


# Evaluates a layer's features (N, h, w, C); without a name, pixels (N, H, W, 3).
EvaluateLayer = Callable[[str, tf.Tensor], Evaluation]


@dataclasses.dataclass(frozen=True)
class Network:
    """A feature extractor on one device.

    Args:
        sections: its parts in order, with one or more layers as the outputs of each: the first
            takes the image, each later one the last output of the part before.
        largest_gradient: dynamic loss scaling for float16: gradients of features are scaled before
            they are pulled back through the network, so that the largest is between this and twice
            this, and the gradient at the image is scaled back. None: no scaling, which is faster,
            and right where gradients can neither underflow nor overflow.
        beside: what computes features from the image without the network, by their name.
    """

    sections: tuple[Extractor, ...]
    largest_gradient: float | None = None
    beside: Mapping[str, Callable[[tf.Tensor], Statistic]] = dataclasses.field(default_factory=dict)


_forward_only = contextvars.ContextVar("forward_only", default=False)


@contextlib.contextmanager
def forward_only() -> Iterator[None]:
    """Have `vjp` leave pull-backs out in the block, and so not keep what only they need."""
    token = _forward_only.set(True)
    try:
        yield
    finally:
        _forward_only.reset(token)


def vjp(function: Callable[[Any], Any], inputs: Any) -> tuple[Any, PullBack]:
    """The value of a function that TensorFlow can differentiate, and its pull-back."""
    if _forward_only.get():
        return function(inputs), _left_out
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        value = function(inputs)
    return value, functools.partial(tape.gradient, value, inputs)


def _left_out(_: Any) -> Any:
    raise RuntimeError("a pull-back was left out: see forward_only")


def divided(tensor: tf.Tensor, constant: float | tf.Tensor) -> tf.Tensor:
    """The tensor divided by a constant, as a product with its inverse.

    Autodiff would take the gradient of a quotient by the constant, too, for graph optimization to
    leave out again, which takes time. For the same reason constant factors stand after the tensor.
    """
    return tensor * (1.0 / constant)


def combined(statistics: Mapping[str, Statistic]) -> Evaluation:
    """Statistics of the same image or features, by term name.

    Their gradients are added two at a time, since AddN adds three in an order that varies between
    runs.
    """

    def pull_back(cotangents: Sums) -> tf.Tensor:
        gradients = [own(cotangents[name]) for name, (_, own) in statistics.items()]
        return functools.reduce(_added_flat, gradients)

    return Evaluation({name: sums for name, (sums, _) in statistics.items()}, pull_back)


def evaluate_features(
    network: Network, images: tf.Tensor, evaluate_layer: EvaluateLayer
) -> Evaluation:
    """Statistics of the features of images (N, H, W, 3), at least one for each layer.

    Each section of the network is pulled back alone, for the same reason as in `combined`.
    """
    sections: list[tuple[tuple[str, ...], PullBack]] = []
    layers: dict[str, Evaluation] = {}
    entry = images
    for section in network.sections:
        outputs, through_section = vjp(section, entry)
        sections.append((tuple(outputs), through_section))
        for layer, entry in outputs.items():
            layers[layer] = evaluate_layer(layer, entry)
    beside: dict[str, PullBack] = {}
    for layer, features_of in network.beside.items():
        features, beside[layer] = features_of(images)
        layers[layer] = evaluate_layer(layer, features)

    def pull_back(cotangents: Sums) -> tf.Tensor:
        gradients = [
            to_image(layers[layer].pull_back(cotangents)) for layer, to_image in beside.items()
        ]
        return functools.reduce(_added_flat, gradients, through_network(cotangents))

    def through_network(cotangents: Sums) -> tf.Tensor:
        if network.largest_gradient is None:
            return _through(sections, lambda layer: layers[layer].pull_back(cotangents))
        pulled = {
            layer: layers[layer].pull_back(cotangents) for names, _ in sections for layer in names
        }
        peaks = [  # of each image
            tf.reduce_max(tf.abs(gradient), axis=(1, 2, 3), keepdims=True)
            for gradient in pulled.values()
        ]
        scale = network.largest_gradient / _power_of_two(tf.reduce_max(tf.stack(peaks), axis=0))
        return _through(sections, lambda layer: scale * pulled[layer]) / scale

    sums = {name: value for own in layers.values() for name, value in own.sums.items()}
    return Evaluation(sums, pull_back)


def _through(
    sections: Sequence[tuple[tuple[str, ...], PullBack]],
    at_features: Callable[[str], tf.Tensor],
) -> tf.Tensor:
    """The gradient at the images, given those at each layer's features from its statistics."""
    upstream = None
    for names, pull_back in reversed(sections):
        # The gradient of a Gram is as large as its features and could be computed long before the
        # gradient from deeper layers arrives; waiting for that saves memory.
        with tf.control_dependencies([] if upstream is None else [upstream]):
            own = {layer: at_features(layer) for layer in names}
        if upstream is not None:
            own[names[-1]] += upstream
        upstream = pull_back(own)
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

    def sums(self, image: tf.Tensor) -> Sums:
        """The statistics alone, with less memory where that is possible."""
        return self(image).sums


@dataclasses.dataclass(frozen=True)
class WholeEvaluator(Evaluator):
    """Evaluates images in one piece.

    `join` joins the statistics of terms of several layers.
    """

    network: Network
    evaluate_layer: EvaluateLayer
    join: Callable[[Evaluation], Evaluation]

    def __call__(self, image: tf.Tensor) -> Evaluation:
        features = self.join(evaluate_features(self.network, image, self.evaluate_layer))
        pixels = self.evaluate_layer("", image)

        def pull_back(cotangents: Sums) -> tf.Tensor:
            return pixels.pull_back(cotangents) + features.pull_back(cotangents)

        return Evaluation({**pixels.sums, **features.sums}, pull_back)

    def sums(self, image: tf.Tensor) -> Sums:
        with forward_only():
            return self(image).sums


def evaluate_batch(
    evaluators: Sequence[WholeEvaluator], images: tf.Tensor
) -> tuple[list[Sums], PullBack]:
    """Evaluate several images at once, each for its own terms.

    Args:
        evaluators: one for each image, of one network.
        images: (N, H, W, 3).

    Returns:
        The statistics of each image, and their common pull-back to the images, which takes a list.
    """

    def evaluate_layer(layer: str, features: tf.Tensor) -> Evaluation:
        parts = zip(evaluators, tf.split(features, len(evaluators)), strict=True)
        found = [evaluator.evaluate_layer(layer, part) for evaluator, part in parts]

        def pull_back(cotangents: Sums) -> tf.Tensor:
            gradients = [own.pull_back(_of(n, cotangents)) for n, own in enumerate(found)]
            return tf.concat(gradients, axis=0)

        return Evaluation(_numbered([own.sums for own in found]), pull_back)

    def join(evaluation: Evaluation) -> Evaluation:
        # These pull back to the statistics of layers only: from there on, all go the same way.
        joined = [
            evaluator.join(Evaluation(_of(n, evaluation.sums), lambda cotangents: cotangents))
            for n, evaluator in enumerate(evaluators)
        ]

        def pull_back(cotangents: Sums) -> tf.Tensor:
            of_parts = [own.pull_back(_of(n, cotangents)) for n, own in enumerate(joined)]
            return evaluation.pull_back(_numbered(of_parts))

        return Evaluation(_numbered([own.sums for own in joined]), pull_back)

    sums, pull_back = WholeEvaluator(evaluators[0].network, evaluate_layer, join)(images)
    found = [_of(n, sums) for n in range(len(evaluators))]
    return found, lambda cotangents: pull_back(_numbered(cotangents))


def _numbered(sums_of_all: Sequence[Sums]) -> Sums:
    """Statistics of several images under names of their own."""
    return {f"{n}/{name}": sums for n, own in enumerate(sums_of_all) for name, sums in own.items()}


def _of(number: int, sums: Sums) -> Sums:
    """The statistics of one of these images."""
    own = f"{number}/"
    return {name.removeprefix(own): it for name, it in sums.items() if name.startswith(own)}


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
