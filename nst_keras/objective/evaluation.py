"""Evaluations of images: the statistics by term name, and the way back to a gradient at the image.

There are three of one interface, with the same results: one image, several images at once (both
here), and an image in tiles (`tiled`).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

import tensorflow as tf

from nst_keras.objective.backprop import Features, ForwardPass, Network, Sums
from nst_keras.objective.targets import Window, owned
from nst_keras.objective.terms import Term


class Evaluation(Protocol):
    """What an objective needs to know of an image."""

    @property
    def sums(self) -> Sums:
        """Statistics over all positions of the image, by term name."""

    def pull_back(self, cotangents: Sums) -> tf.Tensor:
        """The gradient at the image, of its shape, given the gradients at the statistics."""


class Evaluator(Protocol):
    """Evaluates images of one size for one list of terms."""

    @property
    def in_graph(self) -> bool:
        """Whether evaluations can be part of a TensorFlow graph."""

    def __call__(self, image: tf.Tensor) -> Evaluation:
        """Evaluate an image (1, H, W, 3), RGB in [0, 1]."""


class WholeEvaluation:
    """One image, or several of one size, through the network in one piece.

    Args:
        image: (N, H, W, 3), RGB in [0, 1].
        layer_sums: makes statistics by term name from a layer's name and features (N, h, w, C).
        pixel_sums: makes statistics by term name from the image.
    """

    def __init__(
        self,
        network: Network,
        image: tf.Tensor,
        layer_sums: Callable[[str, tf.Tensor], Sums],
        pixel_sums: Callable[[tf.Tensor], Sums],
    ):
        self._image = image
        self._forward = ForwardPass(network, image, layer_sums)
        with tf.GradientTape(watch_accessed_variables=False) as self._tape:
            self._tape.watch(image)
            self._pixels = pixel_sums(image)
        self.sums = {**self._pixels, **self._forward.sums}

    def pull_back(self, cotangents: Sums) -> tf.Tensor:
        """The gradient at the image, of its shape, given the gradients at the statistics."""
        names = list(self._pixels)
        direct = self._tape.gradient(
            [self._pixels[name] for name in names],
            self._image,
            output_gradients=[cotangents[name] for name in names],
        )
        pulled = self._forward.pull_back(cotangents)
        return direct if pulled is None else direct + pulled


@dataclasses.dataclass(frozen=True)
class WholeEvaluator:
    """Evaluates images in one piece.

    Attributes:
        terms: the terms of the objective; their weights do not matter here.
        content: the content's features by layer.
    """

    network: Network
    terms: Sequence[Term]
    content: Features
    in_graph: ClassVar[bool] = True

    def __call__(self, image: tf.Tensor) -> WholeEvaluation:
        """Evaluate one image (1, H, W, 3), RGB in [0, 1]."""
        return WholeEvaluation(self.network, image, self.layer_sums, self.pixel_sums)

    def layer_sums(self, layer: str, features: tf.Tensor) -> Sums:
        """Statistics of a layer's features (1, h, w, N), by term name."""
        return layer_sums(self.terms, self.content, layer, features)

    def pixel_sums(self, pixels: tf.Tensor) -> Sums:
        """Statistics of pixels (1, H, W, 3), by term name."""
        return pixel_sums(self.terms, pixels)


def evaluate_batch(evaluators: Sequence[WholeEvaluator], images: tf.Tensor) -> WholeEvaluation:
    """Evaluate several images at once, each for its own terms; statistics get a first axis.

    Args:
        evaluators: one for each image, of one network.
        images: (N, H, W, 3).
    """

    def sums_of_layer(layer: str, features: tf.Tensor) -> Sums:
        parts = tf.split(features, len(evaluators))
        pairs = zip(evaluators, parts, strict=True)
        return stacked([evaluator.layer_sums(layer, part) for evaluator, part in pairs])

    def sums_of_pixels(pixels: tf.Tensor) -> Sums:
        parts = tf.split(pixels, len(evaluators))
        return stacked(
            [evaluator.pixel_sums(part) for evaluator, part in zip(evaluators, parts, strict=True)]
        )

    return WholeEvaluation(evaluators[0].network, images, sums_of_layer, sums_of_pixels)


def layer_sums(
    terms: Sequence[Term],
    content: Features,
    layer: str,
    features: tf.Tensor,
    window: Window | None = None,
) -> Sums:
    """Statistics of a layer's features (1, h, w, N), by term name.

    Args:
        content: the content's features by layer, at the positions that count.
        window: the part that counts, for the features of a tile (see `Tile.window`); None: all.
    """
    if window is not None:
        features = owned(features, layer, window)
    return {
        term.name: term.statistics(features, content.get(layer))
        for term in terms
        if term.layer == layer
    }


def pixel_sums(terms: Sequence[Term], pixels: tf.Tensor) -> Sums:
    """Statistics of pixels (1, H, W, 3), by term name."""
    return {term.name: term.statistics(pixels, None) for term in terms if not term.layer}


def stacked(sums_of_all: Sequence[Sums]) -> Sums:
    """Statistics of several images, stacked along a new first axis."""
    return {name: tf.stack([sums[name] for sums in sums_of_all]) for name in sums_of_all[0]}
