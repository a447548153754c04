"""Sizes, resizing and cropping of pictures: float32 arrays (height, width, channels)."""

import numpy as np
from PIL import Image

MIN_SIDE = 16  # px; VGG's fifth block sees one position for each 16 of them


def fit_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Scale `size` = (height, width) so that its longest side is exactly `longest` pixels.

    The aspect ratio is kept to the nearest pixel, but no side is below 1.
    """
    top = max(size)  # in whole numbers, halves up: exact at any size
    height, width = (max(1, (2 * side * longest + top) // (2 * top)) for side in size)
    return height, width


def least_longest(size: tuple[int, int], least: int = MIN_SIDE) -> int:
    """The smallest longest side with which `fit_size` leaves no side below `least`."""
    return -((1 - 2 * least) * max(size) // (2 * min(size)))  # rounded up


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a picture (h, w, channels) to a new float32 array (height, width, channels).

    Works on sRGB-encoded values, with antialiased Lanczos if a side shrinks, else bicubic. Both
    kernels overshoot at edges, so the result is clipped to [0, 1], even if the size stays.
    """
    pixels = np.asarray(pixels, np.float32)
    if (height, width) == pixels.shape[:2]:
        resized = pixels.copy()
    else:
        shrinks = height < pixels.shape[0] or width < pixels.shape[1]
        kernel = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
        resized = _resampled(pixels, height, width, kernel)
    return np.clip(resized, 0, 1, out=resized)


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a mask (h, w) of floats in [0, 1]; linear, so that masks keep their sum at each place.

    The antialiased triangle does not overshoot, so what is 0 or 1 all around stays that.
    """
    if (height, width) == mask.shape:
        return np.array(mask, np.float32)
    resized = _resampled(mask[..., None], height, width, Image.Resampling.BILINEAR)[..., 0]
    return np.clip(resized, 0, 1, out=resized)


def average(values: np.ndarray, top: float, bottom: float, height: int, width: int) -> np.ndarray:
    """Rows `top` to `bottom` of floats (h, w, channels), averaged to a smaller size."""
    box = (0, top, values.shape[1], bottom)
    return _resampled(values, height, width, Image.Resampling.BOX, box)


def _resampled(
    values: np.ndarray,
    height: int,
    width: int,
    kernel: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Floats (h, w, channels) at another size, of the part in a box (left, top, right, bottom)."""
    found = np.empty((height, width, values.shape[2]), np.float32)
    for channel in range(values.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(values[..., channel], np.float32))
        found[..., channel] = np.asarray(plane.resize((width, height), kernel, box))
    return found


def crop_to_aspect(pixels: np.ndarray, height: float, width: float) -> np.ndarray:
    """A view of the largest centered part of (h, w, channels) with the aspect height : width."""
    factor = min(pixels.shape[0] / height, pixels.shape[1] / width)
    rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
    top, left = (pixels.shape[0] - rows) // 2, (pixels.shape[1] - columns) // 2
    return pixels[top : top + rows, left : left + columns]


def crop_to_fit(pixels: np.ndarray, fit: str) -> np.ndarray:
    """The part of the content that --fit selects: all for 'scale', a centered square for 'crop'."""
    return crop_to_aspect(pixels, 1, 1) if fit == "crop" else pixels


def thumbnail(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Shrink (h, w, 3) floats in [0, 1] so that no side exceeds `longest`; never enlarges."""
    size = pixels.shape[:2]
    return resize(pixels, *fit_size(size, min(longest, max(size))))
