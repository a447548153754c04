"""Pictures of a run, with labels, as an animated GIF, as a video or side by side as a strip.

All functions raise InputError for a picture that cannot be read.
"""

import bisect
import contextlib
import errno
import io
import itertools
import math
import shutil
import subprocess
import tempfile
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nst_keras.imaging import images
from nst_keras.imaging.geometry import MIN_SIDE, fit_size, least_longest
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import atomic

Frame = tuple[Path, str]  # the path of a picture, and its label or ""

GIF_BYTES, GIF_SIDE, GIF_FRAMES = 10_000_000, 512, 60  # at most; the side in px
HOLD_MS = 2500  # for the last frame
_THREADS = 4  # prepare frames of a GIF, most of that outside of Python
GOOD_SIZE, GOOD_COUNT = 320, 24  # a large GIF shrinks to this size, then to this many frames

FPS = 30  # of every video: all players support it, and a screen of 60 Hz shows it evenly
VIDEO_SIDE, VIDEO_FRAMES = 1920, 600  # at most; the side in px
PLAY_MS = 8000  # if all frames would take longer, each becomes shorter, down to 1 / FPS
QUALITY = 18  # x264's crf: less is better, and 18 looks like the original
STUCK_SECONDS = 300.0  # allowed for one picture, and for finishing the file

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
SMOOTH = 4  # the plate behind a label is drawn larger by this factor, for smooth corners
GAP = 8  # px between two pictures of a strip
WIDEST = 2.5  # width : height; a wider picture in a strip is shown with less height


def write_gif(path: Path, frames: Sequence[Frame]) -> None:
    """Write an endless GIF of at most GIF_BYTES, atomically.

    Every frame is resized to the shape of the largest, with at most GIF_SIDE px. Of more than
    GIF_FRAMES an even selection is kept, with the first and the last. A GIF that is too large loses
    size and frames until it fits. Labels are in the lower left corner.
    """
    largest = largest_size(frames)
    longest, count = max(MIN_SIDE, min(GIF_SIDE, max(largest))), min(GIF_FRAMES, len(frames))
    pace = default_pace(count)
    while True:
        size = fit_size(largest, longest)
        for tried in sorted({min(6, count), count}):  # a few tell the size of the whole GIF
            data = _encode(evenly(frames, tried), size, pace)
            excess = len(data) * count / tried / GIF_BYTES
            if excess > 1:
                break
        else:
            with atomic(path) as file:
                file.write(data)
            return
        longest, count = _reduced(longest, count, excess)
        if longest < MIN_SIDE:
            raise ValueError(f"{path}: does not fit {GIF_BYTES} bytes even with {MIN_SIDE} px")


def write_mp4(path: Path, frames: Sequence[Frame]) -> None:
    """Write a video (H.264, 30 pictures a second), atomically.

    Frames are read one at a time, and treated as in a GIF, with at most VIDEO_SIDE px and
    VIDEO_FRAMES. H.264 wants even sides, so one row or column may be cut off at the bottom or at
    the right. If there are many frames, they are shown for a shorter time.

    Raises:
        InputError: ffmpeg is not installed.
        OSError: ffmpeg failed; the message is its own.
    """
    frames = evenly(frames, VIDEO_FRAMES)
    ffmpeg = find_ffmpeg("an MP4")
    largest = largest_size(frames)
    size = fit_size(largest, max(least_longest(largest, 2), min(VIDEO_SIDE, max(largest))))
    even = size[0] // 2 * 2, size[1] // 2 * 2
    with atomic(path) as file:
        # The file is only kept open: ffmpeg writes it by its name, since it has to seek in it.
        _run_ffmpeg(_command(ffmpeg, even, file.name), _pictures(frames, size, even), path)


def write_strip(path: Path, frames: Sequence[Frame], height: int = 256) -> None:
    """Write pictures side by side on white as a PNG, atomically.

    Every picture is `height` px high, or less if it is wider than WIDEST times that. Labels are
    centered below; a long one widens the space of its picture, up to `height`, and is then cut off.
    """
    font = _font(height // 14)
    cells = []  # (frame, its size, label, width including the label)
    for frame, label in frames:
        shape = _size(frame)
        shown = min(height * shape[0] / shape[1], height * WIDEST)
        size = max(1, round(shown)), max(1, round(shown * shape[1] / shape[0]))
        text = _shortened(label, font, max(size[0], height))
        cells.append((frame, size, text, max(size[0], math.ceil(font.getlength(text)))))
    row = max(size[1] for _, size, _, _ in cells)
    below = 2 * int(font.size) * any(text for _, _, text, _ in cells)
    total = sum(width for *_, width in cells) + GAP * (len(cells) - 1)
    strip = Image.new("RGB", (total, row + below), "white")
    draw, left = ImageDraw.Draw(strip), 0
    for frame, size, text, width in cells:
        corner = (left + (width - size[0]) // 2, (row - size[1]) // 2)
        strip.paste(load_frame(frame, size), corner)
        at = (left + width / 2, row + 1.35 * font.size)
        draw.text(at, text, fill="#5a564e", font=font, anchor="ms")
        left += width + GAP
    with atomic(path) as file:
        strip.save(file, "PNG")


def find_ffmpeg(needed_for: str = "--mp4") -> str:
    """The path of ffmpeg, found in 0.1 s; raises InputError about `needed_for` if there is none."""
    try:
        import imageio_ffmpeg  # its own `write_frames` notices neither that ffmpeg fails nor hangs
    except ImportError:
        raise InputError(f"{needed_for}: needs pip install '.[video]'") from None
    try:
        path = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:  # installed, but without ffmpeg for this machine
        raise InputError(f"{needed_for}: {one_line(str(error))}") from error
    if not shutil.which(path):  # as IMAGEIO_FFMPEG_EXE names it, which is not checked
        raise InputError(f"{needed_for}: there is no program {path}")
    return path


def largest_size(frames: Sequence[Frame]) -> tuple[int, int]:
    """Width and height of the frame with the most pixels."""
    return max((_size(path) for path, _ in frames), key=math.prod)


def load_frame(path: Path, size: tuple[int, int], label: str = "") -> Image.Image:
    """The picture as RGB of `size` = (width, height), with its label."""
    with images.opened(path) as opened:
        opened.draft("RGB", size)  # a JPEG is decoded at a smaller size, if that is enough
        image = images.in_srgb(opened)
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


def _size(path: Path) -> tuple[int, int]:
    with images.opened(path) as image:  # reads only its header
        return image.size


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(11, size))  # smaller ones cannot be read
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
    font = _font(round(0.036 * min(image.size)))
    em = font.size
    text = _shortened(text, font, image.width - 2 * em)
    if not text:
        return
    width, height = math.ceil(font.getlength(text) + em), round(1.5 * em)
    left, top = round(em / 2), image.height - round(em / 2) - height
    plate = Image.new("L", (width * SMOOTH, height * SMOOTH))  # its opacity, with round corners
    box, radius = (0, 0, plate.width - 1, plate.height - 1), height * SMOOTH * 0.3
    ImageDraw.Draw(plate).rounded_rectangle(box, radius, fill=round(255 * 0.65))
    image.paste("#101010", (left, top), plate.reduce(SMOOTH))
    digits = -font.getbbox("0", anchor="ls")[1]  # not of the text: all labels align
    at = (left + em / 2, top + (height + digits) / 2)
    ImageDraw.Draw(image).text(at, text, fill="white", font=font, anchor="ls")


def _encode(frames: Sequence[Frame], size: tuple[int, int], pace: int) -> bytes:
    def prepared(frame: Frame) -> Image.Image:
        path, label = frame
        return _indexed(load_frame(path, size, label), bool(label))

    with ThreadPoolExecutor(_THREADS) as threads:
        loaded = list(threads.map(prepared, frames))
    buffer, durations = io.BytesIO(), [pace] * (len(loaded) - 1) + [HOLD_MS]
    # Otherwise a comment in the file of the first picture would be copied.
    options = {"append_images": loaded[1:], "duration": durations, "loop": 0, "comment": b""}
    loaded[0].save(buffer, "GIF", save_all=True, **options)
    return buffer.getvalue()


def _indexed(image: Image.Image, has_label: bool) -> Image.Image:
    """Reduce a frame to a palette of 256 colors of its own.

    Without dithering: painted texture hides the bands. The palette is fitted to a sample, which
    looks as good as one fitted to every pixel and takes a tenth of the time. Maximum coverage and
    k-means keep small bright spots, which median cut turns gray. The sample may miss the letters of
    a label, so their shades of gray are added to it.
    """
    width, height = (min(side, 64) for side in image.size)
    sample = image.resize((width, height), Image.Resampling.NEAREST)
    if has_label:
        shades = Image.fromarray(np.linspace(16, 255, 8, dtype=np.uint8)[None])
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


def _pictures(
    frames: Sequence[Frame], size: tuple[int, int], even: tuple[int, int]
) -> Iterator[bytes]:
    """The bytes of each picture of the video: those of a frame several times."""
    times = [min(default_pace(len(frames)), PLAY_MS / len(frames))] * (len(frames) - 1) + [HOLD_MS]
    for (path, label), milliseconds in zip(frames, times, strict=True):
        data = load_frame(path, size, label).crop((0, 0, *even)).tobytes()
        yield from itertools.repeat(data, max(1, round(milliseconds * FPS / 1000)))


def _command(ffmpeg: str, size: tuple[int, int], target: str) -> list[str]:
    filters = (
        "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_inp",
        "format=yuv420p",
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv",
    )
    return [
        *(ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{size[0]}x{size[1]}"),
        *("-framerate", str(FPS), "-i", "pipe:0", "-vf", ",".join(filters)),
        *("-c:v", "libx264", "-preset", "fast", "-crf", str(QUALITY)),
        # Older versions of ffmpeg tag the file by these and not by the last filter.
        *("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"),
        *("-color_range", "tv", "-movflags", "+faststart", "-f", "mp4"),
        f"file:{target}",  # otherwise a name could be taken for an option or a URL
    ]


def _run_ffmpeg(command: list[str], pictures: Iterable[bytes], path: Path) -> None:
    """Run ffmpeg on raw pictures; an error on the way stops it."""
    # Its messages go to a file, which never fills up as a pipe does. In a session of its own it
    # does not receive the Ctrl-C that asks this program to stop in an orderly way.
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            start_new_session=True,
        )
        assert process.stdin
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended early
                for data in pictures:
                    with _killed_when_stuck(process):
                        process.stdin.write(data)
                with _killed_when_stuck(process):
                    process.stdin.close()
                    process.wait()
                if process.returncode == 0:
                    return
            with _killed_when_stuck(process):
                process.wait()
            raise OSError(errno.EIO, _reason(messages, process.returncode), str(path))
        finally:
            process.kill()  # has no effect on a process that has ended
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


@contextlib.contextmanager
def _killed_when_stuck(process: subprocess.Popen) -> Iterator[None]:
    timer = threading.Timer(STUCK_SECONDS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reason(messages: IO[bytes], status: int) -> str:
    """The first line of ffmpeg's messages, which names the cause, and the last, the effect."""
    messages.seek(0)
    lines = messages.read().decode(errors="replace").strip().splitlines()
    shown = dict.fromkeys(one_line(line)[:300] for line in (*lines[:1], *lines[-1:]))
    return f"ffmpeg made no video: {' ... '.join(shown) or f'it ended with status {status}'}"
