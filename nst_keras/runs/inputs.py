"""Everything that a job reads, read and checked before TensorFlow is imported."""

import dataclasses
from typing import NamedTuple

import numpy as np

from nst_keras.imaging import geometry, images
from nst_keras.network import vgg
from nst_keras.network import weights as weights_lib
from nst_keras.network.weights import Weights
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import INITS, Config


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Pictures as float32 RGB in [0, 1], (H, W, 3), and the backbone's weights."""

    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    weights: Weights | None  # None: only `keras.applications` can fetch them
    hashes: dict[str, str]  # what was read -> SHA-256 of the file
    notes: tuple[str, ...]  # what a person should know of how it was read

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the network, per block."""
        return self.weights.channels if self.weights else vgg.CHANNELS


class Source(NamedTuple):
    """A file that a job reads."""

    name: str  # in hashes: 'content', 'style 1', 'style 2', ..., 'init', 'weights'
    flag: str
    path: str


def sources(config: Config) -> list[Source]:
    """The files that a resolved config names.

    Raises:
        InputError: content or style are not given.
    """
    for name in ("content", "style"):
        if not getattr(config, name):
            raise InputError(f"--{name}: is missing; give the path of a picture", name)
    found = [Source("content", "--content", config.content)]
    found += [Source(f"style {n}", "--style", path) for n, path in enumerate(config.style, start=1)]
    if config.init not in INITS:
        found.append(Source("init", "--init", config.init))
    if config.weights == "embedded":
        found.append(Source("weights", "--weights", str(weights_lib.embedded_path())))
    elif config.weights != "imagenet":
        found.append(Source("weights", "--weights", config.weights))
    return found


def read_inputs(config: Config) -> Inputs:
    """Read what a resolved config names.

    Raises:
        InputError: something is not given, not there or not what it should be.
    """
    hashes: dict[str, str] = {}
    notes: list[str] = []
    pictures: dict[str, np.ndarray] = {}
    weights = None
    for name, flag, path in sources(config):
        if name == "weights":
            weights = weights_lib.read_weights(path, config.backbone)
            hashes[name] = weights.sha256
            continue
        picture = images.read_image(path, flag, config.max_megapixels * 10**6)
        pictures[name], hashes[name] = picture.pixels, files.sha256(path)
        notes += [f"{flag}={path}: {note}" for note in picture.notes]
    content = geometry.crop_to_fit(pictures["content"], config.fit)
    styles = tuple(pixels for name, pixels in pictures.items() if name.startswith("style"))
    if config.size != "original" and config.size > max(content.shape[:2]):
        height, width = content.shape[:2]
        notes.append(
            f"--content={config.content}: is {width}x{height}, enlarged to --size={config.size}"
        )
    return Inputs(content, styles, weights, hashes, tuple(notes))
