"""PNGs of every color type, depth and interlacing, with profiles and other color descriptions."""

import itertools
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import ImageCms

from . import light, scene
from .expected import Case

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_ADAM7 = (*_PASSES, (0, 1, 1, 2))
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
# Pillow reads color of 16 bits by its higher byte.
_HIGH_BYTE = 1.6 / 255


def cases() -> Iterator[Case]:
    """All PNGs."""
    for interlaced in (False, True):
        yield from _modes(interlaced)
    yield from _described()
    yield from _large_metadata()
    yield from _oriented()


def _png(
    samples: np.ndarray, color: int, depth: int, interlaced: bool, *chunks: tuple[bytes, bytes]
) -> bytes:
    """A PNG of samples (height, width, channels), integers of `depth` bits."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    lines = [
        b"\0" + _packed(row, depth)
        for x, y, dx, dy in passes
        for row in samples[y::dy, x::dx]
        if row.size
    ]
    data = zlib.compress(b"".join(lines))
    parts = ((b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    ends = struct.pack(">I", len(content)), struct.pack(">I", zlib.crc32(name + content))
    return ends[0] + name + content + ends[1]


def _packed(row: np.ndarray, depth: int) -> bytes:
    """A row of samples in whole bytes, high bits first."""
    bits = np.unpackbits(row.astype(">u2").reshape(-1, 1).view(np.uint8), axis=1)
    return np.packbits(bits[:, 16 - depth :].reshape(-1)).tobytes()


def _quantized(values: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Values in [0, 1] as integers of `depth` bits, and their values."""
    samples = np.round(values * (2**depth - 1)).astype(np.uint16)
    return samples, samples / (2**depth - 1)


def _modes(interlaced: bool) -> Iterator[Case]:
    label = "_interlaced" if interlaced else ""
    for depth in (1, 2, 4, 8, 16):
        gray, value = _quantized(scene.gray(), depth)
        opaque = scene.over_white(value)
        data = _png(gray[..., None], _GRAY, depth, interlaced)
        yield Case(f"gray{depth}{label}.png", data, opaque)
        key = int(gray[3, 3])
        data = _png(gray[..., None], _GRAY, depth, interlaced, (b"tRNS", struct.pack(">H", key)))
        seen = np.where((gray == key)[..., None], 1, opaque).astype(np.float32)
        yield Case(f"gray{depth}_trns{label}.png", data, seen)
    for depth in (8, 16):
        yield from _colors(depth, interlaced, label)
    for depth in (1, 2, 4, 8):
        yield from _indexed(depth, interlaced, label)


def _colors(depth: int, interlaced: bool, label: str) -> Iterator[Case]:
    tolerance = 0.6 / 255 if depth == 8 else _HIGH_BYTE
    rgb, value = _quantized(scene.color(), depth)
    gray, level = _quantized(scene.gray(), depth)
    opacity, visible = _quantized(scene.alpha(), depth)
    data = _png(rgb, _RGB, depth, interlaced)
    yield Case(f"rgb{depth}{label}.png", data, scene.over_white(value), tolerance)
    rgba = np.concatenate([rgb, opacity[..., None]], -1)
    data = _png(rgba, _RGB_ALPHA, depth, interlaced)
    yield Case(f"rgba{depth}{label}.png", data, scene.over_white(value, visible), tolerance)
    data = _png(np.stack([gray, opacity], -1), _GRAY_ALPHA, depth, interlaced)
    yield Case(f"la{depth}{label}.png", data, scene.over_white(level, visible), tolerance)
    key = rgb[5, 5]
    data = _png(rgb, _RGB, depth, interlaced, (b"tRNS", struct.pack(">3H", *key)))
    seen = np.where((rgb == key).all(-1, keepdims=True), 1, scene.over_white(value))
    yield Case(f"rgb{depth}_trns{label}.png", data, seen.astype(np.float32), tolerance)


def _indexed(depth: int, interlaced: bool, label: str) -> Iterator[Case]:
    count = 2**depth
    rgb = np.round(scene.color().reshape(-1, 3)[::2][:count] * 255).astype(np.uint8)
    rgb = np.resize(rgb, (count, 3))
    index = np.arange(scene.HEIGHT * scene.WIDTH).reshape(scene.HEIGHT, scene.WIDTH) % count
    palette = (b"PLTE", rgb.tobytes())
    data = _png(index[..., None], _PALETTE, depth, interlaced, palette)
    yield Case(f"palette{depth}{label}.png", data, scene.over_white(scene.unit(rgb)[index]))
    opacity = np.linspace(0, 255, max(1, count // 2)).round().astype(np.uint8)
    data = _png(index[..., None], _PALETTE, depth, interlaced, palette, (b"tRNS", bytes(opacity)))
    visible = np.concatenate([opacity / 255, np.ones(count - len(opacity))])[index]
    seen = scene.over_white(scene.unit(rgb)[index], visible)
    yield Case(f"palette{depth}_trns{label}.png", data, seen)


def _described() -> Iterator[Case]:
    """Pictures whose numbers are not those of sRGB, by gAMA, cHRM, cICP and iCCP."""
    for depth, kind in itertools.product((8, 16), ("rgb", "gray")):
        values, color = (scene.color(), _RGB) if kind == "rgb" else (scene.gray(), _GRAY)
        samples, value = _quantized(values, depth)
        samples = samples.reshape(scene.HEIGHT, scene.WIDTH, -1)
        rgb = scene.over_white(value).astype(np.float64)
        for name, chunks, space in _descriptions():
            data = _png(samples, color, depth, False, *chunks)
            right = space.to_srgb(rgb).astype(np.float32)
            # A step of 1/255 in the file can be several in the result where light is dark.
            tolerance = (4 if name.endswith(("linear", "pq", "hlg")) else 2) * 3 / 255
            yield Case(f"{kind}{depth}_{name}.png", data, right, tolerance)


def _descriptions() -> Iterator[tuple[str, list[tuple[bytes, bytes]], light.Space]]:
    srgb, p3, rec2020 = light.SRGB, light.DISPLAY_P3, light.REC2020
    yield "srgb_chunk", [(b"sRGB", b"\0")], light.Space(srgb, light.srgb_curve)
    for gamma in (1.0, 1 / 1.8, 1 / 2.6):
        name = "linear" if gamma == 1 else f"{1 / gamma:.1f}"
        chunk = (b"gAMA", struct.pack(">I", round(gamma * 1e5)))
        space = light.Space(srgb, light.power(1 / gamma))
        yield f"gama_{name}", [chunk], space
        yield f"gama_{name}_with_srgb", [chunk, (b"sRGB", b"\0")], light.Space(srgb)
    for name, primaries in (("p3", p3), ("rec2020", rec2020)):
        points = (light.D65, *primaries)
        numbers = [round(number * 1e5) for point in points for number in point]
        chrm = (b"cHRM", struct.pack(">8I", *numbers))
        yield f"chrm_{name}", [chrm], light.Space(primaries)
        gamma = (b"gAMA", struct.pack(">I", 45455))
        yield f"chrm_{name}_gama", [chrm, gamma], light.Space(primaries)
    for name, code, primaries in (("srgb", 1, srgb), ("p3", 12, p3), ("rec2020", 9, rec2020)):
        curves = (("srgb", 13, light.srgb_curve), ("linear", 8, light.power(1)))
        for curve_name, transfer, curve in (*curves, ("pq", 16, light.pq), ("hlg", 18, light.hlg)):
            cicp = (b"cICP", bytes((code, transfer, 0, 1)))
            yield f"cicp_{name}_{curve_name}", [cicp], light.Space(primaries, curve)


def _large_metadata() -> Iterator[Case]:
    """Sound pictures with a large profile or text."""
    rgb, value = _quantized(scene.color(), 8)
    right = scene.over_white(value)
    text = np.random.default_rng(0).integers(32, 127, 1_400_000).astype(np.uint8).tobytes()
    itxt = (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(text))
    ztxt = (b"zTXt", b"Comment\0\0" + zlib.compress(text))
    plain = (b"tEXt", b"Comment\0" + text)
    for name, chunk in (("itxt", itxt), ("ztxt", ztxt), ("text", plain)):
        yield Case(f"large_{name}.png", _png(rgb, _RGB, 8, False, chunk), right)
        several = _png(rgb, _RGB, 8, False, *[chunk] * 50)
        yield Case(f"large_{name}_50.png", several, right)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    size = struct.pack(">I", len(profile) + len(text))
    iccp = (b"iCCP", b"sRGB\0\0" + zlib.compress(size + profile[4:] + text))
    yield Case("large_iccp.png", _png(rgb, _RGB, 8, False, iccp), right, 1.6 / 255)


def _oriented() -> Iterator[Case]:
    """EXIF turns a picture; what XMP alone says does not, as in browsers."""
    rgb, value = _quantized(scene.color(), 8)
    right = scene.over_white(value)
    for orientation in range(1, 9):
        entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
        exif = b"II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
        turned = scene.turned(right, orientation)
        data = _png(rgb, _RGB, 8, False, (b"eXIf", exif))
        yield Case(f"exif{orientation}.png", data, turned)
        xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>{orientation}'
        xmp += "</tiff:Orientation></x:xmpmeta>"
        chunk = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode())
        yield Case(f"xmp{orientation}.png", _png(rgb, _RGB, 8, False, chunk), right)
