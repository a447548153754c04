"""Woodcuts: lines that follow a field of directions, plates, and prints from them."""

import numpy as np
from PIL import Image, ImageDraw

from .tools import HEIGHT, WIDTH, blur, coordinates, mix, noise, palette, resize, smoothstep

PAPER, OCHER, VERMILION, PRUSSIAN, INDIGO = palette(
    "#efe4c9", "#d9a441", "#cf4526", "#2f6690", "#14213f"
)
CUT = 3  # plates are cut at this many times the final size


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
    """Walk from `start` along the field until it meets something blocked."""
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
    """Draw one line whose width (in pixels) varies along it, as a single polygon."""
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
        """Fill a polygon."""
        self.draw.polygon([(x * CUT, y * CUT) for x, y in outline], fill=value)

    def line(self, line, widths, value=255):
        """Draw a line of varying width."""
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
        """Print a mask: thinner where the paper is rough, darker where ink piles at the edges."""
        shape = mask.shape
        speck = noise(self.rng, shape, 3, 2) + 0.7 * noise(self.rng, shape, 40, 3)
        film = 1 - 0.75 * smoothstep(2.1 - starved, 3.6 - starved, speck)
        rim = np.clip(mask - blur(mask, 4), 0, 1)
        tone = 1 + 0.03 * noise(self.rng, shape, 60, 4, 3) - 0.12 * rim
        self.sheet = mix(self.sheet, color * tone[..., None], mask * film * 0.97)

    def finish(self):
        """The pulled print."""
        return self.sheet + 0.004 * self.rng.standard_normal((HEIGHT, WIDTH, 1))
