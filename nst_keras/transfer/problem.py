"""The style transfer problem of one picture: its network, and its objectives by scale."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.devices.variables import Values, Variables
from nst_keras.network import extractor
from nst_keras.objective.evaluation import Extractor, Network, WholeEvaluator
from nst_keras.objective.focus import position_weights
from nst_keras.objective.formulas import FORMULAS
from nst_keras.objective.hypercolumns import HypercolumnNeighbors
from nst_keras.objective.laplacian import laplacian
from nst_keras.objective.layerwise import LayerNeighbors
from nst_keras.objective.neighbors import Neighbors, capture_vectors
from nst_keras.objective.objective import Objective
from nst_keras.objective.regions import MaskOptions, Region
from nst_keras.objective.targets import (
    LastFeatures,
    Targets,
    TilesOf,
    capture_targets,
    features_in_tiles,
)
from nst_keras.objective.term_names import LAPLACIAN, NEIGHBORS, weigh_terms
from nst_keras.objective.terms import (
    Term,
    check_gradients,
    custom_terms,
    evaluate_layer,
    join_layers,
    make_terms,
)
from nst_keras.objective.tiled import TiledEvaluator, check_can_be_cut
from nst_keras.objective.tiles import Tile, plan_tiles, side_for
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.feature_extractors import (
    FeatureExtractors,
    custom_extractors,
    vgg_extractors,
)
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.iterate import References
from nst_keras.transfer.out_of_memory import Tiling
from nst_keras.transfer.plan import Plan, Scale, serves_any_size
from nst_keras.transfer.source_pictures import SourcePictures
from nst_keras.transfer.tile_progress import TileProgress

_log = logging.getLogger(__name__)

Known = dict[str, tf.Tensor | tf.Variable]  # what is known at the positions of a tile, by name

_MOST_CONTENT = 0.95  # share of the content in what is matched, where it has much detail


class StyleTransferProblem:
    """What is optimized for one picture.

    Args:
        plan: of these settings and inputs.
        extractors: of another picture with the same settings and plan, to be shared.
        is_dropped: called after each tile; the evaluation is given up if it returns True.
    """

    def __init__(
        self,
        settings: Settings,
        inputs: Inputs,
        plan: Plan,
        replicas: Replicas = ALONE,
        is_dropped: Callable[[], bool] = lambda: False,
        extractors: FeatureExtractors | None = None,
    ):
        self.settings, self.plan, self.replicas = settings, plan, replicas
        self._is_dropped = is_dropped
        self.tiling = Tiling.of(settings, inputs, replicas.hosts)
        self.architecture, self.field = self.tiling.architecture, self.tiling.field
        self.costs = CostModel.of_run(settings, plan.precision, inputs)
        self.extractors = extractors or _make_extractors(settings, inputs, plan, replicas)
        self.pictures = SourcePictures(
            settings, inputs, plan.scales, self.field, self.extractors.weights, replicas
        )
        self._terms = _weighted_terms(settings)
        # Of the last size and tiles, which two scales may share.
        self._targets: Targets | None = None
        self._targets_size: tuple[int, int, int | None] | None = None
        self.own_terms = inputs.terms
        coarsest = plan.scales[0]
        check_gradients(self.own_terms, self.architecture, coarsest.height, coarsest.width)
        # Those by which a result is scored, with VGG.
        self._style_layers_of_vgg = () if inputs.extractor else settings.style_layers
        # Functions of the user may need to know the size of what they get.
        self._is_ours = not inputs.extractor and not self.own_terms

    def shares_graphs(self, scale: Scale, tile_size: int | None = None) -> bool:
        """Whether the graph of a step at a scale serves others, too; `tile_size` as below."""
        alike = [other for other in self.plan.scales if other.by_layer == scale.by_layer]
        return (
            len(alike) > 1
            and serves_any_size(self.settings, tile_size, self.plan.xla)
            and self.replicas.count == 1
            and self._is_ours
        )

    def objective(
        self, scale: Scale, tile_size: int | None = None, variables: Variables | None = None
    ) -> Objective:
        """The objective at a scale, its targets captured.

        Args:
            tile_size: the longest side of tiles in pixels; None: the image is not cut. Several
                replicas get smaller tiles that keep all of them busy, unless the picture is too
                small to be shared; then each host computes it on its own.
            variables: in which values are that depend on the scale, if its graph serves others.
        """
        side, replicas = tile_size, self.replicas
        if replicas.count > 1:
            shared = side_for(replicas.count, scale.height, scale.width, self.field, most=side)
            side, replicas = (shared, replicas) if shared else (side, ALONE)

        def tiles_of(height: int, width: int) -> tuple[Tile, ...]:
            return plan_tiles(height, width, side, self.field)

        styles = self.pictures.styles_at(scale)
        regions = self.pictures.regions_at(scale, styles)
        capture = LastFeatures(self.extractors.capture)  # of a single style, for both its uses
        tiles = tiles_of(scale.height, scale.width)
        size = scale.height, scale.width, side
        if self._targets is None or self._targets_size != size:
            self._targets = None  # freed before there are others
            self._targets = self._capture_targets(capture, scale, styles, tiles_of, regions)
            self._targets_size = size
        targets = self._targets.held_in(variables) if variables else self._targets
        neighbors = self._neighbors(capture, scale, styles, tiles_of, regions, variables)
        terms = make_terms(self._terms, targets, FORMULAS[self.settings.objective], neighbors)
        terms += custom_terms(self.own_terms)
        known: list[Known] = [{**own} for own in targets.content]
        if neighbors is not None:
            for own, numbers in zip(known, neighbors.known, strict=True):
                own.update(numbers)
        if len(tiles) == 1:
            return Objective(terms, self._whole_evaluator(terms, known[0]), neighbors, variables)
        return Objective(terms, self._tiled_evaluator(terms, known, tiles, replicas), neighbors)

    def _networks(self) -> Sequence[Network]:
        """The network on each device, with what is computed of its input beside it."""
        networks = self.extractors.networks
        if LAPLACIAN not in self._terms:
            return networks
        return [dataclasses.replace(one, beside={LAPLACIAN: laplacian}) for one in networks]

    def _whole_evaluator(self, terms: Sequence[Term], known: Known) -> WholeEvaluator:
        values = Values(known)
        at_layer = functools.partial(evaluate_layer, terms, values)
        join = functools.partial(join_layers, terms, values)
        return WholeEvaluator(self._networks()[0], at_layer, join)

    def _tiled_evaluator(
        self,
        terms: Sequence[Term],
        known: Sequence[Known],
        tiles: Sequence[Tile],
        replicas: Replicas,
    ) -> TiledEvaluator:
        check_can_be_cut(self.architecture, self.own_terms)
        return TiledEvaluator(
            self._networks()[: len(replicas.devices)],
            self.architecture.strides,
            terms,
            known,
            tiles=tiles,
            replicas=replicas,
            report=TileProgress(self._is_dropped),
            xla=self.plan.xla is True or self.settings.distribute == "tpu",  # which needs it
        )

    def _capture_targets(
        self,
        capture: Extractor,
        scale: Scale,
        styles: Sequence[np.ndarray],
        tiles_of: TilesOf,
        regions: Sequence[Region],
    ) -> Targets:
        targets = capture_targets(
            capture,
            self.architecture,
            self.pictures.content_at(scale)[None],
            styles,
            self.pictures.blend,
            self._terms,
            FORMULAS[self.settings.objective],
            tiles_of,
            self.settings.content_focus,
            regions,
            MaskOptions(self.settings.mask_erosion, squared=self.settings.mask_power == 2),
        )
        for note in targets.notes:
            _log.warning("%s", note)
        return targets

    def _neighbors(
        self,
        capture: Extractor,
        scale: Scale,
        styles: Sequence[np.ndarray],
        tiles_of: TilesOf,
        regions: Sequence[Region],
        variables: Variables | None,
    ) -> Neighbors | None:
        """The neighbors at a scale, not yet matched, if there is such a term."""
        if NEIGHBORS not in self._terms:
            return None
        kind = LayerNeighbors if scale.by_layer else HypercolumnNeighbors
        blend = self.pictures.blend
        if self.settings.rotate_style:
            styles = [turned for style in styles for turned in _in_four_directions(style)]
            blend = tuple(np.repeat(blend, 4))
            regions = [region.with_turned_styles() for region in regions]
        vectors = capture_vectors(
            kind,
            functools.partial(features_in_tiles, capture, self.architecture.strides, tiles_of),
            styles,
            blend,
            {layer: self.architecture[layer].stride for layer in self.settings.neighbor_layers},
            self.settings.seed,
            regions,
        )
        size = scale.height, scale.width
        return kind(vectors, *size, tiles_of(*size), regions, variables)

    def references(self) -> References:
        """What a result at full size is compared with."""
        return self.pictures.references(self._style_layers_of_vgg)

    def match(self, neighbors: Neighbors, scale: Scale, image: np.ndarray) -> None:
        """Match an image (H, W, 3) with the styles.

        Between scales, the image is mixed with the content, which keeps the scene; at the coarsest
        scale it is the content itself.
        """
        content = self.pictures.content_at(scale)[None]
        share: float | tf.Tensor = 0.0 if scale.by_layer else 1.0
        if scale.index and not scale.by_layer:
            share = self.settings.match_content
            if self.settings.content_focus:
                weights = position_weights(tf.constant(content), self.settings.content_focus)
                share = tf.minimum(share * weights, _MOST_CONTENT)
        mixed = (1.0 - share) * tf.constant(image[None]) + share * tf.constant(content)
        capture, strides = self.extractors.capture, self.architecture.strides
        neighbors.match(
            lambda: features_in_tiles(capture, strides, lambda *_: neighbors.tiles, mixed)
        )
        if self.replicas.hosts > 1:  # whose processors may round in different ways
            neighbors.restore(self.replicas.from_chief(neighbors.state()))


def _in_four_directions(style: np.ndarray) -> list[np.ndarray]:
    """A style (1, H, W, 3) as it is, and turned by 90, 180 and 270 degrees."""
    return [style, *(np.rot90(style, turns, axes=(1, 2)) for turns in (1, 2, 3))]


def _make_extractors(
    settings: Settings, inputs: Inputs, plan: Plan, replicas: Replicas
) -> FeatureExtractors:
    weights = inputs.weights or extractor.imagenet_weights(settings.backbone)
    layers = inputs.layers(settings)
    if inputs.extractor:
        return custom_extractors(inputs.extractor, layers, weights, replicas)
    return vgg_extractors(settings, layers, plan.precision, weights, replicas)


def _weighted_terms(settings: Settings) -> dict[str, float]:
    def by_layer(layers: tuple[str, ...], weights: tuple) -> dict[str, float]:
        return dict(zip(layers, weights or (1.0,) * len(layers), strict=True))

    return weigh_terms(
        settings.content_weight,
        settings.style_weight,
        settings.tv_weight,
        neighbors=settings.neighbors_weight,
        laplacian=settings.laplacian_weight,
        content_layers=by_layer(settings.content_layers, settings.content_layer_weights),
        style_layers=by_layer(settings.style_layers, settings.style_layer_weights),
        normalized=PRESETS[settings.objective].shares,
    )
