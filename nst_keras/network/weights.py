"""Weights files to arrays, without TensorFlow: a bad file is refused before that is imported."""

import dataclasses
import importlib.resources
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from nst_keras.network import vgg
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError, first_line

# What `keras.applications` calls 'caffe' preprocessing: BGR, 0..255, minus these means.
CAFFE_MEAN = (103.939, 116.779, 123.68)
FORMAT = 1
_MAX_BYTES = 4 << 30  # of a whole weights file once inflated; VGG19 with its classifier is 0.6 GB


@dataclasses.dataclass(frozen=True, eq=False)  # told apart by identity: they are large
class Weights:
    """A backbone's convolution weights and the preprocessing that they expect.

    The network's input is `((255 * rgb)[channel_order] - mean) / std` for RGB in [0, 1].
    """

    backbone: str
    channels: tuple[int, ...]  # output channels per block
    kernels: Mapping[str, np.ndarray]  # layer name -> (3, 3, inputs, outputs) float32
    biases: dict[str, np.ndarray]  # layer name -> (outputs,) float32
    sha256: str
    channel_order: str = "bgr"
    mean: tuple[float, ...] = CAFFE_MEAN
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def mean_color(self) -> tuple[float, ...]:
        """The mean of the training pictures: RGB in [0, 1]."""
        rgb = self.mean if self.channel_order == "rgb" else self.mean[::-1]
        return tuple(value / 255.0 for value in rgb)

    def check(self, source: str) -> "Weights":
        """Raise InputError unless every convolution is there, with the right shape and finite."""
        for conv in vgg.convolutions(self.backbone, channels=self.channels):
            if conv.name not in self.kernels or conv.name not in self.biases:
                raise InputError(f"{source}: has no {conv.name}; {self.backbone} needs it")
            for array, shape in (
                (self.kernels[conv.name], conv.kernel_shape),
                (self.biases[conv.name], (conv.outputs,)),
            ):
                if array.shape != shape:
                    raise InputError(
                        f"{source}: {conv.name} has shape {array.shape}; "
                        f"{self.backbone} needs {shape}"
                    )
                if not np.isfinite(array).all():
                    raise InputError(f"{source}: {conv.name} holds values that are not finite")
        return self


def embedded_path() -> Path:
    """The shipped ImageNet VGG19 of 8 bits per weight; see NOTICE for its origin."""
    return Path(str(importlib.resources.files("nst_keras") / "data/vgg19_imagenet_notop_8bit.npz"))


def read_weights(path: str | Path, backbone: str, flag: str = "--weights") -> Weights:
    """Read `.npz` of this project, `.weights.h5` of Keras 3 or a legacy notop `.h5`.

    Raises:
        InputError: the file is missing, not of these kinds, corrupt, or not of this backbone.
    """
    source, path = f"{flag}={path}", Path(path)
    if not path.is_file():
        others = "; it may be 'embedded', 'imagenet' or a file's path"
        raise InputError(f"{source}: no such file{others if flag == '--weights' else ''}")
    readers = {".npz": _read_npz, ".h5": _read_h5}
    if path.suffix not in readers:
        raise InputError(f"{source}: weights files end in .npz or .h5")
    try:
        return readers[path.suffix](path, backbone, source).check(source)
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib, json, NumPy and h5py each raise their own kinds
        raise InputError(f"{source}: cannot be read as weights: {first_line(error)}") from error


def write_weights(path: str | Path, weights: Weights) -> None:
    """Write this project's `.npz`: arrays `LAYER/kernel` and `LAYER/bias` and a JSON `header`."""
    header = {
        "format": FORMAT,
        "backbone": weights.backbone,
        "channels": list(weights.channels),
        "channel_order": weights.channel_order,
        "mean": list(weights.mean),
        "std": list(weights.std),
    }
    arrays = {f"{name}/kernel": kernel for name, kernel in weights.kernels.items()}
    arrays |= {f"{name}/bias": bias for name, bias in weights.biases.items()}
    with files.atomic(path) as file:
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes them for flags


def _read_npz(path: Path, backbone: str, source: str) -> Weights:
    _refuse_huge(path, source)
    with np.load(path, allow_pickle=False) as data:
        header = json.loads(bytes(data["header"])) if "header" in data else {}
        if header.get("format", FORMAT) != FORMAT:
            raise InputError(
                f"{source}: is of format {header['format']}; this version reads {FORMAT}"
            )
        if (stored := header.get("backbone", "vgg19")) != backbone:
            raise InputError(f"{source}: holds a {stored}; give --backbone={stored} with it")
        channels = tuple(int(c) for c in header.get("channels", vgg.CHANNELS))
        _refuse_larger(path, vgg.convolutions(backbone, channels=channels), source)
        names = vgg.layer_names(backbone)
        return Weights(
            backbone=backbone,
            channels=channels,
            kernels=_Kernels(
                {name: _npz_kernel(data, name) for name in names if f"{name}/bias" in data}
            ),
            biases={name: _npz_bias(data, name) for name in names if f"{name}/bias" in data},
            sha256=files.sha256(path),
            channel_order=_one_of(header.get("channel_order", "bgr"), ("bgr", "rgb"), source),
            mean=_three_numbers(header.get("mean", CAFFE_MEAN), source),
            std=_above_zero(_three_numbers(header.get("std", (1.0, 1.0, 1.0)), source), source),
        )


class _Kernels(Mapping[str, np.ndarray]):
    """Kernels by layer name, made float32 when asked for: those of 256 values stay small."""

    def __init__(self, stored: dict[str, tuple[np.ndarray, np.ndarray | None]]):
        self._stored = stored

    def __getitem__(self, name: str) -> np.ndarray:
        values, codes = self._stored[name]
        return values if codes is None else values[codes]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def _npz_kernel(data: "np.lib.npyio.NpzFile", name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A plain kernel, or 256 values and the index of one for each weight."""
    if f"{name}/kernel" in data:
        return _real(data[f"{name}/kernel"]), None
    return _real(data[f"{name}/kernel_table"]), data[f"{name}/kernel_codes"]


def _npz_bias(data: "np.lib.npyio.NpzFile", name: str) -> np.ndarray:
    return _real(data[f"{name}/bias"])


def _read_h5(path: Path, backbone: str, source: str) -> Weights:
    """Both Keras layouts: a group per layer name (legacy), or `layers/conv2d_N` in order."""
    import h5py  # a dependency of Keras; only this reader needs it

    needed = {conv.name: conv for conv in vgg.convolutions(backbone, channels=vgg.CHANNELS)}
    names = tuple(needed)
    kernels: dict[str, np.ndarray] = {}
    biases: dict[str, np.ndarray] = {}

    def visit(key: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or not (name := _h5_layer(key, names)):
            return
        if name not in names:
            raise InputError(f"{source}: holds {name}; {backbone} has no such layer")
        conv = needed[name]
        if item.ndim in (1, 4) and item.size > math.prod(conv.kernel_shape):
            raise InputError(f"{source}: {name} has shape {item.shape}; it is too large")
        if item.ndim == 4 and name not in kernels:
            kernels[name] = _real(item[()])
        elif item.ndim == 1 and name not in biases:
            biases[name] = _real(item[()])

    with h5py.File(path) as file:
        file.visititems(visit)
    return Weights(backbone, vgg.CHANNELS, kernels, biases, files.sha256(path))


def _h5_layer(key: str, names: tuple[str, ...]) -> str | None:
    """The layer that a dataset belongs to, by the name in its path or by its place."""
    if match := re.search(r"block\d_conv\d", key):
        return match[0]
    match = re.search(r"(?:^|/)conv2d(?:_(\d+))?/", key)
    index = int(match[1] or 0) if match else len(names)
    return names[index] if index < len(names) else None


def _refuse_huge(path: Path, source: str) -> None:
    """Look at the sizes that the archive declares before anything is inflated."""
    with zipfile.ZipFile(path) as archive:
        declared = sum(entry.file_size for entry in archive.infolist())
    if declared > _MAX_BYTES:
        raise InputError(f"{source}: would inflate to {declared >> 20} MiB; the limit is 4096 MiB")


def _real(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"holds {array.dtype} in place of numbers")
    return array.astype(np.float32)


def _refuse_larger(path: Path, convs: tuple[vgg.Conv, ...], source: str) -> None:
    """Refuse arrays that declare more than their layer can hold, in up to 8 bytes a value."""
    most = {conv.name: 8 * max(math.prod(conv.kernel_shape), 256) + 4096 for conv in convs}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.split("/")[0]
            if entry.file_size > most.get(name, math.inf):
                raise InputError(f"{source}: {name} would inflate to {entry.file_size} bytes")


def _one_of(value: object, choices: tuple[str, ...], source: str) -> str:
    if value not in choices:
        raise InputError(f"{source}: channel_order is {value!r}; it must be one of {choices}")
    return str(value)


def _three_numbers(values: object, source: str) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in values)  # type: ignore[attr-defined]
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        raise InputError(f"{source}: mean and std must be three finite numbers, not {values}")
    return numbers


def _above_zero(numbers: tuple[float, ...], source: str) -> tuple[float, ...]:
    if min(numbers) <= 0:
        raise InputError(f"{source}: std must be above 0, not {numbers}")
    return numbers
