"""The scene of the harbor: its perspective, its light, and shapes drawn into it."""

import numpy as np
from PIL import Image, ImageDraw

from .tools import coordinates, mix, palette, rgb, smoothstep

FINE = 2  # the scene is drawn at this many times the final size
EYE_LINE = 400  # y of the horizon
VANISH = 820  # x of the point where the quay would vanish
REACH = 860  # lateral distance of the house fronts, in pixels at scale 1
METER = 17.0  # pixels per meter at scale 1
EYE = 6.2  # the viewer's eye above the street, in meters
QUAY = 2.0  # the street above the water, in meters
FAR_SHORE = 426  # y of the waterline at the end of the basin
SUNSET = (806, 352)
WARM, COOL = rgb("#ffb878"), rgb("#7f8fc0")


class Scene:
    """A picture drawn shape by shape; with `mirror` set, shapes land upside down below it."""

    def __init__(self, pixels, haze, texture, mirror=None):
        self.pixels = pixels
        self.haze = haze  # the color that distance takes on, for each pixel
        self.texture = texture  # relative brightness, so that no surface is quite even
        self.mirror = mirror  # y of the waterline to reflect in, or None

    def fill(self, outline, color, far=0.0, opacity=1.0):
        """Fill a polygon with a color or with `color(x, y)`, faded by `far` into the haze."""
        points = np.asarray(outline, float)
        if self.mirror is not None:
            points = np.stack([points[:, 0], 2 * self.mirror - points[:, 1]], -1)
        height, width = self.pixels.shape[:2]
        left, top = np.floor(points.min(0) * FINE).astype(int)
        right, low = np.ceil(points.max(0) * FINE).astype(int) + 1
        left, top, right, low = max(left, 0), max(top, 0), min(right, width), min(low, height)
        if left >= right or top >= low:
            return
        # only the window that the shape touches is drawn, and at twice its size for smooth edges
        mask = Image.new("L", ((right - left) * 2, (low - top) * 2))
        local = (points * FINE - (left, top)) * 2
        ImageDraw.Draw(mask).polygon([tuple(p) for p in local], fill=255)
        cover = mask.resize((right - left, low - top), Image.Resampling.BOX)
        cover = np.asarray(cover, np.float32)[..., None] * (opacity / 255)
        window = np.s_[top:low, left:right]
        if callable(color):
            x, y = coordinates((low - top, right - left))
            x, y = (x + left) / FINE, (y + top) / FINE
            color = color(x, y if self.mirror is None else 2 * self.mirror - y)
        color = color * (1 + self.texture[window][..., None])
        color = color + (self.haze[window] - color) * far
        self.pixels[window] += cover * (color - self.pixels[window])

    def line(self, points, width, color, far=0.0, opacity=1.0):
        """A thin line through the points; `width` in pixels, tapering if it is a pair."""
        points = np.asarray(points, float)
        step = np.gradient(points, axis=0)
        step /= np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-6)[:, None]
        first, last = width if isinstance(width, tuple) else (width, width)
        half = np.linspace(first, last, len(points))[:, None] / 2
        side = np.stack([-step[:, 1], step[:, 0]], -1) * half
        self.fill(np.vstack([points + side, (points - side)[::-1]]), color, far, opacity)


def wrapped(texture, x, y):
    """Sample a periodic texture between its pixels."""
    rows, columns = texture.shape
    x, y = np.mod(x, columns), np.mod(y, rows)
    j, i = x.astype(int) % columns, y.astype(int) % rows
    fx, fy = x - np.floor(x), y - np.floor(y)
    j2, i2 = (j + 1) % columns, (i + 1) % rows
    top = texture[i, j] * (1 - fx) + texture[i, j2] * fx
    low = texture[i2, j] * (1 - fx) + texture[i2, j2] * fx
    return top * (1 - fy) + low * fy


def periodic_noise(rng, size, slope):
    """A periodic random surface whose spectrum falls with frequency to the power `slope`."""
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**slope
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (size, size))
    return (field / field.std()).astype(np.float32)


def scale_at(along):
    """Perspective scale of a place `along` meters down the quay."""
    return 1 / (1 + along / (REACH / 18.7))


def spot(along, up, back=0.0):
    """Picture coordinates of a place along the quay, meters up and meters behind the fronts."""
    scale = scale_at(along)
    return (VANISH - (REACH + back * METER) * scale, EYE_LINE + (EYE - up) * METER * scale)


def water_line(x):
    """y of the edge of the water below each x."""
    return np.maximum(EYE_LINE + (EYE + QUAY) * METER * (VANISH - x) / REACH, FAR_SHORE)


def lit_wall(color, base, height, sun):
    """Plaster in evening light: darker near the street, warm where it looks to the sun."""

    def shade(x, y):
        rise = np.clip((base(x) - y) / height(x), 0, 1)
        tone = 0.42 + 0.24 * rise - 0.16 * smoothstep(0.9, 1.02, rise)
        light = mix(COOL, WARM, 0.25 + 0.6 * sun)
        return color * light * (tone * (1.45 + 0.75 * sun))[..., None]

    return shade


def roof_tiles(color, pitch):
    """Rows of tiles: thin dark courses `pitch` pixels apart."""

    def shade(x, y):
        course = 0.5 + 0.5 * np.cos(2 * np.pi * y / pitch)
        column = 0.5 + 0.5 * np.cos(2 * np.pi * x / (0.8 * pitch) + np.floor(y / pitch) * np.pi)
        return color * (1.05 - 0.22 * course**4 - 0.10 * column**4)[..., None]

    return shade


def window_glow(rng):
    """Lamp light behind glass, brighter low in the room; each room has its own warmth."""
    color = mix(rgb("#ffb24d"), rgb("#ffe3a1"), rng.random()) * rng.uniform(0.85, 1.12)

    def shade(_, y):
        top, low = y.min(), y.max() + 1e-3
        return color * (0.72 + 0.33 * (y - top) / (low - top))[..., None]

    return shade


FRONTS = palette(
    "#d9c4a0",
    "#c98d6b",
    "#b86a55",
    "#d8b06a",
    "#9fb0b8",
    "#c9a7a0",
    "#e2d8c4",
    "#8d6a58",
    "#a9b394",
    "#cf9f86",
)
ROOFS = palette("#6d3b32", "#5b3a38", "#4a4048", "#7a4535", "#54484a")
