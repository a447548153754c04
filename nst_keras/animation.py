"""Iteration pictures become an animated GIF, or a strip: pictures in a row."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nst_keras.errors import InputError
from nst_keras.files import atomic
from nst_keras.images import MIN_SIDE, fit_size, to_uint8

Frame = str | os.PathLike | np.ndarray  # a picture's path, or RGB HWC: uint8, or float in [0, 1]

PROBE = 6  # frames that tell what all of them will need
SAMPLE = 64  # px, both sides of the sample that a frame's palette is fitted to
GOOD_SIZE, GOOD_COUNT = 320, 24  # a large GIF shrinks to that size, then to that many frames


def write_gif(
    path: str | os.PathLike,
    frames: Sequence[Frame],
    *,
    max_bytes: int = 10_000_000,
    longest: int = 512,
    max_frames: int = 60,
    frame_ms: int | None = None,
    hold_ms: int = 2500,
) -> Path:
    """Write `frames` as an endless GIF of at most `max_bytes`, atomically, and return its path.

    Every frame gets the shape of the largest, at most `longest` px and never enlarged beyond the
    largest. Of more than `max_frames` an even choice is kept, with the first and the last. A frame
    lasts `frame_ms` (default: 80 ms, longer where there are few), the last one `hold_ms`. A GIF
    too large loses size and frames until it fits.

    Raises InputError when there are no frames, or `max_bytes` is too small for any GIF.
    """
    if not len(frames):
        raise InputError("a GIF needs at least one frame; received none")
    largest = max((_size(frame) for frame in frames), key=lambda size: size[0] * size[1])
    longest, count = min(longest, max(largest)), min(max_frames, len(frames))
    pace = frame_ms or min(400, max(80, 2400 // count // 10 * 10))
    while longest >= MIN_SIDE:
        for tried in sorted({min(PROBE, count), count}):
            data = _encode(evenly(frames, tried), fit_size(largest, longest), pace, hold_ms)
            excess = len(data) * count / tried / max_bytes
            if excess > 1:
                break
        else:
            with atomic(path) as file:
                file.write(data)
            return Path(path)
        longest, count = _reduced(longest, count, excess)
    raise InputError(f"a GIF of at most {max_bytes} bytes is not possible; allow some kilobytes")


def write_strip(
    path: str | os.PathLike,
    frames: Sequence[Frame],
    labels: Sequence[str] | None = None,
    *,
    height: int = 256,
    gap: int = 8,
) -> Path:
    """Write `frames` side by side on white as a PNG, atomically, and return its path.

    Every picture is `height` px high, with `gap` px between two; a label stands centred below its
    picture. Raises InputError when there are no frames, or not one label for each.
    """
    labels = [""] * len(frames) if labels is None else labels
    if not len(frames) or len(labels) != len(frames):
        raise InputError(f"a strip of {len(frames)} pictures cannot have {len(labels)} labels")
    sizes = [(max(1, round(w * height / h)), height) for w, h in map(_size, frames)]
    font_size = max(11, height // 14)
    width = sum(w for w, _ in sizes) + gap * (len(sizes) - 1)
    strip = Image.new("RGB", (width, height + 2 * font_size * any(labels)), "white")
    left = 0
    for frame, label, size in zip(frames, labels, sizes, strict=True):
        strip.paste(_load(frame, size), (left, 0))
        _label(strip, label, left + size[0] / 2, size, font_size)
        left += size[0] + gap
    with atomic(path) as file:
        strip.save(file, "PNG", optimize=True)
    return Path(path)


def _label(image: Image.Image, text: str, x: float, size: tuple[int, int], font_size: int) -> None:
    """Write `text` below a picture of `size`, in smaller letters where the picture is narrow."""
    while (font := ImageFont.load_default(font_size)).getlength(text) > size[0] and font_size > 6:
        font_size -= 1
    at = (x, size[1] + font_size / 2)
    ImageDraw.Draw(image).text(at, text, fill="#5a564e", font=font, anchor="mt")


def _size(frame: Frame) -> tuple[int, int]:
    if isinstance(frame, np.ndarray):
        return frame.shape[1], frame.shape[0]
    with Image.open(frame) as image:
        return image.size


def _load(frame: Frame, size: tuple[int, int]) -> Image.Image:
    if isinstance(frame, np.ndarray):
        image = Image.fromarray(frame if frame.dtype == np.uint8 else to_uint8(frame))
    else:
        with Image.open(frame) as opened:
            opened.draft("RGB", size)  # lets the JPEG decoder skip what a smaller size drops
            image = opened.convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def evenly(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread, the first and the last among them."""
    count = min(most, len(items))
    return [items[round(i * (len(items) - 1) / max(1, count - 1))] for i in range(count)]


def _encode(frames: Sequence[Frame], size: tuple[int, int], pace: int, hold: int) -> bytes:
    first, *others = [_indexed(_load(frame, size)) for frame in frames]
    buffer = io.BytesIO()
    timing = {"duration": [pace] * len(others) + [hold], "loop": 0}
    # A comment in the first picture's file is not the animation's.
    first.save(buffer, "GIF", save_all=True, append_images=others, comment=b"", **timing)
    return buffer.getvalue()


def _indexed(image: Image.Image) -> Image.Image:
    """256 colours of the frame's own. Painted texture hides the bands that dithering is for.

    The palette is fitted to a sample: as good to the eye as one fitted to every pixel, ten times
    faster. Maximum coverage and k-means keep the small bright spots that median cut greys.
    """
    width, height = (min(side, SAMPLE) for side in image.size)
    sample = image.resize((width, height), Image.Resampling.NEAREST)
    palette = sample.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def _reduced(longest: int, count: int, excess: float) -> tuple[int, int]:
    """The longest side and number of frames to try next, after a GIF `excess` times too large."""
    shrunk = int(longest * min(0.95, 0.97 * excess**-0.5))
    if longest > GOOD_SIZE:
        return max(GOOD_SIZE, shrunk), count
    if count > GOOD_COUNT:
        return longest, max(GOOD_COUNT, int(count * min(0.95, 0.97 / excess)))
    return shrunk, count
