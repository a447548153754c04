"""What is made of a finished run beside its result: strips, animations, and the copy for
--output."""

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from nst_keras.imaging import animation, deep, images, proof
from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config

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
    were not asked for before."""
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


def check_place(path: Path) -> None:
    """Raise InputError unless a file can be written at `path`, the value of --output."""
    folder = path.absolute().parent
    with files.checking(f"--output={path}"):
        if path.is_dir():
            raise InputError(f"--output={path}: is a folder; give the name of a file")
        if not folder.is_dir():
            raise InputError(f"--output={path}: there is no folder {folder}")
        path.exists()  # for its errors
    if not os.access(folder, os.W_OK):
        raise InputError(f"--output={path}: the folder {folder} cannot be written to")


def check_output(config: Config, folder: RunFolder, size: tuple[int, int]) -> None:
    """Raise InputError for an --output of a run that cannot be written, or would replace a file of
    the run.

    Args:
        size: of the result, (height, width) in pixels.
    """
    if not config.output:
        return
    path = Path(config.output)
    images.check_writable_suffix(path)
    images.check_size(path, *size)
    if config.bits == 16:
        deep.check_place(path)
    check_place(path)
    inputs = [one.resolve() for paths in input_files(config).values() for one in paths]
    if path.resolve() in inputs:
        raise InputError(f"--output={path}: is one of the inputs; give another name")
    if folder.path.resolve() in path.resolve().parents:
        raise InputError(f"--output={path}: is in the run's folder; give another place")


def check_output_is_free(config: Config, copies: Mapping[str, str] | None = None) -> None:
    """Raise InputError if there is a file at --output that must stay.

    Args:
        copies: the `RunRecord.copies` of the run.
    """
    path = config.output
    if path and not (config.overwrite or _may_write(path, copies or {})):
        raise InputError(f"--output={path}: exists already; give another name, or --overwrite")


def allowed_copies(config: Config) -> dict[str, str]:
    """What `RunRecord.copies` says of an --output that --overwrite allows to be replaced."""
    if not config.output or not config.overwrite:
        return {}
    return {os.path.abspath(config.output): ""}


def _may_write(path: str, copies: Mapping[str, str]) -> bool:
    """Whether there is no file at a path, or one that a run with these copies may replace."""
    if not os.path.exists(path):
        return True
    made = copies.get(os.path.abspath(path))
    return made is not None and made in ("", _sha256(path))


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def input_files(config: Config) -> dict[str, list[Path]]:
    """The files that a run reads, by the flag that names them."""
    found = {}
    for name, option in OPTIONS.items():
        if option.hashed and (value := getattr(config, name)):
            items = value if option.many else [value]
            found[name] = [Path(item) for item in items if option.is_path(item)]
    return found


def copy_result(folder: RunFolder, config: Config) -> dict[str, str]:
    """Copy the result to --output, in the format of its suffix; returns the run's copies."""
    copies = folder.read_record().copies
    has_bits = config.bits == 8 or folder.deep_result.exists()
    if not has_bits:
        _log.warning("--bits=16: the run has finished with 8 bits; --overwrite runs it again")
    if not config.output:
        return copies
    path = Path(config.output)
    files.remove_temporaries_of(path)
    if not (config.overwrite or _may_write(config.output, copies)):
        _log.info(
            "--output=%s: exists already and was not replaced; give another name, or --overwrite",
            path,
        )
        return copies
    is_deep = config.bits == 16 and has_bits
    source = folder.deep_result if is_deep else folder.result
    kinds = {".tiff": ".tif"}
    suffix = path.suffix.lower()
    if kinds.get(suffix, suffix) == source.suffix:
        with files.atomic(path) as file, open(source, "rb") as result:
            shutil.copyfileobj(result, file)
    else:
        # BMP has no place for a profile.
        keep = suffix != ".bmp"
        picture = images.read_image(source, "--output", images.MAX_OWN_PIXELS, keep_profile=keep)
        write = deep.write_deep if is_deep else images.write_image
        write(path, picture.pixels, profile=picture.profile)
    _log.info("copy: %s", path)
    place = os.path.abspath(path)
    return {**copies, place: _sha256(place)}
