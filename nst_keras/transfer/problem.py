"""The style transfer problem of one picture: its network, its inputs, its objectives by scale."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.imaging import geometry
from nst_keras.network import extractor
from nst_keras.network.weights import Weights
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.evaluation import Network, WholeEvaluator
from nst_keras.objective.objective import Objective
from nst_keras.objective.targets import Targets, capture_targets
from nst_keras.objective.term_names import weigh_terms
from nst_keras.objective.terms import layer_sums, make_terms
from nst_keras.objective.tiled import Report, TiledEvaluator
from nst_keras.objective.tiles import Tile, plan_tiles, receptive_field, side_for
from nst_keras.runtime.errors import StepDropped
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer import inits
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.iterate import References, TileProgress
from nst_keras.transfer.plan import Plan
from nst_keras.transfer.scales import Scale

_log = logging.getLogger(__name__)


class FeatureExtractors:
    """The network on each device; pictures with the same settings share it."""

    def __init__(
        self, settings: Settings, precision: str, weights: Weights, replicas: Replicas = ALONE
    ):
        self.weights = weights
        models = [
            _extractor_on(device, settings, precision, weights) for device in replicas.devices
        ]
        largest = extractor.LARGEST_GRADIENT.get(precision)
        self.networks = [Network(extractor.sections(model), largest) for model in models]
        # Of any size, so that one trace computes the targets of all scales and styles.
        self.capture = tf.function(
            models[0],
            input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)],
            autograph=False,
        )


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
        if extractors is None:
            weights = inputs.weights or extractor.imagenet_weights(settings.backbone)
            extractors = FeatureExtractors(settings, plan.precision, weights, replicas)
        self.extractors = extractors
        # Reduced at once, so that large photos do not stay in memory for a small picture. Small
        # ones are only enlarged when that is needed.
        content, largest = inputs.content, plan.scales[-1]
        if content.shape[0] > largest.height:
            content = geometry.resize(content, largest.height, largest.width)
        self._content, self._init = content, inputs.init
        self._styles = [self._fit_style(style, largest) for style in inputs.styles]
        self._blend = settings.blend(len(inputs.styles))
        self._terms = _weighted_terms(settings)
        self._field = receptive_field(settings.layers, settings.backbone)

    @property
    def least_tile_size(self) -> int:
        """The smallest side of tiles in pixels; smaller tiles would consist of overlap alone."""
        return self._field.least_side

    def first_image(self) -> np.ndarray:
        """The image to start from, at the coarsest scale: float32 (H, W, 3)."""
        scale, settings = self.plan.scales[0], self.settings
        return inits.initial_image(
            settings.init,
            geometry.resize(self._content, scale.height, scale.width),
            self._styles,
            style_blend=self._blend,
            picture=self._init,
            mean_color=self.extractors.weights.mean_color,
            noise=settings.init_noise,
            seed=settings.seed,
        )

    def objective(self, scale: Scale, tile_size: int | None = None) -> Objective:
        """The objective at a scale, its targets captured.

        Args:
            tile_size: the longest side of tiles in pixels; None: the image is not cut.
        """
        side = self._side(scale, tile_size)

        def tiles_of(height: int, width: int) -> tuple[Tile, ...]:
            return plan_tiles(height, width, side, self._field)

        targets = self._targets(scale, tiles_of)
        for note in targets.notes:
            _log.warning("%s", note)
        terms = make_terms(self._terms, targets, self._formulas)
        tiles = tiles_of(scale.height, scale.width)
        networks = self.extractors.networks
        if len(tiles) == 1:
            sums_of_layer = functools.partial(layer_sums, terms, targets.content[0])
            return Objective(terms, WholeEvaluator(networks[0], sums_of_layer))
        xla = self.settings.xla or self.settings.distribute == "tpu"  # TPUs need it
        evaluator = TiledEvaluator(
            networks, terms, targets.content, tiles, self.replicas, self._reporter(), xla
        )
        return Objective(terms, evaluator)

    def references(self) -> References:
        """What a result at full size is compared with."""
        return References(
            self._content,
            self._styles,
            self._blend,
            self.settings.style_layers,
            self.extractors.weights,
        )

    @property
    def _formulas(self) -> formulas_lib.Formulas:
        return formulas_lib.FORMULAS[self.settings.objective]

    def _targets(self, scale: Scale, tiles_of: Callable[[int, int], tuple[Tile, ...]]) -> Targets:
        content = geometry.resize(self._content, scale.height, scale.width)
        styles = [self._fit_style(style, scale) for style in self._styles]
        return capture_targets(
            self.extractors.capture,
            content[None],
            [style[None] for style in styles],
            self._blend,
            self._terms,
            self._formulas,
            tiles_of,
        )

    def _reporter(self) -> Report:
        """A function that logs the progress of an evaluation, and gives it up if asked to."""
        progress = TileProgress()

        def report(done: int, in_all: int) -> None:
            progress(done, in_all)
            if self._is_dropped():
                raise StepDropped(f"tile {done} of {in_all}")

        return report

    def _side(self, scale: Scale, tile_size: int | None) -> int | None:
        """The side of tiles that fit the memory and keep all replicas busy; None: no tiles.

        A picture that is too small to be shared is computed by each host on its own.
        """
        count = self.replicas.count
        if count == 1:
            return tile_size
        most = side_for(count, scale.height, scale.width, self._field, most=tile_size)
        return most or tile_size

    def _fit_style(self, style: np.ndarray, scale: Scale) -> np.ndarray:
        """The style with its longest side at `style_scale` times the picture's.

        Strokes then come out at the size at which the network sees them. Enlarging adds no detail,
        so it is only done when asked for.
        """
        longest = round(max(scale.height, scale.width) * self.settings.style_scale)
        if self.settings.style_scale <= 1.0:
            longest = min(longest, max(style.shape[:2]))
        size = geometry.fit_size(style.shape[:2], max(longest, geometry.MIN_SIDE))
        return geometry.resize(style, *size)


def _extractor_on(device: str, settings: Settings, precision: str, weights: Weights) -> keras.Model:
    with tf.device(device or None):
        return extractor.feature_extractor(
            weights,
            settings.layers,
            pooling=settings.pooling,
            padding=settings.padding,
            precision=precision,
        )


def _weighted_terms(settings: Settings) -> dict[str, float]:
    return weigh_terms(
        settings.content_weight,
        settings.style_weight,
        settings.tv_weight,
        content_layers=_by_layer(settings.content_layers, settings.content_layer_weights),
        style_layers=_by_layer(settings.style_layers, settings.style_layer_weights),
        normalized=PRESETS[settings.objective].shares,
    )


def _by_layer(layers: tuple[str, ...], weights: tuple[Any, ...]) -> dict[str, float]:
    return dict(zip(layers, weights or (1.0,) * len(layers), strict=True))
