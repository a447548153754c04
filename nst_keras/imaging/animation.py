"""Pictures of a run as an animated GIF or as a strip, side by side; both with labels."""

import bisect
import contextlib
import io
import math
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nst_keras.imaging import images
from nst_keras.imaging.geometry import MIN_SIDE, fit_size
from nst_keras.imaging.images import to_uint8
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import atomic

# The path of a picture, or RGB (height, width, 3): uint8, or floats in [0, 1].
Frame = str | os.PathLike | np.ndarray

PROBE = 6  # frames that are encoded first, to estimate the size of the whole GIF
SAMPLE = 64  # px a side of the sample that a frame's palette is fitted to
GOOD_SIZE, GOOD_COUNT = 320, 24  # a large GIF shrinks to this size, then to this many frames

SMALLEST_FONT = 11  # px: smaller ones cannot be read
FONT_SHARE = 0.036  # font size of a label, as a share of the frame's shorter side
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
LETTER_SHADES = 8  # of gray, from the plate behind a label to its white letters
SMOOTH = 4  # the plate behind a label is drawn larger by this factor, for smooth corners
WIDEST = 2.5  # width : height; a wider picture in a strip is shown with less height


def write_gif(
    path: str | os.PathLike,
    frames: Sequence[Frame],
    labels: Sequence[str] | None = None,
    *,
    max_bytes: int = 10_000_000,
    longest: int = 512,
    max_frames: int = 60,
    frame_ms: int | None = None,
    hold_ms: int = 2500,
) -> Path:
    """Write `frames` as an endless GIF of at most `max_bytes`, atomically, and return its path.

    Every frame is resized to the shape of the largest, with at most `longest` px and without
    enlarging that one. Of more than `max_frames` an even selection is kept, with the first and the
    last. A frame is shown for `frame_ms` (default: 80 ms, longer if there are few), the last one
    for `hold_ms`. A GIF that is too large loses size and frames until it fits. Labels are in the
    lower left corner.

    Raises:
        InputError: there are no frames, or not one label for each, or `max_bytes` is too small.
    """
    pairs = labeled(frames, labels, "a GIF")
    largest = largest_size(frames)
    longest, count = min(longest, max(largest)), min(max_frames, len(frames))
    pace = frame_ms or default_pace(count)
    while longest >= MIN_SIDE:
        for tried in sorted({min(PROBE, count), count}):
            data = _encode(evenly(pairs, tried), fit_size(largest, longest), pace, hold_ms)
            excess = len(data) * count / tried / max_bytes
            if excess > 1:
                break
        else:
            with atomic(path) as file:
                file.write(data)
            return Path(path)
        longest, count = _reduced(longest, count, excess)
    raise InputError(f"a GIF of at most {max_bytes} bytes is not possible; allow a few kilobytes")


def write_strip(
    path: str | os.PathLike,
    frames: Sequence[Frame],
    labels: Sequence[str] | None = None,
    *,
    height: int = 256,
    gap: int = 8,
) -> Path:
    """Write `frames` side by side on white as a PNG, atomically, and return its path.

    Every picture is `height` px high, or less if it is wider than WIDEST times that, with `gap` px
    between two. Labels are centered below; a long one widens the space of its picture, up to
    `height`, and is then cut off.

    Raises:
        InputError: there are no frames, or not one label for each.
    """
    pairs = labeled(frames, labels, "a strip")
    font = _font(height // 14)
    cells = []  # (frame, its size, label, width including the label)
    for frame, label in pairs:
        size = _size_in_row(_size(frame), height)
        text = _shortened(label, font, max(size[0], height))
        cells.append((frame, size, text, max(size[0], math.ceil(font.getlength(text)))))
    row = max(size[1] for _, size, _, _ in cells)
    below = 2 * int(font.size) * any(text for _, _, text, _ in cells)
    total = sum(width for *_, width in cells) + gap * (len(cells) - 1)
    strip = Image.new("RGB", (total, row + below), "white")
    draw, left = ImageDraw.Draw(strip), 0
    for frame, size, text, width in cells:
        corner = (left + (width - size[0]) // 2, (row - size[1]) // 2)
        strip.paste(load_frame(frame, size), corner)
        at = (left + width / 2, row + 1.35 * font.size)
        draw.text(at, text, fill="#5a564e", font=font, anchor="ms")
        left += width + gap
    with atomic(path) as file:
        strip.save(file, "PNG")
    return Path(path)


def labeled(
    frames: Sequence[Frame], labels: Sequence[str] | None, what: str
) -> list[tuple[Frame, str]]:
    """Pairs of frame and label, which is "" if there are no labels.

    Raises:
        InputError: there are no frames, or not one label for each; names `what` is to be made.
    """
    if not len(frames):
        raise InputError(f"{what} needs at least one picture")
    labels = [""] * len(frames) if labels is None else labels
    if len(labels) != len(frames):
        raise InputError(f"{what} of {len(frames)} pictures cannot have {len(labels)} labels")
    return list(zip(frames, labels, strict=True))


def largest_size(frames: Sequence[Frame]) -> tuple[int, int]:
    """Width and height of the frame with the most pixels; of files only the headers are read."""
    return max((_size(frame) for frame in frames), key=lambda size: size[0] * size[1])


def load_frame(frame: Frame, size: tuple[int, int], label: str = "") -> Image.Image:
    """The frame as RGB of `size` = (width, height), with its label."""
    if isinstance(frame, np.ndarray):
        image = Image.fromarray(frame if frame.dtype == np.uint8 else to_uint8(frame))
    else:
        with _opened(frame) as opened:
            opened.draft("RGB", size)  # a JPEG is decoded at a smaller size, if that is enough
            image = opened.convert("RGB")
    image = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
    _draw_label(image, label)
    return image


def default_pace(count: int) -> int:
    """Milliseconds for each of `count` frames: about 2.4 s in all, within 80 and 400 ms each."""
    return min(400, max(80, 2400 // count // 10 * 10))


def one_line(text: str) -> str:
    """The text with each run of white space and unprintable characters as one space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def evenly(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread, including the first and the last."""
    count = min(most, len(items))
    return [items[round(i * (len(items) - 1) / max(1, count - 1))] for i in range(count)]


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Image.Image]:
    """Open a picture file; raise InputError if it cannot be read, also by the block."""
    try:
        with images.opened(path) as image:
            yield image
    except Exception as error:  # on damaged bytes decoders raise nearly every type there is
        raise InputError(f"{os.fspath(path)}: cannot be read as a picture: {error}") from error


def _size(frame: Frame) -> tuple[int, int]:
    if isinstance(frame, np.ndarray):
        return frame.shape[1], frame.shape[0]
    with _opened(frame) as image:
        return image.size


def _size_in_row(size: tuple[int, int], height: int) -> tuple[int, int]:
    width = min(height * size[0] / size[1], height * WIDEST)
    return max(1, round(width)), max(1, round(width * size[1] / size[0]))


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(SMALLEST_FONT, size))
    assert isinstance(font, ImageFont.FreeTypeFont)  # it always is when a size is given
    return font


def _shortened(text: str, font: ImageFont.FreeTypeFont, most: float) -> str:
    """`text` as one line of at most `most` px, with an ellipsis for what does not fit.

    Accents are dropped, since Pillow's font has none; letters other than Latin appear as boxes.
    """
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = one_line(text)
    if font.getlength(text) <= most:
        return text
    lengths = range(1, len(text))
    fits = bisect.bisect(lengths, most, key=lambda n: font.getlength(text[:n] + ELLIPSIS))
    return text[:fits].rstrip() + ELLIPSIS if fits else ""


def _draw_label(image: Image.Image, text: str) -> None:
    """Write `text` into the lower left corner, white on a dark plate, if it fits at all."""
    font = _font(round(FONT_SHARE * min(image.size)))
    em = font.size
    text = _shortened(text, font, image.width - 2 * em)
    if not text:
        return
    width, height = math.ceil(font.getlength(text) + em), round(1.5 * em)
    left, top = round(em / 2), image.height - round(em / 2) - height
    image.paste("#101010", (left, top), _plate(width, height))
    digits = -font.getbbox("0", anchor="ls")[1]  # not of the text: all labels align
    at = (left + em / 2, top + (height + digits) / 2)
    ImageDraw.Draw(image).text(at, text, fill="white", font=font, anchor="ls")


def _plate(width: int, height: int) -> Image.Image:
    """The opacity of a plate with round corners, as a mask of this size."""
    plate = Image.new("L", (width * SMOOTH, height * SMOOTH))
    radius = height * SMOOTH * 0.3
    box = (0, 0, plate.width - 1, plate.height - 1)
    ImageDraw.Draw(plate).rounded_rectangle(box, radius, fill=round(255 * 0.65))
    return plate.reduce(SMOOTH)


def _encode(
    pairs: Sequence[tuple[Frame, str]], size: tuple[int, int], pace: int, hold: int
) -> bytes:
    first, *others = [
        _indexed(load_frame(frame, size, label), bool(label)) for frame, label in pairs
    ]
    buffer = io.BytesIO()
    timing = {"duration": [pace] * len(others) + [hold], "loop": 0}
    # Otherwise a comment in the file of the first picture would be copied.
    first.save(buffer, "GIF", save_all=True, append_images=others, comment=b"", **timing)
    return buffer.getvalue()


def _indexed(image: Image.Image, has_label: bool) -> Image.Image:
    """Reduce a frame to a palette of 256 colors of its own.

    Without dithering: painted texture hides the bands. The palette is fitted to a sample, which
    looks as good as one fitted to every pixel and takes a tenth of the time. Maximum coverage and
    k-means keep small bright spots, which median cut turns gray. The sample may miss the letters of
    a label, so their shades of gray are added to it.
    """
    width, height = (min(side, SAMPLE) for side in image.size)
    sample = image.resize((width, height), Image.Resampling.NEAREST)
    if has_label:
        shades = Image.fromarray(np.linspace(16, 255, LETTER_SHADES, dtype=np.uint8)[None])
        sample.paste(shades.resize((width, 1), Image.Resampling.NEAREST), (0, height - 1))
    palette = sample.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def _reduced(longest: int, count: int, excess: float) -> tuple[int, int]:
    """The longest side and the number of frames to try after a GIF `excess` times too large."""
    shrunk = int(longest * min(0.95, 0.97 * excess**-0.5))
    if longest > GOOD_SIZE:
        return max(GOOD_SIZE, shrunk), count
    if count > GOOD_COUNT:
        return longest, max(GOOD_COUNT, int(count * min(0.95, 0.97 / excess)))
    return shrunk, count
