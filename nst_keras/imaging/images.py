"""Reads, resizes and writes pictures: inside, always float32 sRGB in [0, 1], (height, width, 3)."""

import contextlib
import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from nst_keras.imaging.geometry import MIN_SIDE
from nst_keras.runtime.errors import InputError, printable
from nst_keras.runtime.files import atomic

MAX_PIXELS = 200_000_000
MAX_OWN_PIXELS = 32768**2  # of a picture that this project has written
_STRIP_VALUES = 1 << 22

# An explicit list: Pillow would otherwise try some forty decoders, one of which starts Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

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

# What Pillow has to say of damaged files would reach standard error where nobody listens.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A picture as read: float32 sRGB in [0, 1], shape (height, width, 3); and what a person
    should know about the way it was read, one short sentence each."""

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def read_image(
    path: str | os.PathLike, flag: str = "--content", max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read a picture file (its first frame), upright and in sRGB.

    Transparency is composited over white on the sRGB-encoded values, as browsers do. Pillow reads
    color of 16 bits with 8; gray keeps its 16. Gray integers of 32 bits and gray floats mean black
    to white as [0, 65535] and [0, 1]; values outside stretch the picture to its own range.

    Raises InputError, one line that starts with `flag`=`path`: no such file, not a picture, damaged
    or cut short, more than `max_pixels` pixels (seen in the header, before any decoding), or a side
    under MIN_SIDE. Threads may call it, but decode in turn.
    """
    try:
        _check_is_file(path)
        with open(path, "rb") as file, pillow_without_limits():
            return _decode(file, max_pixels)
    except Exception as error:  # on hostile bytes decoders raise nearly every type there is
        raise InputError(f"{flag}={path}: {_reason(error)}") from error


@contextlib.contextmanager
def opened(file: str | os.PathLike | BinaryIO) -> Iterator[Image.Image]:
    """A picture of this project's own making, however large: no other decoders, no warnings."""
    with pillow_without_limits(), Image.open(file, formats=_FORMATS) as image:
        if image.width * image.height > MAX_OWN_PIXELS:
            raise ValueError(f"{image.width}x{image.height} px")
        yield image


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """[0, 1] floats of any shape to 0..255: halves round up, values outside are clipped."""
    pixels = np.asarray(pixels)
    if pixels.ndim < 2:
        return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)
    found = np.empty(pixels.shape, np.uint8)
    rows = max(1, _STRIP_VALUES // max(pixels[0].size, 1))
    for start in range(0, len(pixels), rows):  # a few temporaries of all would take gigabytes
        strip = np.clip(pixels[start : start + rows], 0, 1)
        found[start : start + rows] = (strip * 255 + 0.5).astype(np.uint8)
    return found


def check_writable_suffix(path: str | os.PathLike, flag: str = "--output") -> None:
    """Raise InputError when `write_image` knows no format for the suffix of `path`."""
    if Path(path).suffix.lower() not in _WRITERS:
        choices = " ".join(_WRITERS)
        raise InputError(f"{flag}={path}: the name must end in one of {choices}")


def write_image(
    path: str | os.PathLike, pixels: np.ndarray, metadata: dict[str, str] | None = None
) -> None:
    """Write (h, w, 3) sRGB floats in [0, 1] with 8 bits, in the suffix's format, atomically.

    JPEG has quality 95 and full chroma. `metadata` becomes text chunks of a PNG (keys: up to 79
    Latin-1 characters; values: any text); other formats leave it out. The same input gives the same
    bytes. Raises InputError for an unknown suffix, or a size that the format cannot hold; OSError
    where the disk refuses.
    """
    check_writable_suffix(path)
    kind, options = _WRITERS[Path(path).suffix.lower()]
    if kind == "PNG":
        options = {"pnginfo": _png_info(metadata or {})}
    try:
        data = _encode(pixels, kind, **options)
    except (OSError, ValueError) as error:  # for example, WebP ends at 16383 px
        message = f"{path}: cannot be written as {kind} ({error}); a .png could"
        raise InputError(message) from error
    with atomic(path) as file:
        file.write(data)


def _encode(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def _png_info(metadata: dict[str, str]) -> PngInfo:
    info = PngInfo()
    info.add(b"sRGB", b"\0")  # this chunk, not a whole sRGB profile: that holds its creation date
    for key, value in metadata.items():
        # A file name may hold bytes that are no text: lone surrogates, which UTF-8 cannot store.
        info.add_text(key, value.encode("utf-8", "replace").decode("utf-8"))
    return info


def _check_is_file(path: str | os.PathLike) -> None:
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait for ever
        kind = "a folder" if os.path.isdir(path) else "not a regular file"
        raise InputError(f"{kind}; the path of one picture is needed")


def _reason(error: Exception) -> str:
    """What to tell a person whose picture could not be read."""
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


_pillow_lock = threading.Lock()


@contextlib.contextmanager
def pillow_without_limits() -> Iterator[None]:
    """Put aside Pillow's size limit and warnings, both global: who decodes asks for the size."""
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decode(file: BinaryIO, max_pixels: int) -> Picture:
    notes = []
    with Image.open(file, formats=_formats(file)) as image:
        _check_size(image.size, max_pixels)
        # A phone's JPEG may hold a second picture (format MPO), of which nobody wants to hear.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            notes.append("only the first frame was read")
        if ";16" in str(image.tile) and not image.mode.startswith("I"):
            notes.append("16-bit color was read with 8 bits")
        image.load()
        upright = _upright(image, notes)
        pixels = _deep_gray(upright, notes) if upright.mode[0] in "IF" else _color(upright, notes)
    return Picture(pixels, tuple(notes))


def _formats(file: BinaryIO) -> tuple[str, ...]:
    head = file.read(32)
    file.seek(0)
    if head[4:8] != b"ftyp" or head[8:12] not in _HEIF_BRANDS or b"avif" in head:
        return _FORMATS
    try:
        import pillow_heif
    except ImportError:
        raise InputError("HEIC needs one more package: pip install 'nst_keras[heif]'") from None
    pillow_heif.register_heif_opener()
    return (*_FORMATS, "HEIF")


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    shown = f"{width}x{height} px"
    if width * height > max_pixels:
        raise InputError(
            f"{shown} is too large: at most {max_pixels:,} px are read (--max_megapixels)"
        )
    if min(width, height) < MIN_SIDE:
        raise InputError(f"{shown} is too small: at least {MIN_SIDE} px a side are needed")


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    """Turn by the EXIF orientation, which must not fail when the rest of the EXIF is broken (as
    ImageOps.exif_transpose would)."""
    number = orientation(image)
    if number is None:
        notes.append("broken EXIF data were ignored")
    turn = _UPRIGHT.get(number or 1)
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int | None:
    """How an opened picture lies, in EXIF's numbers, 1 to 8; None: its EXIF data are broken."""
    try:
        number = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as in read_image: any type; but the picture itself may be whole
        return None
    return number if number in _UPRIGHT else 1


def _deep_gray(image: Image.Image, notes: list[str]) -> np.ndarray:
    """Gray of more than 8 bits (Pillow's modes I;16, I and F) to (h, w, 3)."""
    if image.info.get("icc_profile"):
        notes.append("the color profile was ignored: Pillow applies it to 8 bits only")
    values = np.asarray(image)
    top = 1 if image.mode == "F" else 65535
    gray = np.nan_to_num(values.astype(np.float64), posinf=top, neginf=0)
    low, high = gray.min(), gray.max()
    if low < 0 or high > top:
        notes.append(f"gray values from {low:g} to {high:g} were stretched to black and white")
    else:
        low, high = 0, top
    gray = (gray - low) / max(high - low, 1e-12)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and (values == transparent).any():
        gray[values == transparent] = 1
        notes.append("transparency was composited over white")
    return np.repeat(gray[..., None].astype(np.float32), 3, axis=-1)


def _color(image: Image.Image, notes: list[str]) -> np.ndarray:
    """Samples of 8 bits or less to (h, w, 3). Profile before alpha: the white is that of sRGB."""
    pixels = np.array(_to_srgb(image, notes), np.float32)
    pixels /= 255
    if image.has_transparency_data:
        alpha = np.array(image.convert("RGBA").getchannel("A"), np.float32)[..., None] / 255
        if alpha.min() < 1:
            pixels *= alpha
            pixels += 1 - alpha
            notes.append("transparency was composited over white")
    return pixels


def _to_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = _apply_profile(image, source)
            title = source.profile.profile_description or "unnamed"
            if not title.startswith("sRGB"):  # which is nearly every photo: no news
                notes.append(printable(f"the color profile '{title}' was converted to sRGB"))
            return converted
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            notes.append("a color profile that is broken or for other samples was ignored")
    if image.mode == "LAB":
        return _apply_profile(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if image.mode == "CMYK":
        notes.append("CMYK without a profile was converted roughly: colors may differ")
    return image.convert("RGB")


def _apply_profile(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, srgb, image.mode, "RGB", intent, flags).apply(image)
