"""Pictures that Python gives to a run with a folder: their paths, and files for those in memory."""

import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tifffile

from nst_keras.imaging import images, in_memory
from nst_keras.imaging.color import BLACK, WHITE
from nst_keras.imaging.masks import mask_of
from nst_keras.runs.folder import RunFolder
from nst_keras.settings.config import OPTIONS, Config


def named_files(
    folder: RunFolder, config: Config, pictures: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, bytes], list[str]]:
    """The pictures as paths, by the name of their setting, the bytes of the files that are to be
    written at some of these paths, and warnings about what these do not show any more."""
    named: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    notes: list[str] = []
    for name, given in pictures.items():
        if given is None:
            continue
        if not OPTIONS[name].many:
            named[name] = _path_of(folder, name, given, config, files, notes)
            continue
        is_file = hasattr(given, "read")  # an open file is an iterator, too
        is_several = isinstance(given, (list, tuple, Iterator)) and not is_file
        several = given if is_several else [given]
        label = name.replace("_", " ")
        named[name] = tuple(
            _path_of(folder, f"{label} {number}", one, config, files, notes)
            for number, one in enumerate(several, start=1)
        )
    return named, files, notes


def _path_of(
    folder: RunFolder,
    name: str,
    picture: Any,
    config: Config,
    files: dict[str, bytes],
    notes: list[str],
) -> str:
    """The path of a picture, or a word in place of it; if it is in memory, its bytes are put among
    the files."""
    if isinstance(picture, (str, os.PathLike)):
        return os.fspath(picture)
    most = config.max_megapixels * 10**6
    if name.startswith(("style mask", "style region")):
        data, suffix = _encoded(_mask_pixels(picture, name, most))
    elif in_memory.is_encoded(picture):
        data = in_memory.bytes_of(picture, name)  # which stay as they are
        suffix = in_memory.suffix_of(data)
    else:
        keep_profile = config.profile == "input"
        found = in_memory.read_object(picture, name, most, keep_profile=keep_profile)
        data, suffix = _encoded(found.pixels, found.profile)
        notes += [f"{name}: {note}" for note in found.notes]
    path = str(folder.given(name, suffix))
    files[path] = data
    return path


def _pixels(picture: Any, name: str, most: int, background: float = WHITE) -> np.ndarray:
    return in_memory.read_object(picture, name, most, background=background).pixels


def _mask_pixels(picture: Any, name: str, most: int) -> np.ndarray:
    """A mask as a picture without transparency, which the file to be written does not keep."""
    if hasattr(picture, "read"):
        picture = in_memory.bytes_of(picture, name)  # once: it may be a stream
    over_black, over_white = (_pixels(picture, name, most, ground) for ground in (BLACK, WHITE))
    if np.array_equal(over_black, over_white):
        return over_black
    return np.repeat(mask_of(over_black, lambda: over_white)[..., None], 3, axis=2)


def _encoded(pixels: np.ndarray, profile: bytes = b"") -> tuple[bytes, str]:
    """The bytes of a file that holds exactly these floats in [0, 1], and its suffix."""
    eight = images.to_uint8(pixels)
    if np.array_equal(eight.astype(np.float32) / 255, pixels):
        return images.png_bytes(pixels, profile), ".png"
    buffer = io.BytesIO()
    values = np.asarray(pixels, np.float32)
    tifffile.imwrite(
        buffer,
        values,
        photometric="rgb",
        compression="zlib",
        metadata=None,
        software="",
        iccprofile=profile or None,
    )
    return buffer.getvalue(), ".tif"
