"""PNGs of 16-bit color at full depth, by imagecodecs; Pillow reads eight of the bits."""

import struct

import numpy as np

from nst_keras.imaging import containers, geometry
from nst_keras.imaging.tiff import Samples

BYTES_PER_PIXEL = 56  # of RGBA: 16 bits and floats, and their copies while they are converted
_KINDS = (2, 4, 6)  # color types: RGB, gray and RGB with alpha
_END = 1 << 16  # bytes in which the end mark is looked for, since some programs add others
_ALPHAS = (2, 4)  # numbers of channels of which the last is alpha


def is_deep_png(data: bytes) -> bool:
    """Whether it is a PNG of 16-bit color, or of 16-bit gray with alpha, for `samples`.

    Not where one color is transparent, where it is interlaced or its end is missing, nor where
    imagecodecs is missing.
    """
    chunks = containers.png_contents(data)
    try:
        depth, kind, *_, interlaced = struct.unpack_from("BBBBB", chunks.get(b"IHDR", b""), 8)
    except struct.error:
        return False
    is_kind = depth == 16 and kind in _KINDS and not interlaced and b"tRNS" not in chunks
    return is_kind and b"IEND" in data[-_END:] and has_codec()


def samples(data: bytes, least: tuple[int, int]) -> Samples | None:
    """The samples of such a PNG, averaged to `least` (width, height) if it has at least twice that.

    None if it is damaged.
    """
    import imagecodecs

    try:
        stored = imagecodecs.png_decode(data)
    except Exception:  # of its own types, by what is damaged
        return None
    values = stored.astype(np.float32) / np.float32(65535)
    alpha = values[..., -1] if values.shape[2] in _ALPHAS else None
    colors = values if alpha is None else values[..., :-1]
    if 2 * max(least) <= max(values.shape[:2]):
        # Colors of transparent pixels, which may be any, have no part in a mean.
        visible = colors if alpha is None else np.dstack([colors * alpha[..., None], alpha])
        small = geometry.average(visible, 0, len(visible), least[1], least[0])
        if alpha is None:
            colors = small
        else:
            alpha = small[..., -1]
            colors = small[..., :-1] / np.maximum(alpha, 1e-6)[..., None]
    colors = colors[..., 0] if colors.shape[2] == 1 else colors
    return Samples(np.clip(colors, 0.0, 1.0), alpha, premultiplied=False)


def has_codec() -> bool:
    """Whether imagecodecs is installed."""
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True
