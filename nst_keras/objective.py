"""Content and style pictures become targets; an image becomes named, weighted terms and a gradient.

`value_and_grad` goes through statistics that are sums over positions (see `losses`), so that a
whole image, tiles of it and replicas can share one path.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from nst_keras import losses, vgg

_PROBE_NOISE = 0.05  # deviation, where a gradient is measured beside the point where it vanishes
_VANISHED = 1e-5  # of the largest gradient
_EXPONENT_BITS = 0x7F800000  # of a float32
_LEAST = 1e-30  # of which the inverse is still far from a float32's end

Extractor = Callable[[tf.Tensor], dict[str, tf.Tensor]]
Terms = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Targets:
    """What the image is compared with, computed once per scale."""

    content: dict[str, tf.Tensor]  # layer -> features (1, h, w, N)
    content_sums: dict[str, tf.Tensor]  # layer -> sum of their squares, floored
    style: dict[str, losses.StyleTarget]  # layer -> what the objective makes of the moments
    notes: tuple[str, ...] = ()


def weigh_terms(
    content: float,
    style: float,
    tv: float,
    *,
    content_layers: Mapping[str, float],
    style_layers: Mapping[str, float],
    shares: bool,
) -> dict[str, float]:
    """The weight of each term by name: 'content/LAYER', 'style/LAYER' and 'tv'.

    Args:
        content_layers, style_layers: weights of layers.
        shares: whether these are brought to a sum of 1, or taken as they are.
    """
    weights: dict[str, float] = {}
    kinds = {"content": (content, content_layers), "style": (style, style_layers)}
    for kind, (weight, layers) in kinds.items():
        total = sum(layers.values()) if shares else 1.0
        weights |= {f"{kind}/{layer}": weight * share / total for layer, share in layers.items()}
    return {**weights, "tv": tv}


def capture_targets(
    extractor: Extractor,
    content: tf.Tensor,
    styles: list[tf.Tensor],
    style_blend: list[float],
    weights: Mapping[str, float],
    formulas: losses.Formulas,
) -> Targets:
    """Features of the content and blended moments of the styles.

    Args:
        content: (1, H, W, 3), the size of the image to be optimised.
        styles: (1, h, w, 3) each, of any sizes; one at a time goes through the network.
        style_blend: one weight per style, brought to a sum of 1.
        weights: of the terms; their names tell the layers.
    """
    layers = layers_of("content", weights)
    kept = {  # the other features go at once
        layer: losses.exact(features)
        for layer, features in extractor(content).items()
        if layer in layers
    }
    blended = _blended_moments(
        extractor, styles, style_blend, layers_of("style", weights), formulas
    )
    return Targets(
        content=kept,
        content_sums={layer: losses.floored_square_sum(kept[layer]) for layer in kept},
        style={layer: formulas.style_target(moments) for layer, moments in blended.items()},
        notes=(*_notes("content", kept), *_notes("style", blended)),
    )


def layers_of(kind: str, terms: Mapping[str, float]) -> tuple[str, ...]:
    """The layers of the 'content' or 'style' terms."""
    parts = (name.split("/") for name in terms)
    return tuple(part[1] for part in parts if part[0] == kind)


class Objective:
    """The weighted sum of content, style and variation terms on one size of image.

    Args:
        largest_cotangent: gradients of features are pulled back through the network scaled so that
            the largest is between this and its double; None: as they are, which is quicker and
            right wherever they cannot underflow or overflow.
    """

    def __init__(
        self,
        extractor: Extractor,
        targets: Targets,
        weights: Mapping[str, float],
        formulas: losses.Formulas,
        largest_cotangent: float | None = None,
    ):
        self.extractor = extractor
        self.targets = targets
        self.weights = dict(weights)
        self.formulas = formulas
        self.largest_cotangent = largest_cotangent

    @property
    def term_names(self) -> tuple[str, ...]:
        """Keys of the terms, 'total' first."""
        return ("total", *self.weights)

    def statistics(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Sums over the positions of an image (1, H, W, 3), by term name."""
        return self._statistics(image, self.extractor(image))

    def _statistics(self, image: tf.Tensor, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        sums = {"tv": self.formulas.variation.sums(image)}
        for layer in {**self.targets.content, **self.targets.style}:
            content = style = features[layer]
            if layer in self.targets.content and layer in self.targets.style:
                content, style = losses.fork(features[layer])
            if layer in self.targets.content:
                target = self.targets.content[layer]
                sums[f"content/{layer}"] = losses.squared_error_sum(content, target)
            if layer in self.targets.style:
                sums[f"style/{layer}"] = self.formulas.style_sums(style)
        return sums

    def terms(self, sums: dict[str, tf.Tensor], height: int, width: int) -> dict[str, tf.Tensor]:
        """Weighted terms of statistics summed over an image of this size; 'total' is their sum."""
        terms = {}
        for name, weight in self.weights.items():
            terms[name] = weight * self._term(name, sums[name], height, width)
        # Not add_n, whose order of summation depends on the moment.
        return {"total": tf.reduce_sum(tf.stack(list(terms.values()))), **terms}

    def value(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """The terms of an image (1, H, W, 3), RGB in [0, 1]."""
        return self.terms(self.statistics(image), image.shape[1], image.shape[2])

    def value_and_grad(self, image: tf.Tensor) -> tuple[Terms, tf.Tensor]:
        """The terms of an image (1, H, W, 3) and the gradient of their total, of the same shape."""
        terms, gradient = self._differentiate(image, lambda terms: terms["total"])
        if self.largest_cotangent is not None:
            # An overflow on the way back would otherwise show at the next step, or, where clipping
            # the image takes NaN for black, never.
            finite = tf.reduce_all(tf.math.is_finite(gradient))
            terms = {**terms, "total": tf.where(finite, terms["total"], math.nan)}
        return terms, gradient

    def gradient_norm(self, image: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        """Euclidean norm of the gradient of some terms: `chosen` is 1 for these, 0 for others."""

        def pick(terms: Terms) -> tf.Tensor:
            return tf.reduce_sum(chosen * tf.stack([terms[name] for name in self.weights]))

        return tf.norm(self._differentiate(image, pick)[1])

    def _differentiate(
        self, image: tf.Tensor, pick: Callable[[Terms], tf.Tensor]
    ) -> tuple[Terms, tf.Tensor]:
        """All terms, and the gradient of what is made of them."""
        if self.largest_cotangent is not None:
            return self._differentiate_in_two(image, pick, self.largest_cotangent)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            terms = self.value(image)
            picked = pick(terms)
        return terms, tape.gradient(picked, image)

    def _differentiate_in_two(
        self, image: tf.Tensor, pick: Callable[[Terms], tf.Tensor], largest_cotangent: float
    ) -> tuple[Terms, tf.Tensor]:
        """As `_differentiate`: to the features, and from there, scaled, through the network."""
        with tf.GradientTape(watch_accessed_variables=False) as network:
            network.watch(image)
            features = self.extractor(image)
        layers = {**self.targets.content, **self.targets.style}
        used = {layer: features[layer] for layer in layers}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([image, *used.values()])
            terms = self.terms(self._statistics(image, used), image.shape[1], image.shape[2])
            picked = pick(terms)
        direct, *cotangents = tape.gradient(picked, [image, *used.values()])
        largest = tf.reduce_max(tf.stack([tf.reduce_max(tf.abs(one)) for one in cotangents]))
        scale = largest_cotangent / _power_of_two(largest)
        scaled = [scale * one for one in cotangents]
        pulled = network.gradient(list(used.values()), image, output_gradients=scaled)
        return terms, direct + pulled / scale

    def _term(self, name: str, sums: tf.Tensor, height: int, width: int) -> tf.Tensor:
        kind, _, layer = name.partition("/")
        if kind == "tv":
            return self.formulas.variation.term(sums, height, width)
        if kind == "content":
            count = float(np.prod(self.targets.content[layer].shape))
            return self.formulas.content(sums, self.targets.content_sums[layer], count)
        positions = float(vgg.positions(layer, height, width))
        size = losses.Size(positions, float(height * width))
        return self.formulas.style(sums / positions, self.targets.style[layer], size)


def balanced_weights(
    objective: Objective, image: tf.Tensor, shares: Mapping[tuple[str, ...], float], seed: int
) -> dict[str, float]:
    """Weights with which the gradients of groups of terms have given shares of their summed norms.

    Costs one evaluation for each group. Where the gradient of a group vanishes, as the content's
    does at the content itself, it is measured at the image with noise.

    Args:
        image: (1, H, W, 3), where the gradients are measured.
        shares: terms of a group -> share. Terms keep their proportions within a group; those in
            none keep their weight. The sum of the norms stays as it is.
    """
    weights = dict(objective.weights)
    for group in shares:
        if not any(weights[name] for name in group):  # switched off, but asked for here
            weights |= dict.fromkeys(group, 1.0)
    measured = Objective(
        objective.extractor,
        objective.targets,
        weights,
        objective.formulas,
        objective.largest_cotangent,
    )
    noise = tf.random.stateless_normal(image.shape, (seed, 0), stddev=_PROBE_NOISE)
    beside = tf.clip_by_value(image + noise, 0.0, 1.0)
    gradient_norm = tf.function(measured.gradient_norm)
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


def _power_of_two(number: tf.Tensor) -> tf.Tensor:
    """The largest power of two up to a positive float32: multiplying by it rounds nothing."""
    bits = tf.bitcast(tf.maximum(number, _LEAST), tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits, _EXPONENT_BITS), tf.float32)


def _notes(name: str, targets: dict[str, tf.Tensor]) -> list[str]:
    """Where there is nothing to compare with; relative terms are held at a floor there."""
    return [
        f"the {name} has no features at {layer}"
        for layer, target in targets.items()
        if tf.reduce_mean(tf.square(target)) <= losses.FLOOR
    ]


def _blended_moments(
    extractor: Extractor,
    styles: list[tf.Tensor],
    style_blend: list[float],
    layers: tuple[str, ...],
    formulas: losses.Formulas,
) -> dict[str, tf.Tensor]:
    """Moments per position, which mix as their pictures would: layer -> sums' shape."""
    total = sum(style_blend)
    blended = dict.fromkeys(layers, 0.0)
    for style, share in zip(styles, style_blend, strict=True):
        features = extractor(style)
        for layer in layers:
            positions = float(features[layer].shape[1] * features[layer].shape[2])
            moments = formulas.style_sums(features[layer]) / positions
            blended[layer] += (share / total) * moments
    return blended
