#!/usr/bin/env python
"""Paint the sample pictures of this project: `python scripts/paint_samples.py [--out=FOLDER]`.

`harbor.jpg` is the picture to restyle, `lily_pond.jpg` an oil painting made of brush strokes, and
`woodcut_wave.jpg` a five-color woodcut; `harbor_sky.png` and `harbor_boat.png` are masks.
Everything is computed from a fixed seed with NumPy and Pillow, so the samples are free of other
people's rights and can be painted again at any time.
"""

import argparse
import pathlib
import time

from samples.harbor import paint_harbor
from samples.harbor_masks import draw_boat, draw_sky
from samples.lily_pond import paint_lily_pond
from samples.tools import to_image
from samples.woodcut_wave import paint_woodcut_wave

PICTURES = {
    "harbor": paint_harbor,
    "lily_pond": paint_lily_pond,
    "woodcut_wave": paint_woodcut_wave,
}
MASKS = {"harbor_sky": draw_sky, "harbor_boat": draw_boat}


def save_jpeg(image, path, budget=480_000):
    """Save a JPEG with full chroma, at the best quality from 92 to 84 of at most `budget` bytes."""
    for quality in range(92, 82, -2):
        image.save(path, quality=quality, subsampling=0, progressive=True)
        if path.stat().st_size <= budget:
            break


def main():
    """Paint the pictures that --only names, by default all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("configs/images"),
        help="folder for the files",
    )
    parser.add_argument(
        "--only",
        choices=sorted({**PICTURES, **MASKS}),
        action="append",
        help="paint only this picture (may be given more than once)",
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or [*PICTURES, *MASKS]:
        start = time.perf_counter()
        if name in MASKS:
            path = arguments.out / f"{name}.png"
            MASKS[name]().save(path, optimize=True)
        else:
            path = arguments.out / f"{name}.jpg"
            save_jpeg(to_image(PICTURES[name]()), path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
