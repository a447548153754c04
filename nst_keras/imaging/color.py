"""From any samples that Pillow decodes to float32 sRGB in [0, 1], (height, width, 3)."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from nst_keras.runtime.errors import printable

OVER_WHITE = "transparency was composited over white"


def to_srgb(image: Image.Image, notes: list[str]) -> np.ndarray:
    """A decoded picture of any mode as float32 sRGB in [0, 1], shape (height, width, 3).

    Adds a short sentence to `notes` for everything that a person should know.
    """
    if is_deep(image):
        return _deep_gray(image, notes)
    pixels = np.array(without_profile(image, notes), np.float32)
    pixels /= 255
    if image.has_transparency_data:
        alpha = np.array(image.convert("RGBA").getchannel("A"), np.float32)[..., None] / 255
        if alpha.min() < 1:  # over the white of sRGB, so after the profile
            pixels *= alpha
            pixels += 1 - alpha
            notes.append(OVER_WHITE)
    return pixels


def is_deep(image: Image.Image) -> bool:
    """Whether the picture is gray of more than 8 bits: Pillow's modes I;16, I and F."""
    return image.mode[0] in "IF"


def without_profile(image: Image.Image, notes: list[str]) -> Image.Image:
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
            notes.append(
                "a color profile was ignored because it is damaged or does not match the pixel "
                "format"
            )
    if image.mode == "LAB":
        return _apply_profile(image, ImageCms.createProfile("LAB"))
    if image.mode == "CMYK":
        notes.append("CMYK without a profile was converted roughly: colors may differ")
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep_gray(image: Image.Image, notes: list[str]) -> np.ndarray:
    if image.info.get("icc_profile"):
        notes.append("the color profile was ignored: Pillow applies it to 8 bits only")
    values = np.asarray(image)
    top = 1 if image.mode == "F" else 65535
    gray = np.nan_to_num(values.astype(np.float64), posinf=top, neginf=0)
    low, high = gray.min(), gray.max()
    if low < 0 or high > top:
        notes.append(f"gray values from {low:g} to {high:g} were scaled to run from black to white")
    else:
        low, high = 0, top
    gray = (gray - low) / max(high - low, 1e-12)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and (values == transparent).any():
        gray[values == transparent] = 1
        notes.append(OVER_WHITE)
    return np.repeat(gray[..., None].astype(np.float32), 3, axis=-1)


def _apply_profile(image: Image.Image, source: Any) -> Image.Image:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, srgb, image.mode, "RGB", intent, flags).apply(image)
