"""The first image of the coarsest scale: float32 RGB in [0, 1], (H, W, 3)."""

from collections.abc import Sequence

import numpy as np

from nst_keras.imaging import geometry


def initial_image(
    init: str,
    content: np.ndarray,
    styles: Sequence[np.ndarray],
    *,
    style_blend: Sequence[float],
    picture: np.ndarray | None,
    mean_color: Sequence[float],
    noise: float,
    seed: int,
) -> np.ndarray:
    """An image of the content's size.

    Args:
        init: 'content'; 'noise', uniform; 'gray', of the content's mean lightness; 'mean', of
            `mean_color`; 'style', the first style cropped to the content's aspect; 'style_stats',
            normal noise with the blended styles' mean and deviation of each channel; anything else:
            `picture`.
        content: (H, W, 3), at the coarsest scale.
        styles: (h, w, 3) each, of any size, with one weight each in `style_blend`.
        picture: (h, w, 3), of any size; cropped to the content's aspect, never stretched.
        mean_color: of the pictures that the network was trained with, RGB in [0, 1].
        noise: standard deviation of normal noise that is added.
        seed: of all noise.
    """
    height, width = content.shape[:2]
    random = np.random.default_rng(seed)
    if init == "content":
        image = content.copy()
    elif init == "noise":
        image = random.random(content.shape, dtype=np.float32)
    elif init == "gray":
        image = np.full_like(content, content.mean())
    elif init == "mean":
        image = np.broadcast_to(np.asarray(mean_color, np.float32), content.shape).copy()
    elif init == "style_stats":
        mean, deviation = _color_statistics(styles, style_blend)
        image = mean + deviation * random.standard_normal(content.shape, np.float32)
    else:
        source = styles[0] if init == "style" or picture is None else picture
        image = geometry.resize(geometry.crop_to_aspect(source, height, width), height, width)
    if noise:
        image += noise * random.standard_normal(content.shape, np.float32)
    return np.clip(image, 0.0, 1.0, out=image)


def _color_statistics(
    styles: Sequence[np.ndarray], style_blend: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, as if the styles were one picture: (3,) each."""
    shares = np.asarray(style_blend) / sum(style_blend)
    pixels = [style.reshape(-1, 3).astype(np.float64) for style in styles]
    means = sum(share * one.mean(0) for share, one in zip(shares, pixels, strict=True))
    squares = sum(share * (one**2).mean(0) for share, one in zip(shares, pixels, strict=True))
    deviation = np.sqrt(np.maximum(squares - means**2, 0.0))
    return means.astype(np.float32), deviation.astype(np.float32)
