"""A run on disk while it runs: iteration images, run.json, the page, and at the end the result."""

import contextlib
import copy
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nst_keras.imaging import animation, geometry, images, mp4
from nst_keras.runs import gallery
from nst_keras.runs import record as record_lib
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import files
from nst_keras.runtime.background import Submit, at_once
from nst_keras.runtime.errors import InputError, reason_of
from nst_keras.settings.config import Config
from nst_keras.transfer.iterate import Iterate

_log = logging.getLogger(__name__)


_THUMBNAIL = 1024  # px, longest side of the inputs' copies on the page
_ROW_HEIGHT = 384  # px, of content, style and result side by side
# Between renewals of the page: it holds megabytes, so long jobs renew it less often.
_REFRESH_SECONDS = 20.0
_REFRESH_SHARE = 0.01  # of the time so far


class PictureWriter:
    """Writes what a person looks at; call it with every iterate.

    Args:
        record: the first content of `run.json`; step, seconds and status are kept up to date in it.
        submit: takes the work of encoding and writing while the run goes on; all of it must be
            done before `finish`, which reads what was written.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        record: dict[str, Any],
        submit: Submit = at_once,
    ):
        self.folder, self.config, self.record = folder, config, record
        self._submit, self._refreshed = submit, time.monotonic()

    def __call__(self, iterate: Iterate) -> None:
        step = iterate.step
        if iterate.is_pictured(self.config.image_every, self.config.image_at):
            path, image = self.folder.iteration(step), iterate.image
            self._submit(lambda: images.write_image(path, image))
        self.record["step"], self.record["seconds"] = step, round(iterate.seconds, 1)
        pause = max(_REFRESH_SECONDS, _REFRESH_SHARE * iterate.seconds)
        due = time.monotonic() - self._refreshed >= pause and not iterate.is_last
        if due or iterate.rests:  # the state after a rest, saved next, is not told of it again
            self._show(iterate)
            self._refreshed = time.monotonic()

    def interrupt(self, iterate: Iterate | None = None) -> None:
        """Leave a page that says how to go on, and the newest picture if it is at hand."""
        self.record["status"] = "interrupted"
        if iterate is None:
            self._submit(self.refresh)
        else:
            self._show(iterate)

    def finish(self, iterate: Iterate) -> None:
        """Write the result, the strip and the animation, and complete the page."""
        images.write_image(self.folder.latest, iterate.image)
        images.write_image(self.folder.result, iterate.image, record_lib.metadata(self.record))
        self.record["final_terms"] = iterate.evaluate()
        if self.config.scores:
            with _beside_the_result("scores", (MemoryError,)):
                self.record["scores"] = _score(iterate)
        self._write_strip()
        self._write_side_by_side(iterate)
        write_animations(self.folder, self.config)
        self.record["status"] = "finished"
        self.refresh()

    def refresh(self) -> None:
        """Write run.json and the page anew, at once."""
        self._write_page(self.record)

    def _show(self, iterate: Iterate) -> None:
        image, record = iterate.image, copy.deepcopy(self.record)  # the run goes on changing it

        def write() -> None:
            images.write_image(self.folder.latest, image)
            self._write_page(record)

        self._submit(write)

    def _write_page(self, record: dict[str, Any]) -> None:
        self.folder.write_record(record)
        gallery.write_page(self.folder)

    def _write_strip(self) -> None:
        steps = [
            at for at in sorted(set(self.config.image_at)) if self.folder.iteration(at).exists()
        ]
        if steps:
            labels = [f"{step:,}" for step in steps]
            paths = [self.folder.iteration(step) for step in steps]
            with _beside_the_result(self.folder.strip):
                animation.write_strip(self.folder.strip, paths, labels)

    def _write_side_by_side(self, iterate: Iterate) -> None:
        styles = [self.folder.style(n) for n in range(1, len(self.config.style) + 1)]
        pictures = [self.folder.content, *styles, self.folder.result]
        labels = ["content", *["style"] * len(styles), "result"]
        height = min(_ROW_HEIGHT, iterate.scale.height)
        with _beside_the_result(self.folder.side_by_side):
            animation.write_strip(self.folder.side_by_side, pictures, labels, height=height)


def _score(iterate: Iterate) -> dict[str, float]:
    from nst_keras.runs import scores  # imports TensorFlow, which is there by now

    return scores.score_result(iterate.image, iterate.references())


def complete(folder: RunFolder, config: Config) -> None:
    """Do what a kill at the very end of a finished run left undone, and make those animations that
    are asked for only now."""
    missing = (config.mp4 and not folder.mp4.exists()) or (config.gif and not folder.gif.exists())
    wanted = missing and len(folder.iterations_there()) > 1
    if wanted or not folder.is_complete():
        with files.held(folder.path):
            write_animations(folder, config)
            gallery.write_page(folder)


def write_animations(folder: RunFolder, config: Config) -> None:
    """The iteration images as GIF and MP4, as far as they are asked for."""
    frames = folder.iterations_there()
    if len(frames) < 2:
        if config.mp4:
            _log.warning("--mp4: there are no iteration images to make a video of")
        return
    paths = [path for _, path in frames]
    labels = [f"{step:,}" for step, _ in frames] if config.frame_labels else None
    if config.gif and not folder.gif.exists():
        with _beside_the_result(folder.gif):
            animation.write_gif(folder.gif, paths, labels)
    if config.mp4 and not folder.mp4.exists():
        with _beside_the_result(folder.mp4, (InputError, OSError)):
            mp4.write_mp4(folder.mp4, paths, labels)


@contextlib.contextmanager
def _beside_the_result(
    what: Path | str, failures: tuple[type[Exception], ...] = (InputError,)
) -> Iterator[None]:
    """Extras that cannot be made, as of a damaged picture along the way, are told and no more: the
    result, which counts, is there already."""
    try:
        yield
    except failures as error:
        _log.warning("%s: %s", what, reason_of(error))


def write_thumbnail(path: Path, pixels: np.ndarray) -> None:
    """A copy of an input, RGB in [0, 1] (H, W, 3), for the page."""
    images.write_image(path, geometry.thumbnail(pixels, _THUMBNAIL))


def check_output(config: Config) -> None:
    """Refuse an --output that could not be written at the end, or would cost somebody a file."""
    if not config.output:
        return
    path = Path(config.output)
    images.check_writable_suffix(path)
    read = {Path(p).resolve() for p in (config.content, *config.style, config.init, config.weights)}
    if path.resolve() in read:
        raise InputError(f"--output={path}: is one of the inputs; give another name")
    if path.exists() and not config.overwrite:
        raise InputError(f"--output={path}: exists; give another name, or --overwrite")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--output={path}: there is no folder {path.absolute().parent}")
    if not os.access(path.absolute().parent, os.W_OK):
        raise InputError(f"--output={path}: the folder cannot be written to")


def copy_result(folder: RunFolder, config: Config) -> None:
    """Put a copy of the result where --output says, in the format of its suffix."""
    if not config.output:
        return
    path = Path(config.output)
    images.check_writable_suffix(path)
    files.remove_temporaries_of(path)
    if path.exists() and not config.overwrite:
        _log.info("%s exists and is left as it is", path)
        return
    if path.suffix.lower() == ".png":
        with files.atomic(path) as file, open(folder.result, "rb") as result:
            shutil.copyfileobj(result, file)
    else:
        picture = images.read_image(folder.result, "--output", images.MAX_OWN_PIXELS)
        images.write_image(path, picture.pixels)
    _log.info("copy: %s", path)
