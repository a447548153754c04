"""Pictures inside a page, as data URIs, each within a number of bytes."""

import base64
import functools
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from nst_keras.imaging import images

MAX_SIDE = 1024  # px, of an embedded picture
MAX_BYTES = 2_000_000  # of an embedded picture
MIN_SIDE = 64  # px; no picture is reduced below it to save bytes
_CACHED = 160  # pictures: those of a page that is written again and again while a run goes on


def with_steps(frames: Iterable[tuple[int, Path]], *limits: int) -> list[dict[str, Any]]:
    """The pictures that can be read of (step, path); `limits` as for `picture`."""
    found = [(step, picture(path, *limits)) for step, path in frames]
    return [{"step": step, **one} for step, one in found if one]


def picture(
    path: Path, longest: int = MAX_SIDE, quality: int = 85, most: int = MAX_BYTES
) -> dict[str, Any] | None:
    """A picture file as a data URI with the file's width and height; None if it cannot be read.

    A JPEG within the limits is embedded as it is. Any other picture becomes a WebP, reduced until
    no side is above `longest` px and the WebP is not above `most` bytes.
    """
    return _cached(path, longest, quality, most)


def original(path: Path, most: int) -> dict[str, Any] | None:
    """A PNG or GIF with its own bytes, as `picture`; None also if it is above `most` bytes."""
    return _cached(path, 0, 0, most)


def data_uri(data: bytes, kind: str) -> str:
    """The address of a picture in a format, such as WEBP, that holds its bytes."""
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"


def length(found: dict[str, Any] | None) -> int:
    """The bytes that an embedded picture takes on the page."""
    return len(found["uri"]) if found else 0


def _cached(path: Path, longest: int, quality: int, most: int) -> dict[str, Any] | None:
    try:
        status = path.stat()
        return _embed(path, status.st_mtime_ns, status.st_size, longest, quality, most)
    except Exception:  # decoders raise nearly any type on damaged bytes
        return None


@functools.lru_cache(maxsize=_CACHED)
def _embed(
    path: Path, modified: int, size: int, longest: int, quality: int, most: int
) -> dict[str, Any] | None:
    """As `picture`, or as `original` if `longest` is 0; `modified` and `size` tell the versions of
    a file apart for the cache."""
    if not longest and size > most:
        return None
    data = path.read_bytes()
    with images.opened(io.BytesIO(data)) as image:
        (width, height), kind = image.size, image.format or ""
        if not longest:
            image.load()  # a file that is cut short is not shown
        elif kind != "JPEG" or max(width, height) > longest or size > most:
            data, kind = _webp(image, longest, quality, most), "WEBP"
    return {"uri": data_uri(data, kind), "width": width, "height": height}


def _webp(image: Image.Image, longest: int, quality: int, most: int) -> bytes:
    while True:
        # The small gap lets the decoder do most of the reduction of a large JPEG, which is cheap.
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=1.0)
        buffer = io.BytesIO()
        images.in_srgb(image).save(buffer, "WEBP", quality=quality, method=2)
        excess = buffer.tell() / most
        if excess <= 1 or max(image.size) <= MIN_SIDE:
            return buffer.getvalue()
        longest = max(MIN_SIDE, int(max(image.size) * min(0.95, 0.97 * excess**-0.5)))
