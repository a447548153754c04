"""Masks: which parts of a picture count, and how much. Arrays float32 (height, width) in [0, 1]."""

from collections.abc import Callable, Sequence

import numpy as np

from nst_keras.imaging.color import to_uint8

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601
_FULL = 1.0 - 1e-4  # what resizing rounds a mask of 1 to is above this
_SHAPE_TOLERANCE = 0.01  # of the aspect ratio


def mask_of(over_black: np.ndarray, over_white: Callable[[], np.ndarray]) -> np.ndarray:
    """The mask (h, w) that a picture stands for: its lightness, times its alpha.

    What is painted in black alone on a transparent ground is meant as well: there, alpha is the
    mask.

    Args:
        over_black: the picture with its transparent parts in black, (h, w, 3).
        over_white: returns the same with white.
    """
    if over_black.any():
        return np.clip(over_black @ _LUMA, 0.0, 1.0)
    transparency = over_white()[..., 0]
    return 1.0 - transparency if transparency.any() else transparency


def color_masks(picture: np.ndarray, colors: Sequence[tuple[int, int, int]]) -> list[np.ndarray]:
    """The mask (h, w) of each color, in 8-bit RGB, in a picture (h, w, 3) of flat colors.

    Raises:
        ValueError: some pixels have none of these colors; says how many, and which.
    """
    found = _packed(to_uint8(picture))
    wanted = _packed(np.array(colors, np.uint8))
    others, counts = np.unique(found[~np.isin(found, wanted)], return_counts=True)
    if len(others):
        other = int(others[counts.argmax()])
        apart = np.square(np.array(colors) - _unpacked(other)).sum(axis=1)
        share = 100.0 * counts.sum() / found.size
        raise ValueError(
            f"{counts.sum():,} of its pixels ({share:.3g} %) have colors that are no region, such "
            f"as {as_hex(_unpacked(other))}, next to {as_hex(colors[int(apart.argmin())])}; JPEG "
            "and smooth edges make such colors: save it as PNG, drawn with a hard brush"
        )
    return [(found == color).astype(np.float32) for color in wanted]


def common_colors(picture: np.ndarray, count: int) -> list[tuple[str, float]]:
    """The most common colors of a picture as #rrggbb, with their shares of its pixels."""
    colors, counts = np.unique(_packed(to_uint8(picture)), return_counts=True)
    first = np.argsort(-counts, kind="stable")[:count]
    return [(as_hex(_unpacked(int(colors[n]))), counts[n] / counts.sum()) for n in first]


def as_hex(color: Sequence[int] | np.ndarray) -> str:
    """An 8-bit RGB color as #rrggbb."""
    return "#" + "".join(f"{int(value):02x}" for value in color)


def has_shape_of(mask: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether two sizes have one aspect ratio, but for the rounding of their sides."""
    (rows, columns), (height, width) = mask, picture
    apart = abs(rows * width - columns * height)
    return apart <= max(_SHAPE_TOLERANCE * rows * width, height, width)


def shared_out(masks: Sequence[np.ndarray], keep: np.ndarray | None) -> list[np.ndarray]:
    """Masks of one size of which the sum, together with `keep`, is nowhere above 1.

    What is kept has precedence; where the others add up to more than the rest, all of them are
    reduced alike.
    """
    rest = 1.0 if keep is None else 1.0 - keep
    total = np.sum(masks, axis=0)
    factor = np.minimum(1.0, rest / np.maximum(total, 1e-6))
    return [(mask * factor).astype(np.float32) for mask in masks]


def with_kept(picture: np.ndarray, photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) with what a mask (H, W) keeps of the photo: exactly, where it is 1."""
    part = mask[..., None]
    return np.where(part >= 1.0, photo, picture + part * (photo - picture))


def filled(mask: np.ndarray) -> np.ndarray:
    """With the values that resizing has rounded to just below 1 back at 1."""
    return np.where(mask >= _FULL, np.float32(1.0), mask)


def _packed(colors: np.ndarray) -> np.ndarray:
    """8-bit colors (..., 3) as one number each."""
    packed = np.zeros(colors.shape[:-1], np.uint32)
    for channel in range(3):
        packed <<= 8
        packed |= colors[..., channel]
    return packed


def _unpacked(color: int) -> tuple[int, int, int]:
    return color >> 16, color >> 8 & 255, color & 255
