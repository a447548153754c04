"""What an image is compared with: features of the content and moments of the styles."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import tensorflow as tf

from nst_keras.devices.variables import Variables
from nst_keras.network.architecture import Architecture, Layer
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.evaluation import Extractor, Features
from nst_keras.objective.focus import at_stride, position_weights
from nst_keras.objective.laplacian import detail_weights, laplacian
from nst_keras.objective.region_weights import region_weights
from nst_keras.objective.regions import MaskOptions, Region, StyleShare
from nst_keras.objective.term_names import CONTENT, LAPLACIAN, STYLE, kind_of, layer_of
from nst_keras.objective.tiles import LAPLACIAN_STRIDE, Tile

TilesOf = Callable[[int, int], tuple[Tile, ...]]  # the tiles of an image by height and width


@dataclasses.dataclass(frozen=True)
class Targets:
    """What the image is compared with, computed once per scale.

    Attributes:
        architecture: of the network.
        content: for each tile, the content's features (1, h, w, N) by layer, at the positions that
            the tile owns, in the dtype of the extractor's outputs, and its Laplacian if there is
            such a term; if positions have weights, also these (1, h, w, 1), by `weights_name`.
        content_sums: the weighted sum of the features' squares by layer, over all tiles, never
            below a floor.
        style: the target of the style formula by layer, from the styles' blended moments: of each
            region, or of the whole image alone.
        region_sums: by layer, the sum of the weights of each region's positions, (R,), over all
            tiles; empty if there are no regions. Weights are among `content`, by `regions_name`.
        region_shares: what each region counts, (R,).
        notes: warnings for the user.
    """

    architecture: Architecture
    content: tuple[Features, ...]
    content_sums: dict[str, tf.Tensor]
    style: dict[str, tuple[formulas_lib.StyleTarget, ...]]
    region_sums: dict[str, tf.Tensor]
    region_shares: tf.Tensor | None
    notes: tuple[str, ...]

    def held_in(self, variables: Variables) -> "Targets":
        """The same targets, whose values are in variables; those at positions may have any size."""
        names = ("content", "content_sums", "style", "region_sums", "region_shares")
        values = {name: own for name in names if (own := getattr(self, name)) is not None}
        held = [
            variables.constant(f"target {number}", value)
            for number, value in enumerate(tf.nest.flatten(values))
        ]
        return dataclasses.replace(self, **tf.nest.pack_sequence_as(values, held))


def capture_targets(
    extractor: Extractor,
    architecture: Architecture,
    content: tf.Tensor,
    styles: Sequence[tf.Tensor],
    style_blend: Sequence[float],
    terms: Iterable[str],
    formulas: formulas_lib.Formulas,
    tiles_of: TilesOf,
    focus: float = 0.0,
    regions: Sequence[Region] = (),
    mask_options: MaskOptions | None = None,
) -> Targets:
    """Compute the features of the content and the blended moments of the styles.

    Args:
        architecture: of the extractor.
        content: (1, H, W, 3), of the size of the image to be optimized.
        styles: (1, h, w, 3) each, of any sizes.
        style_blend: one weight per style; their sum does not matter.
        terms: the names of the terms whose layers need targets.
        tiles_of: cuts pictures, so that only one tile at a time goes through the network.
        focus: see `focus.position_weights`.
        regions: with masks of the sizes of the content and of the styles; without regions, all
            styles apply everywhere.
    """
    options = mask_options or MaskOptions()
    strides = architecture.strides
    features_of = functools.partial(features_in_tiles, extractor, strides, tiles_of)
    layers, style_layers = layers_of(CONTENT, terms), layers_of(STYLE, terms)
    kept = [  # by layer, so that features of style layers are freed at once
        {layer: features[layer] for layer in layers} for _, features in features_of(content)
    ]
    masks = {
        layer: region_weights([region.mask for region in regions], architecture[layer], options)
        for layer in (style_layers if regions else ())
    }
    planes = _planes(content, {layer: strides[layer] for layer in layers}, terms, focus)
    planes |= {regions_name(layer): (own, strides[layer]) for layer, own in masks.items()}
    for name, (plane, stride) in planes.items():
        for tile, own in zip(tiles_of(*content.shape[1:3]), kept, strict=True):
            own[name] = _owned_plane(plane, tile, stride)
    everywhere = tuple(map(StyleShare, style_blend))
    moments = [
        _blended_moments(features_of, architecture, styles, shares, style_layers, formulas, options)
        for shares in ([region.styles for region in regions] or [everywhere])
    ]
    return Targets(
        architecture,
        content=tuple(kept),
        content_sums={layer: _content_sum(layer, kept) for layer in layers},
        style={
            layer: tuple(formulas.style_target(own[layer]) for own in moments)
            for layer in style_layers
        },
        region_sums={layer: tf.reduce_sum(own, axis=(0, 1, 2)) for layer, own in masks.items()},
        region_shares=_shares_of(regions) if regions else None,
        notes=(
            *_notes(CONTENT, layers, kept),
            *dict.fromkeys(note for own in moments for note in _notes(STYLE, own, [own])),
        ),
    )


def _content_sum(layer: str, kept: Sequence[Features]) -> tf.Tensor:
    """The weighted sum of the squares of the content's features, or its floor."""
    parts = [(own[layer], own.get(weights_name(layer))) for own in kept]
    return tf.maximum(*formulas_lib.weighted_square_sum(parts))


def _shares_of(regions: Sequence[Region]) -> tf.Tensor:
    """What each region counts: its area, times its weight."""
    return tf.constant([region.weight * region.area for region in regions], tf.float32)


def _blended_moments(
    features_of: Callable[[tf.Tensor], Iterator[tuple[Tile, Features]]],
    architecture: Architecture,
    styles: Sequence[tf.Tensor],
    shares: Sequence[StyleShare],
    layers: Sequence[str],
    formulas: formulas_lib.Formulas,
    options: MaskOptions,
) -> Features:
    """The moments per position of the styles by layer, blended by their shares."""
    moments = dict.fromkeys(layers, 0.0)
    whole = sum(own.share for own in shares)
    for style, own in zip(styles, shares, strict=True):
        if not own.share:
            continue
        weights = {layer: _weights_of(own, architecture[layer], options) for layer in layers}
        for tile, features in features_of(style):
            for layer in layers:
                network_layer = architecture[layer]
                if weights[layer] is None:
                    sums, _ = formulas.style_sums(features[layer])
                    count: float | tf.Tensor = float(network_layer.positions(*style.shape[1:3]))
                else:
                    part = _owned_plane(weights[layer], tile, network_layer.stride)
                    sums = formulas.style_sums(features[layer], part)[0][0]
                    count = tf.cast(tf.reduce_sum(weights[layer]), sums.dtype)
                moments[layer] += own.share / whole * tf.math.divide_no_nan(sums, count)
    return moments


def _weights_of(share: StyleShare, layer: Layer, options: MaskOptions) -> tf.Tensor | None:
    return None if share.mask is None else region_weights([share.mask], layer, options)


def layers_of(kind: str, terms: Iterable[str]) -> tuple[str, ...]:
    """The layers of the terms of one kind."""
    return tuple(layer_of(name) for name in terms if kind_of(name) == kind)


def weights_name(layer: str) -> str:
    """The name of the weights of a content layer's positions, beside its features."""
    return f"weights of {layer}"


def regions_name(layer: str) -> str:
    """The name of the weights of a layer's positions in each region."""
    return f"regions of {layer}"


def _owned_plane(plane: tf.Tensor, tile: Tile, stride: int) -> tf.Tensor:
    """The part of a plane (1, h, w, N) of the whole picture that a tile owns."""
    return plane[:, tile.rows.owned(stride), tile.columns.owned(stride)]


def _planes(
    content: tf.Tensor, strides: Mapping[str, int], terms: Iterable[str], focus: float
) -> dict[str, tuple[tf.Tensor, int]]:
    """What needs no network: weights of positions of layers of these strides, and the Laplacian;
    (1, h, w, N) and its stride."""
    found = {}
    if focus:
        weights = position_weights(content, focus)
        for layer, stride in strides.items():
            found[weights_name(layer)] = at_stride(weights, stride), stride
    if LAPLACIAN in terms:
        found[LAPLACIAN] = laplacian(tf.convert_to_tensor(content))[0], LAPLACIAN_STRIDE
        found[weights_name(LAPLACIAN)] = detail_weights(content), LAPLACIAN_STRIDE
    return found


def owned(features: tf.Tensor, stride: int, window: Sequence[int]) -> tf.Tensor:
    """The part (1, h, w, N) of a tile's features that the tile owns, given its `Tile.window`."""
    top, bottom, left, right = (window[index] // stride for index in range(4))
    return features[:, top:bottom, left:right]


def features_in_tiles(
    extractor: Extractor, strides: Mapping[str, int], tiles_of: TilesOf, picture: tf.Tensor
) -> Iterator[tuple[Tile, Features]]:
    """The tiles of a picture (1, H, W, 3), each with the features that it owns."""
    tiles = tiles_of(*picture.shape[1:3])
    for tile in tiles:
        features = extractor(picture[tile.region] if len(tiles) > 1 else picture)
        yield (
            tile,
            {layer: owned(found, strides[layer], tile.window) for layer, found in features.items()},
        )


class LastFeatures:
    """Features of pictures, of which those of the last one are kept, as it may be asked for again.

    They take much memory, so an object of this class should not live long.

    Args:
        extractor: computes them.
    """

    def __init__(self, extractor: Extractor):
        self._extractor = extractor
        self._picture: tf.Tensor | None = None
        self._features: Features = {}

    def __call__(self, picture: tf.Tensor) -> Features:
        if picture is not self._picture:
            self._picture, self._features = None, {}  # freed before there are others
            self._features = self._extractor(picture)
            self._picture = picture
        return self._features


def _notes(kind: str, layers: Iterable[str], targets: Sequence[Features]) -> Iterator[str]:
    """Warnings of layers where the target is zero: relative losses divide by a floor there."""
    for layer in layers:
        total, floor = formulas_lib.square_sum(*(target[layer] for target in targets))
        if float(total) <= floor:
            yield f"the {kind} has practically no features at {layer}"
