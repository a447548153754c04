"""The guided filter: a mask whose borders follow the edges of its picture.

He et al., "Guided Image Filtering" (2010), equations 19 to 21, with a picture of three colors.
"""

import numpy as np


def guided(masks: np.ndarray, picture: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """Masks (H, W, K) in [0, 1], each as the best linear function of the picture's colors around
    each place: float32 (H, W, K) in [0, 1].

    Args:
        picture: (H, W, 3) in [0, 1].
        radius: pixels on each side that count as around.
        smoothness: variance of colors below which an area counts as flat.
    """
    guide, wanted = picture.astype(np.float64), masks.astype(np.float64)
    mean, mean_wanted = _box(guide, radius), _box(wanted, radius)
    covariance = _box(_products(guide, guide), radius) - _products(mean, mean)
    shared = _box(_products(guide, wanted), radius) - _products(mean, mean_wanted)
    slopes = np.linalg.solve(covariance + smoothness * np.eye(3), shared)  # (H, W, 3, K)
    offsets = mean_wanted - _applied(slopes, mean)
    found = _applied(_box(slopes, radius), guide) + _box(offsets, radius)
    return np.clip(found, 0.0, 1.0).astype(np.float32)


def _products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Products of all channels of the first with all of the second: (H, W, N, M)."""
    found: np.ndarray = first[..., :, None] * second[..., None, :]
    return found


def _applied(slopes: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """The linear functions of colors (H, W, 3) that have these slopes: (H, W, K)."""
    return np.einsum("hwck,hwc->hwk", slopes, colors)


def _box(values: np.ndarray, radius: int) -> np.ndarray:
    """Means over squares of 2 radius + 1, or what of them is in the picture: (H, W, ...)."""
    for axis in (0, 1):
        moved = np.moveaxis(values, axis, 0)
        sums = np.concatenate([np.zeros_like(moved[:1]), np.cumsum(moved, axis=0)])
        places = np.arange(len(moved))
        first, last = np.maximum(places - radius, 0), np.minimum(places + radius + 1, len(moved))
        counts = (last - first).reshape(-1, *[1] * (moved.ndim - 1))
        values = np.moveaxis((sums[last] - sums[first]) / counts, 0, axis)
    return values
