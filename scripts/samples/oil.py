"""Wet oil paint: brushes, their strokes, and the canvas."""

import dataclasses

import numpy as np

from .tools import HEIGHT, WIDTH, coordinates, noise, smoothstep


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
        """Paint one stroke: a bent, tapered band whose bristles run along it and run dry."""
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
        """Lay one stroke with its middle at (x, y), streaked from `color` to `second`."""
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
