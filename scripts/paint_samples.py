"""Paints the sample pictures of this project: one content picture and two style pictures.

    python scripts/paint_samples.py --out=configs/images

`harbor.jpg` is the picture to restyle, `lily_pond.jpg` an oil painting made of brush strokes, and
`woodcut_wave.jpg` a five-color woodcut. Everything is computed from a fixed seed with NumPy and
Pillow, so the samples carry no one else's rights and can be painted again at any time.

Coordinates are (x, y) in output pixels with y downwards; colors are RGB in [0, 1].
"""

import argparse
import dataclasses
import pathlib
import time

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 1024, 768
SEED = 20240229
TOWN_SEED = 2


# ---------------------------------------------------------------------------- shared tools


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


# ---------------------------------------------------------------------------- the lily pond


@dataclasses.dataclass
class Stamp:
    """One pre-rendered brush stroke.

    `cover` is its opacity (height, width, 1); `grain` holds, for red, green and blue, how much of
    the stroke's second color shows, and in a fourth channel the thickness of the paint.
    """

    cover: np.ndarray
    grain: np.ndarray


class Brush:
    """A brush of one length and width.

    Its strokes are rendered once, at all angles and three bends: laying one is then a blend of a
    small window, cheap enough for tens of thousands of them.
    """

    ANGLES = 28
    BENDS = (-0.22, 0.0, 0.22)
    VARIANTS = 2

    def __init__(self, rng, length, width):
        self.length = length
        self.stamps = [
            [
                [
                    self._render(rng, length, width, 2 * np.pi * a / self.ANGLES, bend)
                    for _ in range(self.VARIANTS)
                ]
                for bend in self.BENDS
            ]
            for a in range(self.ANGLES)
        ]

    def pick(self, rng, angle, bend=None):
        """A stroke near `angle` (radians); `bend` is 0, 1 or 2, any bend if None."""
        turn = round(angle / (2 * np.pi) * self.ANGLES) % self.ANGLES
        bend = rng.integers(3) if bend is None else bend
        return self.stamps[turn][bend][rng.integers(self.VARIANTS)]

    @staticmethod
    def _render(rng, length, width, angle, bend):
        """Paints one stroke: a bent, tapered band whose bristles run along it and run dry."""
        half = length / 2
        side = int(length + width) // 2 * 2 + 3
        x, y = coordinates((side, side))
        x, y = x - side / 2, y - side / 2
        along = (x * np.cos(angle) + y * np.sin(angle)) / half
        across = y * np.cos(angle) - x * np.sin(angle) - bend * half * (along**2 - 0.33)
        swell = 0.5 * width * np.clip(1 - np.abs(along) ** 3, 0, 1) ** 0.5
        swell = swell * (1 - 0.35 * along)
        v = across / (0.5 * width)
        bristles = _bristles(rng, v + 0.06 * np.sin(3 * along + rng.uniform(0, 6)), along, width)
        edge = np.clip(swell - np.abs(across) + 0.5, 0, 1)
        dry = smoothstep(-0.25, 0.25, 1.0 - along - 0.55 * bristles)
        cover = edge * dry * (0.72 + 0.28 * bristles)
        rim = np.exp(-(((np.abs(across) - 0.8 * swell) / (0.16 * width + 0.4)) ** 2))
        thick = 0.55 * bristles + 0.45 * rim + 0.2 * np.clip(along, -1, 1)
        keep = np.ix_(cover.max(1) > 0.01, cover.max(0) > 0.01)
        grain = np.stack([bristles] * 3 + [thick], -1)[keep]
        return Stamp(cover[keep][..., None].astype(np.float32), grain.astype(np.float32))


def _bristles(rng, v, along, width):
    """Marks of the bristles in [0, 1]: tufts and hairs that drift along the stroke."""
    tufts = _streaks(rng, v, along, max(3, int(width / 4)))
    hairs = _streaks(rng, v, along, max(4, int(width / 1.5)))
    return np.clip(0.5 + 1.1 * (0.45 * tufts + 0.55 * hairs - 0.5), 0, 1)


def _streaks(rng, v, along, count):
    """Smooth noise with `count` cells across the stroke and three along it."""
    table = rng.uniform(0, 1, (4, count + 3)).astype(np.float32)
    column = np.clip((v + 1) / 2, 0, 0.999) * count
    row = np.clip((along + 1) / 2, 0, 0.999) * 3
    i, j = row.astype(int), column.astype(int)
    fi, fj = row - i, column - j
    top = table[i, j] * (1 - fj) + table[i, j + 1] * fj
    low = table[i + 1, j] * (1 - fj) + table[i + 1, j + 1] * fj
    return top * (1 - fi) + low * fi


class Canvas:
    """Wet oil paint: color and thickness, with a margin so that strokes may cross the edge."""

    MARGIN = 96

    def __init__(self, rng, ground):
        m = self.MARGIN
        self.rng = rng
        self.paint = np.zeros((HEIGHT + 2 * m, WIDTH + 2 * m, 4), np.float32)
        self.paint[..., :3] = np.pad(ground, ((m, m), (m, m), (0, 0)), mode="edge")

    def stroke(self, stamp, x, y, color, second, body=1.0, opacity=0.95):
        """Lays one stroke with its middle at (x, y), streaked from `color` to `second`."""
        height, width = stamp.cover.shape[:2]
        top = int(y) + self.MARGIN - height // 2
        left = int(x) + self.MARGIN - width // 2
        if top < 0 or left < 0:
            return
        under = self.paint[top : top + height, left : left + width]
        if under.shape[:2] != (height, width):
            return
        base = np.append(color, 0).astype(np.float32)
        reach = np.append(second - color, body).astype(np.float32)
        under += opacity * stamp.cover * (base + stamp.grain * reach - under)

    def finish(self, relief=0.34):
        """The picture under raking light from the top left, on woven linen."""
        m = self.MARGIN
        paint = self.paint[m:-m, m:-m]
        shape = paint.shape[:2]
        weave = 0.025 * (noise(self.rng, shape, 2, 1, 6) + noise(self.rng, shape, 12, 1, 0.17))
        thick = paint[..., 3] + weave
        slope = np.gradient(thick, axis=0) + np.gradient(thick, axis=1)
        light = np.clip(slope * relief, -0.20, 0.24)[..., None]
        return paint[..., :3] * (1 + light) + np.maximum(light, 0) * 0.35


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
    """Covers the pond with strokes: level on open water, upright where willows are mirrored.

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
    """Hangs long leafy strokes, dark then bright, along the curtains."""
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
    """Sets out the lily pads from far to near, with blossoms among them."""
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


# ---------------------------------------------------------------------------- the woodcut


PAPER, OCHER, VERMILION, PRUSSIAN, INDIGO = palette(
    "#efe4c9", "#d9a441", "#cf4526", "#2f6690", "#14213f"
)
CUT = 3  # plates are cut at this many times the final size


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


def resample(curve, count):
    """The same curve as `count` points at equal distances."""
    along = np.append(0, np.cumsum(np.hypot(*np.diff(curve, axis=0).T)))
    where = np.linspace(0, along[-1], count)
    return np.stack([np.interp(where, along, curve[:, i]) for i in (0, 1)], -1)


def fan(first, last, count):
    """Curves that pass step by step from one curve into another."""
    a, b = resample(first, 80), resample(last, 80)
    return [a + (b - a) * t for t in np.linspace(0, 1, count)]


def direction_field(curves, shape, cell=8):
    """Angles everywhere that follow the tangents of the nearest guide curves."""
    points = np.vstack([curve[:-1] for curve in curves])
    steps = np.vstack([np.diff(curve, axis=0) for curve in curves])
    double = 2 * np.arctan2(steps[:, 1], steps[:, 0])  # doubled: a cut has no front or back
    points, double = points[::2], double[::2]
    coarse = (shape[0] // cell, shape[1] // cell)
    x, y = coordinates(coarse)
    cosine, sine = np.zeros(coarse), np.zeros(coarse)
    for row in range(coarse[0]):
        far = (x[row, :, None] * cell - points[:, 0]) ** 2
        far += (y[row, :, None] * cell - points[:, 1]) ** 2
        weight = 1 / (far + 500.0) ** 2
        cosine[row], sine[row] = weight @ np.cos(double), weight @ np.sin(double)
    return np.arctan2(resize(sine, shape), resize(cosine, shape)) / 2


def trace(angle, blocked, start, heading, longest):
    """Walks from `start` along the field until it meets something blocked."""
    height, width = angle.shape
    x, y = start
    path = []
    for _ in range(int(longest / 2)):
        column, row = int(x), int(y)
        if not (0 <= column < width and 0 <= row < height) or blocked[row, column]:
            break
        path.append((x, y))
        turn = angle[row, column]
        dx, dy = np.cos(turn), np.sin(turn)
        if dx * heading[0] + dy * heading[1] < 0:
            dx, dy = -dx, -dy
        heading = dx, dy
        x, y = x + 2 * dx, y + 2 * dy
    return path


def gouges(rng, angle, mask, spacing, longest, seeds=6000):
    """Evenly spaced lines that follow the field inside the mask, as arrays of points."""
    height, width = angle.shape
    blocked = ~mask
    lines = []
    for x, y in rng.uniform((0, 0), (width, height), (seeds, 2)):
        if blocked[int(y), int(x)]:
            continue
        turn = angle[int(y), int(x)]
        ahead = np.array((np.cos(turn), np.sin(turn)))
        reach = longest * rng.uniform(0.35, 0.65)
        line = trace(angle, blocked, (x, y), -ahead, reach)[:0:-1]
        line += trace(angle, blocked, (x, y), ahead, reach)
        if len(line) < 6:
            continue
        r = max(1, round(spacing))
        for px, py in line:
            row, column = int(py), int(px)
            blocked[max(0, row - r + 1) : row + r, max(0, column - r + 1) : column + r] = True
        lines.append(np.array(line))
    return lines


def cut(draw, line, widths, value=255):
    """Draws one line whose width (in pixels) varies along it, as a single polygon."""
    step = np.gradient(line, axis=0)
    step /= np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-6)[:, None]
    side = np.stack([-step[:, 1], step[:, 0]], -1) * (np.asarray(widths)[:, None] / 2)
    outline = np.vstack([line + side, (line - side)[::-1]]) * CUT
    draw.polygon([tuple(point) for point in outline], fill=value)


def lens(count, head=0.45):
    """Widths of a gouge mark: in quickly, out slowly, pointed at both ends."""
    t = np.linspace(0, 1, count) ** (0.5 / (1 - head))
    return min(1, count / 18) * np.sin(np.pi * np.clip(t, 0.02, 0.98)) ** 0.75


class Plate:
    """A mask cut at high resolution; `printed` gives it at the size of the picture."""

    def __init__(self, fill=0):
        self.image = Image.new("L", (WIDTH * CUT, HEIGHT * CUT), fill)
        self.draw = ImageDraw.Draw(self.image)

    def shape(self, outline, value=255):
        """Fills a polygon."""
        self.draw.polygon([(x * CUT, y * CUT) for x, y in outline], fill=value)

    def line(self, line, widths, value=255):
        """Draws a line of varying width."""
        cut(self.draw, np.asarray(line), widths, value)

    def printed(self):
        """Coverage in [0, 1] at the final size."""
        small = self.image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
        return np.asarray(small, np.float32) / 255


class Print:
    """Paper that takes one ink after another."""

    def __init__(self, rng):
        self.rng = rng
        shape = (HEIGHT, WIDTH)
        fiber = noise(rng, shape, 6, 2, 7) + noise(rng, shape, 14, 2, 0.3)
        self.sheet = PAPER * (1 + 0.014 * fiber + 0.012 * noise(rng, shape, 200, 3))[..., None]

    def ink(self, mask, color, starved=0.5):
        """Prints a mask: thinner where the paper is rough, darker where ink piles at the edges."""
        shape = mask.shape
        speck = noise(self.rng, shape, 3, 2) + 0.7 * noise(self.rng, shape, 40, 3)
        film = 1 - 0.75 * smoothstep(2.1 - starved, 3.6 - starved, speck)
        rim = np.clip(mask - blur(mask, 4), 0, 1)
        tone = 1 + 0.03 * noise(self.rng, shape, 60, 4, 3) - 0.12 * rim
        self.sheet = mix(self.sheet, color * tone[..., None], mask * film * 0.97)

    def finish(self):
        """The pulled print."""
        return self.sheet + 0.004 * self.rng.standard_normal((HEIGHT, WIDTH, 1))


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


# ---------------------------------------------------------------------------- the harbor


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
        """Fills a polygon with a color or with `color(x, y)`, faded by `far` into the haze."""
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
    """Samples a periodic texture between its pixels."""
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


@dataclasses.dataclass
class House:
    """A house on the quay; lengths in meters, `near` and `end` are its ends along the quay."""

    near: float
    end: float
    eaves: float
    ridge: float
    kind: str
    front: np.ndarray
    roof: np.ndarray

    @property
    def far(self):
        """How much of the house is lost in the haze."""
        return 0.05 + 0.5 * (1 - scale_at(self.near)) ** 2

    def quad(self, u0, u1, low, high):
        """A rectangle on the front, in fractions of its width and in meters of height."""
        a, b = (self.near + (self.end - self.near) * u for u in (u0, u1))
        return [spot(a, low), spot(b, low), spot(b, high), spot(a, high)]


def gable_outline(house):
    """The front of a house as (fraction of width, meters up): its gable makes the skyline."""
    low, high = house.eaves, house.ridge
    if house.kind == "step":
        treads = [low + (high - low) * i / 4.4 for i in range(1, 6)]
        left = [(0.1 * (i // 2), h) for i, h in enumerate(np.repeat([low, *treads], 2)[1:10])]
        return [(0, 0), *left, *((1 - u, h) for u, h in left[::-1]), (1, 0)]
    if house.kind == "bell":
        left = [
            (0.42 - 0.42 * np.cos(t) ** 1.6, low + (high - low) * t / 1.57)
            for t in np.linspace(0, 1.57, 12)
        ]
        return [(0, 0), *left, (0.5, high + 0.5), *((1 - u, h) for u, h in left[::-1]), (1, 0)]
    if house.kind == "eaves":
        return [(0, 0), (0, low), (1, low), (1, 0)]
    return [(0, 0), (0, low), (0.5, high), (1, low), (1, 0)]


def build_house(rng, scene, house):
    """One house: its side and roof running back from the quay, then the front on top."""
    width = house.end - house.near
    middle = (house.near + house.end) / 2
    depth, far = 9.0, house.far
    pitch = max(1.6, 0.5 * METER * scale_at(house.near))
    side = [
        spot(house.near, 0),
        spot(house.near, house.eaves),
        spot(house.near, house.eaves, depth),
        spot(house.near, 0, depth),
    ]
    scene.fill(side, house.front * COOL * 0.42, far)
    tiles = roof_tiles(house.roof * 0.9, pitch)
    if house.kind == "eaves":
        back = spot(house.near, house.ridge, depth / 2), spot(house.end, house.ridge, depth / 2)
        scene.fill([side[1], back[0], side[2]], house.front * COOL * 0.45, far)
        slope = [
            spot(house.near - 0.2, house.eaves - 0.1, -0.3),
            spot(house.end + 0.2, house.eaves - 0.1, -0.3),
            back[1],
            back[0],
        ]
        scene.fill(slope, roof_tiles(house.roof * 1.15, pitch), far)
    else:
        top = spot(middle, house.ridge - 0.4), spot(middle, house.ridge - 0.4, depth)
        scene.fill([side[1], top[0], top[1], side[2]], tiles, far)
    build_chimney(rng, scene, house, middle)
    outline = [spot(house.near + width * u, h) for u, h in gable_outline(house)]
    sun = rng.uniform(0.35, 0.75)
    wall = lit_wall(
        house.front,
        lambda x: EYE_LINE + EYE * METER * (VANISH - x) / REACH,
        lambda x: house.ridge * METER * (VANISH - x) / REACH,
        sun,
    )
    scene.fill(outline, wall, far)
    if house.kind != "eaves":
        scene.line(
            outline[1:-1], 1.6 * scale_at(middle) + 0.5, mix(house.front, WARM, 0.4) * 0.95, far
        )
    scene.fill(house.quad(0, 0.05, 0, house.eaves), house.front * 0.2, far, 0.45)
    furnish_front(rng, scene, house)


def build_chimney(rng, scene, house, middle):
    """A chimney stack on the ridge, with a lighter pot."""
    place_along, high = middle + rng.uniform(-1, 1), house.ridge + 1.2
    for up0, up1, half, color in (
        (house.ridge - 1.5, high, 0.5, "#5a3c38"),
        (high, high + 0.35, 0.62, "#77534a"),
    ):
        box = [
            spot(place_along - half, up0, 3),
            spot(place_along + half, up0, 3),
            spot(place_along + half, up1, 3),
            spot(place_along - half, up1, 3),
        ]
        scene.fill(box, rgb(color), house.far)


def furnish_front(rng, scene, house):
    """Cornices, windows story by story, a door, and sometimes a shop with an awning."""
    far, scale = house.far, scale_at(house.near)
    stories = max(2, int(house.eaves / 3.1))
    rise = house.eaves / stories
    columns = max(2, round((house.end - house.near) / 2.3))
    for story in range(1, stories + (house.kind == "eaves")):
        level = story * rise
        scene.fill(house.quad(0, 1, level - 0.12, level + 0.10), house.front * 0.78, far, 0.8)
        scene.fill(house.quad(0, 1, level - 0.32, level - 0.12), house.front * 0.25, far, 0.45)
    for story in range(1, stories):
        for column in range(columns):
            u = (column + 0.5) / columns
            build_window(
                rng, scene, house, u, 0.42 / columns, story * rise + 0.75, 0.56 * rise, 0.42
            )
    if house.kind != "eaves" and house.ridge - house.eaves > 2.5:
        build_window(rng, scene, house, 0.5, 0.10, house.eaves + 0.3, 1.5, 0.3)
    door = rng.choice([0.2, 0.8])
    scene.fill(house.quad(door - 0.09, door + 0.09, 0, 2.5), house.front * 0.45, far)
    scene.fill(house.quad(door - 0.07, door + 0.07, 0, 2.2), rgb("#22302f"), far)
    shop = 0.62 if door < 0.5 else 0.38
    build_window(rng, scene, house, shop, 0.44, 0.7, 1.8, 0.75)
    if scale > 0.3 and rng.random() < 0.6:
        awning = palette("#8f2f2a", "#2f4f5f", "#7d6a35")[rng.integers(3)]
        left, right = (house.near + (house.end - house.near) * (shop + d) for d in (-0.25, 0.25))
        scene.fill(
            [spot(left, 2.9), spot(right, 2.9), spot(right, 2.3, -1.3), spot(left, 2.3, -1.3)],
            awning * 0.9,
            far,
        )


def build_window(rng, scene, house, u, breadth, low, height, chance):
    """A framed window with a sill and glazing bars: lit from within, or mirroring the sky."""
    far, half = house.far, breadth / 2
    scene.fill(
        house.quad(u - 1.22 * half, u + 1.22 * half, low - 0.12, low + height + 0.12),
        mix(house.front, rgb("#fff4e0"), 0.35) * 0.62,
        far,
    )
    lit = rng.random() < chance
    pane = window_glow(rng) if lit else mix(rgb("#1e2740"), rgb("#8a7f9c"), 0.45 * rng.random())
    scene.fill(house.quad(u - half, u + half, low, low + height), pane, 0.6 * far)
    if scale_at(house.near) > 0.24:
        bar = house.front * (0.55 if lit else 0.7)
        scene.fill(house.quad(u - 0.07 * half, u + 0.07 * half, low, low + height), bar, far)
        for level in (0.36, 0.70):
            y = low + level * height
            scene.fill(house.quad(u - half, u + half, y - 0.035, y + 0.035), bar, far)
    scene.fill(
        house.quad(u - 1.3 * half, u + 1.3 * half, low - 0.26, low - 0.10),
        mix(house.front, WARM, 0.5) * 0.85,
        far,
    )


def build_row(rng, scene):
    """The houses along the quay, drawn from far to near."""
    houses, along = [], -9.0
    while along < 190:
        width = rng.uniform(5.5, 9.0)
        eaves = rng.uniform(8.5, 12.5)
        kind = rng.choice(["gable", "step", "eaves", "bell"], p=[0.35, 0.25, 0.25, 0.15])
        house = House(
            along,
            along + width,
            eaves,
            eaves + rng.uniform(3.2, 4.8),
            kind,
            FRONTS[rng.integers(len(FRONTS))],
            ROOFS[rng.integers(len(ROOFS))],
        )
        houses.append(house)
        along += width + (rng.random() < 0.12) * 1.5
    for house in houses[::-1]:
        build_house(rng, scene, house)


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


def lay_water(rng, mirror, x, y):
    """Bends the mirrored scene by waves in perspective, and lets the deep water show through."""
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


def build_town(rng, scene):
    """Everything on land, from the far end of the basin to the lamps on the quay."""
    build_far_shore(rng, scene)
    build_wooded_hill(rng, scene)
    build_back_town(rng, scene)
    build_church(scene)
    build_row(rng, scene)
    build_quay(scene)
    furnish_quay(rng, scene)


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


# ---------------------------------------------------------------------------- command line


PICTURES = {
    "harbor": paint_harbor,
    "lily_pond": paint_lily_pond,
    "woodcut_wave": paint_woodcut_wave,
}


def save_jpeg(image, path, budget=480_000):
    """Saves with full color resolution, at the best quality from 92 to 84 within the budget."""
    for quality in range(92, 82, -2):
        image.save(path, quality=quality, subsampling=0, progressive=True)
        if path.stat().st_size <= budget:
            break


def main():
    """Paints the pictures named on the command line, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("configs/images"),
        help="folder for the JPEG files",
    )
    parser.add_argument(
        "--only",
        choices=sorted(PICTURES),
        action="append",
        help="paint only this picture (may be given more than once)",
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or PICTURES:
        start = time.perf_counter()
        path = arguments.out / f"{name}.jpg"
        save_jpeg(to_image(PICTURES[name]()), path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
