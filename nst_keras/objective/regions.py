"""Regions: parts of the image that follow styles of their own, as masks say.

Statistics of a region are sums over positions like all others, weighted by its mask: at each layer,
a position weighs the mean of the mask over the square of pixels that it stands for. So they add up
over tiles and devices. After Gatys et al., "Controlling Perceptual Factors in Neural Style
Transfer" (2017). Departures: weights are the mask itself, not its square, unless that is asked for;
and each region counts by its area, so that a style is as strong in a small region as in a large
one.

Imports no TensorFlow; what a layer sees of regions is in `region_weights`.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class StyleShare:
    """What one style contributes to a region.

    Attributes:
        share: relative to the other styles of the region.
        mask: which part of the style counts, (h, w) in [0, 1]; None: all of it.
    """

    share: float
    mask: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of the image with the styles that it follows.

    Attributes:
        mask: of the image, (H, W) in [0, 1].
        styles: for each style.
        weight: a factor on how much its style counts.
    """

    mask: np.ndarray
    styles: tuple[StyleShare, ...]
    weight: float = 1.0

    @property
    def area(self) -> float:
        """Its share of the image."""
        return float(self.mask.mean(dtype=np.float64))

    def with_shares_of_1(self) -> "Region":
        """The region with the shares of its styles scaled to a sum of 1."""
        whole = sum(own.share for own in self.styles)
        scaled = tuple(dataclasses.replace(own, share=own.share / whole) for own in self.styles)
        return dataclasses.replace(self, styles=scaled)

    def with_turned_styles(self) -> "Region":
        """The region with each style turned by 0, 90, 180 and 270 degrees."""
        turned = tuple(
            dataclasses.replace(own, mask=None if own.mask is None else np.rot90(own.mask, turns))
            for own in self.styles
            for turns in range(4)
        )
        return dataclasses.replace(self, styles=turned)


@dataclasses.dataclass(frozen=True)
class MaskOptions:
    """How masks become weights of positions.

    Attributes:
        erosion: how far a region ends before its border, so that its features see less of what is
            beyond; a share of what features see on each side.
        squared: whether positions weigh the square of the mask, as guides do in the paper.
    """

    erosion: float = 0.0
    squared: bool = False
