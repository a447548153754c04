"""The copy of a result at --output: whether it may be there, and how it is written."""

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from nst_keras.imaging import deep, images
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config

_log = logging.getLogger(__name__)


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


def check(config: Config, folder: RunFolder, size: tuple[int, int]) -> None:
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


def check_is_free(config: Config, copies: Mapping[str, str] | None = None) -> None:
    """Raise InputError if there is a file at --output that must stay.

    Args:
        copies: the `RunRecord.copies` of the run.
    """
    path = config.output
    if path and not (config.overwrite or _may_write(path, copies or {})):
        raise InputError(f"--output={path}: exists already; give another name, or --overwrite")


def allowed(config: Config) -> dict[str, str]:
    """What `RunRecord.copies` says of an --output that --overwrite allows to be replaced."""
    if not config.output or not config.overwrite:
        return {}
    return {os.path.abspath(config.output): ""}


def write(folder: RunFolder, config: Config) -> dict[str, str]:
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
        write_picture = deep.write_deep if is_deep else images.write_image
        write_picture(path, picture.pixels, profile=picture.profile)
    _log.info("copy: %s", path)
    place = os.path.abspath(path)
    return {**copies, place: _sha256(place)}


def input_files(config: Config) -> dict[str, list[Path]]:
    """The files that a run reads, by the flag that names them."""
    found = {}
    for name, option in OPTIONS.items():
        if option.hashed and (value := getattr(config, name)):
            items = value if option.many else [value]
            found[name] = [Path(item) for item in items if option.is_path(item)]
    return found


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
