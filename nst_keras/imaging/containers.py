"""What PNG, AVIF, HEIF and BMP files declare about their pixels, as far as Pillow does not say it.

Nothing here decodes pixels. What is damaged counts as absent: the decoder will find it.
"""

import contextlib
import struct
import zlib
from collections.abc import Iterator

from nst_keras.imaging import color_spaces
from nst_keras.imaging.color_spaces import ColorSpace

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_AT_ONCE = 1 << 20  # bytes unpacked at a time
_USUAL_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, by Huffman
# Texts do not change the picture, and Pillow refuses those of over a megabyte.
_LEFT_OUT = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_MAX_PROFILE = 1 << 26  # bytes
Boxes = Iterator[tuple[bytes, bytes]]


def png_without_texts(data: bytes) -> bytes:
    """A PNG without its texts and its profile; anything else unchanged."""
    chunks = list(_png_chunks(data))
    if not any(name in _LEFT_OUT for name, _ in chunks):
        return data
    kept = [whole for name, whole in chunks if name not in _LEFT_OUT]
    end = len(_PNG) + sum(len(whole) for _, whole in chunks)
    return b"".join([_PNG, *kept, data[end:]])


def png_with_end(data: bytes) -> bytes | None:
    """A PNG with the end chunk that it lacks; None if it lacks more, or is no PNG."""
    chunks = list(_png_chunks(data))
    pixels = zlib.decompressobj()
    try:
        for name, whole in chunks:
            rest = whole[8:-4] if name == b"IDAT" else b""
            while rest:
                pixels.decompress(rest, _AT_ONCE)  # which is not kept
                rest = pixels.unconsumed_tail
    except zlib.error:
        return None
    return b"".join([_PNG, *(whole for _, whole in chunks), _PNG_END]) if pixels.eof else None


def jpeg_kind(data: bytes) -> str | None:
    """What is rare about a JPEG: more than 8 bits, or a coding other than Huffman's in blocks."""
    place = 2
    while data.startswith(b"\xff\xd8") and place + 5 <= len(data) and data[place] == 0xFF:
        marker, (length,) = data[place + 1], struct.unpack_from(">H", data, place + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits = data[place + 4]
            if marker in _USUAL_FRAMES:
                return f"{bits} bits" if bits != 8 else None
            return f"frame type {marker - 0xC0}, {bits} bits"
        place += 2 + length
    return None


def png_profile(data: bytes) -> bytes | None:
    """The ICC profile of a PNG, if it has one that can be unpacked."""
    packed = png_contents(data).get(b"iCCP", b"").partition(b"\0")[2][1:]
    try:
        return zlib.decompressobj().decompress(packed, _MAX_PROFILE) or None
    except zlib.error:
        return None


def png_transparency(data: bytes) -> int | tuple[int, ...] | None:
    """The transparent gray or color of a PNG where Pillow, in modes of 8 bits, has it wrong."""
    chunks = png_contents(data)
    with contextlib.suppress(struct.error):
        depth, kind = struct.unpack_from("BB", chunks.get(b"IHDR", b""), 8)
        if b"tRNS" in chunks and kind == 0 and depth in (2, 4):
            return struct.unpack(">H", chunks[b"tRNS"])[0] * 255 // (2**depth - 1)
        if b"tRNS" in chunks and kind == 2 and depth == 16:
            return tuple(value >> 8 for value in struct.unpack(">3H", chunks[b"tRNS"]))
    return None


def color_space(data: bytes) -> ColorSpace | None:
    """The color space of a PNG, AVIF or HEIF by anything but a profile; None for sRGB.

    Raises:
        ValueError: there is a description that is not known or makes no sense.
    """
    if data.startswith(_PNG):
        return _png_color_space(png_contents(data))
    for kind in _primary_properties(data).get(b"colr", ()):
        if kind[:4] == b"nclx" and len(kind) >= 8:
            return color_spaces.from_cicp(*struct.unpack(">HH", kind[4:8]))
    return None


def overrides_profile(data: bytes) -> bool:
    """Whether the description by `color_space` counts although the file has a profile, too."""
    return b"cICP" in png_contents(data)


def clean_aperture(data: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The part of an AVIF or HEIF of `size` (width, height) that is to be shown, if not all.

    As (left, top, right, bottom), rounded to whole pixels (ISO/IEC 14496-12, section 12.1.4).
    """
    for box in _primary_properties(data).get(b"clap", ()):
        if len(box) < 32:
            continue
        numbers = struct.unpack(">IIIIiIiI", box[:32])
        if not all(numbers[1::2]):
            continue
        width, height, x, y = (n / d for n, d in zip(numbers[::2], numbers[1::2], strict=True))
        left = round((size[0] - width) / 2 + x)
        top = round((size[1] - height) / 2 + y)
        right, bottom = left + round(width), top + round(height)
        if 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]:
            return left, top, right, bottom
    return None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The names and the whole bytes of the chunks of a PNG, up to the first damaged one."""
    place = len(_PNG)
    while data.startswith(_PNG) and place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        whole = data[place : place + 12 + length]
        if len(whole) < 12 + length:
            return
        yield whole[4:8], whole
        place += len(whole)


def png_contents(data: bytes) -> dict[bytes, bytes]:
    """The contents of the chunks before the pixels, by name."""
    found: dict[bytes, bytes] = {}
    for name, whole in _png_chunks(data):
        if name == b"IDAT":
            break
        found.setdefault(name, whole[8:-4])
    return found


def _png_color_space(chunks: dict[bytes, bytes]) -> ColorSpace | None:
    """By the order of PNG's third edition: cICP, a profile, sRGB, gAMA and cHRM."""
    if len(chunks.get(b"cICP", b"")) == 4:
        return color_spaces.from_cicp(*chunks[b"cICP"][:2])
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return None
    with contextlib.suppress(struct.error):
        gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 1e5 if b"gAMA" in chunks else None
        points = struct.unpack(">8I", chunks[b"cHRM"]) if b"cHRM" in chunks else ()
        return color_spaces.from_gamma(gamma, [number / 1e5 for number in points])
    return None


def _primary_properties(data: bytes) -> dict[bytes, list[bytes]]:
    """The contents of the properties of the main picture of an AVIF or HEIF, by type."""
    found: dict[bytes, list[bytes]] = {}
    if data[4:8] != b"ftyp":
        return found
    with contextlib.suppress(struct.error, KeyError, IndexError):
        meta = dict(_boxes(dict(_boxes(data))[b"meta"][4:]))
        parts = dict(_boxes(meta[b"iprp"]))
        pitm = meta[b"pitm"]
        (item,) = struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)
        properties = list(_boxes(parts[b"ipco"]))
        for index in _associations(parts[b"ipma"]).get(item, ()):
            if index:
                name, content = properties[index - 1]
                found.setdefault(name, []).append(content)
    return found


def _boxes(data: bytes) -> Boxes:
    """The types and contents of boxes (ISO/IEC 14496-12, section 4.2) one after the other."""
    place = 0
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        start = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, place + 8)
            start = 16
        size = size or len(data) - place
        if size < start:
            return
        yield name, data[place + start : place + size]
        place += size


def _associations(ipma: bytes) -> dict[int, list[int]]:
    """The 1-based indices of the properties of each item (ISO/IEC 23008-12, section 9.3)."""
    version, wide = ipma[0], ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, 4)
    place, found = 8, {}
    for _ in range(count):
        (item,) = struct.unpack_from(">I" if version else ">H", ipma, place)
        place += 4 if version else 2
        number = ipma[place]
        entries = struct.unpack_from(f">{number}{'H' if wide else 'B'}", ipma, place + 1)
        place += 1 + number * (2 if wide else 1)
        found[item] = [entry & (0x7FFF if wide else 0x7F) for entry in entries]
    return found
