"""What an image is compared with: features of the content and moments of the styles."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from nst_keras.network import vgg
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.backprop import Extractor, Features
from nst_keras.objective.terms import layers_of
from nst_keras.objective.tiles import Tile, whole

Picture: TypeAlias = np.ndarray | tf.Tensor
Window: TypeAlias = tuple[int, int, int, int] | tf.Tensor  # of what a tile owns, see `Tile.window`


@dataclasses.dataclass(frozen=True)
class Targets:
    """What the image is compared with, computed once per scale."""

    # For each tile, layer -> features that it owns (1, h, w, N), in the network's precision.
    content: tuple[Features, ...]
    content_sums: dict[str, tf.Tensor]  # layer -> sum of their squares, floored
    style: dict[str, formulas_lib.StyleTarget]  # layer -> what the objective makes of the moments
    notes: tuple[str, ...] = ()


def capture_targets(
    extractor: Extractor,
    content: Picture,
    styles: Sequence[Picture],
    style_blend: Sequence[float],
    weights: Mapping[str, float],
    formulas: formulas_lib.Formulas,
    tiles_of: Callable[[int, int], tuple[Tile, ...]] = whole,
) -> Targets:
    """Features of the content and blended moments of the styles.

    Args:
        content: (1, H, W, 3), the size of the image to be optimized.
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
    sums = {
        layer: formulas_lib.floored_square_sum(*(own[layer] for own in kept)) for layer in layers
    }
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


def _notes(name: str, targets: Sequence[Features]) -> list[str]:
    """Where there is nothing to compare with; relative terms are held at a floor there."""
    return [
        f"the {name} has no features at {layer}"
        for layer in targets[0]
        if formulas_lib.vanishes(*(target[layer] for target in targets))
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
    formulas: formulas_lib.Formulas,
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
