"""Pictures that are objects in memory: Pillow's, arrays and tensors, and the bytes of files."""

import contextlib
import os
from typing import Any, BinaryIO, Protocol

import numpy as np
from PIL import Image

from nst_keras.imaging import color, images, opening
from nst_keras.imaging.geometry import MIN_SIDE
from nst_keras.imaging.images import Picture
from nst_keras.imaging.tiff import Samples
from nst_keras.runtime.errors import InputError, first_line

_SUFFIXES = {"JPEG": ".jpeg", "MPO": ".jpeg", "TIFF": ".tif"}  # of others: their names
_ARRAYS = ("__array__", "__array_interface__", "__dlpack__")


class _Array(Protocol):
    """Tensors of TensorFlow, PyTorch and JAX, among others."""

    def __array__(self) -> np.ndarray: ...


Encoded = bytes | bytearray | memoryview | BinaryIO
PictureLike = str | os.PathLike | Encoded | Image.Image | np.ndarray | _Array


def read_object(
    value: Any, name: str, max_pixels: int = images.MAX_PIXELS, **options: Any
) -> Picture:
    """A picture in memory, as `images.read_image` would read it from a file.

    Args:
        value: an image of Pillow; the bytes of a picture file or a file object, which is read from
            its beginning; or an array or tensor (height, width), or (height, width, channels) of
            gray, gray with alpha, RGB or RGBA, perhaps with a first axis of 1. Black to white is
            0 to 1 for floats and booleans, 0 to 65535 for uint16, and 0 to 255 for other integers.
        name: starts the message of an error, which shows type and shape but no values.
        options: as for `images.read_image`, if the picture has to be decoded.

    Raises:
        InputError: it is none of these, or cannot be used.
    """
    if isinstance(value, Image.Image):
        return images.decode(value, name, max_pixels, **options)
    if is_encoded(value):
        return images.decode(bytes_of(value, name), name, max_pixels, **options)
    if not any(hasattr(type(value), attribute) for attribute in _ARRAYS):
        raise InputError(
            f"{name}: is of type {_type(value)}; give a path, an image of Pillow, an array, "
            "a tensor, or the bytes of a picture file"
        )
    notes: list[str] = []
    background = options.get("background", color.WHITE)
    pixels = color.samples_to_srgb(_samples(_array(value, name), name), notes, background)
    return Picture(pixels, tuple(notes), sha256="", size=pixels.shape[:2])


def is_encoded(value: Any) -> bool:
    """Whether these are the bytes of a picture file, or a file object."""
    return isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "read")


def bytes_of(value: Any, name: str) -> bytes:
    """The bytes of a picture file, or of a file object, which is read from its beginning.

    Raises:
        InputError: they cannot be read; begins with `name`.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        data = value
    else:
        try:
            if value.seekable():
                value.seek(0)
            data = value.read()
        except Exception as error:  # closed, or of a library that raises its own types
            raise InputError(f"{name}: cannot be read ({first_line(error)})") from error
        if not isinstance(data, bytes | bytearray | memoryview):
            hint = "; open the file with mode 'rb'" if isinstance(data, str) else ""
            raise InputError(f"{name}: its read() returns {_type(data)}, not bytes{hint}")
    if not len(data):
        raise InputError(f"{name}: is empty")
    return bytes(data)


def suffix_of(data: bytes) -> str:
    """The suffix of a file of these bytes, such as '.png'; '' if they are no known picture."""
    with contextlib.suppress(Exception), opening.without_limits():
        kind = opening.identified(data, opening.formats_of(data)).format or ""
        return _SUFFIXES.get(kind, f".{kind.lower()}")
    return ""


def _array(value: Any, name: str) -> np.ndarray:
    """The array of a tensor or of anything like one, of shape (height, width, channels)."""
    try:
        is_array = hasattr(type(value), "__array__") or hasattr(type(value), "__array_interface__")
        array = np.asarray(value) if is_array else np.from_dlpack(value)
    except Exception as error:  # a tensor on a GPU, in a graph, or one that needs gradients
        raise InputError(
            f"{name}: {_type(value)} cannot be used as an array ({first_line(error)})"
        ) from error
    shown = f"{name}: has shape {array.shape}"
    if np.ma.is_masked(value):
        raise InputError(f"{shown} with masked values; fill them first")
    if array.ndim == 4 and array.shape[0] != 1:
        raise InputError(f"{shown}: several pictures; give one of them")
    if array.ndim == 4:
        array = array[0]
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
        first = array.ndim == 3 and 1 <= array.shape[0] <= 4
        hint = "; np.moveaxis puts channels last" if first else ""
        raise InputError(
            f"{shown}; must be (height, width) or (height, width, 1 to 4 channels){hint}"
        )
    if min(array.shape[:2]) < MIN_SIDE:
        raise InputError(f"{shown}; its sides must be at least {MIN_SIDE} px")
    return array


def _samples(array: np.ndarray, name: str) -> Samples:
    values = _unit(array, name)
    has_alpha = values.shape[2] in (2, 4)
    alpha = values[..., -1] if has_alpha else None
    values = values[..., : values.shape[2] - has_alpha]
    values = values[..., 0] if values.shape[2] == 1 else values
    return Samples(values, alpha, premultiplied=False)


def _unit(array: np.ndarray, name: str) -> np.ndarray:
    """The values as float32 in [0, 1]."""
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(np.float32)
    if kind in "iu":
        return _from_integers(array, name)
    if kind == "f" or array.dtype.name == "bfloat16":  # that one is no kind of NumPy's own
        return _from_floats(array, name)
    raise InputError(f"{name}: has values of type {array.dtype}; must be numbers")


def _from_integers(array: np.ndarray, name: str) -> np.ndarray:
    top = 65535 if (array.dtype.kind, array.dtype.itemsize) == ("u", 2) else 255
    low, high = array.min(), array.max()
    if low < 0 or high > top:
        raise InputError(
            f"{name}: has integers from {low} to {high}; must be in [0, 255], "
            "or uint16 in [0, 65535]"
        )
    return array.astype(np.float32) / top


def _from_floats(array: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        pixels = array.astype(np.float32)
    low, high = pixels.min(), pixels.max()
    if not np.isfinite((low, high)).all():  # NaN passes through both
        raise InputError(f"{name}: has values that are not finite; floats must be in [0, 1]")
    if low >= 0 and high <= 1:
        return pixels
    hint = "clip them"
    if low >= 0 and 2 < high <= 255:
        hint = "divide them by 255, or use uint8"
    elif -1 <= low < -0.5 and high <= 1:
        hint = "if they run from -1 to 1, use (x + 1) / 2"
    raise InputError(
        f"{name}: has floats from {low:g} to {high:g}; floats must be in [0, 1]: {hint}"
    )


def _type(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
