"""What an image is compared with: features of the content and moments of the styles."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from nst_keras.network import vgg
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.backprop import Extractor, Features
from nst_keras.objective.term_names import CONTENT, STYLE, WeightedTerm
from nst_keras.objective.tiles import Tile, whole

Picture: TypeAlias = np.ndarray | tf.Tensor
Window: TypeAlias = tuple[int, int, int, int] | tf.Tensor  # see `Tile.window`
TilesOf = Callable[[int, int], tuple[Tile, ...]]  # the tiles of an image by height and width


@dataclasses.dataclass(frozen=True)
class Targets:
    """What the image is compared with, computed once per scale.

    Attributes:
        content: for each tile, the content's features (1, h, w, N) by layer, at the positions that
            the tile owns, in the network's precision.
        content_sums: the sum of their squares by layer, over all tiles, never below a floor.
        style: the target of the style formula by layer, from the styles' blended moments.
        notes: warnings for the user.
    """

    content: tuple[Features, ...]
    content_sums: dict[str, tf.Tensor]
    style: dict[str, formulas_lib.StyleTarget]
    notes: tuple[str, ...] = ()


def capture_targets(
    extractor: Extractor,
    content: Picture,
    styles: Sequence[Picture],
    style_blend: Sequence[float],
    terms: Sequence[WeightedTerm],
    formulas: formulas_lib.Formulas,
    tiles_of: TilesOf = whole,
) -> Targets:
    """Compute the features of the content and the blended moments of the styles.

    Args:
        extractor: makes features by layer from a picture.
        content: (1, H, W, 3), of the size of the image to be optimized.
        styles: (1, h, w, 3) each, of any sizes.
        style_blend: one weight per style; their sum does not matter.
        terms: the terms whose layers need targets.
        tiles_of: cuts pictures, so that only one tile at a time goes through the network.
    """
    layers = layers_of(CONTENT, terms)
    kept = [  # by layer, so that features of style layers are freed at once
        {layer: features[layer] for layer in layers}
        for features in _owned_features(extractor, content, tiles_of)
    ]
    moments = _blended_moments(
        extractor, styles, style_blend, layers_of(STYLE, terms), formulas, tiles_of
    )
    return Targets(
        content=tuple(kept),
        content_sums={
            layer: formulas_lib.floored_square_sum(*(features[layer] for features in kept))
            for layer in layers
        },
        style={layer: formulas.style_target(moment) for layer, moment in moments.items()},
        notes=(*_notes(CONTENT, kept), *_notes(STYLE, [moments])),
    )


def layers_of(kind: str, terms: Sequence[WeightedTerm]) -> tuple[str, ...]:
    """The layers of the terms of one kind."""
    return tuple(term.layer for term in terms if term.kind == kind)


def owned(features: tf.Tensor, layer: str, window: Window) -> tf.Tensor:
    """The part (1, h, w, N) of a tile's features that the tile owns."""
    stride = vgg.stride(layer)
    top, bottom, left, right = (window[index] // stride for index in range(4))
    return features[:, top:bottom, left:right]


def _notes(kind: str, targets: Sequence[Features]) -> list[str]:
    """Warnings of layers where the target is zero: relative losses divide by a floor there."""
    return [
        f"the {kind} has no features at {layer}"
        for layer in targets[0]
        if formulas_lib.vanishes(*(target[layer] for target in targets))
    ]


def _owned_features(
    extractor: Extractor, picture: Picture, tiles_of: TilesOf
) -> Iterator[Features]:
    """For each tile of a picture (1, H, W, 3), the features that it owns."""
    for tile in tiles_of(picture.shape[1], picture.shape[2]):
        features = extractor(picture[tile.region])
        yield {layer: owned(found, layer, tile.window) for layer, found in features.items()}


def _blended_moments(
    extractor: Extractor,
    styles: Sequence[Picture],
    style_blend: Sequence[float],
    layers: tuple[str, ...],
    formulas: formulas_lib.Formulas,
    tiles_of: TilesOf,
) -> Features:
    """The weighted mean of the styles' moments per position, by layer."""
    total = sum(style_blend)
    blended = dict.fromkeys(layers, 0.0)
    for style, share in zip(styles, style_blend, strict=True):
        for features in _owned_features(extractor, style, tiles_of):
            for layer in layers:
                positions = float(vgg.positions(layer, style.shape[1], style.shape[2]))
                moments = formulas.style_sums(features[layer]) / positions
                blended[layer] += (share / total) * moments
    return blended
