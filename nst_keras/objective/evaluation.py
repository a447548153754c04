"""Evaluations of images: the statistics by term name, and the way back to a gradient at the image.

There are three of one interface, with the same results: one image, several images at once (both
here), and an image in tiles (`tiled`).
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar, Protocol

import tensorflow as tf

from nst_keras.objective.backprop import (
    Evaluation,
    Features,
    ForwardPass,
    Network,
    Sums,
    SumsOfLayer,
    evaluate,
)
from nst_keras.objective.terms import Term


class Evaluator(Protocol):
    """Evaluates images of one size for one list of terms."""

    @property
    def in_graph(self) -> bool:
        """Whether evaluations can be part of a TensorFlow graph."""

    def __call__(self, image: tf.Tensor) -> Evaluation:
        """Evaluate an image (1, H, W, 3), RGB in [0, 1]; call `pull_back` once."""


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

    def __call__(self, image: tf.Tensor) -> Evaluation:
        """Evaluate one image (1, H, W, 3), RGB in [0, 1]."""
        return _evaluate(self.network, image, self.sums_of_layer)

    def sums_of_layer(self, layer: str, features: tf.Tensor) -> Sums:
        """See `layer_sums`."""
        return layer_sums(self.terms, self.content, layer, features)


def evaluate_batch(evaluators: Sequence[WholeEvaluator], images: tf.Tensor) -> Evaluation:
    """Evaluate several images at once, each for its own terms; statistics get a first axis.

    Args:
        evaluators: one for each image, of one network.
        images: (N, H, W, 3).
    """

    def sums_of_layer(layer: str, features: tf.Tensor) -> Sums:
        parts = zip(evaluators, tf.split(features, len(evaluators)), strict=True)
        return stacked([evaluator.sums_of_layer(layer, part) for evaluator, part in parts])

    return _evaluate(evaluators[0].network, images, sums_of_layer)


def layer_sums(terms: Sequence[Term], content: Features, layer: str, features: tf.Tensor) -> Sums:
    """Statistics of a layer's features (1, h, w, N), by term name.

    Args:
        content: the content's features by layer, at the same positions.
        layer: a layer's name; empty for the pixels of an image (1, H, W, 3).
    """
    return {
        term.name: term.statistics(features, content.get(layer))
        for term in terms
        if term.layer == layer
    }


def stacked(sums_of_all: Sequence[Sums]) -> Sums:
    """Statistics of several images, stacked along a new first axis."""
    return {name: tf.stack([sums[name] for sums in sums_of_all]) for name in sums_of_all[0]}


def _evaluate(network: Network, images: tf.Tensor, sums_of_layer: SumsOfLayer) -> Evaluation:
    """Evaluate images (N, H, W, 3): their pixels, and their features."""
    features = ForwardPass(network, images, sums_of_layer)
    pixels = evaluate(images, functools.partial(sums_of_layer, ""))

    def pull_back(cotangents: Sums) -> tf.Tensor:
        return pixels.pull_back(cotangents) + features.pull_back(cotangents)

    return Evaluation({**pixels.sums, **features.sums}, pull_back)
