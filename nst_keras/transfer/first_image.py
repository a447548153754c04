"""The image that a run starts from."""

from collections.abc import Sequence

import numpy as np

from nst_keras.imaging import geometry
from nst_keras.settings.resolve import Settings


def initial_image(
    settings: Settings,
    content: np.ndarray,
    styles: Sequence[np.ndarray],
    picture: np.ndarray | None,
    mean_color: Sequence[float],
) -> np.ndarray:
    """The first image, of the content's size: float32 RGB in [0, 1], (H, W, 3).

    `--init=noise` is uniform, `gray` of the content's mean lightness, `style_stats` normal noise
    with the blended styles' mean and deviation of each channel. Pictures are cropped.

    Args:
        picture: the one that `--init` names, if it names one.
        mean_color: of the pictures that the network was trained with, RGB in [0, 1].
    """
    height, width = content.shape[:2]
    init, random = settings.init, np.random.default_rng(settings.seed)
    if init == "content":
        image = content.copy()
    elif init == "noise":
        image = random.random(content.shape, dtype=np.float32)
    elif init == "gray":
        image = np.full_like(content, content.mean())
    elif init == "mean":
        image = np.broadcast_to(np.asarray(mean_color, np.float32), content.shape).copy()
    elif init == "style_stats":
        mean, deviation = _color_statistics(styles, settings.blend(len(styles)))
        image = mean + deviation * random.standard_normal(content.shape, np.float32)
    else:
        source = styles[0] if init == "style" or picture is None else picture
        image = geometry.resize(geometry.crop_to_aspect(source, height, width), height, width)
    if settings.init_noise:
        image += settings.init_noise * random.standard_normal(content.shape, np.float32)
    return np.clip(image, 0.0, 1.0, out=image)


def _color_statistics(
    styles: Sequence[np.ndarray], style_blend: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel, as if the styles were one picture: (3,) each."""
    shares = np.asarray(style_blend) / sum(style_blend)
    pixels = [style.reshape(-1, 3).astype(np.float64) for style in styles]
    means = sum(share * one.mean(0) for share, one in zip(shares, pixels, strict=True))
    squares = sum(share * (one**2).mean(0) for share, one in zip(shares, pixels, strict=True))
    deviation = np.sqrt(np.maximum(squares - means**2, 0.0))
    return means.astype(np.float32), deviation.astype(np.float32)
