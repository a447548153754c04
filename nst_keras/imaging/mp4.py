"""Pictures of a run as an MP4, through the ffmpeg that the package imageio-ffmpeg contains.

The package can run it, too (`write_frames`), but does not notice that it fails or is stuck, and
leaves what it says to the terminal.
"""

import contextlib
import errno
import itertools
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from nst_keras.imaging.animation import (
    Frame,
    default_pace,
    evenly,
    labeled,
    largest_size,
    load_frame,
    one_line,
)
from nst_keras.imaging.geometry import MIN_SIDE, fit_size
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import atomic

FPS = 30  # of every video: all players support it, and a screen of 60 Hz shows it evenly
PLAY_MS = 8000  # if all frames would take longer, each becomes shorter, down to 1 / FPS
STUCK_SECONDS = 300.0  # allowed for one picture, and for finishing the file
REASON = 300  # bytes from the start and from the end of ffmpeg's messages


def check_video_extra(flag: str = "--mp4") -> None:
    """Raise InputError unless ffmpeg is installed; takes about 0.1 s. To call before long work."""
    _find_ffmpeg(flag)


def write_mp4(
    path: str | os.PathLike,
    frames: Sequence[Frame],
    labels: Sequence[str] | None = None,
    *,
    longest: int = 1920,
    max_frames: int = 600,
    frame_ms: int | None = None,
    hold_ms: int = 2500,
    crf: int = 18,
) -> Path:
    """Write `frames` as a video (H.264, 30 pictures a second), atomically, and return its path.

    Frames are read one at a time. Every frame is resized to the shape of the largest, with at most
    `longest` px; H.264 wants even sides, so one row or column may be cut off at the bottom or at
    the right. Of more than `max_frames` an even selection is kept, with the first and the last. A
    frame is shown for `frame_ms`, to the nearest 1/30 s (default: as in a GIF, but shorter if there
    are many), the last one for `hold_ms`. Labels are in the lower left corner. `crf` is x264's
    quality; less is better, and 18 looks like the original.

    Raises:
        InputError: there are no frames, or not one label for each, or ffmpeg is not installed.
        OSError: ffmpeg failed; the message is its own.
    """
    pairs = evenly(labeled(frames, labels, "a video"), max_frames)
    ffmpeg = _find_ffmpeg("an MP4")
    largest = largest_size(frames)
    size = fit_size(largest, max(MIN_SIDE, min(longest, max(largest))))
    pace = frame_ms or min(default_pace(len(pairs)), PLAY_MS / len(pairs))
    repeats = [_picture_count(pace)] * (len(pairs) - 1) + [_picture_count(hold_ms)]
    pictures = (
        data
        for (frame, label), count in zip(pairs, repeats, strict=True)
        for data in itertools.repeat(_raw(frame, size, label), count)
    )
    with atomic(path) as file:
        # The file is only kept open: ffmpeg writes it by its name, since it has to seek in it.
        _encode(_command(ffmpeg, _even(size), crf, file.name), pictures, path)
    return Path(path)


def _picture_count(milliseconds: float) -> int:
    return max(1, round(milliseconds * FPS / 1000))


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] // 2 * 2, size[1] // 2 * 2


def _raw(frame: Frame, size: tuple[int, int], label: str) -> bytes:
    return load_frame(frame, size, label).crop((0, 0, *_even(size))).tobytes()


def _find_ffmpeg(needed_for: str) -> str:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(f"{needed_for}: needs pip install '.[video]'") from None
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:  # installed, but without ffmpeg for this machine
        raise InputError(f"{needed_for}: {one_line(str(error))}") from error


def _command(ffmpeg: str, size: tuple[int, int], crf: int, target: str) -> list[str]:
    filters = (
        "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_inp",
        "format=yuv420p",
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv",
    )
    return [
        *(ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{size[0]}x{size[1]}"),
        *("-framerate", str(FPS), "-i", "pipe:0", "-vf", ",".join(filters)),
        *("-c:v", "libx264", "-preset", "fast", "-crf", str(crf)),
        # Older versions of ffmpeg tag the file by these and not by the last filter.
        *("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"),
        *("-color_range", "tv", "-movflags", "+faststart", "-f", "mp4"),
        f"file:{target}",  # otherwise a name could be taken for an option or a URL
    ]


def _encode(command: list[str], pictures: Iterable[bytes], path: str | os.PathLike) -> None:
    """Run ffmpeg on raw pictures; an error on the way stops it.

    Raises:
        OSError: it failed, or was killed because it was stuck.
    """
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
            raise OSError(errno.EIO, _reason(messages, process.returncode), os.fspath(path))
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
    end = messages.seek(0, os.SEEK_END)
    messages.seek(0)
    text = messages.read(REASON)
    messages.seek(max(len(text), end - REASON))
    lines = (text + messages.read()).decode(errors="replace").strip().splitlines()
    shown = dict.fromkeys(one_line(line) for line in (*lines[:1], *lines[-1:]))
    return f"ffmpeg made no video: {' ... '.join(shown) or f'it ended with status {status}'}"
