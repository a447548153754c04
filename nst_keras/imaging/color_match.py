"""The colors of one picture matched to those of others, by their means and covariances."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_LEAST_VARIANCE = 1e-5  # added along each axis, so that gray pictures have an inverse
_MOST_CONTRAST = 3.0  # of a color axis after the match, compared with before
_LIGHTNESS = np.full((3, 3), 1.0 / 3.0)  # projects colors to the gray axis
_CHROMA = np.eye(3) - _LIGHTNESS  # and to what is left of them
_STRIP_PIXELS = 1 << 20  # in float64 at once


class ColorStatistics(NamedTuple):
    """The mean (3,) and the covariance (3, 3) of a picture's sRGB values, which are in [0, 1]."""

    mean: np.ndarray
    covariance: np.ndarray


def color_statistics(
    pictures: Sequence[np.ndarray],
    shares: Sequence[float] = (1.0,),
    masks: Sequence[np.ndarray | None] | None = None,
) -> ColorStatistics:
    """The statistics of pictures (H, W, 3), as if they were one picture with these shares of it.

    Args:
        masks: for each picture, how much each of its pixels counts, (H, W); None: all alike.
    """
    weights = np.asarray(shares, np.float64) / np.sum(shares)
    means, moments = zip(*map(_moments, pictures, masks or [None] * len(pictures)), strict=True)
    mean = np.einsum("n,ni->i", weights, means)
    return ColorStatistics(mean, np.einsum("n,nij->ij", weights, moments) - np.outer(mean, mean))


def color_map(source: ColorStatistics, target: ColorStatistics) -> np.ndarray:
    """The linear map (3, 3) from the source's covariance to the target's, around their means.

    Of all such maps it moves colors the least: the solution of Monge and Kantorovich for normal
    distributions, as in Pitié and Kokaram, "The linear Monge-Kantorovitch linear colour mapping for
    example-based colour transfer" (2007). It is symmetric. Where it would raise contrast more than
    three times, it is limited: the noise of a nearly gray photo is no color.
    """
    before, after = (one.covariance + _LEAST_VARIANCE * np.eye(3) for one in (source, target))
    root = _root(before)
    inverse = np.linalg.inv(root)
    values, axes = np.linalg.eigh(inverse @ _root(root @ after @ root) @ inverse)
    return (axes * np.minimum(values, _MOST_CONTRAST)) @ axes.T


def match_colors(
    picture: np.ndarray, source: ColorStatistics, target: ColorStatistics, share: float = 1.0
) -> np.ndarray:
    """A picture, float32 (H, W, 3) in [0, 1], with its colors mapped from source to target.

    Args:
        share: of the way, in [0, 1]. Chroma goes further if the target has less of it: what is left
            of a photo's own colors shows in a print in black and white.
    """
    less = min(1.0, np.sqrt(_chroma(target) / _chroma(source)))
    steps = share * _LIGHTNESS + share**less * _CHROMA  # of each axis, (3, 3)
    matrix = np.eye(3) + (color_map(source, target) - np.eye(3)) @ steps
    mean = source.mean + (target.mean - source.mean) @ steps
    matched = np.empty_like(picture)
    rows = max(1, _STRIP_PIXELS // picture.shape[1])
    for start in range(0, picture.shape[0], rows):
        strip = slice(start, start + rows)
        matched[strip] = (picture[strip] - source.mean) @ matrix + mean
    return np.clip(matched, 0.0, 1.0, out=matched)


def _chroma(colors: ColorStatistics) -> float:
    """The variance of colors apart from lightness, never 0."""
    return float(np.trace(_CHROMA @ colors.covariance)) + _LEAST_VARIANCE


def _moments(picture: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The mean (3,), and the mean products of channels (3, 3)."""
    pixels = picture.reshape(-1, 3)
    weights = None if mask is None or not mask.any() else mask.reshape(-1, 1)
    count, sums, products = 0.0, np.zeros(3), np.zeros((3, 3))
    for start in range(0, len(pixels), _STRIP_PIXELS):
        strip = pixels[start : start + _STRIP_PIXELS].astype(np.float64)
        weighted = strip
        if weights is not None:
            own = weights[start : start + _STRIP_PIXELS].astype(np.float64)
            weighted = own * strip
            count += own.sum()
        sums += weighted.sum(axis=0)
        products += strip.T @ weighted
    count = count or len(pixels)
    return sums / count, products / count


def _root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric root of a symmetric matrix."""
    values, axes = np.linalg.eigh(matrix)
    return (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T
