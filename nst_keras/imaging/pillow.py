"""Pillow's decoders, and its global limits and warnings."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

from PIL import Image

from nst_keras.runtime.errors import InputError

# An explicit list: Pillow would otherwise try some forty decoders, one of which starts Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

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
