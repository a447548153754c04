"""An impressionist lily pond: an oil painting made of brush strokes."""

import numpy as np

from .oil import Brush, Canvas
from .tools import HEIGHT, SEED, WIDTH, coordinates, mix, noise, palette, ramp, rgb, smoothstep

LILY_CLUMPS = (  # center x, center y, half width: fractions of the picture; and pads
    (0.10, 0.10, 0.13, 26),
    (0.47, 0.07, 0.15, 26),
    (0.84, 0.12, 0.15, 30),
    (0.28, 0.22, 0.16, 30),
    (0.68, 0.27, 0.14, 24),
    (0.95, 0.33, 0.10, 15),
    (0.08, 0.39, 0.13, 20),
    (0.42, 0.43, 0.15, 22),
    (0.80, 0.52, 0.19, 28),
    (0.20, 0.63, 0.19, 25),
    (0.56, 0.70, 0.13, 13),
    (0.90, 0.80, 0.18, 19),
    (0.34, 0.90, 0.20, 20),
    (0.02, 0.88, 0.12, 9),
)


def pond_colors(rng, shape):
    """The large masses: a rosy reflected sky between willows, on violet and ultramarine water."""
    x, y = coordinates(shape)
    u, v = x / shape[1], y / shape[0]
    sky = ramp(
        v, [(0, "#8d9bd0"), (0.25, "#b7a9d8"), (0.5, "#e6b9c6"), (0.72, "#f2cdb4"), (1, "#a9a5dc")]
    )
    deep = ramp(v, [(0, "#1d4a52"), (0.3, "#2c4f86"), (0.6, "#4a4a98"), (1, "#2b3577")])
    middle = 0.56 + 0.05 * np.sin(5 * v + 0.5)
    breadth = 0.13 + 0.20 * v
    column = np.exp(-(((u - middle) / breadth) ** 2)) + 0.16 * noise(rng, shape, 90, 4, 2.5)
    color = mix(deep, sky, smoothstep(0.12, 0.8, column))
    color = mix(color, rgb("#5f57a6"), 0.5 * smoothstep(0.4, 1.6, noise(rng, shape, 120, 3, 4)))
    color = mix(color, rgb("#2f8f7d"), 0.6 * smoothstep(0.5, 1.6, noise(rng, shape, 60, 3, 5)))
    willow = willow_mask(rng, shape)
    sprays = smoothstep(-1, 1.5, noise(rng, shape, 160, 3, 0.2))
    leaves = mix(rgb("#1c4b3f"), rgb("#4f8a4a"), sprays)
    return mix(color, leaves, 0.8 * willow), willow


def willow_mask(rng, shape):
    """Where willow branches hang or mirror themselves: ragged curtains from the upper edge."""
    x, y = coordinates(shape)
    u, v = x / shape[1], y / shape[0]
    curtain = 0.95 * np.exp(-((u / 0.2) ** 2)) + 0.75 * np.exp(-(((u - 0.93) / 0.13) ** 2))
    curtain += 0.50 * np.exp(-(((u - 0.33) / 0.07) ** 2))
    ragged = 0.09 * noise(rng, (1, shape[1]), 1, 2, 40)[0]
    ragged = ragged + 0.08 * noise(rng, shape, 120, 3, 0.25)
    return smoothstep(0.0, 0.45, curtain + ragged - 0.22 - 0.62 * v)


def vary(rng, color, spread):
    """A color a little lighter or darker, and a little off in hue."""
    return color + rng.normal(0, spread) + rng.normal(0, 0.6 * spread, 3)


POND_ACCENTS = palette(
    "#24309a",
    "#3b6fc4",
    "#7a5bb5",
    "#b79ad8",
    "#e39bb2",
    "#1f8f78",
    "#6fb58a",
    "#f0d9a8",
    "#c7dbe8",
    "#15524e",
)


def paint_water(canvas, brush, colors, willow, count, spread, accent, patchy=0.0):
    """Cover the pond with strokes: level on open water, upright where willows are mirrored.

    With `patchy`, the strokes gather in drifts and leave the broader ones below in sight.
    """
    rng = canvas.rng
    height, width = willow.shape
    tilt = 0.16 * noise(rng, willow.shape, 150, 3, 2)
    drifts = noise(rng, willow.shape, 110, 3, 2.5)
    for x, y in rng.uniform((-20, -20), (width + 20, height + 20), (count, 2)):
        row, column = int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))
        if rng.random() < patchy * (0.5 - 0.7 * drifts[row, column]):
            continue
        upright = rng.random() < 0.85 * willow[row, column]
        angle = tilt[row, column] + rng.normal(0, 0.10) + (np.pi / 2 if upright else 0)
        color = vary(rng, colors[row, column], spread)
        if rng.random() < accent:
            color = mix(color, POND_ACCENTS[rng.integers(len(POND_ACCENTS))], 0.45)
        angle += np.pi * rng.integers(2)
        canvas.stroke(brush.pick(rng, angle), x, y, color, vary(rng, color, 1.7 * spread))


def paint_willow(canvas, brush, willow, count):
    """Hang long leafy strokes, dark then bright, along the curtains."""
    rng = canvas.rng
    greens = palette("#173f3a", "#1f5c4a", "#3d7d4f", "#7aa757", "#b9c96a", "#2a4c7c", "#57509c")
    height, width = willow.shape
    for i, (x, y) in enumerate(rng.uniform((0, 0), (width, height), (count, 2))):
        if rng.random() > willow[int(y), int(x)]:
            continue
        tone = min(len(greens) - 1, int(rng.random() * (2 + 5 * i / count)))
        angle = np.pi / 2 + rng.normal(0, 0.12) + 0.15 * np.sin(x / 37)
        canvas.stroke(
            brush.pick(rng, angle),
            x,
            y,
            vary(rng, greens[tone], 0.04),
            vary(rng, greens[(tone + 1) % len(greens)], 0.05),
        )


PAD_TONES = palette(
    "#2f7a55",
    "#4c9a63",
    "#7db87a",
    "#a9cf8e",
    "#5fae9c",
    "#8fb7c9",
    "#c4c58a",
    "#3f8a86",
    "#b7a0c8",
)


def nearest(brushes, length):
    """The brush whose strokes come closest to `length`."""
    return min(brushes, key=lambda brush: abs(np.log(brush.length / length)))


def paint_pad(canvas, brushes, x, y, radius):
    """One floating leaf: a dark reflection below, a body of level dabs, a light upper rim."""
    rng = canvas.rng
    flat = 0.36
    tone = PAD_TONES[rng.integers(len(PAD_TONES))]
    shade = mix(tone, rgb("#15315c"), 0.75)
    brush, fine = nearest(brushes, 1.1 * radius), nearest(brushes, 0.6 * radius)
    for side in (-0.5, 0.5, -0.15, 0.2):
        edge = brush if abs(side) < 0.4 else fine
        canvas.stroke(
            edge.pick(rng, rng.normal(-0.4 * side, 0.12)),
            x + side * radius,
            y + 0.30 * radius * (1 - side * side),
            vary(rng, shade, 0.05),
            vary(rng, mix(shade, rgb("#5a4a9a"), 0.4), 0.08),
            1,
            0.85,
        )
    for _ in range(9):
        r, turn = np.sqrt(rng.random()) * 0.62, rng.uniform(0, 2 * np.pi)
        color = vary(rng, tone, 0.05)
        canvas.stroke(
            fine.pick(rng, rng.normal(0, 0.2)),
            x + r * radius * np.cos(turn),
            y + flat * r * radius * np.sin(turn),
            color,
            vary(rng, color, 0.09),
            1.2,
        )
    light = mix(tone, rgb("#f3edc4"), 0.45)
    for turn in rng.uniform(3.3, 6.1, 3):
        slope = np.arctan2(flat * np.cos(turn), -np.sin(turn))
        canvas.stroke(
            fine.pick(rng, slope, 1),
            x + 0.75 * radius * np.cos(turn),
            y + 0.75 * flat * radius * np.sin(turn),
            vary(rng, light, 0.04),
            vary(rng, tone, 0.06),
            1.3,
        )


BLOSSOM_TONES = palette("#d96a8e", "#f0e4dc", "#e8a6bb", "#f4d77a")


def paint_blossom(canvas, brushes, petals, x, y, size):
    """A water lily: cupped petals from shadowed rose to warm white round a yellow heart."""
    rng = canvas.rng
    hue = BLOSSOM_TONES[rng.choice(4, p=(0.3, 0.35, 0.25, 0.1))]
    brush, fine = nearest(petals, 0.85 * size), nearest(petals, 0.6 * size)
    for side in (-0.3, 0.3, 0.0):
        canvas.stroke(
            nearest(brushes, 0.9 * size).pick(rng, rng.normal(0, 0.15)),
            x + side * size,
            y + 0.32 * size,
            rgb("#2f4a72"),
            rgb("#4a7a7a"),
            1,
            0.8,
        )
    for turn in np.linspace(np.pi, 2 * np.pi, 7) + rng.normal(0, 0.12, 7):
        petal = vary(rng, mix(hue, rgb("#7d4f92"), 0.35), 0.04)
        canvas.stroke(
            brush.pick(rng, turn),
            x + 0.42 * size * np.cos(turn),
            y + 0.34 * size * np.sin(turn),
            petal,
            vary(rng, hue, 0.05),
            1.4,
        )
    for turn in rng.uniform(np.pi, 2 * np.pi, 6):
        petal = vary(rng, mix(hue, rgb("#fff6ec"), 0.6), 0.03)
        canvas.stroke(
            fine.pick(rng, turn),
            x + 0.25 * size * np.cos(turn),
            y + 0.22 * size * np.sin(turn),
            petal,
            vary(rng, hue, 0.05),
            1.9,
        )
    canvas.stroke(
        nearest(brushes, 0.5 * size).pick(rng, 0.2),
        x,
        y - 0.05 * size,
        rgb("#f6c944"),
        rgb("#fff0b0"),
        2,
    )


def paint_clumps(canvas, brushes, petals):
    """Set out the lily pads from far to near, with blossoms among them."""
    rng = canvas.rng
    for u, v, breadth, count in sorted(LILY_CLUMPS, key=lambda clump: clump[1]):
        radius = 9 + 38 * v
        spots = rng.normal(0, 0.42, (count * 2, 2)).clip(-1, 1)
        spots *= (breadth * WIDTH, (0.022 + 0.055 * v) * HEIGHT)
        spots += (u * WIDTH, v * HEIGHT)
        for x, y in spots[np.argsort(spots[:, 1])]:
            paint_pad(canvas, brushes, x, y, radius * rng.uniform(0.7, 1.25))
        for x, y in spots[rng.choice(len(spots), 3 + rng.integers(4), replace=False)]:
            paint_blossom(
                canvas, brushes, petals, x, y - 0.3 * radius, radius * rng.uniform(0.65, 1.0)
            )


def paint_lily_pond():
    """An impressionist lily pond, built from coarse strokes to fine ones."""
    rng = np.random.default_rng(SEED)
    shape = (HEIGHT, WIDTH)
    brushes = [
        Brush(rng, length, width)
        for length, width in ((140, 26), (84, 14), (50, 8.5), (30, 5.5), (18, 4), (11, 3.2))
    ]
    petals = [Brush(rng, length, 0.42 * length) for length in (9, 14, 20, 28, 38)]
    colors, willow = pond_colors(rng, shape)
    canvas = Canvas(rng, colors)
    paint_water(canvas, brushes[0], colors, willow, 1800, 0.075, 0.30)
    paint_water(canvas, brushes[1], colors, willow, 6000, 0.07, 0.25)
    paint_willow(canvas, brushes[1], willow, 5000)
    paint_water(canvas, brushes[2], colors, willow, 8000, 0.055, 0.22, 1.3)
    paint_willow(canvas, brushes[2], willow, 9000)
    paint_water(canvas, brushes[3], colors, willow, 9000, 0.07, 0.3, 1.8)
    paint_clumps(canvas, brushes, petals)
    paint_willow(canvas, brushes[3], 0.35 * willow, 9000)
    paint_water(canvas, brushes[4], colors, willow, 6000, 0.08, 0.4, 1.8)
    return canvas.finish()
