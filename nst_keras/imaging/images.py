"""Picture files: in memory, pictures are float32 sRGB in [0, 1], shape (height, width, 3)."""

import contextlib
import hashlib
import io
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from nst_keras.imaging.color import to_uint8
from nst_keras.imaging.decoding import Decoder
from nst_keras.imaging.geometry import MIN_SIDE
from nst_keras.imaging.opening import FORMATS, without_limits
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import atomic, is_url, missing

MAX_PIXELS = 200_000_000
MAX_OWN_PIXELS, MAX_OWN_SIDE = 32768**2, 1 << 20  # of a picture that this project has written
# A file is read into memory in one piece. The largest one has four samples of 16 bits each, not
# compressed; metadata, and frames that are not used, come on top.
_BYTES_PER_PIXEL, _BYTES_MORE = 8, 1 << 26

_LONGEST_NAME = 1000  # that is shown whole in errors

_WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp")
_WRITING_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
_MOST_PIXELS = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}  # on a side

# What helps against errors that name a flag.
_HINTS = {
    "max_megapixels": "--max_megapixels allows more",
    "truncated": "--truncated reads what is there",
    "memory_limit": "use a smaller picture, or one that is saved as JPEG",
}


@dataclass(frozen=True)
class Picture:
    """A picture that was read from a file."""

    pixels: np.ndarray  # float32 sRGB in [0, 1], shape (height, width, 3); see also `read_rgb`
    notes: tuple[str, ...]  # what a person should know about the conversion, a sentence each
    sha256: str  # of the bytes that the pixels were decoded from; empty if there are none
    size: tuple[int, int]  # height and width of the picture, also if `pixels` are fewer
    profile: bytes = b""  # ICC profile of the pixels, where that was to be kept; empty for sRGB


def read_image(
    path: str | os.PathLike, flag: str = "--content", max_pixels: int = MAX_PIXELS, **options: Any
) -> Picture:
    """Read the first frame of a picture file, upright and in sRGB.

    Args:
        options: those of `decoding.Decoder`, after the first two.

    Transparency is composited over white on the sRGB-encoded values, as browsers do. 16 bits are
    read at full depth, those of color in a PNG only where imagecodecs is installed. In gray
    pictures of 32-bit integers and of floats, black to white is [0, 65535] and [0, 1]; if any value
    is outside, the picture is stretched to its own range. Threads may call this at the same time.

    Raises:
        InputError: one line that starts with `flag`=`path`: there is no such file, it is not a
            picture, damaged or cut short, has more than `max_pixels` pixels (as its header says,
            before any decoding) or is too large a file for that, or has a side under MIN_SIDE.
    """
    try:
        data, decoder = _read_bytes(path, max_pixels), Decoder(max_pixels, MIN_SIDE, **options)
        return _picture(data, decoder, decoder.floats(data))
    except Exception as error:  # on hostile bytes decoders raise nearly every type there is
        raise _refusal(f"{flag}={path}", error) from error


def decode(
    picture: bytes | Image.Image, name: str, max_pixels: int = MAX_PIXELS, **options: Any
) -> Picture:
    """The bytes of a picture file, or an image of Pillow, as `read_image` would read the file.

    Of an image of Pillow, the present frame is used. Errors start with `name`. `options` are those
    of `Decoder`.
    """
    try:
        decoder = Decoder(max_pixels, MIN_SIDE, **options)
        if isinstance(picture, bytes):
            return _picture(picture, decoder, decoder.floats(picture))
        pixels = decoder.floats_of(picture)
        return Picture(pixels, tuple(decoder.notes), "", decoder.size, decoder.profile)
    except Exception as error:  # as in `read_image`
        raise _refusal(name, error) from error


def _refusal(what: str, error: Exception) -> InputError:
    if len(what) > _LONGEST_NAME:  # not a path, but perhaps a picture in base64
        what = f"{what[:40]}... ({len(what)} characters)"
    hints = [_HINTS[name] for name in getattr(error, "flags", ()) if name in _HINTS]
    return InputError("; ".join([f"{what}: {_reason(error)}", *hints]))


def read_rgb(path: str | os.PathLike, least: int = 0) -> Picture:
    """Read a picture of any size up to MAX_PIXELS as `read_image` does, but as uint8 RGB.

    That takes a quarter of the memory of floats. If `least` is given, a picture may be reduced, but
    so that no side gets below it.

    Raises:
        InputError: one line that starts with `path`, see `read_image`.
    """
    try:
        data, decoder = _read_bytes(path, MAX_PIXELS), Decoder(MAX_PIXELS, 1, least, min)
        return _picture(data, decoder, decoder.integers(data))
    except Exception as error:  # as in `read_image`
        raise InputError(f"{path}: {_reason(error)}") from error


def _picture(data: bytes, decoder: Decoder, pixels: np.ndarray) -> Picture:
    sha256 = hashlib.sha256(data).hexdigest()
    return Picture(pixels, tuple(decoder.notes), sha256, decoder.size, decoder.profile)


def _read_bytes(path: str | os.PathLike, max_pixels: int) -> bytes:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):  # opening a pipe would wait forever
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
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
        InputError: it has more than MAX_OWN_PIXELS or a side above MAX_OWN_SIDE, or cannot be read,
            perhaps in the block only.
    """
    try:
        with without_limits(), Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_OWN_PIXELS or max(image.size) > MAX_OWN_SIDE:
                raise ValueError(f"{image.width}x{image.height} px")
            yield image
    except Exception as error:  # as in `read_image`
        raise InputError(f"{file}: cannot be read as a picture: {error}") from error


def check_writable_suffix(path: str | os.PathLike) -> None:
    """Raise InputError, of --output, if `write_image` knows no format for the suffix of `path`."""
    if Path(path).suffix.lower() not in _WRITTEN_SUFFIXES:
        raise InputError(f"--output={path}: must end in one of {' '.join(_WRITTEN_SUFFIXES)}")


def check_size(path: str | os.PathLike, height: int, width: int) -> None:
    """Raise InputError, of --output, if the format of `path` cannot hold so many pixels."""
    kind = Image.registered_extensions()[Path(path).suffix.lower()]
    if max(height, width) > (most := _MOST_PIXELS.get(kind, math.inf)):
        raise InputError(
            f"--output={path}: {kind} has at most {most:,} px a side, but the picture has "
            f"{width:,} x {height:,}; use .png"
        )


def write_image(
    path: str | os.PathLike,
    pixels: np.ndarray,
    metadata: dict[str, str] | None = None,
    profile: bytes = b"",
) -> None:
    """Write sRGB floats in [0, 1], (height, width, 3), with 8 bits, atomically.

    The suffix of `path` selects the format. JPEG gets quality 95 and full chroma. `metadata`
    becomes text chunks of a PNG (keys of up to 79 Latin-1 characters, values of any text); other
    formats leave it out. Pixels of another color space than sRGB have its ICC `profile`, which is
    written with them; BMP has no place for it. The same input gives the same bytes.

    Raises:
        InputError: the suffix is unknown, or the format cannot hold pictures of this size.
        OSError: the file cannot be written.
    """
    check_writable_suffix(path)
    kind, buffer = Image.registered_extensions()[Path(path).suffix.lower()], io.BytesIO()
    options = _WRITING_OPTIONS.get(kind, {})
    if kind == "PNG":
        options = {"pnginfo": _png_info(metadata or {}, is_srgb=not profile)}
    if profile and kind != "BMP":
        options = {**options, "icc_profile": profile}
    try:
        Image.fromarray(to_uint8(pixels)).save(buffer, kind, **options)
    except (OSError, ValueError, RuntimeError) as error:  # for example, it is too large for WebP
        message = f"{path}: cannot be written as {kind} ({error}); use .png"
        raise InputError(message) from error
    with atomic(path) as file:
        file.write(buffer.getbuffer())


def png_bytes(pixels: np.ndarray, profile: bytes = b"") -> bytes:
    """The bytes of a PNG file with 8 bits; otherwise as `write_image`."""
    buffer, info = io.BytesIO(), _png_info({}, is_srgb=not profile)
    options = {"icc_profile": profile} if profile else {}
    Image.fromarray(to_uint8(pixels)).save(buffer, "PNG", pnginfo=info, **options)
    return buffer.getvalue()


def in_srgb(image: Image.Image) -> Image.Image:
    """A picture that this project has written, as RGB in sRGB."""
    if profile := image.info.get("icc_profile"):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        rgb = image.convert("RGB")
        found = ImageCms.profileToProfile(rgb, source, ImageCms.createProfile("sRGB"))
        assert found is not None  # it is None only for changes in place
        return found
    return image.convert("RGB")


def _png_info(metadata: dict[str, str], is_srgb: bool) -> PngInfo:
    info = PngInfo()
    if is_srgb:  # not a whole sRGB profile, which would hold the time of its creation
        info.add(b"sRGB", b"\0")
    for key, value in metadata.items():
        # File names that are not valid text hold lone surrogates, which UTF-8 cannot store.
        info.add_text(key, value.encode("utf-8", "replace").decode("utf-8"))
    return info


def _reason(error: Exception) -> str:
    """Why a picture could not be read, for a person."""
    if isinstance(error, InputError):
        return str(error)
    name = str(getattr(error, "filename", ""))
    if isinstance(error, FileNotFoundError | NotADirectoryError) or is_url(name):
        return missing(name)
    if isinstance(error, PermissionError):
        return "no permission to read this file"
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or HEIC picture, or a damaged one"
    if isinstance(error, OSError) and error.strerror:  # from the system, not from a decoder
        return f"cannot be read ({error.strerror})"
    return f"cannot be read: damaged or cut short ({type(error).__name__}: {error})"
