"""Sizes and resizing of pictures: float32 arrays (height, width, channels)."""

import numpy as np
from PIL import Image

MIN_SIDE = 16


def fit_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Scale `size` = (height, width) so that its longest side is exactly `longest` pixels.

    The aspect is kept to the nearest pixel, except that no side gets smaller than MIN_SIDE.
    Raises ValueError when `longest` itself is smaller.
    """
    if longest < MIN_SIDE:
        raise ValueError(f"longest side of {longest} px: at least {MIN_SIDE} px are needed")
    return _scaled(size, longest, smallest=MIN_SIDE)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a picture (h, w, channels) to a new float32 array (height, width, channels).

    Works on the values as encoded, with antialiased Lanczos when a side shrinks, else bicubic. Both
    kernels overshoot at edges, and the result is clipped to [0, 1]; an unchanged size only that.
    """
    pixels = np.asarray(pixels, np.float32)
    old_height, old_width, channels = pixels.shape
    if (height, width) == (old_height, old_width):
        resized = pixels.copy()
    else:
        shrinks = height < old_height or width < old_width
        kernel = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
        resized = np.empty((height, width, channels), np.float32)
        for channel in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(pixels[..., channel]))
            resized[..., channel] = plane.resize((width, height), kernel)
    return np.clip(resized, 0, 1, out=resized)


def crop(pixels: np.ndarray, height: float, width: float) -> np.ndarray:
    """The largest centered part of (h, w, channels) with the aspect of height x width, a view."""
    factor = min(pixels.shape[0] / height, pixels.shape[1] / width)
    rows, columns = round(height * factor), round(width * factor)
    top, left = (pixels.shape[0] - rows) // 2, (pixels.shape[1] - columns) // 2
    return pixels[top : top + rows, left : left + columns]


def crop_to_fit(pixels: np.ndarray, how: str) -> np.ndarray:
    """The content as `--fit` wants it: whole for 'scale', its centered square for 'crop'."""
    return crop(pixels, 1, 1) if how == "crop" else pixels


def thumbnail(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Shrink (h, w, 3) floats in [0, 1] so that no side exceeds `longest`; never enlarges."""
    size = pixels.shape[:2]
    return resize(pixels, *(_scaled(size, longest, smallest=1) if max(size) > longest else size))


def _scaled(size: tuple[int, int], longest: int, smallest: int) -> tuple[int, int]:
    top = max(size)  # in whole numbers, halves up: exact at any size
    height, width = (max(smallest, (2 * side * longest + top) // (2 * top)) for side in size)
    return height, width
