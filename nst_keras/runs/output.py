"""The file that --output names: a copy of the result, or a page."""

import logging
import os
import shutil
from pathlib import Path

from nst_keras.imaging import images
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config

_log = logging.getLogger(__name__)


def check_place(path: Path) -> None:
    """Raise InputError unless a file can be written at `path`."""
    folder = path.absolute().parent
    if path.is_dir():
        raise InputError(f"--output={path}: is a folder; give the name of a file")
    if not folder.is_dir():
        raise InputError(f"--output={path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise InputError(f"--output={path}: the folder {folder} cannot be written to")


def check_output(config: Config) -> None:
    """Raise InputError for an --output of a run that cannot be written, or would replace a file."""
    if not config.output:
        return
    path = Path(config.output)
    images.check_writable_suffix(path)
    inputs = (config.content, *config.style, config.init, config.weights)
    if path.resolve() in {Path(name).resolve() for name in inputs}:
        raise InputError(f"--output={path}: is one of the inputs; give another name")
    check_place(path)
    if path.exists() and not config.overwrite:
        raise InputError(f"--output={path}: exists already; give another name, or --overwrite")


def copy_result(folder: RunFolder, config: Config) -> None:
    """Copy the result to --output, in the format of its suffix."""
    if not config.output:
        return
    path = Path(config.output)
    images.check_writable_suffix(path)
    files.remove_temporaries_of(path)
    if path.exists() and not config.overwrite:
        _log.info("%s exists already and is not replaced", path)
        return
    if path.suffix.lower() == ".png":
        with files.atomic(path) as file, open(folder.result, "rb") as result:
            shutil.copyfileobj(result, file)
    else:
        picture = images.read_image(folder.result, "--output", images.MAX_OWN_PIXELS)
        images.write_image(path, picture.pixels)
    _log.info("copy: %s", path)
