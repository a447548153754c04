"""Everything that a job reads, read and checked before TensorFlow is imported."""

import dataclasses
from pathlib import Path

import numpy as np

from nst_keras import files, images, vgg
from nst_keras import weights as weights_lib
from nst_keras.config import INITS, Config
from nst_keras.errors import InputError
from nst_keras.weights import Weights


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


def read_inputs(config: Config) -> Inputs:
    """Read what a resolved config names.

    Raises:
        InputError: something is not given, not there or not what it should be.
    """
    for name in ("content", "style"):
        if not getattr(config, name):
            raise InputError(f"--{name}: is missing; give the path of a picture")
    hashes: dict[str, str] = {}
    notes: list[str] = []
    limit = config.max_megapixels * 10**6
    content = images.fit(_read("--content", config.content, limit, hashes, notes), config.fit)
    styles = tuple(_read("--style", path, limit, hashes, notes) for path in config.style)
    if config.init not in INITS:
        _read("--init", config.init, limit, hashes, notes)
    if config.size != "original" and config.size > max(content.shape[:2]):
        height, width = content.shape[:2]
        notes.append(
            f"--content={config.content}: is {width}x{height}, enlarged to --size={config.size}"
        )
    weights = None
    if config.weights != "imagenet":
        embedded = config.weights == "embedded"
        path = weights_lib.embedded_path() if embedded else Path(config.weights)
        weights = weights_lib.read_weights(path, config.backbone)
        hashes["weights"] = weights.sha256
    return Inputs(content, styles, weights, hashes, tuple(notes))


def _read(
    flag: str, path: str, max_pixels: int, hashes: dict[str, str], notes: list[str]
) -> np.ndarray:
    picture = images.read_image(path, flag, max_pixels)
    name = flag.removeprefix("--")
    number = sum(known.startswith(name) for known in hashes)
    hashes[f"{name} {number + 1}" if flag == "--style" else name] = files.sha256(path)
    notes += [f"{flag}={path}: {note}" for note in picture.notes]
    return picture.pixels
