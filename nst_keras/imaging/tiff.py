"""TIFFs of more than 8 bits and of the kinds that Pillow reads wrongly or not at all.

Pillow keeps the common kinds of 8 bits and fewer. Which kind a file is of is what its tags declare.
"""

import dataclasses
import io
import logging
import math
import zlib

import numpy as np
import tifffile

from nst_keras.imaging import color_spaces, geometry
from nst_keras.runtime.errors import InputError

# Without a handler, what tifffile logs about damaged files would be printed on standard error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Values of tags, in TIFF 6.0 and its supplements.
_WHITE_IS_ZERO, _GRAY, _RGB, _PALETTE, _CMYK, _YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
_CHANNELS = {_WHITE_IS_ZERO: 1, _GRAY: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _CIELAB: 3, _ICCLAB: 3}
_UNSPECIFIED, _PREMULTIPLIED, _STRAIGHT = 0, 1, 2
_ALPHAS = (_PREMULTIPLIED, _STRAIGHT)
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_NOT_COMPRESSED, _LZW, _PACKBITS = 1, 5, 32773
_DEFLATE = (8, 32946)
_PILLOWS_OWN = (2, 3, 4, 6, 7)  # fax and JPEG
_ORIENTATION, _INK_SET = 274, 332
_BAND = 64  # rows of a reduced picture that are made at a time
_FLOATS = 4  # float32 copies of the samples while they are converted, as measured


@dataclasses.dataclass(frozen=True)
class Samples:
    """The pixels of a picture, in the color space of its file.

    Attributes:
        values: float32, shape (height, width) for gray, else (height, width, 3) for RGB or
            (height, width, 4) for CMYK; in [0, 1] if they were integers.
        alpha: opacity in [0, 1], shape (height, width), if there is any.
        premultiplied: whether the values are multiplied by `alpha` already.
        profile: the ICC profile, if any.
        orientation: as in EXIF, 1 to 8.
        frames: the number of pictures in the file; this is the first one.
        has_more: whether the file has other channels, which are neither color nor alpha.
    """

    values: np.ndarray
    alpha: np.ndarray | None
    premultiplied: bool
    profile: bytes | None = None
    orientation: int = 1
    frames: int = 1
    has_more: bool = False


class Tiff:
    """The first picture of a TIFF: what its tags declare, and its samples.

    Raises:
        Exception: nearly any type, if the file is not a TIFF or is damaged.
    """

    def __init__(self, data: bytes):
        self._data = data
        self._file = tifffile.TiffFile(io.BytesIO(data))
        page = self._file.pages.first
        self._page = page
        self._bits, self._format = page.bitspersample, page.sampleformat
        self._photometric, self._compression = int(page.photometric), int(page.compression)
        self._colors = _CHANNELS.get(self._photometric, page.samplesperpixel)
        declared = tuple(int(kind) for kind in page.extrasamples)
        # Of more samples than are declared, it is not known what they are.
        undeclared = page.samplesperpixel - self._colors - len(declared)
        self._extra = declared + (_UNSPECIFIED,) * undeclared
        alphas = [place for place, kind in enumerate(self._extra) if kind in _ALPHAS]
        self._alpha = self._colors + alphas[0] if alphas else None
        self._is_premultiplied = bool(alphas) and self._extra[alphas[0]] == _PREMULTIPLIED
        self._separate = page.planarconfig == 2 and page.samplesperpixel > 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._page.imagewidth, self._page.imagelength

    def is_for_pillow(self) -> bool:
        """Whether Pillow reads files of this kind, and rightly."""
        if self._compression in _PILLOWS_OWN or self._photometric == _YCBCR:
            return True
        if self._photometric in (_WHITE_IS_ZERO, _GRAY) and self._format == _SIGNED:
            return not self._extra and self._bits > 8
        if self._format != _UNSIGNED or self._bits > 8 or self._separate:
            return False
        if self._file.is_bigtiff and self._file.byteorder == ">":
            return False
        if self._compression not in (_NOT_COMPRESSED, _LZW, _PACKBITS, *_DEFLATE):
            return False
        if self._photometric == _PALETTE and np.asarray(self._page.colormap).max() < 256:
            return False
        alphas = ((), (_STRAIGHT,)) if self._photometric == _RGB else ((),)
        return self._extra in alphas and self._has_right_channels()

    def is_for_pillow_at_8_bits(self) -> bool:
        """Whether Pillow reads it rightly, but with 8 of its 16 bits."""
        plain = self._bits == 16 and self._format == _UNSIGNED and not self._separate
        return plain and self._photometric == _RGB and not self._extra

    def check_kind(self) -> None:
        """Raise InputError unless files of this kind are read."""
        fits = self._has_right_channels()
        if self._colors == 1 and len(self._extra) > 1:
            fits = False  # bands of something, rather than gray
        if self._photometric == _CMYK and self._page.tags.valueof(_INK_SET, 1) != 1:
            fits = False
        if not fits or self._format not in (_UNSIGNED, _FLOAT) or self._bits == 1 and self._extra:
            raise InputError(self.not_read())
        if self._photometric in (_PALETTE, _CIELAB, _ICCLAB) and self._format == _FLOAT:
            raise InputError(self.not_read())

    def _has_right_channels(self) -> bool:
        channels = self._page.samplesperpixel - len(self._extra)
        return channels == _CHANNELS.get(self._photometric)

    def not_read(self) -> str:
        """Words that refuse it, with its kind."""
        page, form = self._page, {_SIGNED: " signed", _FLOAT: " float"}.get(self._format, "")
        names = [getattr(it, "name", str(it)) for it in (page.photometric, page.compression)]
        kind = f"{names[0]}, {page.samplesperpixel} x {self._bits} bits{form}, {names[1]}"
        return f"a TIFF of a kind that is not read ({kind})"

    def bytes_for(self, size: tuple[int, int]) -> int:
        """Bytes of memory that `samples` takes, about, for a picture of this (width, height)."""
        page = self._page
        stored = page.imagelength * page.imagewidth * page.samplesperpixel * -(-self._bits // 8)
        kept = size if self._is_reduced(size) else self.size
        return stored * 3 // 2 + _FLOATS * 4 * page.samplesperpixel * kept[0] * kept[1]

    def _is_reduced(self, size: tuple[int, int]) -> bool:
        return 2 * max(size) <= max(self.size)

    def samples(self, size: tuple[int, int]) -> Samples:
        """Decode the picture.

        Args:
            size: width and height that are enough; a picture of at least twice that is averaged
                to it.

        Raises:
            InputError: decoding needs a package that is not installed.
            Exception: nearly any type, if the file is damaged.
        """
        self._check_segments()
        try:
            stored = self._page.asarray()
        except ValueError as error:
            if "imagecodecs" in str(error):
                name = getattr(self._page.compression, "name", self._compression)
                raise InputError(
                    f"TIFFs of this kind compressed with {name} need pip install '.[tiff]'"
                ) from None
            raise
        width, height = self.size
        planes = (-1, height, width) if self._separate else (height, width, -1)
        stored = stored.reshape(planes)
        stored = np.moveaxis(stored, 0, -1) if self._separate else stored
        is_reduced = self._is_reduced(size)
        values, alpha = self._averaged(stored, size) if is_reduced else self._floats(stored)
        return Samples(
            values,
            alpha,
            self._is_premultiplied or is_reduced,
            self._page.iccprofile,
            int(self._page.tags.valueof(_ORIENTATION, 1)),
            len(self._file.pages),
            len(self._extra) > (self._alpha is not None),
        )

    def _floats(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """`Samples.values` and `Samples.alpha` of some rows (rows, width, samples)."""
        alpha = None if self._alpha is None else self._unit(stored[..., self._alpha])
        return self._values(stored[..., : self._colors]), alpha

    def _averaged(
        self, stored: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Likewise, averaged to (width, height), and multiplied by alpha if there is any.

        In bands of rows, since floats of all samples would take gigabytes.
        """
        width, height = size
        bands = []
        for first in range(0, height, _BAND):
            last = min(first + _BAND, height)
            top, bottom = (row * len(stored) / height for row in (first, last))
            start = int(top)
            values, alpha = self._floats(stored[start : math.ceil(bottom)])
            values = values.reshape(*values.shape[:2], -1)
            if alpha is not None:
                visible = values if self._is_premultiplied else values * alpha[..., None]
                values = np.dstack([visible, alpha])
            bands.append(geometry.average(values, top - start, bottom - start, last - first, width))
        small = np.concatenate(bands)
        values, alpha = (small, None) if alpha is None else (small[..., :-1], small[..., -1])
        return values[..., 0] if values.shape[-1] == 1 else values, alpha

    def _values(self, stored: np.ndarray) -> np.ndarray:
        """The samples without alpha as `Samples.values`."""
        if self._photometric == _PALETTE:
            table = np.asarray(self._page.colormap, np.float32)
            return (table / (65535 if table.max() > 255 else 255)).T[stored[..., 0]]
        if self._photometric in (_CIELAB, _ICCLAB):
            return color_spaces.lab_to_srgb(self._lab(stored))
        values = self._unit(stored)
        if self._photometric == _WHITE_IS_ZERO:
            values = 1 - values
        return values[..., 0] if values.shape[-1] == 1 else values

    def _unit(self, stored: np.ndarray) -> np.ndarray:
        """Samples as float32, integers divided by their largest value."""
        if self._format == _FLOAT:
            return stored.astype(np.float32)
        found = stored.astype(np.float64 if self._bits > 16 else np.float32)
        found /= 2**self._bits - 1
        return found.astype(np.float32, copy=False)

    def _lab(self, stored: np.ndarray) -> np.ndarray:
        """L in [0, 100], a and b, from integers; CIELab has signed a and b, ICCLab an offset."""
        light = self._unit(stored[..., :1]) * 100
        if self._photometric == _CIELAB:
            signed = stored[..., 1:].view(f"i{stored.dtype.itemsize}")
        else:
            signed = stored[..., 1:].astype(np.int32) - 2 ** (self._bits - 1)
        return np.concatenate([light, signed / 2.0 ** (self._bits - 8)], -1)

    def _check_segments(self) -> None:
        """Raise ValueError if a part of the pixels is missing, or unpacks to more than its size.

        tifffile would fill what is missing with zeros, and take memory without a limit.
        """
        page = self._page
        limit = int(np.prod(page.chunks)) * page.samplesperpixel * max(1, self._bits // 8)
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if not count or start + count > len(self._data):
                raise ValueError("a part of the pixels is missing")
            if self._compression in _DEFLATE:
                packed = memoryview(self._data)[start : start + count]
                if len(zlib.decompressobj().decompress(packed, limit + 1)) > limit:
                    raise ValueError("a part of the pixels is too large")
