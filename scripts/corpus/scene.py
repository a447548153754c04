"""One small scene as samples of every type, and what such samples look like over white."""

import numpy as np

HEIGHT, WIDTH = 20, 24


def color() -> np.ndarray:
    """Smooth RGB in [0, 1], (HEIGHT, WIDTH, 3), float64; no two channels and no two sides alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red, green = x / (WIDTH - 1), y / (HEIGHT - 1)
    blue = 0.5 + 0.4 * np.sin(x / 5 + y / 9)
    return np.stack([red, 0.1 + 0.8 * green, blue], -1)


def gray() -> np.ndarray:
    """Smooth gray in [0, 1], (HEIGHT, WIDTH), float64, from black to white."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return (x / (WIDTH - 1) + 2 * y / (HEIGHT - 1)) / 3


def alpha() -> np.ndarray:
    """Opacity in [0, 1], (HEIGHT, WIDTH), float64, with places that are opaque and transparent."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.clip(1.4 - 1.6 * y / (HEIGHT - 1) + 0.2 * np.sin(x), 0, 1)


def quantized(values: np.ndarray, dtype: np.dtype | type | str) -> np.ndarray:
    """Values in [0, 1] as samples of a type: unsigned integers of full range, or floats."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return values.astype(dtype)
    if dtype.kind == "b":
        return values > 0.5
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def unit(samples: np.ndarray) -> np.ndarray:
    """Samples of a type as float64 in [0, 1]."""
    if samples.dtype.kind in "fb":
        return samples.astype(np.float64)
    return samples / np.iinfo(samples.dtype).max


def over_white(pixels: np.ndarray, opacity: np.ndarray | None = None, premultiplied: bool = False):
    """RGB or gray in [0, 1] as float32 RGB, composited over white where there is an opacity."""
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)
    if opacity is not None:
        visible = opacity[..., None]
        rgb = (rgb if premultiplied else rgb * visible) + 1 - visible
    return np.clip(rgb, 0, 1).astype(np.float32)


def from_cmyk(ink: np.ndarray) -> np.ndarray:
    """The rough colors of ink in [0, 1], (height, width, 4), without a profile, as RGB."""
    return (1 - ink[..., :3]) * (1 - ink[..., 3:])


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels as they are to be seen, by the EXIF orientation 1 to 8 of the file."""
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).swapaxes(0, 1),
        8: np.rot90(pixels),
    }[orientation]
