"""The weighted sum of terms on an image, and its gradient.

Losses depend on an image only through statistics that are sums over positions. So a whole image,
an image in tiles, and several images at once are evaluations with one interface (see `evaluation`),
and only this module makes losses and gradients from them.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import tensorflow as tf

from nst_keras.objective.backprop import Sums
from nst_keras.objective.evaluation import Evaluator
from nst_keras.objective.term_names import TOTAL
from nst_keras.objective.terms import Term

Losses = dict[str, tf.Tensor]  # weighted scalars by term name; 'total' is their sum
Pick = Callable[[Losses], tf.Tensor]  # chooses the scalar to differentiate


def total(losses: Losses) -> tf.Tensor:
    """The loss that an optimizer lowers."""
    return losses[TOTAL]


class Objective:
    """The weighted sum of terms on images (1, H, W, 3) of one size, RGB in [0, 1].

    Args:
        evaluator: evaluates images for the same terms.
    """

    def __init__(self, terms: Sequence[Term], evaluator: Evaluator):
        self.terms, self.evaluator = tuple(terms), evaluator
        # Where evaluations cannot be in a graph, the gradient with respect to the statistics is
        # compiled separately.
        self._by_sums = (
            self.differentiate
            if evaluator.in_graph
            else tf.function(self.differentiate, autograph=False)
        )

    def compiled(self, function: Callable) -> Callable:
        """Compile a function that calls this objective's methods, where these can be in a graph."""
        return tf.function(function, autograph=False) if self.evaluator.in_graph else function

    @property
    def weights(self) -> dict[str, float]:
        """Weights by term name."""
        return {term.name: term.weight for term in self.terms}

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the losses: 'total', then the terms."""
        return (TOTAL, *(term.name for term in self.terms))

    def reweighted(self, weights: Mapping[str, float]) -> "Objective":
        """The same objective with other weights by term name."""
        terms = [dataclasses.replace(term, weight=weights[term.name]) for term in self.terms]
        return Objective(terms, self.evaluator)

    def losses(self, sums: Sums, height: int, width: int) -> Losses:
        """The weighted losses of the statistics of an image of this size."""
        found = {
            term.name: term.weight * term.loss(sums[term.name], height, width)
            for term in self.terms
        }
        # Not add_n, which adds in an order that varies between runs.
        return {TOTAL: tf.reduce_sum(tf.stack(list(found.values()))), **found}

    def value(self, image: tf.Tensor) -> Losses:
        """The losses of an image."""
        height, width = image.shape[1:3]
        return self.losses(self.evaluator(image).sums, height, width)

    def value_and_grad(self, image: tf.Tensor) -> tuple[Losses, tf.Tensor]:
        """The losses of an image and the gradient of their total, of the image's shape.

        Where the gradient is not finite, the total is NaN.
        """
        losses, gradient = self._value_and_grad(image, total)
        return with_nan(losses, gradient), gradient

    def gradient_norm(self, image: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        """The Euclidean norm of the gradient of some terms.

        Args:
            chosen: 1 for these terms and 0 for the others, in the order of `weights`.
        """
        return tf.norm(self._value_and_grad(image, _picking(self.weights, chosen))[1])

    def differentiate(
        self, sums: Sums, height: int, width: int, pick: Pick = total
    ) -> tuple[Losses, Sums]:
        """The losses of an image's statistics, and the gradient of the picked one by each of these.

        Args:
            sums: statistics by term name.
            height, width: of the image in pixels.
            pick: chooses the loss.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sums)
            losses = self.losses(sums, height, width)
            picked = pick(losses)
        return losses, tape.gradient(picked, sums)

    def _value_and_grad(self, image: tf.Tensor, pick: Pick) -> tuple[Losses, tf.Tensor]:
        evaluation = self.evaluator(image)
        height, width = image.shape[1:3]
        losses, cotangents = self._by_sums(evaluation.sums, height, width, pick)
        return losses, evaluation.pull_back(cotangents)


def with_nan(losses: Losses, gradient: tf.Tensor) -> Losses:
    """The losses, with a total of NaN if the gradient is not finite.

    Otherwise that would show only at the next step, or never, where clipping turns NaN into black.
    """
    finite = tf.math.is_finite(tf.reduce_sum(gradient))  # a sum needs no temporaries
    return {**losses, TOTAL: tf.where(finite, losses[TOTAL], math.nan)}


def _picking(names: Iterable[str], chosen: tf.Tensor) -> Pick:
    """Pick the sum of the losses by these names, each times its value in `chosen`."""
    return lambda losses: tf.reduce_sum(chosen * tf.stack([losses[name] for name in names]))
