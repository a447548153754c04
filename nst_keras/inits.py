"""The first image of the coarsest scale: float32 RGB in [0, 1], (H, W, 3)."""

import numpy as np

from nst_keras import images


def initial_image(
    init: str, content: np.ndarray, style: np.ndarray, picture: np.ndarray | None, seed: int
) -> np.ndarray:
    """An image of the content's size.

    Args:
        init: 'content'; 'noise', uniform and reproducible by `seed`; 'gray', of the content's mean
            lightness; 'style', the style cut to the content's aspect; anything else: `picture`.
        content: (H, W, 3), at the coarsest scale.
        style: (h, w, 3), of any size.
        picture: (h, w, 3), of any size; stretched nowhere, cut to the content's aspect.
    """
    height, width = content.shape[:2]
    if init == "content":
        return content.copy()
    if init == "noise":
        return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)
    if init == "gray":
        return np.full_like(content, content.mean())
    source = style if init == "style" or picture is None else picture
    return images.resize(_crop(source, height, width), height, width)


def _crop(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The largest centred part with the aspect of height x width."""
    factor = min(picture.shape[0] / height, picture.shape[1] / width)
    rows, columns = round(height * factor), round(width * factor)
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    return picture[top : top + rows, left : left + columns]
