"""The copy of the result that --output asks for: refused before the work, or written after it."""

import logging
import os
import shutil
from pathlib import Path

from nst_keras import files, images
from nst_keras.config import Config
from nst_keras.errors import InputError
from nst_keras.workdir import RunFolder

_log = logging.getLogger(__name__)


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
