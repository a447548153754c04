"""JPEG, WebP, AVIF, HEIC and GIF: what the codecs of installed packages write."""

import io
import itertools
import struct
from collections.abc import Iterator

import imagecodecs
import numpy as np
from PIL import Image

from . import light, scene
from .expected import Case

_LOSSY = 24 / 255
_EXIF_ORIENTATION = 0x0112


def cases() -> Iterator[Case]:
    """All pictures of these formats."""
    yield from _jpegs()
    yield from _webps()
    yield from _avifs()
    yield from _heics()
    yield from _gifs()


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _rgb() -> np.ndarray:
    return scene.quantized(scene.color(), "uint8")


def _right() -> np.ndarray:
    return scene.over_white(scene.unit(_rgb()))


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = orientation
    return exif


def _jpegs() -> Iterator[Case]:
    image, gray = Image.fromarray(_rgb()), scene.quantized(scene.gray(), "uint8")
    for progressive, sampling in itertools.product((False, True), (0, 1, 2)):
        options = {"progressive": progressive, "subsampling": sampling, "quality": 98}
        data = _saved(image, "JPEG", **options)
        name = f"rgb_{'progressive' if progressive else 'baseline'}_{sampling}"
        yield Case(f"{name}.jpg", data, _right(), _LOSSY)
        yield Case(f"{name}_no_end.jpg", data.removesuffix(b"\xff\xd9"), _right(), _LOSSY, "end")
        yield Case(
            f"{name}_restart.jpg",
            _saved(image, "JPEG", restart_marker_blocks=1, **options),
            _right(),
            _LOSSY,
        )
    data = _saved(image, "JPEG", quality=98, keep_rgb=True)
    yield Case("rgb_kept.jpg", data, _right(), _LOSSY)
    right = scene.over_white(scene.unit(gray))
    yield Case("gray.jpg", _saved(Image.fromarray(gray), "JPEG", quality=98), right, _LOSSY)
    ink = np.concatenate([1 - scene.color(), scene.gray()[..., None] / 2], -1)
    ink = scene.quantized(ink, "uint8")
    printed = Image.frombytes("CMYK", ink.shape[1::-1], ink.tobytes())
    data = _saved(printed, "JPEG", quality=98)
    yield Case("cmyk.jpg", data, scene.over_white(scene.from_cmyk(scene.unit(ink))), _LOSSY)
    for orientation in range(1, 9):
        data = _saved(image, "JPEG", quality=98, exif=_exif(orientation))
        right = scene.turned(_right(), orientation)
        yield Case(f"exif{orientation}.jpg", data, right, _LOSSY)


def _webps() -> Iterator[Case]:
    opacity = scene.quantized(scene.alpha(), "uint8")
    image = Image.fromarray(_rgb())
    rgba = Image.fromarray(np.concatenate([_rgb(), opacity[..., None]], -1))
    seen = scene.over_white(scene.unit(_rgb()), scene.unit(opacity))
    yield Case("lossless.webp", _saved(image, "WEBP", lossless=True), _right())
    exact = _saved(rgba, "WEBP", lossless=True, exact=True)
    yield Case("lossless_alpha.webp", exact, seen)
    yield Case("lossy.webp", _saved(image, "WEBP", quality=98), _right(), 2 * _LOSSY)
    yield Case("lossy_alpha.webp", _saved(rgba, "WEBP", quality=98), seen, 2 * _LOSSY)
    for orientation in range(1, 9):
        data = _saved(image, "WEBP", lossless=True, exif=_exif(orientation))
        yield Case(f"exif{orientation}.webp", data, scene.turned(_right(), orientation))


def _described(avif: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF with other numbers in its color box, which count more than those of its pixels."""
    before, box, after = avif.partition(b"colrnclx")
    assert box
    return before + box + struct.pack(">HH", primaries, transfer) + after[4:]


def _avifs() -> Iterator[Case]:
    spaces = (("srgb", 1, light.SRGB), ("p3", 12, light.DISPLAY_P3), ("rec2020", 9, light.REC2020))
    curves = (("srgb", 13, light.srgb_curve), ("linear", 8, light.power(1)))
    curves += (("pq", 16, light.pq), ("hlg", 18, light.hlg))
    for depth in (8, 10, 12):
        top = 2**depth - 1
        samples = np.round(scene.color() * top).astype(np.uint8 if depth == 8 else np.uint16)
        value = scene.over_white(samples / top).astype(np.float64)
        encoded = imagecodecs.avif_encode(
            samples, level=100, bitspersample=depth, pixelformat="444"
        )
        for (name, code, primaries), (curve_name, transfer, curve) in itertools.product(
            spaces, curves
        ):
            data = _described(encoded, code, transfer)
            right = light.Space(primaries, curve).to_srgb(value).astype(np.float32)
            tolerance = 0.2 if curve_name in ("linear", "pq", "hlg") else 16 / 255
            yield Case(f"rgb{depth}_{name}_{curve_name}.avif", data, right, tolerance)
    opacity = scene.quantized(scene.alpha(), "uint8")
    rgba = np.concatenate([_rgb(), opacity[..., None]], -1)
    seen = scene.over_white(scene.unit(_rgb()), scene.unit(opacity))
    data = imagecodecs.avif_encode(rgba, level=100, pixelformat="444")
    yield Case("rgba8.avif", data, seen, _LOSSY)
    for orientation in range(1, 9):
        data = _saved(
            Image.fromarray(_rgb()),
            "AVIF",
            quality=100,
            subsampling="4:4:4",
            exif=_exif(orientation),
        )
        yield Case(f"exif{orientation}.avif", data, scene.turned(_right(), orientation), _LOSSY)


def _heics() -> Iterator[Case]:
    import pillow_heif

    pillow_heif.register_heif_opener()
    image = Image.fromarray(_rgb())
    for chroma in (420, 444):
        data = _saved(image, "HEIF", quality=100, chroma=chroma)
        yield Case(f"rgb8_{chroma}.heic", data, _right(), 2 * _LOSSY)
    for orientation in range(1, 9):
        data = _saved(image, "HEIF", quality=100, chroma=444, exif=_exif(orientation).tobytes())
        right = scene.turned(_right(), orientation)
        yield Case(f"exif{orientation}.heic", data, right, _LOSSY)


def _gifs() -> Iterator[Case]:
    rgb = np.resize(_rgb().reshape(-1, 3)[::2], (256, 3))
    index = np.arange(scene.HEIGHT * scene.WIDTH).reshape(scene.HEIGHT, scene.WIDTH) % 256
    image = Image.fromarray(index.astype(np.uint8))
    image.putpalette(rgb.tobytes())
    right = scene.over_white(scene.unit(rgb)[index])
    for interlace in (0, 1):
        data = _saved(image, "GIF", interlace=interlace)
        yield Case(f"palette_{interlace}.gif", data, right)
        data = _saved(image, "GIF", interlace=interlace, transparency=7)
        seen = np.where((index == 7)[..., None], 1, right).astype(np.float32)
        yield Case(f"transparent_{interlace}.gif", data, seen)
    later = image.transpose(Image.Transpose.ROTATE_180)
    data = _saved(image, "GIF", save_all=True, append_images=[later], duration=80)
    yield Case("animated.gif", data, right, words="first frame")
