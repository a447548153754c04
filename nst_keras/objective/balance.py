"""Weights of terms from the sizes of their gradients."""

from collections.abc import Callable, Mapping
from typing import Protocol

import tensorflow as tf

_PROBE_NOISE = 0.05  # deviation, where a gradient is measured beside the point where it vanishes
_VANISHED = 1e-5  # of the largest gradient


class Weighted(Protocol):
    """What a balance asks of an objective, in one piece or in tiles."""

    @property
    def weights(self) -> dict[str, float]:
        """Of the terms."""

    def reweighted(self, weights: Mapping[str, float]) -> "Weighted":
        """The same with other weights of the terms."""

    def gradient_norm(self, image: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        """Euclidean norm of the gradient of the chosen terms."""


def balanced_weights(
    objective: Weighted,
    image: tf.Tensor,
    shares: Mapping[tuple[str, ...], float],
    seed: int,
    compiled: Callable[[Callable], Callable] = tf.function,
) -> dict[str, float]:
    """Weights with which the gradients of groups of terms have given shares of their summed norms.

    Costs one evaluation for each group. Where the gradient of a group vanishes, as the content's
    does at the content itself, it is measured at the image with noise.

    Args:
        image: (1, H, W, 3), where the gradients are measured.
        shares: terms of a group -> share. Terms keep their proportions within a group; those in
            none keep their weight. The sum of the norms stays as it is.
        compiled: how the objective's methods are best called.
    """
    weights = dict(objective.weights)
    for group in shares:
        if not any(weights[name] for name in group):  # switched off, but asked for here
            weights |= dict.fromkeys(group, 1.0)
    measured = objective.reweighted(weights)
    noise = tf.random.stateless_normal(image.shape, (seed, 0), stddev=_PROBE_NOISE)
    beside = tf.clip_by_value(image + noise, 0.0, 1.0)
    gradient_norm = compiled(measured.gradient_norm)
    chosen = {group: tf.constant([float(name in group) for name in weights]) for group in shares}
    norms = {group: float(gradient_norm(image, chosen[group])) for group in shares}
    largest = max(norms.values())
    for group, norm in norms.items():
        if norm <= _VANISHED * largest:
            norms[group] = float(gradient_norm(beside, chosen[group]))
    whole, parts = sum(norms.values()), sum(shares.values())
    for group, share in shares.items():
        factor = share / parts * whole / norms[group] if norms[group] else 1.0
        weights |= {name: weights[name] * factor for name in group}
    return weights
