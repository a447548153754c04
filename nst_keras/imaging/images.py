"""Picture files: in memory, pictures are float32 sRGB in [0, 1], shape (height, width, 3)."""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from nst_keras.imaging.color import to_uint8
from nst_keras.imaging.decoding import FORMATS, Decoder, TooLargeError, without_limits
from nst_keras.imaging.geometry import MIN_SIDE
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import atomic

MAX_PIXELS = 200_000_000
MAX_OWN_PIXELS = 32768**2  # of a picture that this project has written
# A file is read into memory in one piece. The largest one has four samples of 16 bits each, not
# compressed; metadata, and frames that are not used, come on top.
_BYTES_PER_PIXEL, _BYTES_MORE = 8, 1 << 26

_TIFF = ("TIFF", {"compression": "tiff_adobe_deflate"})
_JPEG = ("JPEG", {"quality": 95, "subsampling": 0})
_WRITERS: dict[str, tuple[str, dict]] = {
    ".png": ("PNG", {}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": ("WEBP", {"quality": 95}),
    ".avif": ("AVIF", {"quality": 90, "subsampling": "4:4:4"}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": ("BMP", {}),
}


@dataclass(frozen=True)
class Picture:
    """A picture that was read from a file."""

    pixels: np.ndarray  # float32 sRGB in [0, 1], shape (height, width, 3); see also `read_rgb`
    notes: tuple[str, ...]  # what a person should know about the conversion, a sentence each
    sha256: str  # of the bytes that the pixels were decoded from, in hexadecimal


def read_image(
    path: str | os.PathLike, flag: str = "--content", max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read the first frame of a picture file, upright and in sRGB.

    Transparency is composited over white on the sRGB-encoded values, as browsers do. Pillow reads
    16-bit color with 8 bits; 16-bit gray keeps all of them. In gray pictures of 32-bit integers and
    of floats, black to white is [0, 65535] and [0, 1]; if any value is outside, the picture is
    stretched to its own range.

    Threads may call this at the same time.

    Raises:
        InputError: one line that starts with `flag`=`path`: there is no such file, it is not a
            picture, damaged or cut short, has more than `max_pixels` pixels (as its header says,
            before any decoding) or is too large a file for that, or has a side under MIN_SIDE.
    """
    try:
        data = _read_bytes(path, max_pixels)
        decoder = Decoder(max_pixels, MIN_SIDE)
        return Picture(decoder.floats(data), tuple(decoder.notes), hashlib.sha256(data).hexdigest())
    except Exception as error:  # on hostile bytes decoders raise nearly every type there is
        hint = " (--max_megapixels)" if isinstance(error, TooLargeError) else ""
        raise InputError(f"{flag}={path}: {_reason(error)}{hint}") from error


def read_rgb(path: str | os.PathLike, least: int = 0) -> Picture:
    """Read a picture of any size up to MAX_PIXELS as `read_image` does, with 8 bits.

    Its pixels are uint8 RGB, shape (height, width, 3): a quarter of the memory of floats.

    Args:
        least: 0, or pixels: a JPEG may then be decoded at a half, a quarter or an eighth of its
            size, the smallest of which no side is shorter than this.

    Raises:
        InputError: one line that starts with `path`, see `read_image`.
    """
    try:
        data = _read_bytes(path, MAX_PIXELS)
        decoder = Decoder(MAX_PIXELS, 1, least)
        return Picture(
            decoder.integers(data), tuple(decoder.notes), hashlib.sha256(data).hexdigest()
        )
    except Exception as error:  # as in `read_image`
        raise InputError(f"{path}: {_reason(error)}") from error


def _read_bytes(path: str | os.PathLike, max_pixels: int) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait forever
        kind = "a folder" if os.path.isdir(path) else "not a regular file"
        raise InputError(f"{kind}; the path of one picture is needed")
    with open(path, "rb") as file:
        size, most = os.fstat(file.fileno()).st_size, max_pixels * _BYTES_PER_PIXEL + _BYTES_MORE
        if size > most:
            raise TooLargeError(f"a file of {size:,} bytes is too large: at most {most:,} are read")
        return file.read()


@contextlib.contextmanager
def opened(file: str | os.PathLike | BinaryIO) -> Iterator[Image.Image]:
    """Open a picture that this project has written, of up to MAX_OWN_PIXELS.

    Raises:
        ValueError: it has more pixels. Damaged files raise nearly every type of error.
    """
    with without_limits(), Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > MAX_OWN_PIXELS:
            raise ValueError(f"{image.width}x{image.height} px")
        yield image


def check_writable_suffix(path: str | os.PathLike, flag: str = "--output") -> None:
    """Raise InputError if `write_image` knows no format for the suffix of `path`."""
    if Path(path).suffix.lower() not in _WRITERS:
        choices = " ".join(_WRITERS)
        raise InputError(f"{flag}={path}: must end in one of {choices}")


def write_image(
    path: str | os.PathLike, pixels: np.ndarray, metadata: dict[str, str] | None = None
) -> None:
    """Write sRGB floats in [0, 1], (height, width, 3), with 8 bits, atomically.

    The suffix of `path` selects the format. JPEG gets quality 95 and full chroma. `metadata`
    becomes text chunks of a PNG (keys of up to 79 Latin-1 characters, values of any text); other
    formats leave it out. The same input gives the same bytes.

    Raises:
        InputError: the suffix is unknown, or the format cannot hold pictures of this size.
        OSError: the file cannot be written.
    """
    check_writable_suffix(path)
    kind, options = _WRITERS[Path(path).suffix.lower()]
    if kind == "PNG":
        options = {"pnginfo": _png_info(metadata or {})}
    try:
        data = _encode(pixels, kind, **options)
    except (OSError, ValueError) as error:  # for example, WebP holds up to 16383 px a side
        message = f"{path}: cannot be written as {kind} ({error}); use .png"
        raise InputError(message) from error
    with atomic(path) as file:
        file.write(data)


def _encode(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def _png_info(metadata: dict[str, str]) -> PngInfo:
    info = PngInfo()
    info.add(b"sRGB", b"\0")  # not a whole sRGB profile, which would hold the time of its creation
    for key, value in metadata.items():
        # File names that are not valid text hold lone surrogates, which UTF-8 cannot store.
        info.add_text(key, value.encode("utf-8", "replace").decode("utf-8"))
    return info


def _reason(error: Exception) -> str:
    """Why a picture could not be read, for a person."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read this file"
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or HEIC picture, or a damaged one"
    if isinstance(error, OSError) and error.strerror:  # from the system, not from a decoder
        return f"cannot be read ({error.strerror})"
    return f"cannot be read: damaged or cut short ({type(error).__name__}: {error})"
