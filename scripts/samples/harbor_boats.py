"""The boats and mooring posts of the harbor."""

import dataclasses

import numpy as np

from .harbor_scene import COOL, SUNSET, WARM
from .tools import mix, rgb, smoothstep, spline


@dataclasses.dataclass
class Boat:
    """A sailing boat seen from the side; `water` is its waterline, `bow` +1 right or -1 left."""

    x: float
    water: float
    length: float
    hull: str
    bow: int = 1
    sails: bool = False
    far: float = 0.05


def draw_boat(scene, boat):
    """Hull, cabin, mast, rigging, and either set or furled sails."""

    def at(points):
        return np.asarray(points, float) * (boat.bow * boat.length, -boat.length) + (
            boat.x,
            boat.water,
        )

    color = rgb(boat.hull)
    sheer = spline(at([(-0.47, 0.115), (-0.2, 0.095), (0.15, 0.105), (0.53, 0.17)]), 2)
    keel = spline(
        at([(0.53, 0.17), (0.43, 0.02), (0.36, -0.005), (-0.40, -0.005), (-0.47, 0.115)]), 2
    )

    def planks(x, y):
        up = (boat.water - y) / boat.length
        side = 0.78 + 0.5 * smoothstep(0.0, 0.15, up) * (0.55 + 0.45 * boat_light(x, boat))
        seam = 1 - 0.10 * (np.mod(up / 0.018, 1) < 0.16)
        body = np.where((up < 0.022)[..., None], rgb("#6a2a26"), color)
        return body * mix(COOL, WARM, 0.45) * (side * seam)[..., None] * 0.95

    scene.fill(np.vstack([sheer, keel]), planks, boat.far)
    scene.line(
        sheer, max(1.0, 0.014 * boat.length), mix(rgb("#e8d2b0"), color, 0.25) * 0.9, boat.far
    )
    draw_cabin(scene, boat, at)
    mast = at([(0.06, 0.1), (0.06, 1.28)])
    wood = mix(rgb("#7a5436"), WARM, 0.15) * 0.85
    for tip in ((0.52, 0.17), (-0.46, 0.12), (0.12, 0.11), (-0.02, 0.1)):
        scene.line(
            at([tip, (0.06, 1.25)]), max(0.45, 0.0028 * boat.length), rgb("#1d1c24"), boat.far, 0.75
        )
    scene.line(mast, (max(1.0, 0.017 * boat.length), max(0.7, 0.010 * boat.length)), wood, boat.far)
    scene.line(at([(-0.10, 0.86), (0.22, 0.86)]), max(0.6, 0.006 * boat.length), wood, boat.far)
    scene.line(at([(0.06, 0.24), (-0.44, 0.25)]), max(0.8, 0.011 * boat.length), wood, boat.far)
    draw_sails(scene, boat, at)


def boat_light(x, boat):
    """1 on the end of the hull toward the sun, 0 on the other."""
    return np.clip(0.5 + np.sign(SUNSET[0] - boat.x) * (x - boat.x) / boat.length, 0, 1)


def draw_cabin(scene, boat, at):
    """A low cabin with lit portholes."""
    scene.fill(
        at([(-0.22, 0.09), (-0.20, 0.165), (0.14, 0.165), (0.18, 0.10)]),
        rgb("#d8c6ae") * mix(COOL, WARM, 0.5) * 0.8,
        boat.far,
    )
    scene.fill(
        at([(-0.225, 0.163), (-0.22, 0.178), (0.155, 0.178), (0.155, 0.163)]),
        rgb("#6a4a38"),
        boat.far,
    )
    for u in (-0.15, -0.07, 0.01, 0.09):
        pane = [(u - 0.022, 0.12), (u - 0.022, 0.148), (u + 0.022, 0.148), (u + 0.022, 0.12)]
        scene.fill(at(pane), rgb("#ffcf7d") * 1.1, 0.5 * boat.far)


def draw_sails(scene, boat, at):
    """Sails glowing with the light behind them, or the mainsail rolled on its boom."""
    if not boat.sails:
        roll = spline(at([(0.05, 0.27), (-0.15, 0.285), (-0.43, 0.27)]), 2)
        scene.line(
            roll,
            (0.05 * boat.length, 0.028 * boat.length),
            rgb("#cdbfae") * mix(COOL, WARM, 0.5) * 0.85,
            boat.far,
        )
        return
    cloth = rgb("#e3bd98")

    def glow(x, y):
        up = (boat.water - y) / boat.length
        luff = np.abs(x - boat.x) / boat.length
        panel = 1 - 0.10 * (np.mod(up + 0.25 * luff, 0.085) < 0.006)
        return cloth * WARM * ((0.80 + 0.34 * up - 0.35 * luff) * panel)[..., None]

    main = np.vstack(
        [
            spline(at([(0.05, 0.26), (0.05, 1.22)]), 3),
            spline(at([(0.05, 1.22), (-0.22, 0.78), (-0.43, 0.27)]), 3),
        ]
    )
    jib = np.vstack(
        [
            spline(at([(0.075, 1.12), (0.24, 0.68), (0.50, 0.2)]), 3),
            spline(at([(0.50, 0.2), (0.2, 0.24), (0.10, 0.22), (0.075, 1.12)]), 3),
        ]
    )
    scene.fill(main, glow, boat.far)
    scene.fill(jib, lambda x, y: glow(x, y) * 0.9, boat.far)
    for level in (0.45, 0.65, 0.85, 1.02):
        reach = 0.05 - 0.48 * (1.22 - level) / 0.96 * 0.93
        scene.line(
            at([(0.05, level), (reach, level - 0.02)]),
            max(0.5, 0.004 * boat.length),
            cloth * 0.55,
            boat.far,
            0.7,
        )


def draw_rowing_boat(scene, x, water, length):
    """An open boat with thwarts, lying near the viewer."""

    def at(points):
        return np.asarray(points, float) * (length, -length) + (x, water)

    wood = rgb("#6b3f2c")
    back = spline(at([(-0.5, 0.17), (-0.2, 0.20), (0.2, 0.205), (0.52, 0.22)]), 2)
    front = spline(at([(0.52, 0.22), (0.2, 0.13), (-0.2, 0.115), (-0.5, 0.17)]), 2)
    keel = spline(
        at([(-0.5, 0.17), (-0.42, 0.0), (-0.2, -0.01), (0.3, -0.01), (0.46, 0.06), (0.52, 0.22)]), 2
    )
    scene.fill(np.vstack([back, front]), rgb("#2b1c1a"))
    for u in (-0.25, 0.02, 0.28):
        bench = [(u - 0.03, 0.125), (u + 0.03, 0.125), (u + 0.045, 0.195), (u - 0.015, 0.195)]
        scene.fill(at(bench), rgb("#a8744e") * 0.8)

    def planks(a, b):
        up = (water - b) / length
        seam = 1 - 0.22 * (np.mod((up + 0.05 * ((a - x) / length) ** 2) / 0.035, 1) < 0.14)
        return wood * mix(COOL, WARM, 0.6) * ((0.6 + 3.6 * np.clip(up, 0, 0.2)) * seam)[..., None]

    scene.fill(np.vstack([front[::-1], keel[::-1]]), planks)
    for edge in (back, front):
        scene.line(edge, 0.014 * length, rgb("#d9a878") * 0.85)


def draw_post(scene, x, water, tall, wide):
    """A weathered mooring post in the foreground, with a rope round it."""
    half = wide / 2

    def shade(a, b):
        across = np.clip((a - x) / wide + 0.5, 0, 1)
        up = np.clip((water - b) / tall, 0, 1)
        lit = 0.30 + 0.75 * across**1.6 - 0.3 * smoothstep(0.35, 0.1, up)
        lit = lit * (1 + 0.10 * np.sin(a * 2.6 + np.sin(b / 9)))
        return mix(rgb("#4a4038"), rgb("#a58263"), across) * np.maximum(lit, 0.12)[..., None]

    scene.fill(
        [
            (x - half, water),
            (x - half, water - tall + 3),
            (x - 0.5 * half, water - tall),
            (x + 0.5 * half, water - tall),
            (x + half, water - tall + 3),
            (x + half, water),
        ],
        shade,
    )
    for i in range(4):
        y = water - tall * 0.60 - 4 * i
        scene.line(
            [(x - half - 1, y), (x, y + 2), (x + half + 1, y)],
            3.4,
            lambda a, _: (
                mix(rgb("#4a3c30"), rgb("#d0b088"), np.clip((a - x) / wide + 0.5, 0, 1)) * 0.8
            ),
        )


BOATS = (
    Boat(640, 434, 44, "#3a3442", -1, False, 0.25),
    Boat(585, 438, 52, "#d8ccc0", 1, False, 0.2),
    Boat(872, 446, 70, "#4a3038", -1, True, 0.16),
    Boat(520, 452, 66, "#2e4a58", 1, False, 0.14),
    Boat(425, 470, 86, "#e0d2c0", 1, False, 0.10),
    Boat(700, 476, 120, "#e6dccb", -1, True, 0.07),
    Boat(300, 497, 112, "#7a2f2a", 1, False, 0.06),
    Boat(822, 596, 250, "#27405a", -1, False, 0.0),
)


def draw_boats(scene, flip):
    """All boats and posts, far ones first; with `flip`, their mirror images in the water."""

    def mirrored(line):
        scene.mirror = line if flip else None

    for boat in BOATS:
        mirrored(boat.water)
        draw_boat(scene, boat)
    mirrored(668)
    draw_rowing_boat(scene, 330, 668, 190)
    for x, water, tall, wide in ((112, 690, 92, 14), (70, 708, 118, 17)):
        mirrored(water)
        draw_post(scene, x, water, tall, wide)
    scene.mirror = None
