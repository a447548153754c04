"""Pictures written with 16 bits: TIFF, and PNG where imagecodecs is installed."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import ImageCms

from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import atomic

SUFFIXES = (".tif", ".tiff", ".png")
_TIFF_SUFFIXES = (".tif", ".tiff")
_LARGEST = 65535
_STRIP_BYTES = 1 << 20  # of a TIFF, before it is compressed
_MOST_BYTES = 4_000_000_000  # of a classic TIFF, whose offsets have 32 bits
_PNG_HEADER = 33  # bytes: the signature and the first chunk
_DATE, _IDENTITY = slice(24, 36), slice(84, 100)  # of an ICC profile


def _chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    checksum = zlib.crc32(name + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + name + data + checksum


_PNG_SRGB = _chunk(b"sRGB", b"\0")


def check_place(path: str | os.PathLike) -> None:
    """Raise InputError, of --output, if pictures of 16 bits cannot be written to such a file."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"--bits=16: --output={path} must end in one of {' '.join(SUFFIXES)}", "bits", "output"
        )
    if suffix == ".png":
        _png_encoder(path)


def write_deep(path: str | os.PathLike, pixels: np.ndarray, profile: bytes = b"") -> None:
    """Write RGB floats in [0, 1], (height, width, 3), with 16 bits, atomically.

    A TIFF is in strips, compressed without loss; above 4 GB it is a BigTIFF. The same input gives
    the same bytes.

    Args:
        profile: the ICC profile of the pixels; empty for sRGB.

    Raises:
        InputError: the suffix of `path` is of no format that has 16 bits here.
        OSError: the file cannot be written.
    """
    check_place(path)
    values = np.empty(pixels.shape, np.uint16)
    rows = max(1, _STRIP_BYTES // (6 * pixels.shape[1]))
    for start in range(0, len(pixels), rows):
        strip = slice(start, start + rows)
        values[strip] = np.rint(np.clip(pixels[strip], 0.0, 1.0) * _LARGEST)
    if Path(path).suffix.lower() not in _TIFF_SUFFIXES:
        data = _png_encoder(path)(values)
        with atomic(path) as file:
            color = _chunk(b"iCCP", b"RGB\0\0" + zlib.compress(profile)) if profile else _PNG_SRGB
            file.write(data[:_PNG_HEADER] + color + data[_PNG_HEADER:])
        return
    with atomic(path) as file:
        tifffile.imwrite(
            file,
            values,
            photometric="rgb",
            compression="zlib",
            predictor=False,
            rowsperstrip=rows,
            bigtiff=values.nbytes > _MOST_BYTES,
            iccprofile=profile or _srgb_profile(),
            metadata=None,
            software=False,
        )


def _png_encoder(path: str | os.PathLike) -> Callable[[np.ndarray], bytes]:
    try:
        import imagecodecs
    except ImportError:
        raise InputError(
            f"--bits=16: --output={path}: PNGs of 16 bits need pip install '.[tiff]'; or use .tif",
            "bits",
            "output",
        ) from None
    return lambda values: bytes(imagecodecs.png_encode(values))


def _srgb_profile() -> bytes:
    """An ICC profile of sRGB that is the same every time: without its date and identity."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = bytearray(made)
    profile[_DATE] = np.array([2000, 1, 1, 0, 0, 0], ">u2").tobytes()
    profile[_IDENTITY] = bytes(16)
    return bytes(profile)
