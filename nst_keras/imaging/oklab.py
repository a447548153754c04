"""Oklab: lightness and two axes of color in which equal distances look about equal.

Björn Ottosson, "A perceptual color space for image processing" (2020).
"""

import numpy as np

from nst_keras.imaging.color_spaces import srgb_light, srgb_values

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_CONES, _FROM_LAB = np.linalg.inv(_TO_CONES), np.linalg.inv(_TO_LAB)
_HALVINGS = 12  # of the share of chroma that is in gamut, to 1/4096
_TOLERANCE = 1e-4  # of light outside of [0, 1], less than a step of 8 bits


def to_oklab(pixels: np.ndarray) -> np.ndarray:
    """sRGB values in [0, 1], (..., 3), as lightness in [0, 1] and colors a and b, float64."""
    light = srgb_light(np.asarray(pixels, np.float64))
    return np.cbrt(light @ _TO_CONES.T) @ _TO_LAB.T


def to_srgb(lab: np.ndarray) -> np.ndarray:
    """Oklab (..., 3) with lightness in [0, 1] as sRGB values in [0, 1], float32.

    Colors that sRGB does not have get less chroma at the same lightness and hue. Clipping their
    red, green and blue would change all three.
    """
    flat = np.reshape(lab, (-1, 3))
    light = _light(flat)
    outside = np.flatnonzero(~_is_in_gamut(light))
    if outside.size:
        reduced = flat[outside]
        least, most = np.zeros(len(reduced)), np.ones(len(reduced))  # shares of chroma
        for _ in range(_HALVINGS):
            share = (least + most) / 2
            fits = _is_in_gamut(_light(_with_chroma(reduced, share)))
            least, most = np.where(fits, share, least), np.where(fits, most, share)
        light[outside] = _light(_with_chroma(reduced, least))
    return srgb_values(np.clip(light, 0.0, 1.0)).astype(np.float32).reshape(np.shape(lab))


def _light(lab: np.ndarray) -> np.ndarray:
    """Light of red, green and blue (n, 3), outside of [0, 1] where sRGB does not have a color."""
    return (lab @ _FROM_LAB.T) ** 3 @ _FROM_CONES.T


def _is_in_gamut(light: np.ndarray) -> np.ndarray:
    return np.all((light >= -_TOLERANCE) & (light <= 1.0 + _TOLERANCE), axis=-1)


def _with_chroma(lab: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colors (n, 3) with a share (n,) of their chroma."""
    return np.concatenate([lab[:, :1], lab[:, 1:] * share[:, None]], axis=1)
