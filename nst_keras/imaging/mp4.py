"""Pictures of a run as an MP4, through the ffmpeg that the package imageio-ffmpeg contains.

The package can run it, too (`write_frames`), but does not notice that it fails or is stuck, and
leaves what it says to the terminal.
"""

import contextlib
import errno
import itertools
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from nst_keras.imaging.animation import (
    HOLD_MS,
    Frame,
    default_pace,
    evenly,
    largest_size,
    load_frame,
    one_line,
)
from nst_keras.imaging.geometry import MIN_SIDE, fit_size
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import atomic

FPS = 30  # of every video: all players support it, and a screen of 60 Hz shows it evenly
LONGEST, MAX_FRAMES = 1920, 600  # px, and frames of the run
PLAY_MS = 8000  # if all frames would take longer, each becomes shorter, down to 1 / FPS
QUALITY = 18  # x264's crf: less is better, and 18 looks like the original
STUCK_SECONDS = 300.0  # allowed for one picture, and for finishing the file


def write_mp4(path: Path, frames: Sequence[Frame]) -> None:
    """Write a video (H.264, 30 pictures a second), atomically.

    Frames are read one at a time, resized as for a GIF, but with at most LONGEST px. H.264 wants
    even sides, so one row or column may be cut off at the bottom or at the right. Of more than
    MAX_FRAMES an even selection is kept, with the first and the last. A frame is shown as long as
    in a GIF, but shorter if there are many. Labels are in the lower left corner.

    Raises:
        InputError: a picture cannot be read, or ffmpeg is not installed.
        OSError: ffmpeg failed; the message is its own.
    """
    frames = evenly(frames, MAX_FRAMES)
    ffmpeg = find_ffmpeg("an MP4")
    largest = largest_size(frames)
    size = fit_size(largest, max(MIN_SIDE, min(LONGEST, max(largest))))
    even = size[0] // 2 * 2, size[1] // 2 * 2
    with atomic(path) as file:
        # The file is only kept open: ffmpeg writes it by its name, since it has to seek in it.
        _encode(_command(ffmpeg, even, file.name), _pictures(frames, size, even), path)


def find_ffmpeg(needed_for: str = "--mp4") -> str:
    """The path of ffmpeg; takes about 0.1 s. To call before long work.

    Raises:
        InputError: it is not installed; `needed_for` begins the message.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(f"{needed_for}: needs pip install '.[video]'") from None
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:  # installed, but without ffmpeg for this machine
        raise InputError(f"{needed_for}: {one_line(str(error))}") from error


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


def _encode(command: list[str], pictures: Iterable[bytes], path: Path) -> None:
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
