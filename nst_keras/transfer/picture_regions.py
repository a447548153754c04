"""The regions of a picture: the masks that were given, or found, at the size of each scale."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nst_keras.imaging import geometry, masks
from nst_keras.imaging.color_match import color_statistics, match_colors
from nst_keras.objective.regions import Region, StyleShare
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.mask_inputs import Masks

_LEAST_SHARE = 0.01  # of a style that a region must have, or all of the styles counts instead


@dataclasses.dataclass(frozen=True)
class PictureRegions:
    """The regions of a picture, at the sizes of its photo and of its styles.

    Attributes:
        regions: none if all styles apply everywhere.
        keep: where the photo stays as it is, (H, W) in [0, 1]; None: nowhere.
    """

    regions: tuple[Region, ...] = ()
    keep: np.ndarray | None = None

    def at(
        self, size: tuple[int, int], style_sizes: Sequence[tuple[int, int]]
    ) -> tuple[Region, ...]:
        """The regions for other sizes, (height, width), of the picture and of its styles."""
        return tuple(
            dataclasses.replace(
                region,
                mask=geometry.resize_mask(region.mask, *size),
                styles=tuple(
                    dataclasses.replace(own, mask=_resized(own.mask, style_size))
                    for own, style_size in zip(region.styles, style_sizes, strict=True)
                ),
            )
            for region in self.regions
        )

    def keep_at(self, height: int, width: int) -> np.ndarray | None:
        """What is kept, for another size of the picture."""
        kept = _resized(self.keep, (height, width))
        return None if kept is None else masks.filled(kept)

    def in_style_colors(
        self, photo: np.ndarray, styles: Sequence[np.ndarray], share: float
    ) -> np.ndarray:
        """The photo with the colors of each region matched to those of its styles.

        Args:
            photo: float32 (H, W, 3) in [0, 1], of the size of the masks, as are the styles.
            share: see `match_colors`.
        """
        found = photo.copy()
        for region in self.regions:
            before = color_statistics([photo], masks=[region.mask])
            after = color_statistics(
                styles,
                [own.share for own in region.styles],
                [own.mask for own in region.styles],
            )
            found += region.mask[..., None] * (match_colors(photo, before, after, share) - photo)
        return np.clip(found, 0.0, 1.0, out=found)

    def styles_in_photo_colors(
        self, photo: np.ndarray, styles: Sequence[np.ndarray], share: float
    ) -> list[np.ndarray]:
        """The styles with the colors of each part matched to those of the regions it is used in."""
        found = [style.copy() for style in styles]
        for number, style in enumerate(styles):
            uses = [
                (region, own) for region in self.regions if (own := region.styles[number]).share
            ]
            parts = [1.0 if own.mask is None else own.mask[..., None] for _, own in uses]
            total = np.maximum(1.0, sum(parts))
            for (region, own), part in zip(uses, parts, strict=True):
                after = color_statistics([photo], masks=[region.mask])
                matched = match_colors(
                    style, color_statistics([style], masks=[own.mask]), after, share
                )
                found[number] += part / total * (matched - style)
            np.clip(found[number], 0.0, 1.0, out=found[number])
        return found


def given_regions(
    given: Masks,
    settings: Settings,
    photo: np.ndarray,
    styles: Sequence[np.ndarray],
) -> PictureRegions:
    """The regions of the masks that were given.

    Args:
        photo, styles: float32 (H, W, 3) each; masks get their sizes.
    """
    of_styles = [
        _resized(mask, style.shape[:2])
        for mask, style in zip(given.of_styles or [None] * len(styles), styles, strict=True)
    ]
    keep = _resized(given.keep, photo.shape[:2])
    if given.regions:
        alone = np.eye(len(styles))
        planes = [geometry.resize_mask(own, *photo.shape[:2]) for own in given.regions]
        shares = [_shares(row, of_styles) for row in alone]
    elif given.of_styles:
        planes = [np.ones(photo.shape[:2], np.float32)]
        shares = [_shares(settings.blend(len(styles)), of_styles)]
    else:
        return PictureRegions()
    return PictureRegions(_weighted(planes, shares, settings), keep)


def common_regions(
    of_photo: Sequence[np.ndarray],
    of_styles: Sequence[Sequence[np.ndarray]],
    settings: Settings,
) -> PictureRegions:
    """The regions of masks of parts that photo and styles have in common.

    A style counts in a region as much as it has of that part. Where the styles have nearly nothing
    of it, all of them counts.

    Args:
        of_photo: for each region.
        of_styles: for each style, the same regions.
    """
    blend = np.array(settings.blend(len(of_styles)))
    shares = []
    for number in range(len(of_photo)):
        parts = [own[number] for own in of_styles]
        areas = np.array([part.mean() for part in parts])
        if (blend * areas).sum() < _LEAST_SHARE * blend.sum():
            shares.append(_shares(blend, [None] * len(parts)))
        else:
            shares.append(_shares(blend * areas, parts))
    return PictureRegions(_weighted(of_photo, shares, settings))


def _weighted(
    planes: Sequence[np.ndarray], shares: Sequence[tuple[StyleShare, ...]], settings: Settings
) -> tuple[Region, ...]:
    weights = settings.region_weights or (1.0,) * len(planes)
    return tuple(Region(*parts) for parts in zip(planes, shares, map(float, weights), strict=True))


def _shares(
    shares: Sequence[float] | np.ndarray, parts: Sequence[np.ndarray | None]
) -> tuple[StyleShare, ...]:
    return tuple(StyleShare(float(share), mask) for share, mask in zip(shares, parts, strict=True))


def _resized(mask: np.ndarray | None, size: tuple[int, ...]) -> np.ndarray | None:
    return None if mask is None else geometry.resize_mask(mask, size[0], size[1])
