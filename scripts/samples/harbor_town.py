"""The town of the harbor: hill, church and far shore."""

import numpy as np

from .harbor_houses import build_row
from .harbor_quay import build_quay, furnish_quay, tree
from .harbor_scene import (
    COOL,
    EYE_LINE,
    FAR_SHORE,
    FRONTS,
    METER,
    REACH,
    ROOFS,
    VANISH,
    WARM,
    roof_tiles,
)
from .tools import WIDTH, mix, noise, rgb, smoothstep


def build_wooded_hill(rng, scene):
    """The hill behind the town: a rough slope covered with the crowns of trees."""
    x = np.arange(-8, 680, 2.0)
    ridge = 142 + 275 * (np.maximum(x, 0) / 680) ** 1.7 + 5 * noise(rng, (1, len(x)), 1, 2, 40)[0]
    scene.fill(np.vstack([np.stack([x, ridge], -1), [(680, 430), (-8, 430)]]), rgb("#2a3038"), 0.3)
    spots = rng.uniform((-10, 0), (660, 1), (5000, 2))
    for x0, depth in spots[np.argsort(spots[:, 1])]:
        top = np.interp(x0, x, ridge)
        size = (3.5 + 6 * depth) * (1 - x0 / 1000) * rng.uniform(0.6, 1.2)
        turn = np.sort(rng.uniform(0, 2 * np.pi, 9))
        y0 = top + depth * 215 * (1 - x0 / 690)
        crown = np.stack([x0 + size * np.cos(turn), y0 + 0.8 * size * np.sin(turn)], -1)
        green = mix(rgb("#1f2c2b"), rgb("#6d6a45"), rng.random() ** 2)

        def lit(a, _, x0=x0, size=size, green=green):
            return green * (0.8 + 0.4 * smoothstep(-size, size, a - x0))[..., None]

        scene.fill(crown, lit, 0.42 - 0.2 * depth + 0.2 * x0 / 640, 0.85)


def build_back_town(rng, scene):
    """Gables between the trees on the hill behind the quay, softened by the haze."""
    for level in (2, 1, 0):
        x = -10.0
        while x < 600:
            unit = METER * (VANISH - x) / REACH * rng.uniform(0.50, 0.62)
            up = (10.5 + 3.9 * level + rng.uniform(-0.8, 0.8)) * unit
            build_back_house(rng, scene, x, EYE_LINE - up, unit, 0.24 + 0.07 * level + x / 4000)
            x += unit * rng.uniform(7, 10 + 6 * level)


def build_back_house(rng, scene, x, base, unit, far):
    """A small gabled house seen from the front; `unit` is a meter in pixels."""
    half, wall, peak = 3.0 * unit, 4.2 * unit, 7.4 * unit
    front = FRONTS[rng.integers(len(FRONTS))] * mix(COOL, WARM, 0.5) * 0.72
    roof = ROOFS[rng.integers(len(ROOFS))]
    scene.fill(
        [
            (x - half, base - wall),
            (x, base - peak),
            (x - 1.6 * half, base - peak),
            (x - 2.6 * half, base - wall),
        ],
        roof_tiles(roof, 2.2),
        far,
    )
    scene.fill(
        [
            (x - half, base),
            (x - half, base - wall),
            (x - 2.6 * half, base - wall),
            (x - 2.6 * half, base),
        ],
        front * 0.55,
        far,
    )
    scene.fill(
        [
            (x - half, base),
            (x - half, base - wall),
            (x, base - peak),
            (x + half, base - wall),
            (x + half, base),
        ],
        front,
        far,
    )
    scene.line(
        [(x, base - peak), (x + 1.1 * half, base - wall + 0.3 * unit)],
        1.3,
        mix(roof, WARM, 0.45),
        far,
    )
    for side, up in ((-0.45, 0.5), (0.45, 0.5), (0.0, 1.1)):
        w, cx, cy = 0.17 * half, x + side * half, base - up * wall
        pane = rgb("#ffc86f") if rng.random() < 0.45 else rgb("#3a3a52")
        scene.fill(
            [
                (cx - w, cy + 0.8 * unit),
                (cx + w, cy + 0.8 * unit),
                (cx + w, cy - 0.6 * unit),
                (cx - w, cy - 0.6 * unit),
            ],
            pane,
            0.5 * far,
        )


def build_church(scene):
    """The church: a nave with a steep roof, a square tower with a clock, a copper spire."""
    x, base, m, far = 392, 405, 4.9, 0.26
    stone, copper = rgb("#a08a80"), rgb("#3f6a68")

    def box(left, right, low, high):
        return [
            (x + left * m, base - low * m),
            (x + right * m, base - low * m),
            (x + right * m, base - high * m),
            (x + left * m, base - high * m),
        ]

    def masonry(a, _):
        lit = smoothstep(x - 5 * m, x + 5 * m, a)
        return stone * mix(COOL, WARM, 0.3 + 0.5 * lit) * (0.62 + 0.35 * lit)[..., None]

    scene.fill(box(-26, -3, 0, 15), stone * COOL * 0.75, far)
    scene.fill(
        [
            (x - 26 * m, base - 15 * m),
            (x - 3 * m, base - 15 * m),
            (x - 3 * m, base - 26 * m),
            (x - 24 * m, base - 26 * m),
        ],
        roof_tiles(rgb("#57454d"), 3),
        far,
    )
    scene.fill(box(-4.2, 4.2, 0, 38), masonry, far)
    for level in (18, 27, 37):
        scene.fill(box(-4.6, 4.6, level, level + 0.9), masonry, far * 0.6)
    for left in (-2.3, 0.7):
        scene.fill(box(left, left + 1.6, 29, 34.5), rgb("#2b2838"), far)
    scene.fill(
        [
            (x - 4.9 * m, base - 38 * m),
            (x + 4.9 * m, base - 38 * m),
            (x + 2.0 * m, base - 44 * m),
            (x, base - 62 * m),
            (x - 2.0 * m, base - 44 * m),
        ],
        lambda a, _: copper * (0.75 + 0.55 * smoothstep(x - 4 * m, x + 4 * m, a))[..., None],
        far,
    )
    turn = np.linspace(0, 2 * np.pi, 40)
    dial = np.stack([np.cos(turn), np.sin(turn)], -1)
    scene.fill(dial * 2.3 * m + (x, base - 23.3 * m), rgb("#5a4436"), far)
    scene.fill(dial * 1.9 * m + (x, base - 23.3 * m), rgb("#ffe7b0"), 0.05)
    scene.line([(x, base - 23.3 * m), (x + 1.2 * m, base - 24.4 * m)], 1.0, rgb("#332a26"))
    scene.line([(x, base - 23.3 * m), (x - 0.2 * m, base - 21.8 * m)], 1.0, rgb("#332a26"))
    scene.line([(x, base - 61 * m), (x, base - 66 * m)], 1.0, rgb("#5a4a3a"))


def build_far_shore(rng, scene):
    """The end of the basin: small houses and trees against the glow, and a lighthouse."""
    x, base = 640.0, FAR_SHORE - 5
    while x < WIDTH + 20:
        width, wall = rng.uniform(11, 26), rng.uniform(9, 21)
        if rng.random() < 0.3:
            tree(rng, scene, x + width / 2, base, wall, 0.38)
        else:
            build_far_house(rng, scene, x, base, width, wall)
        x += width + (rng.random() < 0.2) * rng.uniform(2, 12)
    scene.fill(
        [(640, base), (WIDTH, base), (WIDTH, FAR_SHORE), (640, FAR_SHORE)], rgb("#3b3340"), 0.2
    )
    build_lighthouse(scene, 946, FAR_SHORE - 4)


def build_far_house(rng, scene, x, base, width, wall):
    """A small house against the light, seen from its gable or from its eaves."""
    front = FRONTS[rng.integers(len(FRONTS))] * rgb("#8a6a78") * rng.uniform(0.65, 1.0)
    top, peak, right = base - wall, base - wall - rng.uniform(5, 11), x + width
    inset = width * rng.choice([0.12, 0.5])
    roof = [(x - 1, top), (x + inset, peak), (right - inset, peak), (right + 1, top)]
    scene.fill(roof, rgb("#4a3038") if inset < 0.4 * width else front, 0.33)
    scene.fill([(x, base), (x, top), (right, top), (right, base)], front, 0.36)
    scene.line(roof, 1.6, rgb("#54363a"), 0.3)
    for wx in np.arange(x + 3, right - 3, 4.5):
        for wy in np.arange(top + 3, base - 4, 6):
            if rng.random() < 0.45:
                scene.fill(
                    [(wx, wy), (wx + 2, wy), (wx + 2, wy + 3), (wx, wy + 3)], rgb("#ffd083"), 0.1
                )


def build_lighthouse(scene, x, base):
    """A striped lighthouse with its lamp lit."""

    def stripes(_, y):
        return mix(rgb("#e8dccf"), rgb("#a03a34"), np.floor(y / 13) % 2) * 0.72

    top = base - 66
    scene.fill([(x - 7, base), (x + 7, base), (x + 4, top), (x - 4, top)], stripes, 0.18)
    scene.fill(
        [(x - 3, top), (x + 3, top), (x + 3, top - 7), (x - 3, top - 7)], rgb("#fff2c0") * 1.3
    )
    scene.fill([(x - 5, top - 7), (x + 5, top - 7), (x, top - 13)], rgb("#4a2a2a"), 0.1)
    scene.line([(x - 6, top), (x + 6, top)], 1.6, rgb("#3a2a2e"), 0.1)


def build_town(rng, scene):
    """Everything on land, from the far end of the basin to the lamps on the quay."""
    build_far_shore(rng, scene)
    build_wooded_hill(rng, scene)
    build_back_town(rng, scene)
    build_church(scene)
    build_row(rng, scene)
    build_quay(scene)
    furnish_quay(rng, scene)
