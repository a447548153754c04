"""Colors, noise and curves that all sample pictures share.

Coordinates are (x, y) in output pixels with y downwards; colors are RGB in [0, 1].
"""

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 1024, 768
SEED = 20240229


def rgb(code):
    """'#rrggbb' as an array of three floats in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def palette(*codes):
    """Several '#rrggbb' codes as an array with one color a row."""
    return np.stack([rgb(code) for code in codes])


def mix(a, b, t):
    """`a` where t is 0, `b` where t is 1; a two-dimensional t is spread over the channels."""
    t = np.asarray(t, np.float32)
    return a + (b - a) * (t[..., None] if t.ndim >= 1 else t)


def smoothstep(low, high, x):
    """0 below `low`, 1 above `high`, with a smooth S in between (`low` may exceed `high`)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def resize(field, shape, method=Image.Resampling.BICUBIC):
    """A two-dimensional float array at another (height, width)."""
    picture = Image.fromarray(np.ascontiguousarray(field, np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), method))


def noise(rng, shape, cell, octaves=4, stretch=1.0, gain=0.5):
    """Fractal noise with mean 0 and deviation 1; its coarsest bumps are `cell` pixels high."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        size = cell / 2**octave
        grid = (int(shape[0] / size) + 3, int(shape[1] / (size * stretch)) + 3)
        total += gain**octave * resize(rng.standard_normal(grid, np.float32), shape)
    return (total - total.mean()) / total.std()


def blur(field, radius):
    """A cheap wide blur: shrinks by area, grows back smoothly."""
    shape = field.shape[:2]
    small = tuple(max(2, round(n / radius)) for n in shape)
    planes = np.atleast_3d(field)
    done = [
        resize(resize(planes[..., c], small, Image.Resampling.BOX), shape)
        for c in range(planes.shape[2])
    ]
    return done[0] if field.ndim == 2 else np.stack(done, -1)


def coordinates(shape):
    """Arrays x and y of the pixel centers, in pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return x + 0.5, y + 0.5


def ramp(t, stops):
    """Colors interpolated at t from a list of (position, '#rrggbb')."""
    where = [position for position, _ in stops]
    table = np.stack([rgb(code) for _, code in stops])
    return np.stack([np.interp(t, where, table[:, c]) for c in range(3)], -1).astype(np.float32)


def to_image(pixels):
    """An RGB array in [0, 1] as a Pillow image."""
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def spline(points, step=3.0):
    """A Catmull-Rom curve through the points, sampled about every `step` pixels."""
    p = np.asarray(points, float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    pieces = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        t = np.linspace(0, 1, max(2, int(np.hypot(*(c - b)) / step)), endpoint=False)[:, None]
        pieces.append(
            b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
        )
    return np.vstack(pieces + [p[-2:-1]])
