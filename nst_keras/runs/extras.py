"""What is made of the pictures of a finished run: strips, animations and the scores.

The result is on disk by then and matters more: an extra that cannot be made is a warning.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from nst_keras.imaging import animation
from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.transfer.iterate import Iterate

_log = logging.getLogger(__name__)

_ROW_HEIGHT = 384  # px, of content, styles and result side by side


def scores(iterate: Iterate) -> dict[str, float]:
    """The scores of the result by name; empty if there is not enough memory."""
    from nst_keras.runs import scores as scores_lib  # imports TensorFlow, which is there by now

    with _optional("scores", (MemoryError,)):
        return scores_lib.score_result(iterate.image, iterate.references())
    return {}


def write_strips(folder: RunFolder, config: Config, height: int) -> None:
    """Write the pictures of --image_at in a row; and content, styles and result in a row.

    Args:
        height: of the result, in pixels.
    """
    steps = [step for step in sorted(set(config.image_at)) if folder.iteration(step).exists()]
    if steps:
        with _optional(folder.strip):
            frames = [(folder.iteration(step), f"{step:,}") for step in steps]
            animation.write_strip(folder.strip, frames)
    styles = [(folder.style(n), "style") for n in range(1, len(config.style) + 1)]
    pictures = [(folder.content, "content"), *styles, (folder.result, "result")]
    with _optional(folder.side_by_side):
        animation.write_strip(folder.side_by_side, pictures, min(_ROW_HEIGHT, height))


def write_animations(folder: RunFolder, config: Config) -> None:
    """Write the iteration images as GIF and MP4, if asked for and not there yet."""
    found = folder.existing_iterations()
    if len(found) < 2:
        if config.mp4:
            _log.warning("--mp4: there are too few iteration images for a video")
        return
    frames = [(path, f"{step:,}" if config.frame_labels else "") for step, path in found]
    if config.gif and not folder.gif.exists():
        with _optional(folder.gif):
            animation.write_gif(folder.gif, frames)
    if config.mp4 and not folder.mp4.exists():
        with _optional(folder.mp4, (InputError, OSError)):
            animation.write_mp4(folder.mp4, frames)


def complete(folder: RunFolder, config: Config) -> None:
    """Add to a finished run what is missing because it was killed at its end, and animations that
    were not asked for before."""
    missing = (config.mp4 and not folder.mp4.exists()) or (config.gif and not folder.gif.exists())
    wanted = missing and len(folder.existing_iterations()) > 1
    if wanted or not folder.is_complete():
        with files.held(folder.path):
            write_animations(folder, config)
            gallery.write_page(folder)


@contextlib.contextmanager
def _optional(
    what: Path | str, failures: tuple[type[Exception], ...] = (InputError,)
) -> Iterator[None]:
    """Turn failures in the block, as of a damaged picture, into a warning."""
    try:
        yield
    except failures as error:
        _log.warning("%s: %s", what, getattr(error, "strerror", None) or error)
