"""The style transfer problem of one picture: its network, first image, and objectives by scale."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.devices.variables import Values, Variables
from nst_keras.imaging import geometry
from nst_keras.imaging.color_match import color_statistics, match_colors
from nst_keras.imaging.masks import with_kept
from nst_keras.imaging.recolor import recolored
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
    check_gradients,
    custom_terms,
    evaluate_layer,
    join_layers,
    make_terms,
)
from nst_keras.objective.tiled import TiledEvaluator, check_can_be_cut
from nst_keras.objective.tiles import Tile, plan_tiles, receptive_field, side_for
from nst_keras.runtime.errors import StepDropped
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.feature_extractors import (
    FeatureExtractors,
    custom_extractors,
    vgg_extractors,
)
from nst_keras.transfer.first_image import initial_image
from nst_keras.transfer.found_regions import find_regions
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.iterate import References
from nst_keras.transfer.kept import KeptPart
from nst_keras.transfer.picture_regions import PictureRegions, common_regions, given_regions
from nst_keras.transfer.plan import Plan, Scale, serves_any_size

_log = logging.getLogger(__name__)

_MOST_CONTENT = 0.95  # share of the content in what is matched, where it has much detail
_LOG_SECONDS = 30.0  # between lines about one evaluation


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
        self.profile = inputs.profile
        self._is_dropped = is_dropped
        self.architecture = inputs.architecture(settings)
        self.costs = CostModel.of_run(settings, plan.precision, inputs)
        used = [self.architecture[layer] for layer in inputs.layers(settings)]
        self.field = receptive_field(used, settings.least_stride)
        self.extractors = extractors or _make_extractors(settings, inputs, plan, replicas)
        # Reduced at once, so that large photos do not stay in memory for a small picture. Small
        # ones are only enlarged when that is needed.
        content, largest = inputs.content, plan.scales[-1]
        if content.shape[0] > largest.height:
            content = geometry.resize(content, largest.height, largest.width)
        self._photo, self._init = content, inputs.init
        self._style_sizes = [inputs.sizes[f"style {n}"] for n in range(1, len(inputs.styles) + 1)]
        self._styles = self._fit_styles(inputs.styles, largest)
        self._blend = settings.blend(len(inputs.styles))
        self.regions = self._make_regions(inputs)
        self._content = self._photo  # what is painted
        if settings.style_colors and settings.color == "style":  # else the photo keeps its own
            self._content = self._in_style_colors(self._photo)
        if settings.color == "content":
            self._styles = self._styles_in_photo_colors()
        self._terms = _weighted_terms(settings)
        # Of the last size and tiles, which two scales may share.
        self._targets: Targets | None = None
        self._targets_size: tuple[int, int, int | None] | None = None
        self.own_terms = inputs.terms
        coarsest = plan.scales[0]
        check_gradients(self.own_terms, self.architecture, coarsest.height, coarsest.width)
        self._style_layers_of_vgg = () if inputs.extractor else settings.style_layers
        # Functions of the user may need to know the size of what they get.
        self._is_ours = not inputs.extractor and not self.own_terms

    def _make_regions(self, inputs: Inputs) -> PictureRegions:
        if not inputs.masks.automatic:
            return given_regions(inputs.masks, self.settings, self._photo, self._styles)
        found = find_regions(
            self._photo, self._styles, inputs.masks.automatic, self.extractors.weights
        )
        # Other hosts may round in another way.
        of_photo, of_styles = tf.nest.map_structure(np.asarray, self.replicas.from_chief(found))
        return common_regions(of_photo, of_styles, self.settings)

    def first_image(self) -> np.ndarray:
        """The image to start from, at the coarsest scale: float32 (H, W, 3)."""
        scale = self.plan.scales[0]
        return initial_image(
            self.settings,
            self._content_at(scale),
            self._styles,
            self._init,
            self.extractors.weights.mean_color,
        )

    def enlarged(self, image: np.ndarray, scale: Scale) -> np.ndarray:
        """The image of another scale, (h, w, 3), at the size of this one.

        The detail of the content that the smaller size could not hold may be added.
        """
        size, share = (scale.height, scale.width), self.settings.content_detail
        found = geometry.resize(image, *size)
        if share and image.shape[:2] != size:
            coarse = geometry.resize(geometry.resize(self._content, *image.shape[:2]), *size)
            found += share * (self._content_at(scale) - coarse)
        return np.clip(found, 0.0, 1.0, out=found)

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

        styles = [own[None] for own in self._fit_styles(self._styles, scale)]
        regions = self._regions_at(scale, styles)
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
        known: list[dict[str, tf.Tensor | tf.Variable]] = [{**own} for own in targets.content]
        if neighbors is not None:
            for own, numbers in zip(known, neighbors.known, strict=True):
                own.update(numbers)
        networks: Sequence[Network] = self.extractors.networks
        if LAPLACIAN in self._terms:
            beside = {LAPLACIAN: laplacian}
            networks = [dataclasses.replace(network, beside=beside) for network in networks]
        if len(tiles) == 1:
            values = Values(known[0])
            at_layer = functools.partial(evaluate_layer, terms, values)
            join = functools.partial(join_layers, terms, values)
            return Objective(
                terms, WholeEvaluator(networks[0], at_layer, join), neighbors, variables
            )
        check_can_be_cut(self.architecture, self.own_terms)
        # TPUs need it.
        xla = self.plan.xla is True or self.settings.distribute == "tpu"
        report = TileProgress(self._is_dropped)
        strides = self.architecture.strides
        evaluator = TiledEvaluator(
            networks[: len(replicas.devices)],
            strides,
            terms,
            known,
            tiles=tiles,
            replicas=replicas,
            report=report,
            xla=xla,
        )
        return Objective(terms, evaluator, neighbors)

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
            self._content_at(scale)[None],
            styles,
            self._blend,
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
        blend = self._blend
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

    def match(self, neighbors: Neighbors, scale: Scale, image: np.ndarray) -> None:
        """Match an image (H, W, 3) with the styles.

        Between scales, the image is mixed with the content, which keeps the scene; at the coarsest
        scale it is the content itself.
        """
        content = self._content_at(scale)[None]
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

    @property
    def changes_shown_colors(self) -> bool:
        """Whether what is shown of a picture has other colors than the picture itself."""
        return self.settings.color in ("content_exact", "histogram")

    def shown(self, picture: np.ndarray) -> np.ndarray:
        """What is shown of an optimized picture (H, W, 3): the picture in the colors asked for."""
        settings = self.settings
        if not self.changes_shown_colors:
            return picture
        found = recolored(picture, self._photo, settings.color, settings.color_strength)
        size = picture.shape[:2]
        mask = self.regions.keep_at(*size)
        return (
            found if mask is None else with_kept(found, geometry.resize(self._photo, *size), mask)
        )

    def kept_at(
        self, height: int, width: int, variables: Variables | None = None
    ) -> KeptPart | None:
        """What is kept of the photo, at a size of the picture; None: nothing."""
        mask = self.regions.keep_at(height, width)
        return (
            KeptPart(geometry.resize(self._photo, height, width), mask, variables)
            if mask is not None
            else None
        )

    def _regions_at(self, scale: Scale, styles: Sequence[np.ndarray]) -> tuple[Region, ...]:
        return self.regions.at((scale.height, scale.width), [style.shape[1:3] for style in styles])

    def references(self) -> References:
        """What a result at full size is compared with."""
        return References(
            self._photo,
            self._styles,
            self._blend,
            self._style_layers_of_vgg,
            self.extractors.weights,
            self.regions,
        )

    def _in_style_colors(self, photo: np.ndarray) -> np.ndarray:
        share = self.settings.style_colors
        if self.regions.regions:
            return self.regions.in_style_colors(photo, self._styles, share)
        colors = color_statistics(self._styles, self._blend)
        return match_colors(photo, color_statistics([photo]), colors, share)

    def _styles_in_photo_colors(self) -> list[np.ndarray]:
        share = self.settings.color_strength
        if self.regions.regions:
            return self.regions.styles_in_photo_colors(self._photo, self._styles, share)
        return [recolored(style, self._photo, "content", share) for style in self._styles]

    def _content_at(self, scale: Scale) -> np.ndarray:
        return geometry.resize(self._content, scale.height, scale.width)

    def _fit_styles(self, styles: Sequence[np.ndarray], scale: Scale) -> list[np.ndarray]:
        """The styles with their longest sides at `style_scale` times the picture's.

        Strokes then come out at the size at which the network sees them. Enlarging adds no detail,
        so it is only done when asked for. No side gets too short for the network.
        """
        fitted = []
        for style, size in zip(styles, self._style_sizes, strict=True):
            longest = round(max(scale.height, scale.width) * self.settings.style_scale)
            if self.settings.style_scale <= 1.0:
                longest = min(longest, max(size))
            least = max(geometry.MIN_SIDE, self.field.stride)
            longest = max(longest, geometry.least_longest(size, least))
            fitted.append(geometry.resize(style, *geometry.fit_size(size, longest)))
        return fitted


def _in_four_directions(style: np.ndarray) -> list[np.ndarray]:
    """A style (1, H, W, 3) as it is, and turned by 90, 180 and 270 degrees."""
    return [style, *(np.rot90(style, turns, axes=(1, 2)) for turns in (1, 2, 3))]


class TileProgress:
    """Logs the progress of a single evaluation if it takes long, and gives it up if asked to."""

    def __init__(self, is_dropped: Callable[[], bool] = lambda: False):
        self._is_dropped, self._last = is_dropped, time.monotonic()

    def __call__(self, done: int, in_all: int) -> None:
        """Report a tile that is done; an evaluation with a gradient takes each tile twice."""
        now = time.monotonic()
        if done == in_all:
            self._last = now
        elif now - self._last >= _LOG_SECONDS:
            self._last = now
            _log.info("within this step: tile %d of %d", done, in_all)
        if self._is_dropped():
            raise StepDropped(f"tile {done} of {in_all}")


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
