"""The weighted sum of terms on an image, its gradient, and weights that balance the terms.

Losses depend on an image only through statistics that are sums over positions. A whole image, an
image in tiles, and several images at once give the same statistics (see `evaluation`), and only
this module makes losses and gradients from them.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from nst_keras.devices.variables import Variables
from nst_keras.objective.evaluation import Evaluator, Length, Sums
from nst_keras.objective.neighbors import Neighbors
from nst_keras.objective.term_names import TOTAL
from nst_keras.objective.terms import Term

_PROBE_NOISE = 0.05  # standard deviation of the noise added where a gradient vanishes
_VANISHED = 1e-5  # share of the largest norm below which a gradient counts as zero

Losses = dict[str, tf.Tensor]  # weighted scalars by term name; 'total' is their sum
ValueAndGrad = Callable[[tf.Tensor], tuple[Losses, tf.Tensor]]
Around = Callable[[ValueAndGrad, tf.Tensor], tuple[Losses, tf.Tensor]]


class Objective:
    """The weighted sum of terms on images (1, H, W, 3) of one size, RGB in [0, 1].

    Args:
        evaluator: evaluates images for the same terms.
        neighbors: those of the term of that name, if there is one.
        variables: those in which the weights are; None: they are a tensor.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        evaluator: Evaluator,
        neighbors: Neighbors | None = None,
        variables: Variables | None = None,
    ):
        self.terms, self.evaluator, self.neighbors = tuple(terms), evaluator, neighbors
        # As a tensor, so that objectives which differ in their weights share compiled programs.
        factors = tf.stack([tf.cast(term.weight, tf.float64) for term in self.terms])
        self._factors = variables.constant("weights", factors) if variables else factors
        # Where evaluations cannot be in a graph, the gradient with respect to the statistics is
        # compiled separately, for the size of the first image.
        self._compiled_by_sums: TracedOnce | None = None

    def compiled(self, function: Callable) -> Callable:
        """Compile a function that calls this objective's methods, where these can be in a graph."""
        if not self.evaluator.in_graph:
            return function
        return TracedOnce(tf.function(function, autograph=False))

    @property
    def weights(self) -> dict[str, float]:
        """Weights by term name."""
        return {term.name: term.weight for term in self.terms}

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the losses: 'total', then the terms."""
        return (TOTAL, *self.weights)

    def reweighted(
        self, weights: Mapping[str, float], variables: Variables | None = None
    ) -> "Objective":
        """The same objective with other weights by term name."""
        terms = [dataclasses.replace(term, weight=weights[term.name]) for term in self.terms]
        return Objective(terms, self.evaluator, self.neighbors, variables)

    def losses(self, sums: Sums, height: Length, width: Length) -> Losses:
        """The weighted losses of the statistics of an image of this size."""
        found = tf.stack([term.loss(sums[term.name], height, width) for term in self.terms])
        found *= tf.cast(self._factors, found.dtype)
        # Not add_n, which adds in an order that varies between runs.
        total = tf.reduce_sum(found)
        return {TOTAL: total, **dict(zip(self.weights, tf.unstack(found), strict=True))}

    def value(self, image: tf.Tensor) -> Losses:
        """The losses of an image."""
        return self.losses(self.evaluator.sums(image), *size_of(image))

    def value_and_grad(self, image: tf.Tensor) -> tuple[Losses, tf.Tensor]:
        """The losses of an image and the gradient of their total, of the image's shape.

        Where the gradient is not finite, the total is NaN.
        """
        evaluation = self.evaluator(image)
        losses, cotangents = self._by_sums(evaluation.sums, image)
        gradient = evaluation.pull_back(cotangents)
        return with_nan(losses, gradient), gradient

    def _by_sums(self, sums: Sums, image: tf.Tensor) -> tuple[Losses, Sums]:
        size = size_of(image)
        if self.evaluator.in_graph:
            return self.differentiate(sums, *size)
        if self._compiled_by_sums is None:
            compiled = tf.function(lambda sums: self.differentiate(sums, *size), autograph=False)
            self._compiled_by_sums = TracedOnce(compiled)
        return self._compiled_by_sums(sums)

    def differentiate(self, sums: Sums, height: Length, width: Length) -> tuple[Losses, Sums]:
        """The losses of an image's statistics, and the gradient of the total by each of these."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sums)
            losses = self.losses(sums, height, width)
        return losses, tape.gradient(losses[TOTAL], sums)


class TracedOnce:
    """A `tf.function` whose calls are all alike, traced at the first of them.

    Each picture needs graphs of its own. TensorFlow would warn that one function is traced often.
    """

    def __init__(self, function: tf.types.experimental.PolymorphicFunction):
        self._function = function
        self.traced: tf.types.experimental.ConcreteFunction | None = None

    def __call__(self, *tensors: tf.Tensor) -> Any:
        """Call the function with tensors of the same shapes and types as the first time."""
        if self.traced is None:
            self.traced = self._function.get_concrete_function(*tensors)
            del self._function  # and all that only its trace needed
        return self.traced(*tensors)


def size_of(image: tf.Tensor) -> tuple[Length, Length]:
    """The height and width of images (N, H, W, 3)."""
    height, width = image.shape[1:3]
    if height is not None and width is not None:
        return height, width
    return tuple(tf.unstack(tf.cast(tf.shape(image)[1:3], tf.float32)))


def with_nan(losses: Losses, gradient: tf.Tensor) -> Losses:
    """The losses, with a total of NaN if the gradient is not finite.

    Otherwise that would show only at the next step, or never, where clipping turns NaN into black.
    """
    finite = tf.math.is_finite(tf.reduce_sum(gradient))  # a sum needs no temporaries
    return {**losses, TOTAL: tf.where(finite, losses[TOTAL], math.nan)}


def balanced_weights(
    objective: Objective,
    image: tf.Tensor,
    shares: Mapping[tuple[str, ...], float],
    seed: int,
    around: Around | None = None,
) -> dict[str, float]:
    """Weights by term name with which gradients of groups of terms have given shares.

    A group's share is that of its gradient's norm in the sum of the groups' norms; that sum stays
    the same. It costs one evaluation per group. Where the gradient of a group vanishes, as the
    content's does at the content itself, it is measured once more, at the image with noise.

    Args:
        image: where the gradients are measured, (1, H, W, 3).
        shares: the share of each group, by the names of its terms; their sum does not matter.
            Terms keep their proportions within a group; terms in no group keep their weight.
        seed: of the noise.
        around: calls the objective's `value_and_grad` for the image that it gets; the gradient may
            be changed, too.
    """
    weights = dict(objective.weights)
    for group in shares:
        if not any(weights[name] for name in group):  # weight 0, but a share is asked for
            weights |= dict.fromkeys(group, 1.0)

    def norm(image: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        alone = objective.reweighted(dict(zip(weights, tf.unstack(chosen), strict=True)))
        evaluate = alone.value_and_grad
        return tf.norm((around(evaluate, image) if around else evaluate(image))[1])

    def norm_of(group: tuple[str, ...], image: tf.Tensor) -> float:
        chosen = [weight if name in group else 0.0 for name, weight in weights.items()]
        return float(compiled(image, tf.constant(chosen, image.dtype)))

    compiled = objective.compiled(norm)
    noise = tf.random.stateless_normal(image.shape, (seed, 0), 0.0, _PROBE_NOISE, image.dtype)
    beside = tf.clip_by_value(image + noise, 0.0, 1.0)
    norms = {group: norm_of(group, image) for group in shares}
    largest = max(norms.values())
    for group, size in norms.items():
        if size <= _VANISHED * largest:
            norms[group] = norm_of(group, beside)
    whole, parts = sum(norms.values()), sum(shares.values())
    for group, share in shares.items():
        factor = share / parts * whole / norms[group] if norms[group] else 1.0
        weights |= {name: weights[name] * factor for name in group}
    return weights
