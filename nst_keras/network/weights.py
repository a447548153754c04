"""Reads weights files into arrays, without TensorFlow: bad files are refused before its import."""

import collections
import dataclasses
import hashlib
import importlib.resources
import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nst_keras.network import vgg
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError, first_line

# What `keras.applications` calls 'caffe' preprocessing: BGR, 0..255, minus these means.
CAFFE_MEAN = (103.939, 116.779, 123.68)
FORMAT = 1
# Of the file at `embedded_path`, as NOTICE states it.
EMBEDDED_SHA256 = "b6b46ca724c545a5c869b4b3c670468e3431773f655e0ebdcba990f96d0b2938"
_MAX_BYTES = 4 << 30  # of a weights file and of its arrays; VGG19 with its classifier is 0.6 GB


@dataclasses.dataclass(frozen=True, eq=False)  # compared by identity: they are large
class Weights:
    """A backbone's convolution weights and the preprocessing that they expect.

    The network's input is `((255 * rgb)[channel_order] - mean) / std` for RGB in [0, 1].
    """

    backbone: str
    channels: tuple[int, ...]  # outputs per block
    kernels: Mapping[str, np.ndarray]  # by layer name, float32 (3, 3, inputs, outputs)
    biases: dict[str, np.ndarray]  # by layer name, float32 (outputs,)
    sha256: str  # in hexadecimal, of the file's bytes, or of the arrays of `imagenet_weights`
    channel_order: str = "bgr"  # or 'rgb'
    mean: tuple[float, ...] = CAFFE_MEAN  # per channel in that order, on 0..255
    std: tuple[float, ...] = (1.0, 1.0, 1.0)  # likewise

    @property
    def mean_color(self) -> tuple[float, ...]:
        """The mean color of the training pictures: RGB in [0, 1]."""
        rgb = self.mean if self.channel_order == "rgb" else self.mean[::-1]
        return tuple(value / 255.0 for value in rgb)

    def equals(self, other: "Weights") -> bool:
        """Whether all attributes have the same values."""
        if self is other:
            return True
        names = ("backbone", "channels", "sha256", "channel_order", "mean", "std")
        if any(getattr(self, name) != getattr(other, name) for name in names):
            return False
        pairs = ((self.kernels, other.kernels), (self.biases, other.biases))
        return all(
            own.keys() == others.keys() and all(np.array_equal(own[at], others[at]) for at in own)
            for own, others in pairs
        )


def embedded_path() -> Path:
    """The path of the shipped ImageNet VGG19, 8 bits per weight; NOTICE states its origin."""
    return Path(str(importlib.resources.files("nst_keras") / "data/vgg19_imagenet_notop_8bit.npz"))


def read_weights(path: str | Path, backbone: str, flag: str = "--weights") -> Weights:
    """Read an `.npz` of this project, a `.weights.h5` of Keras 3 or a legacy notop `.h5`.

    The file is read once: its hash is that of the bytes that became the arrays.

    Raises:
        InputError, begun by `flag`: the file is missing, damaged, or of another kind or backbone.
    """
    source, path = f"{flag}={path}", Path(path)
    if not path.is_file():
        others = "; must be 'embedded', 'imagenet' or the path of a file"
        raise InputError(f"{source}: {files.missing(path)}{others if flag == '--weights' else ''}")
    readers = {".npz": _read_npz, ".h5": _read_h5}
    if path.suffix not in readers:
        raise InputError(f"{source}: must be the path of a file that ends in .npz or .h5")
    try:
        _refuse_huge(path.stat().st_size, source)
        weights = readers[path.suffix](path.read_bytes(), backbone, source)
        _check(weights, source)
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib, json, NumPy and h5py each raise their own kinds
        raise InputError(f"{source}: cannot be read as weights: {first_line(error)}") from error
    return weights


def write_weights(path: str | Path, weights: Weights) -> None:
    """Write an `.npz` of this project: arrays `LAYER/kernel`, `LAYER/bias` and a JSON `header`."""
    names = ("backbone", "channels", "channel_order", "mean", "std")
    header = {"format": FORMAT, **{name: getattr(weights, name) for name in names}}
    arrays = {f"{name}/kernel": kernel for name, kernel in weights.kernels.items()}
    arrays |= {f"{name}/bias": bias for name, bias in weights.biases.items()}
    with files.atomic(path) as file:
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        files.write_arrays(file, arrays)


def _read_npz(content: bytes, backbone: str, source: str) -> Weights:
    """Weights from the bytes of an `.npz`; sizes that it declares are checked before inflating."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        declared = {entry.filename: entry.file_size for entry in archive.infolist()}
    _refuse_huge(sum(declared.values()), source)
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        header = json.loads(bytes(data["header"])) if "header" in data else {}
        if header.get("format", FORMAT) != FORMAT:
            raise InputError(
                f"{source}: has format {header['format']}; this version reads format {FORMAT}"
            )
        if (stored := header.get("backbone", "vgg19")) != backbone:
            raise InputError(f"{source}: contains {stored} weights; add --backbone={stored}")
        channels = tuple(int(c) for c in header.get("channels", vgg.CHANNELS))
        _refuse_larger(declared, vgg.convolutions(backbone, channels), source)
        kernels, biases = _Kernels(), {}
        for name in vgg.layer_names(backbone):
            if f"{name}/bias" in data:
                biases[name] = _real(data[f"{name}/bias"])
                if f"{name}/kernel" in data:
                    kernels[name] = _real(data[f"{name}/kernel"]), None
                else:
                    table = _real(data[f"{name}/kernel_table"])
                    kernels[name] = table, data[f"{name}/kernel_codes"]
        digest = hashlib.sha256(content).hexdigest()
        return Weights(backbone, channels, kernels, biases, digest, *_preprocessing(header, source))


class _Kernels(collections.UserDict[str, Any]):
    """Kernels by layer name, float32, which are expanded when they are read if that saves memory.

    What is stored is a kernel and None, or 256 values and the index of one for each weight.
    """

    def __getitem__(self, name: str) -> np.ndarray:
        values, codes = self.data[name]
        return values if codes is None else values[codes]


def _preprocessing(header: dict[str, Any], source: str) -> tuple[Any, ...]:
    """Channel order, mean and standard deviation."""
    order = header.get("channel_order", "bgr")
    if order not in ("bgr", "rgb"):
        raise InputError(f"{source}: channel_order={order!r}: must be one of {('bgr', 'rgb')}")
    found = []
    for values in (header.get("mean", CAFFE_MEAN), header.get("std", (1.0, 1.0, 1.0))):
        numbers = tuple(float(value) for value in values)
        if len(numbers) != 3 or not np.isfinite(numbers).all():
            raise InputError(f"{source}: mean and std must be three numbers, not {values}")
        found.append(numbers)
    mean, std = found
    if min(std) <= 0:
        raise InputError(f"{source}: std must be above 0, not {std}")
    return order, mean, std


def _read_h5(content: bytes, backbone: str, source: str) -> Weights:
    """Weights from the bytes of an HDF5 file, in either of Keras' layouts.

    They are a group per layer name (legacy) and `layers/conv2d_N`, numbered from the image upward.
    """
    import h5py  # a dependency of Keras; only this reader needs it

    needed = {conv.name: conv for conv in vgg.convolutions(backbone, vgg.CHANNELS)}
    kernels: dict[str, np.ndarray] = {}
    biases: dict[str, np.ndarray] = {}

    def visit(key: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or not (name := _h5_layer(key, tuple(needed))):
            return
        if name not in needed:
            raise InputError(f"{source}: contains {name}; {backbone} has no such layer")
        conv = needed[name]
        if item.ndim in (1, 4) and item.size > math.prod(conv.kernel_shape):
            raise InputError(
                f"{source}: {name} has shape {item.shape}; must be at most {conv.kernel_shape}"
            )
        if item.ndim == 4 and name not in kernels:
            kernels[name] = _real(item[()])
        elif item.ndim == 1 and name not in biases:
            biases[name] = _real(item[()])

    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(visit)
    return Weights(backbone, vgg.CHANNELS, kernels, biases, hashlib.sha256(content).hexdigest())


def _h5_layer(key: str, names: tuple[str, ...]) -> str | None:
    """The layer that a dataset belongs to, by the name or the number in its path; None if none."""
    if match := re.search(r"block\d_conv\d", key):
        return match[0]
    match = re.search(r"(?:^|/)conv2d(?:_(\d+))?/", key)
    index = int(match[1] or 0) if match else len(names)
    return names[index] if index < len(names) else None


def _refuse_huge(size: int, source: str) -> None:
    if size > _MAX_BYTES:
        raise InputError(f"{source}: is {size >> 20} MiB; the limit is {_MAX_BYTES >> 20} MiB")


def _real(array: np.ndarray) -> np.ndarray:
    """An array of numbers as float32."""
    if array.dtype.kind not in "fiu":
        raise ValueError(f"holds {array.dtype} instead of numbers")
    return array.astype(np.float32)


def _refuse_larger(declared: Mapping[str, int], convs: tuple[vgg.Conv, ...], source: str) -> None:
    """Refuse arrays that declare more bytes than their layer can have, at up to 8 for a value."""
    most = {conv.name: 8 * max(math.prod(conv.kernel_shape), 256) + 4096 for conv in convs}
    for name, size in declared.items():
        layer = name.split("/")[0]
        if size > most.get(layer, math.inf):
            raise InputError(f"{source}: {layer} would have {size} bytes; too large for the layer")


def _check(weights: Weights, source: str) -> None:
    """Raise InputError unless every convolution is there, finite and of the right shape."""
    for conv in vgg.convolutions(weights.backbone, weights.channels):
        if conv.name not in weights.kernels or conv.name not in weights.biases:
            raise InputError(f"{source}: has no {conv.name}; {weights.backbone} needs it")
        for array, shape in (
            (weights.kernels[conv.name], conv.kernel_shape),
            (weights.biases[conv.name], (conv.outputs,)),
        ):
            where = f"{source}: {conv.name} has"
            if array.shape != shape:
                raise InputError(f"{where} shape {array.shape}; {weights.backbone} needs {shape}")
            if not np.isfinite(array).all():
                raise InputError(f"{where} values that are not finite")
