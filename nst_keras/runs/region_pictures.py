"""Pictures of what a run makes of its inputs before it paints: recolored styles, and regions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nst_keras.imaging import geometry, images
from nst_keras.objective.regions import StyleShare
from nst_keras.runs.folder import RunFolder
from nst_keras.settings.config import Config
from nst_keras.transfer.iterate import References

_SIDE = 1024  # px, longest side of an overlay
_TINT = 0.6  # share of a region's color in an overlay; the rest is the picture in gray
_COLORS = np.array(  # told apart with any color vision; after Okabe and Ito (2008)
    [
        [0.00, 0.45, 0.70],
        [0.90, 0.62, 0.00],
        [0.00, 0.62, 0.45],
        [0.80, 0.47, 0.65],
        [0.94, 0.89, 0.26],
        [0.84, 0.37, 0.00],
    ],
    np.float32,
)


def write_prepared(
    folder: RunFolder, settings: Config, references: References, profile: bytes = b""
) -> None:
    """Write the styles in the photo's colors if there are such, and the regions if there are any:
    overlays, and masks that can be edited and given to another run.

    Args:
        profile: the ICC profile of the pictures; empty for sRGB.
    """
    if settings.color == "content":
        for number, style in enumerate(references.styles, start=1):
            small = geometry.thumbnail(style, _SIDE)
            images.write_image(folder.colored_style(number), small, profile=profile)
    regions = references.regions
    if not regions.regions:
        return
    folder.regions.mkdir(exist_ok=True)
    masks = [region.mask for region in regions.regions]
    _write_masks(folder, "content", references.content, masks, regions.keep)
    for number, style in enumerate(references.styles, start=1):
        shares = [region.styles[number - 1] for region in regions.regions]
        if any(own.mask is not None for own in shares):
            masks = [_mask_of(own, style) for own in shares]
            _write_masks(folder, f"style_{number}", style, masks)


def _mask_of(share: StyleShare, style: np.ndarray) -> np.ndarray:
    """Where a style counts in a region: (H, W)."""
    if share.share and share.mask is not None:
        return share.mask
    return np.full(style.shape[:2], 1.0 if share.share else 0.0, np.float32)


def _write_masks(
    folder: RunFolder,
    name: str,
    picture: np.ndarray,
    masks: Sequence[np.ndarray],
    keep: np.ndarray | None = None,
) -> None:
    for number, mask in enumerate(masks, start=1):
        if mask.any():
            _write_mask(folder.regions / f"{name}_{number}.png", mask)
    if keep is not None:
        _write_mask(folder.kept, keep)
    images.write_image(folder.regions / f"{name}.jpg", overlay(picture, masks, keep))


def _write_mask(path: Path, mask: np.ndarray) -> None:
    images.write_image(path, np.repeat(mask[..., None], 3, axis=-1))


def overlay(
    picture: np.ndarray, masks: Sequence[np.ndarray], keep: np.ndarray | None = None
) -> np.ndarray:
    """A small copy of a picture (H, W, 3), with each region tinted in a color of its own.

    What is kept is in the picture's own colors, and what belongs to no region is gray.
    """
    small = geometry.thumbnail(picture, _SIDE)
    size = small.shape[:2]
    gray = np.repeat(small.mean(axis=-1, keepdims=True), 3, axis=-1)
    found = gray.copy()
    for number, mask in enumerate(masks):
        own = geometry.resize_mask(mask, *size)[..., None]
        found += own * _TINT * (_COLORS[number % len(_COLORS)] - gray)
    if keep is not None:
        kept = geometry.resize_mask(keep, *size)[..., None]
        found += kept * (small - found)
    return np.clip(found, 0.0, 1.0)
