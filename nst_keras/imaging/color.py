"""From any samples that are decoded to sRGB: depths, profiles, transparency."""

import io

import numpy as np
from PIL import Image, ImageCms

from nst_keras.imaging import color_spaces
from nst_keras.imaging.color_spaces import ColorSpace
from nst_keras.imaging.tiff import Samples
from nst_keras.runtime.errors import printable

WHITE, BLACK = 1.0, 0.0
_STRIP_VALUES = 1 << 22
_ROUGH_CMYK = "CMYK without a profile was converted roughly: colors may differ"
_UNUSABLE_PROFILE = (
    "a color profile was ignored because it is damaged or does not match the pixel format"
)


def to_srgb(
    image: Image.Image,
    notes: list[str],
    space: ColorSpace | None = None,
    background: float = WHITE,
) -> np.ndarray:
    """A picture that Pillow decoded as float32 sRGB in [0, 1], shape (height, width, 3).

    Adds a short sentence to `notes` for everything that a person should know.

    Args:
        space: of its colors, if the file has another description of them than a profile.
        background: the gray that is seen where the picture is transparent.
    """
    if _is_deep(image):
        return _deep_gray(image, notes, space, background)
    pixels = np.array(_without_profile(image, notes), np.float32)
    pixels /= 255
    if space and not image.info.get("icc_profile"):
        pixels = space.to_srgb(pixels)
        notes.append(f"colors were converted from {space.name} to sRGB")
    if image.has_transparency_data:
        alpha = np.array(image.convert("RGBA").getchannel("A"), np.float32) / 255
        _composite(pixels, alpha, notes, background)
    return pixels


def to_uint8_srgb(
    image: Image.Image,
    notes: list[str],
    space: ColorSpace | None = None,
    background: float = WHITE,
) -> np.ndarray:
    """Likewise, as uint8; most pictures are never floats, which take four times the memory."""
    if _is_deep(image) or image.has_transparency_data or space:
        return to_uint8(to_srgb(image, notes, space, background))
    return np.asarray(_without_profile(image, notes))


def samples_to_srgb(samples: Samples, notes: list[str], background: float = WHITE) -> np.ndarray:
    """The samples of a TIFF as float32 sRGB in [0, 1], shape (height, width, 3), not turned."""
    values, alpha = _in_range(samples.values, notes), samples.alpha
    if alpha is not None:
        alpha = np.clip(np.nan_to_num(alpha), 0, 1)
        if samples.premultiplied:
            values = np.clip(
                values / np.maximum(alpha, 1e-6).reshape(*alpha.shape, *[1] * (values.ndim - 2)),
                0,
                1,
            )
    pixels = _without_any_profile(values, samples.profile, notes)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    if alpha is not None:
        _composite(pixels, alpha, notes, background)
    return pixels


def can_be_shown(profile: bytes) -> bool:
    """Whether Pillow can convert RGB of an ICC profile to sRGB."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return False
    return True


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], of any shape, as 0 to 255; values outside are clipped, halves round up."""
    found = np.empty(pixels.shape, np.uint8)
    rows = max(1, _STRIP_VALUES // max(pixels[0].size, 1))
    for start in range(0, len(pixels), rows):  # a few temporaries of all would take gigabytes
        strip = np.clip(pixels[start : start + rows], 0, 1)
        found[start : start + rows] = (strip * 255 + 0.5).astype(np.uint8)
    return found


def _is_deep(image: Image.Image) -> bool:
    """Whether the picture is gray of more than 8 bits: Pillow's modes I;16, I and F."""
    return image.mode[0] in "IF"


def _without_profile(image: Image.Image, notes: list[str]) -> Image.Image:
    """The picture in sRGB, its own color profile applied and its alpha channel dropped.

    A picture that is in sRGB already is returned itself: a copy of 100 megapixels takes 400 MB.
    """
    profile = image.info.get("icc_profile")
    if image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = _apply_profile(image, source)
            title = source.profile.profile_description or "unnamed"
            if not title.startswith("sRGB"):  # nearly every photo has that: not worth a note
                notes.append(printable(f"the color profile '{title}' was converted to sRGB"))
            return converted
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            notes.append(_UNUSABLE_PROFILE)
    if image.mode == "LAB":
        return _apply_profile(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if image.mode == "CMYK":
        notes.append(_ROUGH_CMYK)
    return image if image.mode == "RGB" else image.convert("RGB")


def _without_any_profile(values: np.ndarray, profile: bytes | None, notes: list[str]) -> np.ndarray:
    """Values in [0, 1], gray, RGB or CMYK, in sRGB: gray stays (height, width).

    Profiles of matrices and curves are applied at full depth, others to 8 bits.
    """
    is_cmyk = values.ndim == 3 and values.shape[2] == 4
    if not profile and not is_cmyk:
        return values
    try:
        if profile and (profile[16:20] == b"GRAY") != (values.ndim == 2):
            raise ValueError("of another kind of pixels")
        space = None if is_cmyk or not profile else color_spaces.from_icc(profile)
    except ValueError:
        notes.append(_UNUSABLE_PROFILE)
        return values
    if space and space.is_srgb and values.ndim == 3:
        return values
    if space:
        notes.append("the color profile was converted to sRGB")
        return space.to_srgb(values)
    if is_cmyk and not profile:
        notes.append(_ROUGH_CMYK)
        return (1 - values[..., :3]) * (1 - values[..., 3:])
    image = Image.fromarray(to_uint8(values), "CMYK" if is_cmyk else None)
    image.info["icc_profile"] = profile
    return np.array(_without_profile(image, notes), np.float32) / 255


def _in_range(values: np.ndarray, notes: list[str], white: float = 1) -> np.ndarray:
    """Values from 0 to `white` as float32 in [0, 1]; outside of that, gray is stretched to its own
    range, and color is clipped."""
    values = np.nan_to_num(values, posinf=white, neginf=0)
    low, high = values.min(), values.max()
    if low >= 0 and high <= white:
        return (values / white).astype(np.float32, copy=False)
    if values.ndim == 3:
        notes.append(f"values from {low:g} to {high:g} were clipped to black and white")
        return np.clip(values, 0, white) / white
    notes.append(f"gray values from {low:g} to {high:g} were scaled to run from black to white")
    wide = values.astype(np.float64) - float(low)
    return (wide / max(float(high) - float(low), 1e-12)).astype(np.float32)


def _deep_gray(
    image: Image.Image, notes: list[str], space: ColorSpace | None, background: float
) -> np.ndarray:
    """Gray of more than 8 bits; black to white is [0, 65535], or [0, 1] for floats."""
    values = np.asarray(image)
    gray = _in_range(values, notes, 1 if image.mode == "F" else 65535)
    if space:
        gray = space.to_srgb(gray)
        notes.append(f"colors were converted from {space.name} to sRGB")
    gray = _without_any_profile(gray, image.info.get("icc_profile"), notes)
    pixels = np.repeat(gray[..., None], 3, axis=-1) if gray.ndim == 2 else gray
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and (values == transparent).any():
        _composite(pixels, (values != transparent).astype(np.float32), notes, background)
    return pixels


def _composite(pixels: np.ndarray, alpha: np.ndarray, notes: list[str], background: float) -> None:
    """Composite pixels (height, width, 3) over a gray, in place."""
    if alpha.min() >= 1:
        return
    pixels *= alpha[..., None]
    pixels += background * (1 - alpha[..., None])
    if background != WHITE:
        return
    if alpha.max() > 0:
        notes.append("transparency was composited over white")
    else:
        notes.append("it is transparent everywhere, so all of it is white")


def _apply_profile(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, srgb, image.mode, "RGB", intent, flags).apply(image)
