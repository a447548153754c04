"""What is made of a finished run beside its result: strips, animations and a proof."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from nst_keras.imaging import animation, proof
from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config

_log = logging.getLogger(__name__)

_ROW_HEIGHT = 384  # px, of content, styles and result side by side


def write_strips(folder: RunFolder, config: Config, height: int) -> None:
    """Write the pictures of --image_at in a row; and content, styles and result, of `height` px, in
    a row."""
    steps = [step for step in sorted(set(config.image_at)) if folder.iteration(step).exists()]
    if steps:
        with _optional(folder.strip, InputError):
            frames = [(folder.iteration(step), f"{step:,}") for step in steps]
            animation.write_strip(folder.strip, frames)
    styles = [(folder.style(n), "style") for n in range(1, len(config.style_pictures) + 1)]
    pictures = [(folder.content, "content"), *styles, (folder.result, "result")]
    with _optional(folder.side_by_side, InputError):
        animation.write_strip(folder.side_by_side, pictures, min(_ROW_HEIGHT, height))


def write_gif(folder: RunFolder, config: Config) -> None:
    """Write the iteration images as a GIF, if it is asked for and not there yet."""
    frames = _frames(folder, config)
    if config.gif and len(frames) > 1 and not folder.gif.exists():
        with _optional(folder.gif, InputError):
            animation.write_gif(folder.gif, frames)


def write_video(folder: RunFolder, config: Config) -> None:
    """Write the iteration images as an MP4, if it is asked for and not there yet."""
    if not config.mp4 or folder.mp4.exists():
        return
    frames = _frames(folder, config)
    if len(frames) < 2:
        _log.warning(
            "--mp4: a video needs at least two iteration images; use a smaller --image_every"
        )
        return
    with _optional(folder.mp4, InputError, OSError):
        animation.write_mp4(folder.mp4, frames)


def _frames(folder: RunFolder, config: Config) -> list[animation.Frame]:
    """The iteration images, in order, with the labels that they have in animations."""
    found = folder.existing_iterations()
    return [(path, f"{step:,}" if config.frame_labels else "") for step, path in found]


def write_proof(folder: RunFolder, config: Config) -> None:
    """Write the result as it would print, if that is asked for."""
    if config.proof:
        with _optional(folder.proof, InputError):
            proof.write_proof(folder.proof, folder.result, config.proof)


def complete(folder: RunFolder, config: Config) -> None:
    """Add to a finished run what is missing because it was killed at its end, and animations that
    were not asked for before; warn if the folder cannot be written to."""
    with _optional(folder.path, InputError, OSError):
        _complete(folder, config)


def _complete(folder: RunFolder, config: Config) -> None:
    if config.proof:
        with files.held(folder.path):
            write_proof(folder, config)
            gallery.write_page(folder)
    missing = (config.mp4 and not folder.mp4.exists()) or (config.gif and not folder.gif.exists())
    wanted = missing and len(folder.existing_iterations()) > 1
    if wanted or not _is_complete(folder):
        with files.held(folder.path):
            write_gif(folder, config)
            write_video(folder, config)
            gallery.write_page(folder)


def _is_complete(folder: RunFolder) -> bool:
    """Whether a finished run also finished its last writes, and was not killed before."""
    if files.temporaries(folder.path) or not folder.page.exists():
        return False
    return folder.page.stat().st_mtime_ns >= folder.record.stat().st_mtime_ns


@contextlib.contextmanager
def _optional(path: Path, *failures: type[Exception]) -> Iterator[None]:
    """Turn these failures in the block into a warning: the result is on disk and matters more."""
    try:
        yield
    except failures as error:
        _log.warning("%s: %s", path, getattr(error, "strerror", None) or error)
