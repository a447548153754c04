"""The guided filter: a mask whose borders follow the edges of its picture.

He et al., "Guided Image Filtering" (2010), equations 19 to 21, with a picture of three colors.
"""

import numpy as np


def guided(mask: np.ndarray, picture: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """A mask (H, W) in [0, 1] as the best linear function of the picture's colors around each
    place, float32 (H, W) in [0, 1].

    Args:
        picture: (H, W, 3) in [0, 1].
        radius: pixels on each side that count as around.
        smoothness: variance of colors below which an area counts as flat.
    """
    guide, wanted = picture.astype(np.float64), mask.astype(np.float64)
    mean, mean_wanted = _box(guide, radius), _box(wanted, radius)
    covariance = _box(guide[..., :, None] * guide[..., None, :], radius)
    covariance -= mean[..., :, None] * mean[..., None, :]
    shared = _box(guide * wanted[..., None], radius) - mean * mean_wanted[..., None]
    covariance += smoothness * np.eye(3)
    slopes = np.linalg.solve(covariance, shared[..., None])[..., 0]
    offsets = mean_wanted - (slopes * mean).sum(axis=-1)
    found = (_box(slopes, radius) * guide).sum(axis=-1) + _box(offsets, radius)
    return np.clip(found, 0.0, 1.0).astype(np.float32)


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
