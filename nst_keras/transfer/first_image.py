"""The image that a run starts from."""

from collections.abc import Sequence

import numpy as np

from nst_keras.imaging import geometry
from nst_keras.imaging.color_match import color_statistics
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
        colors = color_statistics(styles, settings.blend(len(styles)))
        deviation = np.sqrt(np.maximum(np.diag(colors.covariance), 0.0)).astype(np.float32)
        noise = random.standard_normal(content.shape, np.float32)
        image = colors.mean.astype(np.float32) + deviation * noise
    else:
        source = styles[0] if init == "style" or picture is None else picture
        image = geometry.resize(geometry.crop_to_aspect(source, height, width), height, width)
    if settings.init_noise:
        image += settings.init_noise * random.standard_normal(content.shape, np.float32)
    return np.clip(image, 0.0, 1.0, out=image)
