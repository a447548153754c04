"""Small undamaged pictures of every format that is read."""

import functools
import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

from .formats import write_png

SIDE = (24, 20)  # width and height of the pictures, in pixels
USED = 144  # a palette index that pixels have; Pillow leaves out the transparency of unused ones
# White, red, green and blue, each x and y.
_REC2020 = struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)


def _pixels(mode: str = "RGB") -> Image.Image:
    width, height = SIDE
    ramp = np.add.outer(np.arange(height) * 7, np.arange(width) * 5)
    color = np.stack([ramp, ramp * 2, 255 - ramp], -1).astype(np.uint8)
    image = Image.fromarray(color)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray((ramp % 256).astype(np.uint8)))
    converted = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
    if profile := converted.info.get("icc_profile"):  # Pillow adds one to LAB
        converted.info["icc_profile"] = _without_time(profile)
    return converted


def _without_time(profile: bytes) -> bytes:
    """A color profile without the time of its creation, and without its digest."""
    return profile[:24] + bytes(12) + profile[36:84] + bytes(16) + profile[100:]


def save_picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    _pixels(mode).save(stream, kind, **options)
    return stream.getvalue()


def _deep_png(color_type: int, depth: int, interlaced: bool, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG that Pillow cannot write: 16-bit color, interlaced in seven passes, other chunks."""
    width, height = SIDE
    each = {0: 1, 2: 3, 4: 2, 6: 4}[color_type] * depth // 8
    grid = np.arange(width * height * each, dtype=np.uint32).astype(np.uint8)
    grid = grid.reshape(height, width, each)
    starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    passes = (*starts, (0, 1, 1, 2)) if interlaced else ((0, 0, 1, 1),)
    lines = (b"\0" + row.tobytes() for x, y, dx, dy in passes for row in grid[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    data = zlib.compress(b"".join(lines))
    return write_png([(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")])


def _profile() -> bytes:
    return _without_time(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    exif.get_ifd(0x8769)[0x9286] = b"comment"
    return exif.tobytes()


def _pngs() -> list[bytes]:
    later = _pixels().transpose(Image.Transpose.ROTATE_180)
    return [
        save_picture("PNG", icc_profile=_profile(), exif=_exif()),
        save_picture("PNG", "RGBA"),
        save_picture("PNG", "P", transparency=USED),
        save_picture("PNG", "1"),
        save_picture("PNG", "I;16"),
        save_picture("PNG", "LA"),
        save_picture("PNG", save_all=True, append_images=[later], duration=80, disposal=1),
        _deep_png(2, 8, False, (b"cICP", bytes([9, 16, 0, 1]))),
        _deep_png(2, 8, False, (b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", _REC2020)),
        *(_deep_png(kind, 16, False) for kind in (0, 2, 6)),
        *(_deep_png(kind, depth, True) for kind, depth in ((0, 8), (2, 16), (6, 8))),
    ]


def _jpegs() -> list[bytes]:
    return [
        save_picture("JPEG", exif=_exif(), icc_profile=_profile()),
        save_picture("JPEG", progressive=True, subsampling=0),
        save_picture("JPEG", "CMYK"),
        save_picture("JPEG", "CMYK", icc_profile=_profile()),
        save_picture("JPEG", "L", restart_marker_blocks=1),
    ]


def _tiffs() -> list[bytes]:
    kinds = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    modes = ("RGBA", "P", "CMYK", "LAB", "I;16", "F", "I", "L")
    return [
        *(save_picture("TIFF", compression=kind) for kind in kinds),
        *(save_picture("TIFF", mode) for mode in modes),
        save_picture("TIFF", "1", compression="group4"),
        save_picture("TIFF", exif=_exif(), icc_profile=_profile(), big_tiff=True),
        save_picture("TIFF", save_all=True, append_images=[_pixels(), _pixels()]),
        save_picture("TIFF", "RGB", tiffinfo={305: "x" * 40, 700: b"<xmp/>"}),
        *_deep_tiffs(),
    ]


def _deep_tiffs() -> list[bytes]:
    """TIFFs that Pillow cannot write: more bits, floats, alpha, planes, tiles."""
    color = np.asarray(_pixels(), np.float32) / 255
    deep, alpha = np.uint16(color * 65535), {"extrasamples": ["unassalpha"]}
    four = np.dstack([deep, deep[..., :1]])
    return [
        _tiff(deep, byteorder=">", bigtiff=True),
        _tiff(np.moveaxis(deep, -1, 0), planarconfig="separate", compression="zlib"),
        _tiff(four, compression="zlib", predictor=True, rowsperstrip=5, **alpha),
        _tiff(four, photometric="separated"),
        _tiff(color, tile=(16, 16), compression="zlib"),
        _tiff(color.astype(np.float16), iccprofile=_profile()),
        _tiff(deep[..., 0], photometric="miniswhite"),
        _tiff(deep, photometric="cielab"),
    ]


def _tiff(samples: np.ndarray, photometric: str | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    photometric = photometric or ("rgb" if samples.ndim == 3 else "minisblack")
    tifffile.imwrite(stream, samples, photometric=photometric, metadata=None, **options)
    return stream.getvalue()


@functools.cache
def all_pictures() -> list[bytes]:
    """Small pictures of all formats that runs read."""
    later = _pixels().transpose(Image.Transpose.ROTATE_180)
    more = {"save_all": True, "append_images": [later], "duration": 80}
    return [
        *_pngs(),
        *_jpegs(),
        *_tiffs(),
        save_picture("MPO", save_all=True, append_images=[later]),
        save_picture("WEBP", exif=_exif(), icc_profile=_profile()),
        save_picture("WEBP", "RGBA", lossless=True),
        save_picture("WEBP", **more),
        save_picture("AVIF", exif=_exif(), max_threads=1),
        save_picture("AVIF", "RGBA", max_threads=1),
        save_picture("GIF", "P"),
        save_picture("GIF", "P", transparency=USED, comment=b"x"),
        save_picture("GIF", **more),
        *(save_picture("BMP", mode) for mode in ("RGB", "RGBA", "P", "1")),
        b"\0\0\0\x18ftypheic" + bytes(200),
    ]


@functools.cache
def training_pictures() -> list[bytes]:
    """Small pictures of the formats that trainings read."""
    gifs = [save_picture("GIF", "P"), save_picture("GIF", "P", transparency=USED)]
    return [*_pngs(), *_jpegs(), *gifs]
