"""A five-color woodcut: the sun over hills, and three breaking waves."""

import numpy as np

from .tools import HEIGHT, SEED, WIDTH, coordinates, mix, noise, resize, smoothstep, spline
from .woodcut import (
    INDIGO,
    OCHER,
    PAPER,
    PRUSSIAN,
    VERMILION,
    Plate,
    Print,
    direction_field,
    fan,
    gouges,
    lens,
    resample,
)

SUN = (742, 196, 88)
CREST = [
    (-320, 690),
    (-180, 600),
    (-60, 492),
    (60, 382),
    (160, 292),
    (260, 222),
    (350, 180),
    (430, 168),
    (500, 188),
    (550, 238),
    (566, 306),
]
HOLLOW = [
    (566, 306),
    (532, 268),
    (482, 250),
    (434, 266),
    (400, 316),
    (392, 388),
    (414, 464),
    (470, 534),
    (560, 588),
    (680, 622),
    (820, 640),
    (1000, 640),
]


def lay_sky(rng, page):
    """Wind in the sky: dark lines that stream past the sun and roll up into three whirls."""
    x, y = coordinates((HEIGHT, WIDTH))
    stream = y + 10 * np.sin(x / 90 + y / 60)
    for cx, cy, size, power in (
        (215, 86, 46, 92),
        (925, 84, 44, -84),
        (505, 70, 34, -62),
        (SUN[0], SUN[1], 120, 105),
        (968, 322, 40, 66),
        (60, 250, 40, -70),
    ):
        stream = stream + power * np.exp(-((x - cx) ** 2 + 1.5 * (y - cy) ** 2) / (2 * size**2))
    down, right = np.gradient(stream)
    angle = np.arctan2(-right, down)
    away = np.hypot(x - SUN[0], y - SUN[1])
    mask = (y < 470) & (away > SUN[2] + 8)
    glow = Plate()
    for line in gouges(rng, angle, mask & (away < 260), 5, 160):
        glow.line(line, 4.6 * lens(len(line)))
    band = smoothstep(300, 460, y) * (0.75 + 0.1 * noise(rng, x.shape, 50, 3, 5))
    page.ink(np.clip(np.maximum(band, glow.printed() * smoothstep(270, 150, away)), 0, 1), OCHER)
    lines = Plate()
    for line in gouges(rng, angle, mask, 5.8, 210):
        px, py = line[len(line) // 2]
        fade = np.clip((np.hypot(px - SUN[0], py - SUN[1]) - 80) / 190, 0.22, 1)
        lines.line(line, (1.4 + 4.3 * fade * (1 - 0.5 * py / 460)) * lens(len(line)))
    page.ink(lines.printed(), PRUSSIAN)


def lay_sun(rng, page):
    """A vermilion disc with level cuts that widen toward the sea."""
    cx, cy, radius = SUN
    disc = Plate()
    turn = np.linspace(0, 2 * np.pi, 200)
    disc.shape(np.stack([cx + radius * np.cos(turn), cy + radius * np.sin(turn)], -1))
    for i in range(9):
        y = cy - 25 + 13 * i
        half = np.sqrt(max(0, radius**2 - (y - cy) ** 2)) + 4
        x = np.linspace(cx - half, cx + half * rng.uniform(0.7, 1), 60)
        disc.line(np.stack([x, y + 2.5 * np.sin(x / 14 + i)], -1), (1 + 0.62 * i) * lens(60), 0)
    page.ink(disc.printed(), VERMILION, 0.7)


def lay_hills(rng, page):
    """Two ranges of hills, combed with cuts that run down their slopes."""
    x = np.arange(-10, WIDTH + 11, 4.0)
    for i, (base, height, color) in enumerate(((432, 92, PRUSSIAN), (458, 58, INDIGO))):
        ridge = base - height * (0.5 + 0.5 * np.sin(x / (118 - 30 * i) + 2.4 + 2 * i)) ** 1.3
        ridge -= 14 * np.sin(x / 31 + i)
        top = np.stack([x, ridge], -1)
        block, cuts = Plate(), Plate()
        block.shape(np.vstack([top, [(WIDTH + 10, 520), (-10, 520)]]))
        mask = block.printed()
        low = np.stack([x, np.full_like(x, 500)], -1)
        slant = [
            np.array([(a, b - 20), (a + 14 * np.sin(a / 40), b + 25), (a - 10, 500)])
            for a, b in top[::4]
        ]
        angle = direction_field([resample(s, 12) for s in slant] + [low], mask.shape)
        for line in gouges(rng, angle, mask > 0.99, 5.2, 80):
            cuts.line(line, 3.6 * lens(len(line), 0.3))
        page.ink(mask, color)
        page.ink(cuts.printed() * mask, PAPER if i == 0 else mix(PAPER, PRUSSIAN, 0.35))


def place(points, scale, dx, dy):
    """Control points scaled and shifted."""
    return np.asarray(points, float) * scale + (dx, dy)


def lay_wave(rng, page, scale, dx, dy):
    """One breaking wave: blue body, dark shadow lines, pale cuts, and foam along its lip."""
    crest, hollow = (spline(place(c, scale, dx, dy)) for c in (CREST, HOLLOW))
    body = Plate()
    ends = [
        (hollow[-1][0] + 2000, hollow[-1][1]),
        (hollow[-1][0] + 2000, 2000),
        (crest[0][0] - 2000, 2000),
        (crest[0][0] - 2000, crest[0][1]),
    ]
    body.shape(np.vstack([crest, hollow, ends]))
    mask = body.printed()
    page.ink(mask, PRUSSIAN)
    floor = [
        spline(place([(-700, y), (0, y + 30), (500, y + 10), (1200, y - 50)], scale, dx, dy))
        for y in (720, 800)
    ]
    angle = direction_field(fan(hollow[::-1], crest, 9) + floor, mask.shape)
    depth = hollow_shadow(mask.shape, hollow)
    dark, pale, gold = Plate(), Plate(), Plate()
    for line in gouges(rng, angle, mask > 0.99, max(3.0, 5.6 * scale), 60 + 230 * scale, 14000):
        px, py = line[len(line) // 2]
        shade = depth[int(py), int(px)]
        if abs(px - SUN[0] - 60) < 0.9 * (py - 490) and rng.random() < 0.22:
            gold.line(line, 4.2 * scale**0.5 * lens(len(line)))
        elif rng.random() < 0.25 + 0.6 * shade:
            dark.line(line, (3.9 + 4.6 * shade) * scale**0.5 * lens(len(line)))
        else:
            pale.line(line, (6.4 - 3.4 * shade) * scale**0.5 * lens(len(line)))
    for curve in (crest[::-1], hollow):  # both start at the tip and fade where the sea takes over
        fade = np.clip(3 - 3 * np.linspace(0, 1, len(curve)), 0.02, 1)
        dark.line(curve, 5 * scale**0.5 * fade)
    page.ink(dark.printed(), INDIGO)
    page.ink(pale.printed() * mask, PAPER)
    page.ink(gold.printed() * mask, OCHER)
    lay_foam(rng, page, crest, hollow, scale)


def hollow_shadow(shape, hollow):
    """1 close to the hollow of the wave, falling to 0 away from it."""
    coarse = (shape[0] // 8, shape[1] // 8)
    x, y = coordinates(coarse)
    part = hollow[len(hollow) // 12 : len(hollow) * 6 // 10 : 6]
    far = np.min([np.hypot(x * 8 - px, y * 8 - py) for px, py in part], axis=0)
    size = np.hypot(*(hollow.max(0) - hollow.min(0)))
    return resize(np.exp(-((far / (0.13 * size)) ** 2)), shape).clip(0, 1)


def lay_foam(rng, page, crest, hollow, scale):
    """Foam: a scalloped band behind the lip, and claws that reach over it."""
    lip = resample(crest[int(len(crest) * 0.60) :], 90)
    under = resample(hollow[: int(len(hollow) * 0.17)], 40)
    outline = 2.4 * scale**0.5
    shadow, foam = Plate(), Plate()

    def grow(line, widths):
        shadow.line(line, widths + 2 * outline)
        foam.line(line, widths + 2 * outline, 0)
        foam.line(line, widths)

    swell = 36 * scale * np.linspace(0.1, 1, 90) ** 0.8
    swell *= 1 - 0.85 * smoothstep(80, 90, np.arange(90))
    for curve, gaps in ((under, (3, 7)), (lip, (3, 9))):
        index = 4
        while index < len(curve) - 1:
            line = claw(rng, curve, index, scale * (0.5 + 0.6 * index / len(curve)))
            grow(line, rng.uniform(12, 22) * scale * finger(len(line)))
            index += rng.integers(*gaps)
    for i in rng.permutation(np.arange(6, 88, 4)):
        center = lip[i] + rng.normal(0, 0.12 * swell[i], 2)
        grow(
            center + np.outer(np.linspace(-0.5, 0.5, 24), lip[i] - lip[i - 3]) * 2.5,
            swell[i] * rng.uniform(1.0, 1.5) * np.sqrt(1 - np.linspace(-0.98, 0.98, 24) ** 2),
        )
    foam.line(lip, 0.8 * swell)
    for i in range(6, 88, 2):
        drop_foam(rng, foam, lip[i], swell[i], outline)
    spray(rng, shadow, foam, lip[25:], scale)
    page.ink(shadow.printed(), INDIGO)
    page.ink(foam.printed(), PAPER)


def finger(count):
    """Widths of a claw: round at its root, thinning to a point."""
    t = np.linspace(0, 1, count)
    return np.sqrt(np.clip(t / 0.18, 0.02, 1)) * (1.04 - t) ** 0.7


def drop_foam(rng, foam, center, size, outline):
    """A bubble in the foam: a short curved cut that shows the dark ink below."""
    turn = np.linspace(0, rng.uniform(2, 4), 24) + rng.uniform(0, 6)
    radius = size * rng.uniform(0.10, 0.26)
    center = center + rng.normal(0, 0.16 * size, 2)
    ring = center + radius * np.stack([np.cos(turn), np.sin(turn)], -1)
    foam.line(ring, 1.1 * outline * lens(24), 0)


def spray(rng, shadow, foam, lip, scale):
    """Drops flung ahead of the lip."""
    turn = np.linspace(0, 2 * np.pi, 20)
    ring = np.stack([np.cos(turn), np.sin(turn)], -1)
    for start in lip[rng.integers(0, len(lip), 34)]:
        center = start + scale * rng.uniform((10, -75), (150, 30))
        radius = scale * rng.uniform(2, 5.5)
        shadow.shape(center + (radius + 2) * ring)
        foam.shape(center + radius * ring)


def claw(rng, curve, index, scale):
    """A finger of foam: leaves the curve ahead and bends down into a hook."""
    step = curve[min(index + 1, len(curve) - 1)] - curve[index - 1]
    ahead = step / np.hypot(*step)
    out = np.array((ahead[1], -ahead[0]))
    size = scale * rng.uniform(26, 74)
    start = curve[index]
    return spline(
        [
            start,
            start + size * (0.50 * out + 0.30 * ahead),
            start + size * (0.78 * out + 0.75 * ahead),
            start + size * (0.62 * out + 1.18 * ahead),
            start + size * (0.32 * out + 1.22 * ahead),
        ],
        1.5,
    )


def lay_sea(rng, page):
    """The open sea behind the waves: level cuts, and a path of light below the sun."""
    x, y = coordinates((HEIGHT, WIDTH))
    top = 496
    mask = y > top
    page.ink(mask.astype(np.float32), PRUSSIAN)
    angle = 0.22 * np.sin(x / 38 + y / 17) * smoothstep(top - 20, top + 120, y)
    plates = {"pale": Plate(), "dark": Plate(), "gold": Plate(), "red": Plate()}
    for line in gouges(rng, angle, mask, 4.8, 110, 5000):
        px, py = line[len(line) // 2]
        on_path = abs(px - SUN[0]) < 60 + 0.5 * (py - top) and rng.random() < 0.7
        name = rng.choice(["gold", "red"]) if on_path else rng.choice(["pale", "dark"])
        plates[name].line(line, 4.9 * lens(len(line)))
    for name, color in (("dark", INDIGO), ("pale", PAPER), ("gold", OCHER), ("red", VERMILION)):
        page.ink(plates[name].printed(), color)


def paint_woodcut_wave():
    """A woodcut: the sun over hills, and three breaking waves."""
    rng = np.random.default_rng(SEED + 1)
    page = Print(rng)
    lay_sky(rng, page)
    lay_sun(rng, page)
    lay_hills(rng, page)
    lay_sea(rng, page)
    lay_wave(rng, page, 0.34, 610, 350)
    lay_wave(rng, page, 1.0, 0, 0)
    lay_wave(rng, page, 0.60, 500, 400)
    lay_wave(rng, page, 0.46, -30, 535)
    return page.finish()
