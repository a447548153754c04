"""Content and style pictures become targets; an image becomes named, weighted terms and a gradient.

All goes through statistics that are sums over positions (see `losses`), so that a whole image, its
tiles (see `tiling`) and replicas share one path.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import tensorflow as tf

from nst_keras import losses, vgg
from nst_keras.passage import Extractor, Features, Passage, Sums
from nst_keras.tiles import Tile, whole

_PROBE_NOISE = 0.05  # deviation, where a gradient is measured beside the point where it vanishes
_VANISHED = 1e-5  # of the largest gradient

Terms = dict[str, tf.Tensor]  # scalars by name
Picture: TypeAlias = np.ndarray | tf.Tensor
Window: TypeAlias = tuple[int, int, int, int] | tf.Tensor  # of what a tile owns, see `Tile.window`
Pick = Callable[[Terms], tf.Tensor]  # what is differentiated


@dataclasses.dataclass(frozen=True)
class Targets:
    """What the image is compared with, computed once per scale."""

    # For each tile, layer -> features that it owns (1, h, w, N), in the network's precision.
    content: tuple[Features, ...]
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
    content: Picture,
    styles: Sequence[Picture],
    style_blend: Sequence[float],
    weights: Mapping[str, float],
    formulas: losses.Formulas,
    tiles_of: Callable[[int, int], tuple[Tile, ...]] = whole,
) -> Targets:
    """Features of the content and blended moments of the styles.

    Args:
        content: (1, H, W, 3), the size of the image to be optimised.
        styles: (1, h, w, 3) each, of any sizes.
        style_blend: one weight per style, brought to a sum of 1.
        weights: of the terms; their names tell the layers.
        tiles_of: the tiles of a height and width; one at a time goes through the network.
    """
    layers = layers_of("content", weights)
    kept = [  # the other features go at once
        {layer: features[layer] for layer in layers}
        for features in _owned_features(extractor, content, tiles_of)
    ]
    blended = _blended_moments(
        extractor, styles, style_blend, layers_of("style", weights), formulas, tiles_of
    )
    sums = {layer: losses.floored_square_sum(*(own[layer] for own in kept)) for layer in layers}
    return Targets(
        content=tuple(kept),
        content_sums=sums,
        style={layer: formulas.style_target(moments) for layer, moments in blended.items()},
        notes=(*_notes("content", kept), *_notes("style", [blended])),
    )


def owned(features: tf.Tensor, layer: str, window: Window) -> tf.Tensor:
    """The features (1, h, w, N) of a tile that it owns."""
    stride = vgg.stride(layer)
    top, bottom, left, right = (window[index] // stride for index in range(4))
    return features[:, top:bottom, left:right]


def layers_of(kind: str, terms: Mapping[str, float]) -> tuple[str, ...]:
    """The layers of the 'content' or 'style' terms."""
    parts = (name.split("/") for name in terms)
    return tuple(part[1] for part in parts if part[0] == kind)


def total(terms: Terms) -> tf.Tensor:
    """What an optimiser lowers."""
    return terms["total"]


def tainted(terms: Terms, gradient: tf.Tensor) -> Terms:
    """The terms, with a total of NaN if the gradient is not finite.

    That would otherwise show at the next step, or, where clipping takes NaN for black, never.
    """
    finite = tf.math.is_finite(tf.reduce_sum(gradient))  # of any size, without temporaries
    return {**terms, "total": tf.where(finite, terms["total"], math.nan)}


def picking(names: Iterable[str], chosen: tf.Tensor) -> Pick:
    """The sum of those terms for which `chosen`, in the order of the names, is 1 and not 0."""
    return lambda terms: tf.reduce_sum(chosen * tf.stack([terms[name] for name in names]))


class Objective:
    """The weighted sum of content, style and variation terms on one size of image.

    Args:
        sections: of the network, one after the other: each takes what is last in the output of the
            one before, the first takes the image. An extractor in one piece is one section.
        largest_cotangent: gradients of features are pulled back through the network scaled so that
            the largest is between this and its double; None: as they are, which is quicker and
            right wherever they cannot underflow or overflow.
    """

    def __init__(
        self,
        sections: Sequence[Extractor],
        targets: Targets,
        weights: Mapping[str, float],
        formulas: losses.Formulas,
        largest_cotangent: float | None = None,
    ):
        self.sections = tuple(sections)
        self.targets = targets
        self._weights = dict(weights)
        self.formulas = formulas
        self.largest_cotangent = largest_cotangent

    @property
    def weights(self) -> dict[str, float]:
        """Of the terms."""
        return self._weights

    @property
    def term_names(self) -> tuple[str, ...]:
        """Keys of the terms, 'total' first."""
        return ("total", *self.weights)

    def reweighted(self, weights: Mapping[str, float]) -> "Objective":
        """The same with other weights of the terms."""
        return Objective(
            self.sections, self.targets, weights, self.formulas, self.largest_cotangent
        )

    def statistics(self, image: tf.Tensor) -> Sums:
        """Sums over the positions of an image (1, H, W, 3), by term name."""
        return {"tv": self.formulas.variation.sums(image), **self._passage(image).sums}

    def statistics_of_tile(self, tile: tf.Tensor, content: Features, window: Window) -> Sums:
        """Sums over what a tile (1, h, w, 3) owns, by term name; all but the variation.

        Args:
            content: the content's features there.
        """
        return self._passage(tile, content, window).sums

    def gradient_of_tile(
        self, tile: tf.Tensor, content: Features, window: Window, cotangents: Sums
    ) -> tf.Tensor:
        """What these cotangents of all sums pull back to a tile, but for the variation."""
        passage = self._passage(tile, content, window)
        pulled = passage.pull_back(cotangents, self.largest_cotangent)
        return tf.zeros_like(tile) if pulled is None else pulled

    def terms(self, sums: Sums, height: int, width: int) -> Terms:
        """Weighted terms of statistics summed over an image of this size; 'total' is their sum."""
        terms = {}
        for name, weight in self.weights.items():
            terms[name] = weight * self._term(name, sums[name], height, width)
        # Not add_n, whose order of summation depends on the moment.
        return {"total": tf.reduce_sum(tf.stack(list(terms.values()))), **terms}

    def value(self, image: tf.Tensor) -> Terms:
        """The terms of an image (1, H, W, 3), RGB in [0, 1]."""
        return self.terms(self.statistics(image), image.shape[1], image.shape[2])

    def value_and_grad(self, image: tf.Tensor) -> tuple[Terms, tf.Tensor]:
        """The terms of an image (1, H, W, 3) and the gradient of their total, of the same shape.

        Where the gradient is not finite, the total is NaN.
        """
        terms, gradient = self._differentiate(image, total)
        return tainted(terms, gradient), gradient

    def gradient_norm(self, image: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        """Euclidean norm of the gradient of some terms: `chosen` is 1 for these, 0 for others."""
        return tf.norm(self._differentiate(image, picking(self.weights, chosen))[1])

    def _differentiate(self, image: tf.Tensor, pick: Pick) -> tuple[Terms, tf.Tensor]:
        """All terms, and the gradient of what is made of them."""
        passage = self._passage(image)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            variation = self.formulas.variation.sums(image)
        sums = {"tv": variation, **passage.sums}
        terms, cotangents = self.cotangents(sums, image.shape[1], image.shape[2], pick)
        direct = tape.gradient(variation, image, output_gradients=cotangents["tv"])
        pulled = passage.pull_back(cotangents, self.largest_cotangent)
        return terms, direct if pulled is None else direct + pulled

    def cotangents(self, sums: Sums, height: int, width: int, pick: Pick) -> tuple[Terms, Sums]:
        """All terms of an image's sums, and the gradient by the sums of what is made of them."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sums)
            terms = self.terms(sums, height, width)
            picked = pick(terms)
        return terms, tape.gradient(picked, sums)

    def _passage(
        self, image: tf.Tensor, content: Features | None = None, window: Window | None = None
    ) -> Passage:
        """Of a tile, or of the whole image."""

        def sums_of(layer: str, features: tf.Tensor) -> Sums:
            if window is not None:
                features = owned(features, layer, window)
            return self.sums_of_layer(layer, features, content)

        return Passage(self.sections, image, sums_of)

    def sums_of_layer(
        self, layer: str, features: tf.Tensor, content: Features | None = None
    ) -> Sums:
        """Sums over a layer's features (1, h, w, N), by term name.

        Args:
            content: the content's features at the same place; None: those of the whole image.
        """
        content = self.targets.content[0] if content is None else content
        sums = {}
        if layer in content:
            sums[f"content/{layer}"] = losses.squared_error_sum(features, content[layer])
        if layer in self.targets.style:
            sums[f"style/{layer}"] = self.formulas.style_sums(features)
        return sums

    def _term(self, name: str, sums: tf.Tensor, height: int, width: int) -> tf.Tensor:
        kind, _, layer = name.partition("/")
        if kind == "tv":
            return self.formulas.variation.term(sums, height, width)
        if kind == "content":
            channels = self.targets.content[0][layer].shape[-1]
            count = float(vgg.positions(layer, height, width) * channels)
            return self.formulas.content(sums, self.targets.content_sums[layer], count)
        positions = float(vgg.positions(layer, height, width))
        size = losses.Size(positions, float(height * width))
        return self.formulas.style(sums / positions, self.targets.style[layer], size)


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


def _notes(name: str, targets: Sequence[Features]) -> list[str]:
    """Where there is nothing to compare with; relative terms are held at a floor there."""
    return [
        f"the {name} has no features at {layer}"
        for layer in targets[0]
        if losses.vanishes(*(target[layer] for target in targets))
    ]


def _owned_features(
    extractor: Extractor,
    picture: Picture,
    tiles_of: Callable[[int, int], tuple[Tile, ...]],
) -> Iterator[Features]:
    """The features that each tile of a picture (1, H, W, 3) owns."""
    for tile in tiles_of(picture.shape[1], picture.shape[2]):
        features = extractor(picture[tile.region])
        yield {layer: owned(one, layer, tile.window) for layer, one in features.items()}


def _blended_moments(
    extractor: Extractor,
    styles: Sequence[Picture],
    style_blend: Sequence[float],
    layers: tuple[str, ...],
    formulas: losses.Formulas,
    tiles_of: Callable[[int, int], tuple[Tile, ...]],
) -> Features:
    """Moments per position, which mix as their pictures would: layer -> sums' shape."""
    total = sum(style_blend)
    blended = dict.fromkeys(layers, 0.0)
    for style, share in zip(styles, style_blend, strict=True):
        for features in _owned_features(extractor, style, tiles_of):
            for layer in layers:
                positions = float(vgg.positions(layer, style.shape[1], style.shape[2]))
                moments = formulas.style_sums(features[layer]) / positions
                blended[layer] += (share / total) * moments
    return blended
