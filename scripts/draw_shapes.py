#!/usr/bin/env python
"""Draw a labeled set of small pictures: `python scripts/draw_shapes.py --out=shapes`.

It has ten classes of shapes and textures, as PNG files with a `labels.csv` of `path,label`; colors,
sizes, positions, light and noise are random. A backbone can be trained on it without a download.
The same arguments give the same bytes, with the same versions of NumPy and Pillow.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

FINE = 4  # drawn so many times larger and then reduced, for smooth edges


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--count", type=int, default=4000, help="number of pictures (4000)")
    parser.add_argument("--size", type=int, default=64, help="side in pixels (64)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (0)")
    arguments = parser.parse_args()
    if arguments.count < 1 or not 16 <= arguments.size <= 1024:
        parser.error("--count must be at least 1 and --size from 16 to 1024")
    draw_set(arguments.out, arguments.count, arguments.size, arguments.seed)
    print(arguments.out / "labels.csv")
    return 0


def draw_set(folder: Path, count: int, size: int, seed: int) -> None:
    """Write `count` pictures of `size` pixels a side, of all classes in turn, and labels.csv."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        label = list(CLASSES)[number % len(CLASSES)]
        path = f"images/{number:05}.png"
        draw_picture(label, size, np.random.default_rng([seed, number])).save(folder / path)
        rows.append((path, label))
    with open(folder / "labels.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "label"), *rows])


def draw_picture(label: str, size: int, rng: np.random.Generator) -> Image.Image:
    """A picture of a class: its shape in one color on another, with light, grain and noise."""
    fine = size * FINE
    mask = CLASSES[label](fine, rng)[..., None]
    back, front = two_colors(rng)
    grain = 0.12 * rng.random() * (smooth_noise(fine, 3 + rng.integers(6), rng)[..., None] - 0.5)
    picture = back * (1 - mask) + front * mask + grain
    picture = picture * light(fine, rng)[..., None]
    image = Image.fromarray(np.uint8(np.clip(picture, 0, 1) * 255))
    small = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS), float) / 255
    small = small + rng.normal(0, 0.005 + 0.025 * rng.random(), small.shape)
    return Image.fromarray(np.uint8(np.clip(small, 0, 1) * 255))


def two_colors(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two RGB colors in [0, 1] whose lightness differs enough to see the shape."""
    weights = np.array([0.3, 0.59, 0.11])
    while True:
        first, second = rng.random(3), rng.random(3)
        if abs((first - second) @ weights) > 0.25:
            return first, second


def light(size: int, rng: np.random.Generator) -> np.ndarray:
    """Brightness across the picture, (size, size): a gradient of up to 30 % around 1."""
    x, y = grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    return 1 + rng.uniform(0, 0.3) * (np.cos(angle) * x + np.sin(angle) * y)


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x and y in [-1, 1], (size, size) each."""
    side = np.linspace(-1, 1, size)
    return np.meshgrid(side, side)


def rotated(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates as those of `grid`, rotated by a random angle and shifted."""
    x, y = grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    x, y = x - rng.uniform(-1, 1), y - rng.uniform(-1, 1)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise in [0, 1], (size, size), with `cells` random values a side."""
    coarse = Image.fromarray(np.uint8(255 * rng.random((cells, cells))))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), float) / 255


def corners(count: int, inner: float, size: int, rng: np.random.Generator) -> list[tuple]:
    """Corners in pixels of a star, or of a polygon if `inner` is 1, at a random position."""
    radius = rng.uniform(0.22, 0.4)
    center = rng.uniform(radius, 1 - radius, 2)
    turn = rng.uniform(0, 2 * np.pi)
    steps = count if inner == 1 else 2 * count
    points = []
    for step in range(steps):
        angle = turn + 2 * np.pi * step / steps
        reach = radius * (inner if step % 2 and inner != 1 else 1)
        points.append(tuple(size * (center + reach * np.array([np.cos(angle), np.sin(angle)]))))
    return points


def filled(size: int, points: list[tuple]) -> np.ndarray:
    """A polygon as a mask of 0 and 1, (size, size)."""
    image = Image.new("L", (size, size))
    ImageDraw.Draw(image).polygon(points, fill=255)
    return np.asarray(image, float) / 255


def disc(size: int, rng: np.random.Generator) -> np.ndarray:
    return filled(size, corners(48, 1, size, rng))


def ring(size: int, rng: np.random.Generator) -> np.ndarray:
    outer = np.array(corners(48, 1, size, rng))
    center = outer.mean(axis=0)
    inner = center + rng.uniform(0.45, 0.7) * (outer - center)
    return filled(size, list(map(tuple, outer))) - filled(size, list(map(tuple, inner)))


def triangle(size: int, rng: np.random.Generator) -> np.ndarray:
    return filled(size, corners(3, 1, size, rng))


def square(size: int, rng: np.random.Generator) -> np.ndarray:
    return filled(size, corners(4, 1, size, rng))


def star(size: int, rng: np.random.Generator) -> np.ndarray:
    return filled(size, corners(5, rng.uniform(0.38, 0.5), size, rng))


def stripes(size: int, rng: np.random.Generator) -> np.ndarray:
    x, _ = rotated(size, rng)
    return (np.sin(x * rng.uniform(8, 22)) > rng.uniform(-0.4, 0.4)).astype(float)


def checks(size: int, rng: np.random.Generator) -> np.ndarray:
    x, y = rotated(size, rng)
    pace = rng.uniform(6, 14)
    return (np.sin(x * pace) * np.sin(y * pace) > 0).astype(float)


def dots(size: int, rng: np.random.Generator) -> np.ndarray:
    x, y = rotated(size, rng)
    pace = rng.uniform(8, 18)
    return (np.cos(x * pace) + np.cos(y * pace) > rng.uniform(0.5, 1.1)).astype(float)


def waves(size: int, rng: np.random.Generator) -> np.ndarray:
    """Wavy stripes."""
    x, y = rotated(size, rng)
    swing = rng.uniform(0.1, 0.25) * np.sin(y * rng.uniform(6, 12))
    return (np.sin((x + swing) * rng.uniform(12, 22)) > 0).astype(float)


def blotches(size: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise, split at its median."""
    noise = smooth_noise(size, int(rng.integers(5, 12)), rng)
    return (noise > np.median(noise)).astype(float)


CLASSES = {
    drawn.__name__: drawn
    for drawn in (
        *(disc, ring, triangle, square, star),
        *(stripes, checks, dots, waves, blotches),
    )
}

if __name__ == "__main__":
    sys.exit(main())
