"""Color spaces by their primaries and curves, and the way from them to sRGB, from definitions."""

import dataclasses
from collections.abc import Callable

import numpy as np

Point = tuple[float, float]  # chromaticity x, y
D65: Point = (0.3127, 0.3290)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
REC2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
# Light of 1 is the white of graphics, 203 cd/m2, in ITU-R BT.2408.
_WHITE = 203.0
_KNEE = 0.75  # highlights are compressed above this share of white


def srgb_curve(v: np.ndarray) -> np.ndarray:
    """Light of sRGB values (IEC 61966-2-1)."""
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def power(exponent: float) -> Callable[[np.ndarray], np.ndarray]:
    """Light as a power of values."""
    return lambda v: v**exponent


def pq(v: np.ndarray) -> np.ndarray:
    """Light of values of SMPTE ST 2084."""
    root = v ** (1 / 78.84375)
    top, bottom = np.maximum(root - 0.8359375, 0), 18.8515625 - 18.6875 * root
    return 10000 / _WHITE * (top / bottom) ** (1 / 0.1593017578125)


def hlg(v: np.ndarray) -> np.ndarray:
    """Light of values of ARIB STD-B67 on a display of 1000 cd/m2, its system gamma per channel."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene_light = np.where(v <= 0.5, v * v / 3, (np.exp((v - c) / a) + b) / 12)
    return 1000 / _WHITE * scene_light**1.2


@dataclasses.dataclass(frozen=True)
class Space:
    """A color space of white D65."""

    primaries: tuple[Point, Point, Point]
    curve: Callable[[np.ndarray], np.ndarray] = srgb_curve

    def to_srgb(self, values: np.ndarray) -> np.ndarray:
        """RGB in [0, 1], (..., 3), as sRGB in [0, 1]; brighter light is compressed."""
        linear = self.curve(values) @ np.array(self._to_xyz()).T
        linear = linear @ np.linalg.inv(Space(SRGB)._to_xyz()).T
        linear = np.clip(linear, 0, None)
        if self.curve in (pq, hlg):
            linear = _compressed(linear, (10000 if self.curve is pq else 1000) / _WHITE)
        linear = np.clip(linear, 0, 1)
        return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)

    def _to_xyz(self) -> np.ndarray:
        columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in self.primaries]).T
        x, y = D65
        return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])


def _compressed(light: np.ndarray, peak: float) -> np.ndarray:
    """Light above the knee brought below 1, of the same hue."""
    top = light.max(-1, keepdims=True)
    over = np.maximum((top - _KNEE) / (1 - _KNEE), 0)
    most = (peak - _KNEE) / (1 - _KNEE)
    brought = _KNEE + (1 - _KNEE) * over * (1 + over / most**2) / (1 + over)
    return np.where(top > _KNEE, light * brought / np.maximum(top, 1e-9), light)
