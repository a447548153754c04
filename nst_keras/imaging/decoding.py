"""From the bytes of a picture file to its pixels: Pillow, tifffile, and what the file declares."""

import contextlib
import dataclasses
import io
import math
import threading
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from nst_keras.imaging import color, color_spaces, containers, deep_png, opening
from nst_keras.imaging.color_spaces import ColorSpace
from nst_keras.imaging.tiff import STARTS, Samples, Tiff
from nst_keras.runtime.cli import stderr_aside
from nst_keras.runtime.errors import InputError

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)
_INSTALL = "; after pip install '.[tiff]' most files of it are read with all bits"
_STRAIGHT = {"RGBa": "RGBA", "La": "LA"}  # modes for premultiplied alpha
_GIB = 1 << 30
# Bytes that decoding takes, as measured: of each pixel of the file, by its format; more for the
# coefficients of a progressive JPEG; and of each pixel that is then converted to floats.
_DECODED, _DECODED_BY_FORMAT = 5, {"AVIF": 10, "HEIF": 10, "WEBP": 17}
_PROGRESSIVE, _CONVERTED = 6, 20


class Decoder:
    """Decodes pictures of one size range.

    Args:
        max_pixels, min_side: pictures of more pixels, or with a shorter side, are refused.
        enough: 0, or pixels: a picture may be reduced, as long as its `side` keeps this length, and
            no side gets shorter than `min_side`.
        side: `max` for the longest side, `min` for the shortest.
        truncated: whether the rest of a file that was cut short is used.
        max_bytes: pictures whose decoding would take more memory are refused.
        background: the gray, in [0, 1], that is seen where a picture is transparent.
        keep_profile: whether colors stay as they are in pictures of RGB with an ICC profile of a
            matrix and curves.

    Attributes:
        notes: what a person should know about the conversion.
        size: height and width of the picture, upright, before it was reduced.
        profile: the profile that the colors still have; empty for sRGB.
    """

    def __init__(
        self,
        max_pixels: int,
        min_side: int,
        enough: int = 0,
        side: Callable[[tuple[int, int]], int] = max,
        truncated: bool = False,
        max_bytes: float = math.inf,
        background: float = color.WHITE,
        keep_profile: bool = False,
    ):
        self._max_pixels, self._min_side, self._max_bytes = max_pixels, min_side, max_bytes
        self._enough, self._side, self._truncated = enough, side, truncated
        self._background, self._keep_profile = background, keep_profile
        self.profile = b""
        self.notes: list[str] = []
        self.size = (0, 0)

    def floats(self, data: bytes) -> np.ndarray:
        """The first frame as float32 sRGB in [0, 1], upright, shape (height, width, 3)."""
        return self._decode(data, color.to_srgb)

    def integers(self, data: bytes) -> np.ndarray:
        """Likewise, as uint8, a quarter of the memory."""
        return self._decode(data, color.to_uint8_srgb)

    def floats_of(self, picture: Image.Image) -> np.ndarray:
        """Likewise of the present frame of an image that the user has opened or made."""
        self._check_size(picture.size)
        with opening.without_limits():
            picture.load()
            mode = _STRAIGHT.get(picture.mode, picture.mode)
            # A copy, since its information is changed below.
            image = picture.copy() if mode == picture.mode else picture.convert(mode)
            if mode in ("I", "F") and not picture.format:
                image = self._from_eight_bits(image)
            image.format = picture.format
            self._describe(image, b"")
            self._take_profile(image)
            shown = self._reduced(self._shown_part(image, b""))
            return color.to_srgb(self._upright(shown), self.notes, background=self._background)

    def _from_eight_bits(self, image: Image.Image) -> Image.Image:
        """Gray that Pillow has converted to a mode of more than 8 bits still runs to 255."""
        low, high = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
        if not (low >= 0 and 1 < high <= 255):
            return image
        self.notes.append("gray values were taken for 8 bits, with white at 255")
        return image.convert("F").point(lambda value: value * (1 / 255))

    def _decode(self, data: bytes, to_pixels: Callable[..., np.ndarray]) -> np.ndarray:
        samples = self._tiff_samples(data) if data.startswith(STARTS) else None
        if samples is not None:
            return self._upright_samples(samples, to_pixels)
        if deep_png.is_deep_png(data) and (deep := self._png_samples(data)):
            return self._upright_samples(deep, to_pixels)
        space = self._color_space(data)
        with opening.without_limits(), self._opened(data) as image:
            # A phone's JPEG may hold a second picture (format MPO), which is not worth a note.
            if image.format != "MPO" and getattr(image, "is_animated", False):
                self.notes.append("only the first frame was read")
            self._describe(image, data)
            self._take_profile(image)
            shown = self._reduced(self._shown_part(image, data))
            space = None if self.profile else space
            return to_pixels(self._upright(shown), self.notes, space, self._background)

    @contextlib.contextmanager
    def _opened(self, data: bytes) -> Iterator[Image.Image]:
        """The picture, decoded, a JPEG perhaps at a half, a quarter or an eighth of its size."""
        formats = opening.formats_of(data)
        kept = containers.png_without_texts(data)
        with opening.identified(kept, formats) as image:
            self._check_size(image.size)
            self._check_memory(image, len(data))
            if ";16" in str(getattr(image, "tile", "")) and not image.mode.startswith("I"):
                advice = "" if deep_png.has_codec() else _INSTALL
                self.notes.append("16-bit color was read with 8 bits" + advice)
            try:
                self._load(image)
            except OSError:
                image = self._incomplete(kept, formats)
            yield image

    def _load(self, image: Image.Image) -> None:
        if self._enough:
            image.draft(None, self._least_size(image.size))
        # libtiff writes about damaged files. With other threads at work, their lines might be lost.
        silent = image.format == "TIFF" and threading.active_count() == 1
        with stderr_aside(shows_failure=False) if silent else contextlib.nullcontext():
            image.load()

    def _least_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The smallest size with the same aspect ratio that is enough."""
        if not self._enough:
            return size
        share = min(1.0, max(self._enough / self._side(size), self._min_side / min(size)))
        width, height = (max(1, round(length * share)) for length in size)
        return width, height

    def _reduced(self, image: Image.Image) -> Image.Image:
        """The picture, averaged to the size that is enough if it has at least twice that."""
        least = self._least_size(image.size)
        has_key = "transparency" in image.info  # one color, which a mean would not be
        if 2 * max(least) > max(image.size) or has_key and image.mode[0] == "I":
            return image
        if has_key:
            image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
        elif image.mode in ("1", "P", "PA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        small = image.resize(least, Image.Resampling.BOX)
        small.info, small.format = image.info, image.format
        return small

    def _incomplete(self, data: bytes, formats: tuple[str, ...]) -> Image.Image:
        """A picture whose file ends too early, if it can be used nevertheless."""
        self._check_bytes(len(data) + 2 * _DECODED * math.prod(self.size))  # to decode all of it
        completed = opening.completed_jpeg(data) or containers.png_with_end(data)
        if completed is not None:
            self.notes.append("the end mark of the file is missing; all of the picture was read")
            image = Image.open(io.BytesIO(completed), formats=formats)
            self._load(image)
            return image
        if not self._truncated:
            raise InputError("damaged or cut short", "truncated")
        image = Image.open(io.BytesIO(data), formats=formats)
        with opening.accepting_cut_files():
            self._load(image)
        self.notes.append("the file is cut short; what is missing is one color")
        return image

    def _tiff_samples(self, data: bytes) -> Samples | None:
        """The samples of a TIFF; None if it is of a kind for Pillow."""
        try:
            tiff = Tiff(data)
            if tiff.is_for_pillow():
                return None
        except Exception:  # damaged, or unknown to tifffile: Pillow decides
            return None
        self._check_size(tiff.size)
        tiff.check_kind()
        least = self._least_size(tiff.size)
        self._check_bytes(len(data) + tiff.bytes_for(least))
        try:
            return tiff.samples(least)
        except InputError:  # a package is missing
            if tiff.is_for_pillow_at_8_bits():
                return None
            raise

    def _png_samples(self, data: bytes) -> Samples | None:
        """The samples of a PNG of 16-bit color; None if it is damaged."""
        formats, kept = opening.formats_of(data), containers.png_without_texts(data)
        with opening.without_limits(), opening.identified(kept, formats) as image:
            self._check_size(image.size)
            least, pixels = self._least_size(image.size), math.prod(image.size)
            self._check_bytes(len(data) + deep_png.BYTES_PER_PIXEL * pixels)
            self._describe(image, data)
            self._take_profile(image)
            profile = image.info.get("icc_profile")
            frames = getattr(image, "n_frames", 1)
            try:
                orientation = image.getexif().get(_ORIENTATION) or 1
            except Exception:  # as in `_upright`; or the pixels are damaged
                orientation = 1
        found = deep_png.samples(data, least)
        if found is None:
            return None
        space = None if profile or self.profile else self._color_space(data)
        if space:
            values = space.to_srgb(found.values)
            found = dataclasses.replace(found, values=values)
            self.notes.append(f"colors were converted from {space.name} to sRGB")
        return dataclasses.replace(found, profile=profile, orientation=orientation, frames=frames)

    def _upright_samples(self, samples: Samples, to_pixels: Callable) -> np.ndarray:
        if samples.frames > 1:
            self.notes.append("only the first frame was read")
        if samples.has_more:
            self.notes.append("channels beyond color and transparency were left out")
        if samples.values.ndim == 3 and self._is_kept(samples.profile):
            self.profile, samples = (
                samples.profile or b"",
                dataclasses.replace(samples, profile=None),
            )
        pixels = color.samples_to_srgb(samples, self.notes, self._background)
        if to_pixels is color.to_uint8_srgb:
            pixels = color.to_uint8(pixels)
        self._turn_size(samples.orientation)
        return _turned(pixels, samples.orientation)

    def _color_space(self, data: bytes) -> ColorSpace | None:
        try:
            return containers.color_space(data)
        except ValueError as error:
            self.notes.append(f"its description of colors ({error}) was ignored")
            return None

    def _describe(self, image: Image.Image, data: bytes) -> None:
        """Correct what Pillow took from the file besides its pixels."""
        if transparency := containers.png_transparency(data):
            image.info["transparency"] = transparency
        if profile := containers.png_profile(data):
            image.info["icc_profile"] = profile
        if containers.overrides_profile(data):
            image.info.pop("icc_profile", None)
        for name in ("xmp", "XML:com.adobe.xmp"):  # browsers, too, turn by EXIF alone
            image.info.pop(name, None)

    def _take_profile(self, image: Image.Image) -> None:
        """Take the profile of an image that keeps its colors."""
        if image.mode in ("RGB", "RGBA", "P", "PA") and self._is_kept(
            image.info.get("icc_profile")
        ):
            self.profile = image.info.pop("icc_profile")

    def _is_kept(self, profile: bytes | None) -> bool:
        if not (self._keep_profile and color_spaces.is_wide(profile)):
            return False
        return color.can_be_shown(profile or b"")

    def _shown_part(self, image: Image.Image, data: bytes) -> Image.Image:
        if image.format == "BMP" and image.mode == "RGBA" and not image.getbbox(alpha_only=True):
            return image.convert("RGB")  # in a BMP, no alpha at all means opaque
        if image.format == "GIF":
            return _with_ground(image)
        aperture = containers.clean_aperture(data, image.size) if image.format == "AVIF" else None
        if not aperture:
            return image
        image = image.crop(aperture)
        self.size = image.size[::-1]
        return image

    def _check_size(self, size: tuple[int, int]) -> None:
        width, height = size
        shown = f"{width}x{height} px"
        if width * height > self._max_pixels:
            message = f"{shown} is too large: at most {self._max_pixels:,} px are read"
            raise InputError(message, "max_megapixels")
        if min(size) < self._min_side:
            raise InputError(
                f"{shown} is too small: at least {self._min_side} px a side are needed"
            )
        self.size = (height, width)

    def _check_memory(self, image: Image.Image, file_bytes: int) -> None:
        """Refuse a picture that has been opened if decoding it would take too much memory."""
        pixels = math.prod(image.size)
        least = math.prod(self._least_size(image.size))
        kept = least if pixels >= 4 * least else pixels
        if image.format in ("JPEG", "MPO"):
            decoded = _PROGRESSIVE * pixels if image.info.get("progressive") else 0
            decoded += _DECODED * min(pixels, 4 * least)  # its factors are powers of two
        else:
            decoded = _DECODED_BY_FORMAT.get(image.format or "", _DECODED) * pixels
        self._check_bytes(file_bytes + decoded + _CONVERTED * kept)

    def _check_bytes(self, needed: int) -> None:
        if needed > self._max_bytes:
            height, width = self.size
            raise InputError(
                f"reading its {width}x{height} px takes about {needed / _GIB:.2g} GiB, but "
                f"{self._max_bytes / _GIB:.2g} GiB are available",
                "memory_limit",
            )

    def _upright(self, image: Image.Image) -> Image.Image:
        """The picture turned as its EXIF data say.

        `ImageOps.exif_transpose` would fail if any other part of the EXIF data is broken.
        """
        try:
            number = image.getexif().get(_ORIENTATION)
        except Exception:  # broken data raise nearly every type; the picture may be whole
            self.notes.append("broken EXIF data were ignored")
            return image
        self._turn_size(number)
        return image.transpose(_UPRIGHT[number]) if number in _UPRIGHT else image

    def _turn_size(self, orientation: int | None) -> None:
        if orientation in _ON_ITS_SIDE:
            self.size = self.size[::-1]


def _with_ground(image: Image.Image) -> Image.Image:
    """A GIF whose first frame does not fill it, transparent around the frame, as browsers show it;
    Pillow gives the rest a color of the palette."""
    frame = getattr(image, "dispose_extent", None)
    if not frame or frame == (0, 0, *image.size):
        return image
    whole = Image.new("RGBA", image.size)
    whole.paste(image.convert("RGBA").crop(frame), frame[:2])
    whole.info, whole.format = dict(image.info), image.format
    whole.info.pop("transparency", None)
    return whole


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (height, width, 3) turned by an EXIF orientation, 1 to 8."""
    if orientation not in _UPRIGHT:
        return pixels
    if orientation in _ON_ITS_SIDE:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
