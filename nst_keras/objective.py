"""Content and style pictures become targets; an image becomes named, weighted terms and a gradient.

`value_and_grad` goes through statistics that are sums over positions (see `losses`), so that a
whole image, tiles of it and replicas can share one path.
"""

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf

from nst_keras import losses, vgg

# A mean square below this counts as nothing: relative terms would divide by zero.
_FLOOR = 1e-6

Extractor = Callable[[tf.Tensor], dict[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Targets:
    """What the image is compared with, computed once per scale."""

    content: dict[str, tf.Tensor]  # layer -> features (1, h, w, N)
    content_sums: dict[str, tf.Tensor]  # layer -> sum of their squares, floored
    style: dict[str, tf.Tensor]  # layer -> Gram per position (N, N)
    style_sums: dict[str, tf.Tensor]  # layer -> sum of its squares, floored
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class TermWeights:
    """Weights of the terms; those of layers are relative and are brought to a sum of 1."""

    content: float
    style: float
    tv: float
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]

    def of_content(self, layer: str) -> float:
        return self.content * self.content_layers[layer] / sum(self.content_layers.values())

    def of_style(self, layer: str) -> float:
        return self.style * self.style_layers[layer] / sum(self.style_layers.values())


def capture_targets(
    extractor: Extractor,
    content: tf.Tensor,
    styles: list[tf.Tensor],
    style_blend: list[float],
    weights: TermWeights,
) -> Targets:
    """Features of the content and blended Grams of the styles.

    Args:
        content: (1, H, W, 3), the size of the image to be optimised.
        styles: (1, h, w, 3) each, of any sizes; one at a time goes through the network.
        style_blend: one weight per style, brought to a sum of 1.
    """
    features = extractor(content)
    kept = {layer: tf.identity(features[layer]) for layer in weights.content_layers}
    grams = _blended_grams(extractor, styles, style_blend, tuple(weights.style_layers))
    notes: list[str] = []
    content_sums = _floored_sums(kept, "content", notes)
    style_sums = _floored_sums(grams, "style", notes)
    return Targets(kept, content_sums, grams, style_sums, tuple(notes))


class Objective:
    """The weighted sum of content, style and variation terms on one size of image."""

    def __init__(
        self,
        extractor: Extractor,
        targets: Targets,
        weights: TermWeights,
        formulas: losses.Formulas,
    ):
        self.extractor = extractor
        self.targets = targets
        self.weights = weights
        self.formulas = formulas

    @property
    def term_names(self) -> tuple[str, ...]:
        """Keys of the terms, 'total' first."""
        content = (f"content/{layer}" for layer in self.weights.content_layers)
        style = (f"style/{layer}" for layer in self.weights.style_layers)
        return ("total", *content, *style, "tv")

    def statistics(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Sums over the positions of an image (1, H, W, 3), by term name."""
        features = self.extractor(image)
        sums = {"tv": losses.squared_variation_sums(image)}
        for layer, target in self.targets.content.items():
            sums[f"content/{layer}"] = losses.squared_error_sum(features[layer], target)
        for layer in self.targets.style:
            sums[f"style/{layer}"] = losses.gram_sum(features[layer])
        return sums

    def terms(self, sums: dict[str, tf.Tensor], height: int, width: int) -> dict[str, tf.Tensor]:
        """Weighted terms of statistics summed over an image of this size; 'total' is their sum."""
        terms = {}
        for layer, target_sum in self.targets.content_sums.items():
            term = self.formulas.content(sums[f"content/{layer}"], target_sum)
            terms[f"content/{layer}"] = self.weights.of_content(layer) * term
        for layer, target in self.targets.style.items():
            gram = sums[f"style/{layer}"] / float(vgg.positions(layer, height, width))
            term = self.formulas.style(gram, target, self.targets.style_sums[layer])
            terms[f"style/{layer}"] = self.weights.of_style(layer) * term
        counts = 3.0 * height * (width - 1), 3.0 * (height - 1) * width
        terms["tv"] = self.weights.tv * self.formulas.variation(sums["tv"], counts)
        # Not add_n, whose order of summation depends on the moment.
        return {"total": tf.reduce_sum(tf.stack(list(terms.values()))), **terms}

    def value(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """The terms of an image (1, H, W, 3), RGB in [0, 1]."""
        return self.terms(self.statistics(image), image.shape[1], image.shape[2])

    def value_and_grad(self, image: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The terms of an image (1, H, W, 3) and the gradient of their total, of the same shape."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            terms = self.value(image)
        return terms, tape.gradient(terms["total"], image)


def _floored_sums(
    targets: dict[str, tf.Tensor], name: str, notes: list[str]
) -> dict[str, tf.Tensor]:
    """Sums of squares, as denominators: never zero, and a note where one would have been."""
    sums = {}
    for layer, target in targets.items():
        floor = tf.constant(_FLOOR * float(tf.size(target)))
        sums[layer] = tf.maximum(tf.reduce_sum(tf.square(target)), floor)
        if sums[layer] <= floor:
            notes.append(f"the {name} has no features at {layer}; its term is held at a floor")
    return sums


def _blended_grams(
    extractor: Extractor,
    styles: list[tf.Tensor],
    style_blend: list[float],
    layers: tuple[str, ...],
) -> dict[str, tf.Tensor]:
    total = sum(style_blend)
    grams = dict.fromkeys(layers, 0.0)
    for style, share in zip(styles, style_blend, strict=True):
        features = extractor(style)
        for layer in layers:
            positions = float(features[layer].shape[1] * features[layer].shape[2])
            gram = losses.gram_sum(features[layer]) / positions
            grams[layer] += (share / total) * gram
    return grams
