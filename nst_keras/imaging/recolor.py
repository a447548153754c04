"""A finished picture in the colors of a photo, in three ways."""

from collections.abc import Callable

import numpy as np

from nst_keras.imaging import geometry, oklab
from nst_keras.imaging.color_match import color_statistics, match_colors

KINDS = "content", "content_exact", "histogram"
_QUANTILES = np.linspace(0.0, 1.0, 1025)
_MOST_SAMPLES = 1 << 20  # of pixels that quantiles are taken from
_STRIP_PIXELS = 1 << 18  # in float64 at once


def recolored(
    picture: np.ndarray, photo: np.ndarray, kind: str, strength: float = 1.0
) -> np.ndarray:
    """A picture in the colors of a photo: float32 sRGB in [0, 1], (H, W, 3) each.

    Args:
        photo: of any size.
        kind: 'content' gives the picture the photo's mean and covariance of colors, by the map that
            moves them the least. 'content_exact' leaves the picture its lightness, and takes hue
            and chroma at each place from the photo. 'histogram' gives lightness and both axes of
            color the distributions that they have in the photo. The last two are in Oklab.
        strength: from 0, the picture as it is, to 1.
    """
    if kind == "content":
        return match_colors(
            picture, color_statistics([picture]), color_statistics([photo]), strength
        )
    if kind == "content_exact":
        photo = geometry.resize(photo, *picture.shape[:2])
        return _by_strips(
            picture, lambda lab, rows: _toward(lab, _with_colors(lab, photo[rows]), strength)
        )
    maps = _quantiles(picture), _quantiles(photo)
    return _by_strips(picture, lambda lab, _: _toward(lab, _mapped(lab, *maps), strength))


def _by_strips(
    picture: np.ndarray, change: Callable[[np.ndarray, slice], np.ndarray]
) -> np.ndarray:
    """Change the Oklab colors of some rows at a time, by a function of them and of the rows."""
    found = np.empty(picture.shape, np.float32)
    step = max(1, _STRIP_PIXELS // picture.shape[1])
    for start in range(0, picture.shape[0], step):
        rows = slice(start, start + step)
        found[rows] = oklab.to_srgb(change(oklab.to_oklab(picture[rows]), rows))
    return found


def _toward(lab: np.ndarray, target: np.ndarray, strength: float) -> np.ndarray:
    return lab + strength * (target - lab)


def _with_colors(lab: np.ndarray, photo: np.ndarray) -> np.ndarray:
    return np.concatenate([lab[..., :1], oklab.to_oklab(photo)[..., 1:]], axis=-1)


def _quantiles(picture: np.ndarray) -> np.ndarray:
    """Quantiles of the three axes of Oklab, (1025, 3)."""
    pixels = picture.reshape(-1, 3)
    some = pixels[:: -(-len(pixels) // _MOST_SAMPLES)]
    return np.quantile(oklab.to_oklab(some), _QUANTILES, axis=0)


def _mapped(lab: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Colors whose axes are mapped from quantiles to quantiles."""
    return np.stack(
        [_along(lab[..., axis], before[:, axis], after[:, axis]) for axis in range(3)], axis=-1
    )


def _along(values: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    # Equal quantiles are one value, which gets the mean of what they are mapped to.
    points, starts, counts = np.unique(before, return_index=True, return_counts=True)
    return np.interp(values, points, np.add.reduceat(after, starts) / counts)
