"""Sheets: a photo and a painting, and below them the results of two candidates, side by side.

Neither the picture nor its name tells which candidate is on which side. The key is in a file of its
own, outside of the folder that judges see.
"""

import csv
import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

from .pictures import Pair, picture_path

_SIDE = 512  # longest side of a result in pixels
_REFERENCE = 320  # of the photo and the painting
_GAP, _CAPTION = 12, 16

INSTRUCTIONS = """Each sheet shows a photo and a painting at the top. Below are two results, LEFT
and RIGHT, that paint the photo in the style of the painting. Look at every sheet at full size and
answer three questions, each with L or R; there is no tie.

overall: Which would you rather have, as this photo painted in the style of this painting?
style: Which one looks more as if the painter of the painting had made it (strokes, colors, forms)?
content: Which one keeps the scene of the photo better (things, faces, outlines)?

Judge each sheet by itself. Write one line for each sheet into a CSV file:
sheet,overall,style,content
"""


class Sheet(NamedTuple):
    """One row of the key: what a sheet shows."""

    judge: str
    sheet: str
    pair: str
    left: str
    right: str


def make_sheets(
    folder: Path,
    pairs: Sequence[Pair],
    comparisons: Sequence[tuple[str, str]],
    judges: int,
    seed: int,
) -> list[Sheet]:
    """Draw sheets for each judge, in an order and with sides of its own, and write the key."""
    key = []
    for number in range(1, judges + 1):
        draw = random.Random(f"{seed} {number}")
        planned = list(itertools.product(pairs, comparisons))
        draw.shuffle(planned)
        own = folder / "sheets" / f"judge_{number}"
        own.mkdir(parents=True, exist_ok=True)
        (own / "instructions.txt").write_text(INSTRUCTIONS, encoding="utf-8")
        for index, (pair, both) in enumerate(planned, start=1):
            left, right = draw.sample(both, 2)
            name = f"sheet_{index:03d}"
            results = [picture_path(folder, one, pair.name) for one in (left, right)]
            draw_sheet([pair.content, pair.style], results).save(own / f"{name}.png")
            key.append(Sheet(own.name, name, pair.name, left, right))
    write_key(folder / "key.csv", key)
    return key


def write_key(path: Path, key: Sequence[Sheet]) -> None:
    """Write what each sheet shows."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([Sheet._fields, *key])


def read_key(path: Path) -> list[Sheet]:
    """What each sheet shows."""
    with open(path, encoding="utf-8", newline="") as file:
        return [Sheet(**row) for row in csv.DictReader(file)]


def draw_sheet(references: Sequence[Path], results: Sequence[Path]) -> Image.Image:
    """The photo and the painting above the two results."""
    above = [_fitted(path, _REFERENCE) for path in references]
    below = [_fitted(path, _SIDE) for path in results]
    middle = max(image.height for image in above) + _CAPTION + _GAP
    height = middle + _CAPTION + max(image.height for image in below)
    sheet = Image.new("RGB", (2 * _SIDE + _GAP, height), "white")
    captions = ("photo", "painting"), ("LEFT", "RIGHT")
    for top, images, names in ((0, above, captions[0]), (middle, below, captions[1])):
        for index, (image, name) in enumerate(zip(images, names, strict=True)):
            left = index * (_SIDE + _GAP)
            ImageDraw.Draw(sheet).text((left, top), name, fill="black")
            sheet.paste(image, (left, top + _CAPTION))
    return sheet


def _fitted(path: Path, longest: int) -> Image.Image:
    with Image.open(path) as image:
        factor = longest / max(image.size)
        size = tuple(max(1, round(side * factor)) for side in image.size)
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
