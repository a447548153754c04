"""Iteration pictures become an MP4, through the ffmpeg that the package imageio-ffmpeg brings."""

import contextlib
import errno
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
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

FPS = 30  # of every video: players are at their best with it, and a screen's 60 Hz show it evenly
PLAY_MS = 8000  # frames get shorter where all would take longer, down to 1 / FPS
STUCK_SECONDS = 300.0  # for one picture, or for the end of the file
REASON = 300  # bytes, from the beginning and from the end of what ffmpeg says


def check_video_extra(flag: str = "--mp4") -> None:
    """Raise InputError unless there is an ffmpeg; takes some 0.1 s, to be done before long work."""
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

    Every frame gets the shape of the largest, at most `longest` px, less a row or column at the
    right and below where a side would be odd: H.264 wants even sides. Of more than `max_frames` an
    even choice is kept, with the first and the last. A frame lasts `frame_ms` (default: as in a
    GIF, but shorter where there are many), to the nearest 1/30 s; the last one `hold_ms`. A label
    stands in its frame's lower left corner. `crf` is x264's quality, less is better: 18 looks
    like the original. Frames are read one at a time.

    Raises InputError when there are no frames, or not one label for each, or no ffmpeg; OSError,
    with what ffmpeg says, when it fails.
    """
    pairs = evenly(labeled(frames, labels, "a video"), max_frames)
    ffmpeg = _find_ffmpeg("an MP4")
    largest = largest_size(frames)
    size = fit_size(largest, max(MIN_SIDE, min(longest, max(largest))))
    pace = frame_ms or min(default_pace(len(pairs)), PLAY_MS / len(pairs))
    repeats = [_pictures(pace)] * (len(pairs) - 1) + [_pictures(hold_ms)]
    with atomic(path) as file:
        # The file is only kept open: ffmpeg writes it by its name, since it has to go back in it.
        command = _command(ffmpeg, _even(size), crf, file.name)
        with _running(command, path) as write:
            for (frame, label), count in zip(pairs, repeats, strict=True):
                data = _raw(frame, size, label)
                for _ in range(count):
                    write(data)
    return Path(path)


def _pictures(milliseconds: float) -> int:
    return max(1, round(milliseconds * FPS / 1000))


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] // 2 * 2, size[1] // 2 * 2


def _raw(frame: Frame, size: tuple[int, int], label: str) -> bytes:
    return load_frame(frame, size, label).crop((0, 0, *_even(size))).tobytes()


def _find_ffmpeg(needed_for: str) -> str:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(f"{needed_for}: needs pip install 'nst_keras[video]'") from None
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:  # installed without a program for this machine
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
        # Older ffmpegs tag the file by these and not by the last filter.
        *("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"),
        *("-color_range", "tv", "-movflags", "+faststart", "-f", "mp4"),
        f"file:{target}",  # or a name could be taken for an option, or for an address
    ]


@contextlib.contextmanager
def _running(command: list[str], path: str | os.PathLike) -> Iterator[Callable[[bytes], None]]:
    """Start ffmpeg; what is written is its input, to which it has to come up. Stop it on errors."""
    # Its messages go to a file, which never fills up as a pipe does. In a session of its own it
    # does not hear the Ctrl-C that asks this program to stop in good order.
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            start_new_session=True,
        )
        assert process.stdin
        pipe, whole = process.stdin, False

        def write(data: bytes) -> None:
            with _stopped_when_stuck(process):
                pipe.write(data)

        try:
            with contextlib.suppress(BrokenPipeError):  # it ended early, and said why
                yield write
                with _stopped_when_stuck(process):
                    pipe.close()
                    process.wait()
                whole = process.returncode == 0
            if not whole:
                raise OSError(errno.EIO, _reason(messages, process.wait()), os.fspath(path))
        finally:
            process.kill()  # nothing happens to one that has ended
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def _stopped_when_stuck(process: subprocess.Popen) -> Iterator[None]:
    timer = threading.Timer(STUCK_SECONDS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reason(messages: IO[bytes], status: int) -> str:
    """Its first line, which tells the cause, and its last, which tells what came of it."""
    end = messages.seek(0, os.SEEK_END)
    messages.seek(0)
    text = messages.read(REASON)
    messages.seek(max(len(text), end - REASON))
    lines = (text + messages.read()).decode(errors="replace").strip().splitlines()
    said = dict.fromkeys(one_line(line) for line in (*lines[:1], *lines[-1:]))
    return f"ffmpeg made no video: {' ... '.join(said) or f'it ended with status {status}'}"
