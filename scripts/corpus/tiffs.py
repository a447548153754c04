"""TIFFs of every kind that `tifffile` and `imagecodecs` write, with their right values."""

import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from . import scene
from .expected import Case

_TYPES = ("bool", "uint8", "uint16", "uint32", "float16", "float32", "float64")
_NAMES = {"bool": "1", "uint8": "8", "uint16": "16", "uint32": "32", "float16": "f16"}
_NAMES |= {"float32": "f32", "float64": "f64"}
_LOSSLESS = (None, "deflate", "lzw", "packbits", "zstd", "lzma")
_ORIENTATION = 274
_LIGHT_D50 = (0.9642, 1.0, 0.8249)


def cases() -> Iterator[Case]:
    """All TIFFs."""
    for name, samples, right, options in _layouts():
        for more in _containers(samples, options):
            label = "_".join(str(value) for value in more.values() if value is not None)
            yield _case(f"{name}_{label}", samples, right, **options, **more)
    yield from _lossy()
    yield from _palettes()
    yield from _oriented()
    yield from _lab()
    yield from _refused()


def _case(name: str, samples: np.ndarray, right: np.ndarray | None, **options: Any) -> Case:
    words = options.pop("words", "")
    tolerance = options.pop("tolerance", 0.6 / 255)
    if options.get("planarconfig") == "separate":  # `imwrite` takes the planes first
        samples = np.ascontiguousarray(np.moveaxis(samples, -1, 0))
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, metadata=None, **options)
    return Case(f"{name}.tif".replace(" ", ""), stream.getvalue(), right, tolerance, words)


def _layouts() -> Iterator[tuple[str, np.ndarray, np.ndarray, dict]]:
    """Names, samples (height, width[, channels]), right values and options of `imwrite`."""
    for kind in _TYPES:
        name = _NAMES[kind]
        gray = scene.quantized(scene.gray(), kind)
        value = scene.unit(gray)
        yield f"gray{name}", gray, scene.over_white(value), {"photometric": "minisblack"}
        if kind in ("bool", "uint8", "uint16"):
            white = {"photometric": "miniswhite"}
            yield f"white{name}", gray, scene.over_white(1 - value), white
        if kind == "bool":
            continue
        yield from _with_alpha(name, gray, "minisblack", kind)
        rgb = scene.quantized(scene.color(), kind)
        yield f"rgb{name}", rgb, scene.over_white(scene.unit(rgb)), {"photometric": "rgb"}
        yield from _with_alpha(name, rgb, "rgb", kind)
        if kind in ("uint8", "uint16"):
            yield from _cmyk(name, kind)


def _with_alpha(name: str, samples: np.ndarray, photometric: str, kind: str) -> Iterator[tuple]:
    opacity = scene.quantized(scene.alpha(), kind)
    pixels, visible = scene.unit(samples), scene.unit(opacity)
    stack = samples.reshape(scene.HEIGHT, scene.WIDTH, -1)
    label = {"minisblack": "gray", "rgb": "rgb"}[photometric] + name
    straight = np.concatenate([stack, opacity[..., None]], -1)
    options = {"photometric": photometric, "extrasamples": ["unassalpha"]}
    yield f"{label}a", straight, scene.over_white(pixels, visible), options
    weight = visible if samples.ndim == 2 else visible[..., None]
    multiplied = scene.quantized(pixels * weight, kind).reshape(stack.shape)
    right = scene.over_white(scene.unit(multiplied.reshape(samples.shape)), visible, True)
    options = {"photometric": photometric, "extrasamples": ["assocalpha"]}
    yield f"{label}pa", np.concatenate([multiplied, opacity[..., None]], -1), right, options


def _cmyk(name: str, kind: str) -> Iterator[tuple]:
    black = scene.gray()[..., None] / 2
    ink = scene.quantized(np.concatenate([1 - scene.color(), black], -1), kind)
    right = scene.from_cmyk(scene.unit(ink))
    options = {"photometric": "separated", "tolerance": 1.6 / 255}
    yield f"cmyk{name}", ink, scene.over_white(right), options
    opacity = scene.quantized(scene.alpha(), kind)
    stack = np.concatenate([ink, opacity[..., None]], -1)
    seen = scene.over_white(right, scene.unit(opacity))
    yield f"cmyk{name}a", stack, seen, {**options, "extrasamples": ["unassalpha"]}


def _containers(samples: np.ndarray, options: dict) -> Iterator[dict]:
    """Options of `imwrite` that change how the same samples are stored."""
    planars = ("contig", "separate") if samples.ndim == 3 else (None,)
    kinds = itertools.product(_LOSSLESS, planars, "<>", (None, (16, 16)))
    for compression, planar, order, tile in kinds:
        if samples.dtype == bool and (tile or compression not in (None, "deflate", "packbits")):
            continue
        arranged = {"compression": compression, "planarconfig": planar}
        arranged |= {"byteorder": order, "tile": tile}
        yield arranged
        if compression in ("deflate", "lzw") and samples.dtype.kind in "uf":
            yield arranged | {"predictor": True}
    yield {"bigtiff": True}
    if samples.dtype != bool:
        yield {"bigtiff": True, "byteorder": ">", "compression": "deflate"}
        yield {"rowsperstrip": 7, "compression": "lzw"}


def _lossy() -> Iterator[Case]:
    rgb = scene.quantized(scene.color(), "uint8")
    gray = scene.quantized(scene.gray(), "uint8")
    seen = scene.over_white(scene.unit(rgb))
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 98}, "tolerance": 24 / 255}
    yield _case("rgb8_jpeg", rgb, seen, photometric="rgb", **jpeg)
    stream = io.BytesIO()  # tifffile fails on gray
    Image.fromarray(gray).save(stream, "TIFF", compression="jpeg", quality=98)
    right = scene.over_white(scene.unit(gray))
    yield Case("gray8_jpeg.tif", stream.getvalue(), right, jpeg["tolerance"])
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "TIFF", compression="jpeg", quality=98)  # YCbCr
    yield Case("ycbcr8_jpeg.tif", stream.getvalue(), seen, jpeg["tolerance"])
    for codec in ("webp", "jpegxl", "jpeg2000", "lerc", "png"):
        lossless = {"photometric": "rgb", "compression": codec, "tolerance": 24 / 255}
        yield _case(f"rgb8_{codec}", rgb, seen, **lossless)


def _palettes() -> Iterator[Case]:
    rgb = scene.quantized(scene.color(), "uint8")
    index = np.arange(scene.HEIGHT * scene.WIDTH).reshape(scene.HEIGHT, scene.WIDTH) % 256
    table = rgb.reshape(-1, 3)[:256].T  # (3, 256)
    right = scene.over_white(scene.unit(table.T)[index])
    for bits, factor in ((16, 257), (8, 1)):
        colors = table.astype(np.uint16) * factor
        for compression in (None, "lzw", "deflate"):
            options = {"photometric": "palette", "colormap": colors, "compression": compression}
            name = f"palette8_map{bits}_{compression}"
            yield _case(name, index.astype(np.uint8), right, **options)


def _oriented() -> Iterator[Case]:
    for kind, orientation in itertools.product(("uint8", "uint16", "float32"), range(1, 9)):
        rgb = scene.quantized(scene.color(), kind)
        right = scene.turned(scene.over_white(scene.unit(rgb)), orientation)
        tag = [(_ORIENTATION, "H", 1, orientation, True)]
        name = f"rgb{_NAMES[kind]}_orientation{orientation}"
        yield _case(name, rgb, right, photometric="rgb", extratags=tag)


def _lab() -> Iterator[Case]:
    """CIELab, whose lightness is unsigned and whose a and b are signed."""
    lab = _to_lab(scene.color() * 0.6 + 0.2)
    for bits in (8, 16):
        top, unit = 2**bits - 1, 1 if bits == 8 else 256
        signed = np.round(lab[..., 1:] * unit).astype(f"int{bits}").view(f"uint{bits}")
        light = np.round(lab[..., :1] / 100 * top).astype(f"uint{bits}")
        samples = np.concatenate([light, signed], -1)
        right = scene.over_white(scene.color() * 0.6 + 0.2)
        options = {"photometric": "cielab", "tolerance": (16 if bits == 8 else 2) / 255}
        yield _case(f"lab{bits}", samples, right, **options)


def _to_lab(srgb: np.ndarray) -> np.ndarray:
    """CIELab of the white D50 of sRGB in [0, 1] (Bradford-adapted, as ICC profiles have it)."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    matrix = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.7141]]
    xyz = linear @ np.array(matrix).T / _LIGHT_D50
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _refused() -> Iterator[Case]:
    """Sound TIFFs of rare kinds: none of them is damaged."""
    signed = (scene.color() * 100).astype(np.int8)
    unread = {"words": "of a kind that is not read"}
    yield _case("refused_int8_rgb", signed, None, photometric="rgb", **unread)
    complex_ = (scene.gray() + 1j).astype(np.complex64)
    yield _case("refused_complex", complex_, None, photometric="minisblack", **unread)
    five = np.zeros((scene.HEIGHT, scene.WIDTH, 5), np.uint8)
    yield _case("refused_five_channels", five, None, planarconfig="contig", **unread)
    logluv = scene.quantized(scene.color(), "uint16")
    yield _case("refused_logluv", logluv, None, photometric=32845, **unread)
    cfa = scene.quantized(scene.gray(), "uint16")
    yield _case("refused_cfa", cfa, None, photometric="cfa", **unread)
