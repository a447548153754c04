"""A harbor town at dusk, as a camera might see it: sky, water and photography."""

import numpy as np
from PIL import Image

from .harbor_boats import draw_boats
from .harbor_scene import EYE_LINE, FINE, SUNSET, VANISH, Scene, periodic_noise, water_line, wrapped
from .harbor_town import build_town
from .tools import HEIGHT, SEED, WIDTH, blur, coordinates, mix, noise, ramp, resize, rgb, smoothstep

TOWN_SEED = 2


def sky_colors(x, y):
    """The clear evening sky: dusky blue above, embers round the setting sun."""
    height = np.clip(1 - y / EYE_LINE, 0, 1)
    east = ramp(height, [(0, "#cfa79c"), (0.15, "#b79aa2"), (0.4, "#7f86a6"), (1, "#33496e")])
    west = ramp(
        height,
        [(0, "#ffcf86"), (0.12, "#fbbd84"), (0.30, "#dfa592"), (0.55, "#9d96aa"), (1, "#43597f")],
    )
    sky = mix(east, west, np.exp(-(((x - SUNSET[0]) / 460) ** 2)))
    away = np.hypot(x - SUNSET[0], 1.5 * (y - SUNSET[1]))
    sky = sky + rgb("#ffb45a") * (0.42 * np.exp(-away / 80))[..., None]
    disc = smoothstep(14.5, 12.5, np.hypot(x - SUNSET[0], y - SUNSET[1]))
    return mix(sky, 1.8 * rgb("#fff3c9"), disc)


def lay_clouds(rng, sky, x, y):
    """Long soft clouds, smaller toward the horizon, kindled on the side of the sun."""
    texture = periodic_noise(rng, 1024, 1.75)
    distance = 100 / (EYE_LINE + 90 - np.minimum(y, EYE_LINE))
    across, deep = (x - VANISH) * distance * 1.3, distance * 750
    warp = 26 * wrapped(texture, 0.6 * across + 400, 0.6 * deep)

    def density(shift_x, shift_y):
        return wrapped(texture, across + shift_x + warp, deep + shift_y)

    thick = density(0, 0)
    cover = smoothstep(-0.5, 1.3, thick) * smoothstep(EYE_LINE - 5, EYE_LINE - 70, y)
    toward = np.clip((SUNSET[0] - x) / 200, -1, 1)
    lit = smoothstep(-0.25, 0.65, thick - density(16 * toward, 18))
    near = np.exp(-(np.hypot((x - SUNSET[0]) / 430, (y - SUNSET[1]) / 260) ** 2))
    flame = mix(mix(rgb("#c99aa2"), rgb("#ffb27a"), near), rgb("#ffe6b4"), near**3)
    shade = mix(rgb("#50587c"), rgb("#9a7888"), near)
    return mix(sky, mix(shade, flame, 0.2 * near + 0.8 * lit), 0.88 * cover)


def lay_hills_behind(rng, scene):
    """Three ranges of hills, each nearer one darker and clearer."""
    x = np.arange(-8, WIDTH + 9, 2.0)
    for left, right, rough, color, far in (
        (330, 372, 15, "#4a4a78", 0.72),
        (300, 391, 10, "#383f62", 0.50),
        (262, 412, 7, "#232c40", 0.22),
    ):
        ridge = left + (right - left) * smoothstep(-150, 760, x)
        ridge = ridge + rough * noise(rng, (1, len(x)), 1, 1, 70)[0]
        ridge += 0.28 * rough * noise(rng, (1, len(x)), 1, 3, 14)[0]
        scene.fill(
            np.vstack([np.stack([x, ridge], -1), [(WIDTH + 8, 440), (-8, 440)]]), rgb(color), far
        )


def lay_water(rng, mirror, x, y):
    """Bend the mirrored scene by waves in perspective, and let the deep water show through."""
    waves = periodic_noise(rng, 512, 1.9)
    below = np.maximum(y - EYE_LINE, 8)
    depth = 9000 / below
    across, deep = (x - VANISH) * depth / 150, depth * 2.4

    def slope_of(scale, step):
        far = wrapped(waves, scale * across, scale * deep + step)
        return wrapped(waves, scale * across, scale * deep) - far

    slope = slope_of(1, 5) + 0.8 * smoothstep(20, 120, below) * slope_of(3.3, 5)
    slope = 1.9 * slope * smoothstep(4, 70, below)
    swing = wrapped(waves, across + 200, deep) * 0.3
    reach = np.minimum(1.0 + 0.05 * below, 1 + 0.35 * (y - water_line(x)).clip(0))
    column = np.clip((x + reach * (0.5 * slope + swing)) * FINE, 0, x.shape[1] - 1).astype(int)
    row = np.clip((y + 1.5 * reach * slope) * FINE, 0, x.shape[0] - 1).astype(int)
    veil = np.clip(0.24 + 0.0007 * below + 0.14 * slope, 0.05, 0.72)
    deepness = mix(rgb("#2f4060"), rgb("#0b1a2a"), smoothstep(20, 330, below))
    water = mix(mirror[row, column], deepness, veil)
    path = np.exp(-(((x - SUNSET[0]) / (22 + 0.15 * below)) ** 2))
    glint = slope + smoothstep(30, 90, below) * slope_of(6, 4)
    spark = smoothstep(0.05, 0.7, glint) * path * smoothstep(250, 60, below)
    return water + rgb("#ffc98a") * (0.6 * spark)[..., None]


def bloom(pixels):
    """The soft glare that a lens adds round lamps, windows and the sun."""
    bright = np.maximum(pixels - 0.72, 0) * rgb("#ffe0b8")
    return pixels + 0.55 * blur(bright, 8) + 0.5 * blur(bright, 26) + 0.35 * blur(bright, 90)


def paint_harbor():
    """A harbor town at dusk, as a camera might see it."""
    rng = np.random.default_rng(SEED + 2)
    shape = (HEIGHT * FINE, WIDTH * FINE)
    x, y = (plane / FINE for plane in coordinates(shape))
    texture = 0.022 * noise(rng, shape, 2.5, 1) + 0.03 * noise(rng, shape, 90, 4)
    clear = sky_colors(x, y)
    haze = mix(rgb("#9c8ba8"), rgb("#f0ad85"), np.exp(-(((x - SUNSET[0]) / 330) ** 2)))
    scene = Scene(lay_clouds(rng, clear, x, y), haze, texture)
    lay_hills_behind(rng, scene)
    build_town(np.random.default_rng(TOWN_SEED), scene)
    edge = water_line(x)
    rows = np.clip((2 * edge - y) * FINE, 0, shape[0] - 1).astype(int)
    columns = np.broadcast_to(np.arange(shape[1]), shape)
    mirror = Scene(scene.pixels[rows, columns], haze, texture)
    draw_boats(mirror, flip=True)
    water = lay_water(rng, mirror.pixels, x, y)
    scene.pixels = mix(scene.pixels, water, smoothstep(-0.4, 0.4, y - edge))
    draw_boats(scene, flip=False)
    return develop(rng, scene.pixels)


def develop(rng, pixels):
    """From scene to photograph: glare, a soft shoulder, dark corners, and fine grain."""
    pixels = bloom(pixels)
    pixels = np.where(pixels < 0.7, pixels, 0.7 + 0.32 * np.tanh((pixels - 0.7) / 0.45))
    planes = [resize(pixels[..., c], (HEIGHT, WIDTH), Image.Resampling.LANCZOS) for c in range(3)]
    small = np.stack(planes, -1)
    x, y = coordinates((HEIGHT, WIDTH))
    corner = ((x / WIDTH - 0.5) ** 2 + (y / HEIGHT - 0.5) ** 2)[..., None]
    return small * (1 - 0.35 * corner) + 0.007 * rng.standard_normal((HEIGHT, WIDTH, 1))
