"""Masks of the sample harbor: its sky, and its rowing boat, as gray pictures."""

from PIL import Image, ImageDraw, ImageFilter

_SIZE = 1024, 768
_SKYLINE = (
    (0, 138),
    *(
        (60, 141),
        (110, 146),
        (160, 158),
        (205, 172),
        (250, 190),
        (300, 210),
        (345, 226),
        (369, 236),
    ),
    *((369, 217), (390, 84), (394, 84), (414, 217), (414, 266), (440, 280), (468, 296), (500, 308)),
    *(
        (530, 328),
        (575, 328),
        (600, 345),
        (640, 362),
        (658, 374),
        (735, 382),
        (800, 378),
        (845, 368),
    ),
    *((880, 360), (920, 366), (950, 376), (985, 366), (1024, 366)),
)
_BOAT = (
    (230, 630),
    (282, 626),
    (372, 630),
    (430, 622),
    (420, 664),
    (388, 672),
    (250, 672),
    (238, 660),
)


def draw_sky() -> Image.Image:
    """White above the town, the masts and the hills."""
    return _drawn((*_SKYLINE, (1024, 0), (0, 0)), 1.0)


def draw_boat() -> Image.Image:
    """White at the rowing boat in the foreground."""
    return _drawn(_BOAT, 3.0)


def _drawn(outline: tuple[tuple[int, int], ...], softness: float) -> Image.Image:
    mask = Image.new("L", _SIZE, 0)
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(softness))
