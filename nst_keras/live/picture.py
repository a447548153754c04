"""The newest picture of a run, as a JPEG for browsers."""

import io
import math
import threading
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from nst_keras.imaging import geometry
from nst_keras.imaging.color import to_uint8

MAX_SIDE = 1024  # px, of the JPEG
_QUALITY = 88
_LEAST_PAUSE = 1.0  # seconds between two pictures
_PAUSE_PER_SECOND = 60.0  # of taking and encoding the one before: they cost at most 1/60
_UNWATCHED_PAUSE = 20.0  # seconds between two while nobody looks
_ATTENTION = 5.0  # seconds for which a look counts


class LivePicture:
    """Takes a picture from the thread that paints about once a second while somebody looks, and now
    and then otherwise; encodes it in the thread that asks for it.

    Args:
        profile: the ICC profile of the pictures; empty: sRGB.
    """

    def __init__(self, profile: bytes = b""):
        self._profile = profile
        self._lock, self._encoding = threading.Lock(), threading.Lock()
        self._number, self._pixels = 0, np.zeros((0, 0, 3), np.float32)
        self._encoded_number, self._jpeg = 0, b""
        self._looked = self._taken = -math.inf  # by the monotonic clock
        self._reading_seconds = self._encoding_seconds = 0.0

    @property
    def number(self) -> int:
        """Counts the pictures taken so far."""
        return self._number

    def look(self) -> None:
        """Note that somebody looks at the page now."""
        self._looked = time.monotonic()

    def is_watched(self) -> bool:
        """Whether somebody looked at the page in the last few seconds."""
        return time.monotonic() - self._looked < _ATTENTION

    def is_due(self) -> bool:
        """Whether somebody waits for a newer picture, or might find an old one."""
        cost = self._reading_seconds + self._encoding_seconds
        pause = max(_LEAST_PAUSE, _PAUSE_PER_SECOND * cost)
        pause = pause if self.is_watched() else max(_UNWATCHED_PAUSE, pause)
        return time.monotonic() - self._taken >= pause

    def take(self, read: Callable[[], np.ndarray]) -> None:
        """Keep the picture that `read` returns: floats in [0, 1], (height, width, 3), which do not
        change any more."""
        began = time.monotonic()
        pixels = read()
        self._taken = time.monotonic()
        self._reading_seconds = self._taken - began
        with self._lock:
            self._pixels = pixels
            self._number += 1

    def jpeg(self) -> tuple[int, bytes]:
        """The number and the JPEG of the newest picture; no bytes before there is one."""
        with self._encoding:  # once, however many ask
            with self._lock:
                number, pixels = self._number, self._pixels
            if number > self._encoded_number:
                began = time.monotonic()
                self._jpeg, self._encoded_number = self._encode(pixels), number
                self._encoding_seconds = time.monotonic() - began
            return self._encoded_number, self._jpeg

    def _encode(self, pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        small = to_uint8(geometry.thumbnail(pixels, MAX_SIDE))
        Image.fromarray(small).save(buffer, "JPEG", quality=_QUALITY, icc_profile=self._profile)
        return buffer.getvalue()
