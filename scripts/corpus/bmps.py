"""BMPs of every header and depth."""

import itertools
import struct
from collections.abc import Iterator

import numpy as np

from . import scene
from .expected import Case

_HEADERS = {"os2": 12, "v3": 40, "v4": 108, "v5": 124}


def cases() -> Iterator[Case]:
    """All BMPs."""
    for header, flipped in itertools.product(_HEADERS, (False, True)):
        if header == "os2" and flipped:  # its height has no sign
            continue
        label = f"{header}{'_topdown' if flipped else ''}"
        yield from _indexed(header, flipped, label)
        yield from _direct(header, flipped, label)


def _bmp(
    header: str,
    flipped: bool,
    bits: int,
    rows: list[bytes],
    table: bytes = b"",
    masks: tuple[int, ...] = (),
) -> bytes:
    """A BMP of rows, the top one first."""
    size = _HEADERS[header]
    padded = [row + bytes(-len(row) % 4) for row in (rows if flipped else rows[::-1])]
    pixels = b"".join(padded)
    height = -len(rows) if flipped else len(rows)
    if header == "os2":
        info = struct.pack("<IHHHH", size, scene.WIDTH, height, 1, bits)
    else:
        info = struct.pack(
            "<IiiHHIIiiII",
            size,
            scene.WIDTH,
            height,
            1,
            bits,
            3 if masks else 0,
            len(pixels),
            2835,
            2835,
            0,
            0,
        )
        packed = b"".join(struct.pack("<I", mask) for mask in masks)
        if size > 40:
            info += packed.ljust(16, b"\0") + b"BGRs"  # the color space is sRGB
            info = info.ljust(size, b"\0")
        else:
            info += packed[:12]
    start = 14 + len(info) + len(table)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + info + table + pixels


def _indexed(header: str, flipped: bool, label: str) -> Iterator[Case]:
    for bits in (1, 4, 8):
        count = 2**bits
        rgb = np.resize(np.round(scene.color().reshape(-1, 3)[::2] * 255), (count, 3))
        rgb = rgb.astype(np.uint8)
        index = np.arange(scene.HEIGHT * scene.WIDTH).reshape(scene.HEIGHT, scene.WIDTH) % count
        entry = b"" if header == "os2" else b"\0"
        table = b"".join(color[::-1].tobytes() + entry for color in rgb)
        each = 8 // bits
        shifts = np.arange(each)[::-1] * bits
        rows = [
            (row.reshape(-1, each) << shifts).sum(1).astype(np.uint8).tobytes() for row in index
        ]
        data = _bmp(header, flipped, bits, rows, table)
        yield Case(f"{label}_{bits}.bmp", data, scene.over_white(scene.unit(rgb)[index]))


def _direct(header: str, flipped: bool, label: str) -> Iterator[Case]:
    rgb = scene.quantized(scene.color(), "uint8")
    right = scene.over_white(scene.unit(rgb))
    opacity = scene.quantized(scene.alpha(), "uint8")
    bgr = rgb[..., ::-1]
    data = _bmp(header, flipped, 24, [row.tobytes() for row in bgr])
    yield Case(f"{label}_24.bmp", data, right)
    if header == "os2":
        return
    opaque = np.concatenate([bgr, np.zeros_like(opacity)[..., None]], -1)
    data = _bmp(header, flipped, 32, [row.tobytes() for row in opaque])
    yield Case(f"{label}_32.bmp", data, right)
    for name, widths in (("555", (5, 5, 5)), ("565", (5, 6, 5))):
        words, value = _packed(scene.color(), widths)
        masks = _masks(widths) if name == "565" else ()
        data = _bmp(header, flipped, 16, [row.tobytes() for row in words], masks=masks)
        yield Case(f"{label}_16_{name}.bmp", data, scene.over_white(value), 4.2 / 255)
    if header in ("v4", "v5"):
        masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        for name, coverage in (("alpha", opacity), ("alpha0", np.zeros_like(opacity))):
            samples = np.concatenate([bgr, coverage[..., None]], -1)
            data = _bmp(header, flipped, 32, [row.tobytes() for row in samples], masks=masks)
            # Alpha of 0 everywhere means none, in all programs.
            visible = scene.unit(coverage) if name == "alpha" else None
            seen = scene.over_white(scene.unit(rgb), visible)
            yield Case(f"{label}_32_{name}.bmp", data, seen)


def _packed(values: np.ndarray, widths: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """RGB in [0, 1] in words of 16 bits, red highest, and the values that they stand for."""
    words, found, shift = np.zeros(values.shape[:2], np.uint16), [], sum(widths)
    for channel, width in enumerate(widths):
        shift -= width
        samples = np.round(values[..., channel] * (2**width - 1)).astype(np.uint16)
        words |= samples << shift
        found.append(samples / (2**width - 1))
    return words, np.stack(found, -1)


def _masks(widths: tuple[int, ...]) -> tuple[int, ...]:
    shifts = [sum(widths[place + 1 :]) for place in range(len(widths))]
    return tuple((2**width - 1) << shift for width, shift in zip(widths, shifts, strict=True))
