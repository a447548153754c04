"""Weights of terms chosen by the sizes of their gradients."""

from collections.abc import Mapping

import tensorflow as tf

from nst_keras.objective.objective import Objective

_PROBE_NOISE = 0.05  # standard deviation of the noise beside a point where a gradient vanishes
_VANISHED = 1e-5  # of the largest gradient


def balanced_weights(
    objective: Objective,
    image: tf.Tensor,
    shares: Mapping[tuple[str, ...], float],
    seed: int,
) -> dict[str, float]:
    """Weights with which the gradients of groups of terms have given shares of their summed norms.

    Costs one evaluation for each group. Where the gradient of a group vanishes, as the content's
    does at the content itself, it is measured at the image with noise.

    Args:
        image: (1, H, W, 3), where the gradients are measured.
        shares: the share of each group, by the names of its terms. Terms keep their proportions
            within a group; terms in no group keep their weight. The sum of the norms stays the
            same.
        seed: of the noise.
    """
    weights = dict(objective.weights)
    for group in shares:
        if not any(weights[name] for name in group):  # of weight 0, but asked for here
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
