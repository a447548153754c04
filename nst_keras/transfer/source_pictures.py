"""The photo and the paintings of a run, as each size needs them, and what is shown of a picture."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nst_keras.devices.replicas import Replicas
from nst_keras.devices.variables import Variables
from nst_keras.imaging import geometry
from nst_keras.imaging.color_match import color_statistics, match_colors
from nst_keras.imaging.masks import with_kept
from nst_keras.imaging.recolor import recolored
from nst_keras.network.weights import Weights
from nst_keras.objective.regions import Region
from nst_keras.objective.tiles import ReceptiveField
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.first_image import initial_image
from nst_keras.transfer.found_regions import find_regions
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.iterate import References
from nst_keras.transfer.kept import KeptPart
from nst_keras.transfer.picture_regions import PictureRegions, common_regions, given_regions
from nst_keras.transfer.plan import Scale


class SourcePictures:
    """Content and styles: float32 RGB in [0, 1], (height, width, 3), in the color space of the run.

    Args:
        scales: of the plan.
        field: the receptive field of the features in use; no style gets too small for it.
        weights: of the VGG that finds regions, and whose mean color a first image may have.
        replicas: that use the same pictures.

    Attributes:
        profile: the ICC profile of the color space; empty: sRGB.
        blend: the weight of each style.
        regions: with styles of their own.
    """

    def __init__(
        self,
        settings: Settings,
        inputs: Inputs,
        scales: Sequence[Scale],
        field: ReceptiveField,
        weights: Weights,
        replicas: Replicas,
    ):
        self._settings, self._scales, self._weights = settings, scales, weights
        self._least_side = max(geometry.MIN_SIDE, field.stride)
        self.profile, self.blend = inputs.profile, settings.blend(len(inputs.styles))
        # Reduced at once, so that large photos do not stay in memory for a small picture. Small
        # ones are only enlarged when that is needed.
        content, largest = inputs.content, scales[-1]
        if content.shape[0] > largest.height:
            content = geometry.resize(content, largest.height, largest.width)
        self._photo, self._init = content, inputs.init
        self._style_sizes = [inputs.sizes[f"style {n}"] for n in range(1, len(inputs.styles) + 1)]
        self._styles = self._fit_styles(inputs.styles, largest)
        self.regions = self._make_regions(inputs, replicas)
        self._content = self._photo  # what is painted
        if settings.style_colors and settings.color == "style":  # else the photo keeps its own
            self._content = self._in_style_colors(self._photo)
        if settings.color == "content":
            self._styles = self._styles_in_photo_colors()

    def first_image(self) -> np.ndarray:
        """The image to start from, at the coarsest scale: float32 (H, W, 3)."""
        scale = self._scales[0]
        return initial_image(
            self._settings,
            self.content_at(scale),
            self._styles,
            self._init,
            self._weights.mean_color,
        )

    def content_at(self, scale: Scale) -> np.ndarray:
        """The content at the size of a scale, in the colors in which it is painted."""
        return geometry.resize(self._content, scale.height, scale.width)

    def styles_at(self, scale: Scale) -> list[np.ndarray]:
        """The styles (1, h, w, 3) at their sizes for a scale."""
        return [style[None] for style in self._fit_styles(self._styles, scale)]

    def regions_at(self, scale: Scale, styles: Sequence[np.ndarray]) -> tuple[Region, ...]:
        """The regions at a scale, for styles (1, h, w, 3) of these sizes."""
        return self.regions.at((scale.height, scale.width), [style.shape[1:3] for style in styles])

    def enlarged(self, image: np.ndarray, scale: Scale) -> np.ndarray:
        """The image of another scale, (h, w, 3), at the size of this one.

        The detail of the content that the smaller size could not hold may be added.
        """
        size, share = (scale.height, scale.width), self._settings.content_detail
        found = geometry.resize(image, *size)
        if share and image.shape[:2] != size:
            coarse = geometry.resize(geometry.resize(self._content, *image.shape[:2]), *size)
            found += share * (self.content_at(scale) - coarse)
        return np.clip(found, 0.0, 1.0, out=found)

    @property
    def changes_shown_colors(self) -> bool:
        """Whether what is shown of a picture has other colors than the picture itself."""
        return self._settings.color in ("content_exact", "histogram")

    def shown(self, picture: np.ndarray) -> np.ndarray:
        """What is shown of an optimized picture (H, W, 3): the picture in the colors asked for."""
        settings = self._settings
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

    def references(self, style_layers: Sequence[str]) -> References:
        """What a result at full size is compared with, if styles are compared at these layers."""
        return References(
            self._photo,
            self._styles,
            self.blend,
            style_layers,
            self._weights,
            self.regions,
        )

    def _make_regions(self, inputs: Inputs, replicas: Replicas) -> PictureRegions:
        if not inputs.masks.automatic:
            return given_regions(inputs.masks, self._settings, self._photo, self._styles)
        found = find_regions(self._photo, self._styles, inputs.masks.automatic, self._weights)
        # Other hosts may round in another way.
        of_photo, of_styles = tf.nest.map_structure(np.asarray, replicas.from_chief(found))
        return common_regions(of_photo, of_styles, self._settings)

    def _in_style_colors(self, photo: np.ndarray) -> np.ndarray:
        share = self._settings.style_colors
        if self.regions.regions:
            return self.regions.in_style_colors(photo, self._styles, share)
        colors = color_statistics(self._styles, self.blend)
        return match_colors(photo, color_statistics([photo]), colors, share)

    def _styles_in_photo_colors(self) -> list[np.ndarray]:
        share = self._settings.color_strength
        if self.regions.regions:
            return self.regions.styles_in_photo_colors(self._photo, self._styles, share)
        return [recolored(style, self._photo, "content", share) for style in self._styles]

    def _fit_styles(self, styles: Sequence[np.ndarray], scale: Scale) -> list[np.ndarray]:
        """The styles with their longest sides at `style_scale` times the picture's.

        Strokes then come out at the size at which the network sees them. Enlarging adds no detail,
        so it is only done when asked for. No side gets too short for the network.
        """
        fitted = []
        for style, size in zip(styles, self._style_sizes, strict=True):
            longest = round(max(scale.height, scale.width) * self._settings.style_scale)
            if self._settings.style_scale <= 1.0:
                longest = min(longest, max(size))
            longest = max(longest, geometry.least_longest(size, self._least_side))
            fitted.append(geometry.resize(style, *geometry.fit_size(size, longest)))
        return fitted
