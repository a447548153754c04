"""The network and the pictures of a job, and what they become at each scale."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.imaging import geometry, images
from nst_keras.network import extractor
from nst_keras.network.weights import Weights
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective import objective as objective_lib
from nst_keras.objective import targets as targets_lib
from nst_keras.objective import terms
from nst_keras.objective.tiled import TiledObjective
from nst_keras.objective.tiles import Tile, plan_tiles, receptive_field, side_for
from nst_keras.runtime.errors import StepDropped
from nst_keras.settings.config import INITS, Config
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import layers_in_use
from nst_keras.transfer import inits
from nst_keras.transfer.iterate import References, TileProgress
from nst_keras.transfer.scales import Scale

_log = logging.getLogger(__name__)


class FeatureExtractors:
    """What painters of the same settings share: the network on each device."""

    def __init__(self, config: Config, weights: Weights, replicas: Replicas = ALONE):
        self._config, self.weights = config, weights
        layers = layers_in_use(config)
        extractors = [self._network(layers, device) for device in replicas.devices]
        self.sections = [extractor.sections(one) for one in extractors]
        # Of any size, so that the targets of all scales and styles are computed by one trace.
        self.capture = tf.function(
            extractors[0],
            input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)],
            autograph=False,
        )

    @property
    def channels(self) -> tuple[int, ...]:
        """Per block."""
        return self.weights.channels

    @property
    def mean_color(self) -> tuple[float, ...]:
        """Of the pictures that the network knows: RGB in [0, 1]."""
        return self.weights.mean_color

    def _network(self, layers: tuple[str, ...], device: str) -> keras.Model:
        with tf.device(device or None):
            return extractor.feature_extractor(
                self.weights,
                layers,
                pooling=self._config.pooling,
                padding=self._config.padding,
                precision=self._config.precision,
            )


class StyleTransferProblem:
    """The inputs of a job, and what they become at each scale.

    Args:
        config: resolved.
        content, styles: RGB in [0, 1], float32 (H, W, 3), of any sizes.
        networks: of the same config.
        plan: of the job, from coarse to fine.
        is_dropped: asked after each tile: whether the evaluation shall not be finished.
    """

    def __init__(
        self,
        config: Config,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        networks: FeatureExtractors,
        plan: tuple[Scale, ...],
        replicas: Replicas = ALONE,
        is_dropped: Callable[[], bool] = lambda: False,
    ):
        self.config, self.plan, self.replicas = config, plan, replicas
        self.networks, self._is_dropped = networks, is_dropped
        # Reduced at once: a photo of 50 megapixels is not carried along for a picture of 0.2. But a
        # small one is not enlarged before it has to be.
        if content.shape[0] > plan[-1].height:
            content = geometry.resize(content, plan[-1].height, plan[-1].width)
        self._content = content
        self._styles = [self._fit_style(style, plan[-1]) for style in styles]
        self._blend = list(config.style_blend) or [1.0] * len(styles)
        self._term_weights = _term_weights(config)
        self._reach = receptive_field(layers_in_use(config), config.backbone)

    @property
    def least_tile_size(self) -> int:
        """px; smaller tiles would own nothing."""
        return self._reach.least_side

    def first_image(self) -> np.ndarray:
        """The image to start from, at the coarsest scale."""
        scale, config = self.plan[0], self.config
        content = geometry.resize(self._content, scale.height, scale.width)
        named = config.init not in INITS
        limit = config.max_megapixels * 10**6
        picture = images.read_image(config.init, "--init", limit).pixels if named else None
        return inits.initial_image(
            config.init,
            content,
            self._styles,
            style_blend=self._blend,
            picture=picture,
            mean_color=self.networks.mean_color,
            noise=config.init_noise,
            seed=config.seed,
        )

    def objective(
        self, scale: Scale, tile_size: int | None = None
    ) -> objective_lib.Objective | TiledObjective:
        """The objective at a scale, its targets captured.

        Args:
            tile_size: px, the longest side of a tile; None: the image is not cut.
        """

        side = self._side(scale, tile_size)

        def tiles_of(height: int, width: int) -> tuple[Tile, ...]:
            return plan_tiles(height, width, side, self._reach)

        content = geometry.resize(self._content, scale.height, scale.width)
        styles = [self._fit_style(style, scale) for style in self._styles]
        formulas = formulas_lib.OBJECTIVES[self.config.objective]
        targets = targets_lib.capture_targets(
            self.networks.capture,
            content[None],
            [style[None] for style in styles],
            self._blend,
            self._term_weights,
            formulas,
            tiles_of,
        )
        for note in targets.notes:
            _log.warning("%s", note)
        objectives = [
            objective_lib.Objective(
                sections,
                targets,
                self._term_weights,
                formulas,
                extractor.LARGEST_COTANGENT.get(self.config.precision),
            )
            for sections in self.networks.sections
        ]
        tiles = tiles_of(scale.height, scale.width)
        if len(tiles) == 1:
            return objectives[0]
        xla = self.config.xla or self.config.distribute == "tpu"  # which runs nothing else
        return TiledObjective(objectives, tiles, self.replicas, self._reporter(), xla)

    def _reporter(self) -> Callable[[int, int], None]:
        """What is told how far an evaluation is, and may give it up.

        Raises:
            StepDropped: it shall not be finished.
        """
        progress = TileProgress()

        def report(done: int, in_all: int) -> None:
            progress(done, in_all)
            if self._is_dropped():
                raise StepDropped(f"at tile {done} of {in_all}")

        return report

    def _side(self, scale: Scale, tile_size: int | None) -> int | None:
        """Of tiles that fit, and that are enough for all replicas; None: not to be cut.

        Pictures that are too small to be dealt out are computed by each host on its own.
        """
        count = self.replicas.count
        if count == 1:
            return tile_size
        most = side_for(count, scale.height, scale.width, self._reach, most=tile_size)
        return most or tile_size

    def references(self) -> References:
        """What a picture at full size is judged by."""
        return References(
            self._content,
            self._styles,
            self._blend,
            self.config.style_layers,
            self.networks.weights,
        )

    def _fit_style(self, style: np.ndarray, scale: Scale) -> np.ndarray:
        """The style at `style_scale` times the picture's longest side.

        Strokes come out at the size at which the network sees them. Enlarging invents no detail, so
        it is only done when asked for.
        """
        longest = round(max(scale.height, scale.width) * self.config.style_scale)
        if self.config.style_scale <= 1.0:
            longest = min(longest, max(style.shape[:2]))
        return geometry.resize(
            style, *geometry.fit_size(style.shape[:2], max(longest, geometry.MIN_SIDE))
        )


def _term_weights(config: Config) -> dict[str, float]:
    return terms.weigh_terms(
        config.content_weight,
        config.style_weight,
        config.tv_weight,
        content_layers=_by_layer(config.content_layers, config.content_layer_weights),
        style_layers=_by_layer(config.style_layers, config.style_layer_weights),
        shares=PRESETS[config.objective].shares,
    )


def _by_layer(layers: tuple[str, ...], weights: tuple[Any, ...]) -> dict[str, float]:
    return dict(zip(layers, weights or (1.0,) * len(layers), strict=True))
