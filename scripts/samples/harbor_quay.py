"""The quay of the harbor: its wall, lamps, trees and strollers."""

import numpy as np

from .harbor_scene import (
    COOL,
    EYE,
    EYE_LINE,
    METER,
    REACH,
    VANISH,
    WARM,
    scale_at,
    spot,
    water_line,
)
from .tools import mix, palette, rgb, smoothstep


def tree(rng, scene, x, base, size, far):
    """A rounded tree: boughs and some hundred clumps of leaves, lighter toward the sun."""
    for lean in (-0.3, 0.0, 0.25):
        scene.line(
            [
                (x, base),
                (x + 0.3 * lean * size, base - 0.6 * size),
                (x + lean * size, base - 1.2 * size),
            ],
            (0.10 * size, 0.03 * size),
            rgb("#2a2226"),
            far,
        )
    for _ in range(int(60 + 4 * size)):
        r, turn = size * 0.62 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        r *= 0.85 + 0.15 * np.sin(5 * turn + x)
        cx, cy = x + r * np.cos(turn), base - 1.2 * size + 0.85 * r * np.sin(turn)
        corner = np.sort(rng.uniform(0, 2 * np.pi, 5))
        dab = np.stack([np.cos(corner), np.sin(corner)], -1)
        dab *= 0.6 + size * rng.uniform(0.03, 0.09)
        light = 0.35 + 0.6 * (cx - x) / size - 0.5 * (cy - base + 1.2 * size) / size
        light = np.clip(light + rng.normal(0, 0.16), 0, 1)
        scene.fill(dab + (cx, cy), mix(rgb("#18241f"), rgb("#a08a4c"), light), far, 0.92)


def build_quay(scene):
    """The street edge and the quay wall of weathered blocks, wet and green at the foot."""
    along = np.linspace(-12, 200, 120)
    edge = [spot(u, 0, -5) for u in along]
    scene.fill(
        [spot(u, 0.05) for u in along] + edge[::-1],
        rgb("#8a7d78") * mix(COOL, WARM, 0.55) * 0.72,
        0.1,
    )
    foot = [(x, water_line(x)) for x, _ in edge]

    def blocks(x, y):
        scale = np.maximum((VANISH - x) / REACH, 0.05)
        down = (y - EYE_LINE) / (METER * scale) - EYE
        course = np.floor(down / 0.5)
        u = REACH / np.maximum(VANISH - x, 20) * 46
        joint = np.minimum(np.mod(down / 0.5, 1), np.mod(u / 1.1 + 0.5 * course, 1))
        tint = 0.9 + 0.16 * np.sin(course * 12.9 + np.floor(u / 1.1 + 0.5 * course) * 78.2)
        stone = mix(rgb("#7a7470"), rgb("#2e3a30"), smoothstep(0.9, 1.9, down))
        return stone * (0.72 * tint * (0.62 + 0.38 * smoothstep(0.03, 0.16, joint)))[..., None]

    scene.fill(edge + foot[::-1], blocks, 0.06)
    scene.line(edge, (2.6, 0.8), rgb("#c9b4a4") * 0.85, 0.05)


def furnish_quay(rng, scene):
    """Street lamps, trees, bollards and a few strollers along the water."""
    for u in np.arange(2, 180, 13.0)[::-1]:
        scale = scale_at(u)
        far = 0.05 + 0.4 * (1 - scale) ** 2
        if rng.random() < 0.45:
            x, y = spot(u + 5, 0, -3.2)
            tree(rng, scene, x, y, 4.2 * METER * scale, far)
        x, y = spot(u, 0, -4.4)
        top = y - 4.6 * METER * scale
        scene.line([(x, y), (x, top)], (2.6 * scale + 0.4, 1.6 * scale + 0.4), rgb("#1c1d26"), far)
        w = 4.2 * scale + 0.6
        scene.fill(
            [
                (x - 0.7 * w, top),
                (x + 0.7 * w, top),
                (x + w, top - 2.4 * w),
                (x - w, top - 2.4 * w),
            ],
            rgb("#ffedb8") * 1.25,
        )
        scene.fill(
            [(x - 1.2 * w, top - 2.4 * w), (x + 1.2 * w, top - 2.4 * w), (x, top - 3.6 * w)],
            rgb("#1c1d26"),
            far,
        )
    for u in rng.uniform(0, 130, 22):
        scale, (x, y) = scale_at(u), spot(u, 0, -rng.uniform(1.5, 4))
        tall, coat = 1.75 * METER * scale, palette("#23222e", "#4a2c30", "#2e3b4a", "#6a5648")
        scene.fill(
            [
                (x - 0.14 * tall, y),
                (x - 0.16 * tall, y - 0.8 * tall),
                (x + 0.14 * tall, y - 0.8 * tall),
                (x + 0.12 * tall, y),
            ],
            coat[rng.integers(4)],
            0.1,
        )
        turn = np.linspace(0, 2 * np.pi, 12)
        head = np.stack([0.10 * np.cos(turn), 0.12 * np.sin(turn) - 0.9], -1) * tall
        scene.fill(head + (x, y), rgb("#8a6250"), 0.1)
