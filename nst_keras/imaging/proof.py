"""Soft proofs: a picture as it would look when a printer has printed it."""

import os

import numpy as np
from PIL import ImageCms

from nst_keras.imaging.images import in_srgb, opened, write_image
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.files import missing

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.SOFTPROOFING | ImageCms.Flags.BLACKPOINTCOMPENSATION


def check_profile(path: str) -> None:
    """Raise InputError, of --proof, unless the file is an ICC profile that colors can be printed
    with."""
    _transform(path)


def write_proof(path: str | os.PathLike, picture: str | os.PathLike, profile: str) -> None:
    """Write a picture as it would print, in sRGB, as a PNG.

    Args:
        picture: the path of a picture that this project has written.
        profile: the path of an ICC profile, of CMYK or RGB.

    Raises:
        InputError: the profile cannot be used.
        OSError: the file cannot be written.
    """
    with opened(picture) as image:
        shown = _transform(profile).apply(in_srgb(image))
    write_image(path, np.asarray(shown, np.float32) / 255)


def _transform(path: str) -> ImageCms.ImageCmsTransform:
    if not os.path.isfile(path):
        reason = "is not a file" if os.path.exists(path) else missing(path)
        raise InputError(f"--proof={path}: {reason}; give an ICC profile", "proof")
    srgb = ImageCms.createProfile("sRGB")
    try:
        printer = ImageCms.getOpenProfile(path)
        return ImageCms.buildProofTransform(
            srgb, srgb, printer, "RGB", "RGB", _INTENT, _INTENT, _FLAGS
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        raise InputError(
            f"--proof={path}: is no ICC profile that a picture can be printed with", "proof"
        ) from error
