"""Opening pictures with Pillow: its formats, its global limits, and what it does not know."""

import contextlib
import hashlib
import io
import logging
import threading
import warnings
from collections.abc import Iterator

from PIL import Image, ImageFile, UnidentifiedImageError

from nst_keras.imaging import containers, tiff
from nst_keras.runtime.errors import InputError

# An explicit list: Pillow would otherwise try some forty decoders, one of which starts Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_UNSUPPORTED_BMP = "Unsupported BMP "
_JPEG_END = b"\xff\xd9"
# Bits that decoders which still wait for pixels take for some, each for other ones.
_FILLERS = tuple(bytes([value]) * 64 for value in (0x55, 0xAA, 0xFE))

# Without a handler, what Pillow logs about damaged files would be printed on standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_lock = threading.Lock()
_users = 0  # threads inside `without_limits`
_lifted = contextlib.ExitStack()  # what the last of them restores


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


@contextlib.contextmanager
def accepting_cut_files() -> Iterator[None]:
    """Have Pillow decode what is there of files that were cut short, which is global, too."""
    with _lock:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False


def formats_of(data: bytes) -> tuple[str, ...]:
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


def identified(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    """A picture before its pixels are decoded.

    Raises:
        InputError: it is of a kind that is not read.
        UnidentifiedImageError: it is no picture, or is damaged.
    """
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        if data.startswith(tiff.STARTS):
            words = ""
            with contextlib.suppress(Exception):  # nearly any type, if it is damaged
                words = tiff.Tiff(data).not_read()
            if words:
                raise InputError(words) from None
        if kind := containers.jpeg_kind(data):
            raise InputError(f"a JPEG of a kind that is not read ({kind})") from None
        raise
    except OSError as error:
        if str(error).startswith(_UNSUPPORTED_BMP):
            kind = str(error).removeprefix(_UNSUPPORTED_BMP)
            raise InputError(f"a BMP of a kind that is not read ({kind})") from None
        if "runcated" in str(error):  # with a small or a capital t
            raise InputError("damaged or cut short") from error
        raise


def completed_jpeg(data: bytes) -> bytes | None:
    """A JPEG with the end marker that it lacks; None if it lacks more, or is no JPEG.

    If pixels are missing, the decoder makes some of any bytes that follow.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    scan = data.removesuffix(b"\xff")  # half of the marker
    completed = scan + _JPEG_END
    try:
        decoded = {
            # One at a time: those of a large picture take gigabytes.
            hashlib.sha256(_jpeg(scan + filler + _JPEG_END)).digest()
            for filler in (b"", *_FILLERS)
        }
    except Exception:  # as in `images.read_image`
        return None
    return completed if len(decoded) == 1 else None


def _jpeg(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return image.tobytes()
