"""Picture files: in memory, pictures are float32 sRGB in [0, 1], shape (height, width, 3)."""

import contextlib
import hashlib
import io
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from nst_keras.imaging import color
from nst_keras.imaging.geometry import MIN_SIDE
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import atomic

MAX_PIXELS = 200_000_000
MAX_OWN_PIXELS = 32768**2  # of a picture that this project has written
# A file is read into memory in one piece. The largest one has four samples of 16 bits each, not
# compressed; metadata, and frames that are not used, come on top.
_BYTES_PER_PIXEL, _BYTES_MORE = 8, 1 << 26

# An explicit list: Pillow would otherwise try some forty decoders, one of which starts Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp")
_WRITING_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}

_UPRIGHT = {  # by the EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Without a handler, what Pillow logs about damaged files would be printed on standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_lock = threading.Lock()
_users = 0  # threads inside `without_limits`
_lifted = contextlib.ExitStack()  # what the last of them restores


@dataclass(frozen=True)
class Picture:
    """A picture that was read from a file."""

    pixels: np.ndarray  # float32 sRGB in [0, 1], shape (height, width, 3); see also `read_rgb`
    notes: tuple[str, ...]  # what a person should know about the conversion, a sentence each
    sha256: str  # of the bytes that the pixels were decoded from


def read_image(
    path: str | os.PathLike, flag: str = "--content", max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read the first frame of a picture file, upright and in sRGB.

    Transparency is composited over white on the sRGB-encoded values, as browsers do. Pillow reads
    16-bit color with 8 bits; 16-bit gray keeps all of them. In gray pictures of 32-bit integers and
    of floats, black to white is [0, 65535] and [0, 1]; if any value is outside, the picture is
    stretched to its own range. Threads may call this at the same time.

    Raises:
        InputError: one line that starts with `flag`=`path`: there is no such file, it is not a
            picture, damaged or cut short, has more than `max_pixels` pixels (as its header says,
            before any decoding) or is too large a file for that, or has a side under MIN_SIDE.
    """
    try:
        return _decode(_read_bytes(path, max_pixels), max_pixels, MIN_SIDE, color.to_srgb)
    except Exception as error:  # on hostile bytes decoders raise nearly every type there is
        hint = "; --max_megapixels allows more" if getattr(error, "flags", ()) else ""
        raise InputError(f"{flag}={path}: {_reason(error)}{hint}") from error


def read_rgb(path: str | os.PathLike, least: int = 0) -> Picture:
    """Read a picture of any size up to MAX_PIXELS as `read_image` does, but as uint8 RGB.

    That takes a quarter of the memory of floats. If `least` is given, a JPEG may be decoded at a
    half, a quarter or an eighth of its size: the smallest of these with no side below `least`.

    Raises:
        InputError: one line that starts with `path`, see `read_image`.
    """
    try:
        return _decode(_read_bytes(path, MAX_PIXELS), MAX_PIXELS, 1, _to_rgb, least)
    except Exception as error:  # as in `read_image`
        raise InputError(f"{path}: {_reason(error)}") from error


def _read_bytes(path: str | os.PathLike, max_pixels: int) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait forever
        kind = "a folder" if os.path.isdir(path) else "not a regular file"
        raise InputError(f"{kind}; the path of one picture is needed")
    with open(path, "rb") as file:
        size, most = os.fstat(file.fileno()).st_size, max_pixels * _BYTES_PER_PIXEL + _BYTES_MORE
        if size > most:
            message = f"a file of {size:,} bytes is too large: at most {most:,} are read"
            raise InputError(message, "max_megapixels")
        return file.read()


@contextlib.contextmanager
def opened(file: str | os.PathLike | BinaryIO) -> Iterator[Image.Image]:
    """Open a picture that this project has written.

    Raises:
        InputError: it has more than MAX_OWN_PIXELS, or cannot be read, perhaps in the block only.
    """
    try:
        with without_limits(), Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_OWN_PIXELS:
                raise ValueError(f"{image.width}x{image.height} px")
            yield image
    except Exception as error:  # as in `read_image`
        raise InputError(f"{file}: cannot be read as a picture: {error}") from error


@contextlib.contextmanager
def without_limits() -> Iterator[None]:
    """Lift Pillow's size limit and silence its warnings, which are both global.

    The block must check the size itself. Threads may be inside at the same time.
    """
    global _users
    with _lock:
        if not _users:
            _lifted.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            _lifted.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            Image.MAX_IMAGE_PIXELS = None
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _lifted.close()


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], of any shape, as 0 to 255; values outside are clipped, halves round up."""
    found = np.empty(pixels.shape, np.uint8)
    rows = max(1, (1 << 22) // max(pixels[0].size, 1))
    for start in range(0, len(pixels), rows):  # a few temporaries of all would take gigabytes
        strip = np.clip(pixels[start : start + rows], 0, 1)
        found[start : start + rows] = (strip * 255 + 0.5).astype(np.uint8)
    return found


def check_writable_suffix(path: str | os.PathLike) -> None:
    """Raise InputError, of --output, if `write_image` knows no format for the suffix of `path`."""
    if Path(path).suffix.lower() not in _WRITTEN_SUFFIXES:
        raise InputError(f"--output={path}: must end in one of {' '.join(_WRITTEN_SUFFIXES)}")


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
    kind, buffer = Image.registered_extensions()[Path(path).suffix.lower()], io.BytesIO()
    options = _WRITING_OPTIONS.get(kind, {})
    if kind == "PNG":
        options = {"pnginfo": _png_info(metadata or {})}
    try:
        Image.fromarray(to_uint8(pixels)).save(buffer, kind, **options)
    except (OSError, ValueError) as error:  # for example, WebP holds up to 16383 px a side
        message = f"{path}: cannot be written as {kind} ({error}); use .png"
        raise InputError(message) from error
    with atomic(path) as file:
        file.write(buffer.getbuffer())


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


def _decode(
    data: bytes,
    max_pixels: int,
    min_side: int,
    to_pixels: Callable[[Image.Image, list[str]], np.ndarray],
    least: int = 0,
) -> Picture:
    notes: list[str] = []
    with without_limits(), Image.open(io.BytesIO(data), formats=_formats_of(data)) as image:
        shown = f"{image.width}x{image.height} px"
        if image.width * image.height > max_pixels:
            message = f"{shown} is too large: at most {max_pixels:,} px are read"
            raise InputError(message, "max_megapixels")
        if min(image.size) < min_side:
            raise InputError(f"{shown} is too small: at least {min_side} px a side are needed")
        # A phone's JPEG may hold a second picture (format MPO), which is not worth a note.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            notes.append("only the first frame was read")
        if ";16" in str(image.tile) and not image.mode.startswith("I"):
            notes.append("16-bit color was read with 8 bits")
        if least:
            image.draft(None, (least, least))
        image.load()
        pixels = to_pixels(_upright(image, notes), notes)
    return Picture(pixels, tuple(notes), hashlib.sha256(data).hexdigest())


def _formats_of(data: bytes) -> tuple[str, ...]:
    """The decoders to try; that of HEIF is an optional package."""
    head = data[:32]
    if head[4:8] != b"ftyp" or head[8:12] not in _HEIF_BRANDS or b"avif" in head:
        return FORMATS
    try:
        import pillow_heif
    except ImportError:
        raise InputError("HEIC pictures need pip install '.[heif]'") from None
    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def _to_rgb(image: Image.Image, notes: list[str]) -> np.ndarray:
    """A decoded picture as uint8 sRGB; most are never floats, which take four times the memory."""
    if color.is_deep(image) or image.has_transparency_data:
        return to_uint8(color.to_srgb(image, notes))
    return np.asarray(color.without_profile(image, notes))


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    """The picture turned as its EXIF data say."""
    try:  # `ImageOps.exif_transpose` would fail if any other part of the EXIF data is broken
        number = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # broken data raise nearly every type; the picture may be whole
        notes.append("broken EXIF data were ignored")
        return image
    return image.transpose(_UPRIGHT[number]) if number in _UPRIGHT else image
