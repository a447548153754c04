"""Pictures and color profiles that tests of pictures share."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nst_keras.imaging.images import read_image, to_uint8


@pytest.fixture
def photo():
    """Smooth random colors, (32, 40, 3) uint8."""
    seeds = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(seeds).resize((40, 32), Image.Resampling.BILINEAR))


def save(path, image, **options):
    image.save(path, **options)
    return read_image(path)


def flat(mode, color):
    return Image.new(mode, (16, 16), color)


def frames_of(folder, pictures, labels=None):
    """Frames of an animation: of paths, and of arrays, which become PNG files in the folder."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number, picture in enumerate(pictures):
        if isinstance(picture, np.ndarray):
            path = folder / f"{number}.png"
            pixels = picture if picture.dtype == np.uint8 else to_uint8(picture)
            Image.fromarray(pixels).save(path, compress_level=1)
            picture = path
        paths.append(picture)
    return list(zip(paths, labels or [""] * len(paths), strict=True))


def png(header, data, *chunks):
    """A PNG from its parts: header = (width, height, bits, color type), data unfiltered rows."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def rows(samples):
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)


def icc(kind, space, connection, title, tags):
    """A version 2 ICC profile; Pillow itself can only build sRGB, Lab and XYZ."""
    text = title.encode() + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": xyz(0.9642, 1, 0.8249),
        **tags,
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data
    head = struct.pack(">II", 128 + len(table) + len(body), 0) + b"\x02\x40\0\0"
    head += kind + space + connection + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp"
    return head + bytes(28) + xyz(0.9642, 1, 0.8249)[8:] + bytes(48) + table + body


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def xyz(*values):
    return b"XYZ \0\0\0\0" + fixed(*values)


# Primaries of Adobe RGB (1998), adapted to the white D50, one row each.
ADOBE = np.array(
    [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]
)


def adobe_profile():
    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.19921875 * 256))
    tags = {name + b"XYZ": xyz(*row) for name, row in zip((b"r", b"g", b"b"), ADOBE, strict=True)}
    tags |= {name + b"TRC": gamma for name in (b"r", b"g", b"b")}
    return icc(b"mntr", b"RGB ", b"XYZ ", "Adobe-like", tags)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


# Primaries of Display P3, adapted to the white D50, one row each.
P3 = np.array(
    [[0.51512, 0.2412, -0.00105], [0.29198, 0.69225, 0.04189], [0.1571, 0.06657, 0.78407]]
)


def p3_profile():
    """Display P3: its primaries with the curve of sRGB."""
    numbers = fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + numbers
    tags = {name + b"XYZ": xyz(*row) for name, row in zip((b"r", b"g", b"b"), P3, strict=True)}
    tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    return icc(b"mntr", b"RGB ", b"XYZ ", "P3-like", tags)
