"""Everything that a run reads, read and checked once, before TensorFlow is imported."""

import dataclasses
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nst_keras.imaging import geometry, images
from nst_keras.network import vgg
from nst_keras.network import weights as weights_lib
from nst_keras.network.weights import Weights
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import INITS, OPTIONS
from nst_keras.settings.resolve import Settings

PictureLike = str | os.PathLike | np.ndarray


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Everything that a run has read. Pictures are float32 RGB in [0, 1], (H, W, 3).

    Attributes:
        content: cropped as `--fit` says.
        init: the picture that `--init` names, if it names one.
        weights: None where only `keras.applications` can fetch them.
        hashes: SHA-256 of each file by the name of its source (see `sources`).
        notes: warnings about how files were read.
    """

    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    init: np.ndarray | None
    weights: Weights | None
    hashes: dict[str, str]
    notes: tuple[str, ...]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the network per block."""
        return self.weights.channels if self.weights else vgg.CHANNELS


class Source(NamedTuple):
    """A file, or an array in its place."""

    name: str  # 'content', 'style 1', 'style 2', ..., 'init' or 'weights'
    flag: str
    origin: PictureLike


def sources(
    settings: Settings,
    content: PictureLike | None = None,
    styles: Sequence[PictureLike] | None = None,
) -> list[Source]:
    """The files that the settings name, and the paths or arrays that are given in their place.

    Raises:
        InputError: the content or the style is missing, or one of several styles is not there.
    """
    content = settings.content if content is None else content
    styles = settings.style if styles is None else styles
    if content is None or (isinstance(content, str) and not content):
        raise InputError("--content is missing; give the path of a picture", "content")
    if styles is None or not len(styles):
        raise InputError("--style is missing; give the path of a picture", "style")
    for style in styles:
        if len(styles) > 1 and isinstance(style, str) and not os.path.exists(style):
            reason = f"{files.missing(style)}; write \\, for a comma in a path"
            raise InputError(f"--style={style}: {reason}", "style")
    found = [Source("content", "--content", content)]
    found += [Source(f"style {n}", "--style", style) for n, style in enumerate(styles, start=1)]
    if settings.init not in INITS:
        found.append(Source("init", "--init", settings.init))
    if settings.weights == "embedded":
        found.append(Source("weights", "--weights", str(weights_lib.embedded_path())))
    elif settings.weights != "imagenet":
        found.append(Source("weights", "--weights", settings.weights))
    return found


def read_inputs(
    settings: Settings,
    content: PictureLike | None = None,
    styles: PictureLike | Sequence[PictureLike] | None = None,
    weights: Weights | None = None,
) -> Inputs:
    """Read and check everything that a run needs.

    Args:
        content, styles: paths or arrays (H, W, 3) of RGB, uint8 or floats in [0, 1], in place of
            the files that the settings name.
        weights: if they have been read already.

    Raises:
        InputError: a picture or the weights are missing or cannot be used.
    """
    if isinstance(styles, (str, os.PathLike, np.ndarray)):
        styles = [styles]
    if styles is not None and len(settings.style_blend) not in (0, len(styles)):
        text = OPTIONS["style_blend"].format(settings.style_blend)
        raise InputError(
            f"--style_blend={text}: has {len(settings.style_blend)} values, but the number of "
            f"styles is {len(styles)}"
        )
    hashes: dict[str, str] = {}
    notes: list[str] = []
    pictures: dict[str, list[np.ndarray]] = {"--init": []}  # by flag
    for name, flag, origin in sources(settings, content, styles):
        if name == "weights":
            weights = weights or weights_lib.read_weights(str(origin), settings.backbone)
            hashes[name] = weights.sha256
            continue
        if isinstance(origin, np.ndarray):
            pixels = _checked(origin, name)
        else:
            picture = images.read_image(origin, flag, settings.max_pixels)
            pixels, hashes[name] = picture.pixels, picture.sha256
            notes += [f"{flag}={origin}: {note}" for note in picture.notes]
        pictures.setdefault(flag, []).append(pixels)
    photo = geometry.crop_to_fit(pictures["--content"][0], settings.fit)
    height, width = photo.shape[:2]
    if settings.size != "original" and int(settings.size) > max(height, width):
        name, size = settings.content or "content", settings.size
        notes.append(f"--content={name}: is {width}x{height}, enlarged to --size={size}")
    init = next(iter(pictures["--init"]), None)
    return Inputs(photo, tuple(pictures["--style"]), init, weights, hashes, tuple(notes))


def _checked(picture: np.ndarray, name: str) -> np.ndarray:
    """An array as float32 RGB in [0, 1], (H, W, 3)."""
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise InputError(f"{name}: has shape {picture.shape}; must be (height, width, 3)")
    if min(picture.shape[:2]) < geometry.MIN_SIDE:
        raise InputError(
            f"{name}: has shape {picture.shape}; its sides must be at least {geometry.MIN_SIDE} px"
        )
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / 255.0
    pixels = np.asarray(picture, np.float32)
    if not (np.isfinite(pixels).all() and pixels.min() >= 0.0 and pixels.max() <= 1.0):
        raise InputError(f"{name}: floats must be in [0, 1], or use uint8 for 0 to 255")
    return pixels
