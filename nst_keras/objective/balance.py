"""Weights of terms, chosen so that their gradients have given proportions."""

from collections.abc import Mapping

import tensorflow as tf

from nst_keras.objective.objective import Objective

_PROBE_NOISE = 0.05  # standard deviation of the noise added where a gradient vanishes
_VANISHED = 1e-5  # share of the largest norm below which a gradient counts as zero


def balanced_weights(
    objective: Objective,
    image: tf.Tensor,
    shares: Mapping[tuple[str, ...], float],
    seed: int,
) -> dict[str, float]:
    """Weights by term name with which gradients of groups of terms have given shares.

    A group's share is that of its gradient's norm in the sum of the groups' norms; that sum stays
    the same. It costs one evaluation per group. Where the gradient of a group vanishes, as the
    content's does at the content itself, it is measured at the image with noise.

    Args:
        image: where the gradients are measured, (1, H, W, 3).
        shares: the share of each group, by the names of its terms; their sum does not matter.
            Terms keep their proportions within a group; terms in no group keep their weight.
        seed: of the noise.
    """
    weights = dict(objective.weights)
    for group in shares:
        if not any(weights[name] for name in group):  # weight 0, but a share is asked for
            weights |= dict.fromkeys(group, 1.0)
    measured = objective.reweighted(weights)
    noise = tf.random.stateless_normal(image.shape, (seed, 0), stddev=_PROBE_NOISE)
    beside = tf.clip_by_value(image + noise, 0.0, 1.0)
    gradient_norm = measured.compiled(measured.gradient_norm)
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
