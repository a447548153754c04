"""Which packages are installed, told by their metadata: nothing is imported."""

import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

import nst_keras
from nst_keras.diagnosis.finding import OK, PROBLEM, WARNING, Finding

REQUIRED = ("tensorflow", "keras", "numpy", "pillow", "tifffile", "absl-py", "rich")
# Packages that provide the same modules as another.
_ALSO = {"tensorflow": ("tensorflow-cpu", "tensorflow-tpu", "tf-nightly")}
_OLDEST, _NEXT = (3, 10), (3, 14)  # Python: the first that is supported, the first that is not


class Extra(NamedTuple):
    """What an extra adds, and a package by which it shows."""

    package: str
    purpose: str


EXTRAS = {
    "cuda": Extra("nvidia-cudnn-cu12", "computes on NVIDIA GPUs"),
    "tpu": Extra("tensorflow-tpu", "computes on TPUs"),
    "tensorboard": Extra("tensorboard", "writes events for TensorBoard"),
    "video": Extra("imageio-ffmpeg", "writes MP4"),
    "ray": Extra("ray", "runs sweeps on a Ray cluster"),
    "heif": Extra("pillow-heif", "reads HEIC photos"),
    "tiff": Extra("imagecodecs", "reads and writes pictures of 16 bits"),
}


def check_python() -> Iterator[Finding]:
    """The version of Python, and the kind of machine."""
    version, now = platform.python_version(), sys.version_info[:2]
    text = f"{version} on {platform.system()} {platform.release()}, {platform.machine()}"
    if _OLDEST <= now < _NEXT:
        yield Finding(OK, "Python", text)
    else:
        supported = f"use Python {_dotted(_OLDEST)} or later, below {_dotted(_NEXT)}"
        yield Finding(PROBLEM, "Python", text, supported)


def check_required() -> Iterator[Finding]:
    """The versions of what nst_keras needs; a problem for each that is missing or too old."""
    bounds = _lower_bounds()
    if not bounds:
        text = "runs from its folder and is not installed, so versions cannot be checked"
        yield Finding(WARNING, "nst_keras", text, "pip install . in its folder")
    found = {}
    for name in REQUIRED:
        version, least = _version_of(name), bounds.get(name, "")
        wanted = f"pip install '{name}>={least}'" if least else f"pip install {name}"
        if version is None:
            yield Finding(PROBLEM, name, "is not installed", wanted)
        elif least and _numbers(version) < _numbers(least):
            text = f"{version} is too old; {least} is the oldest that works"
            yield Finding(PROBLEM, name, text, wanted)
        else:
            found[name] = version
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    yield Finding(OK, "packages", f"nst_keras {nst_keras.__version__}, {listed}")


def check_extras() -> Iterator[Finding]:
    """Which extras are there, and what the others would add."""
    versions = {name: _version_of(extra.package) for name, extra in EXTRAS.items()}
    there = [f"{name} ({EXTRAS[name].package} {it})" for name, it in versions.items() if it]
    missing = [f"{name} {EXTRAS[name].purpose}" for name, it in versions.items() if not it]
    yield Finding(OK, "extras", ", ".join(there) or "none is installed")
    if missing:
        how = "pip install '.[NAME]' in the folder of nst_keras"
        yield Finding(OK, "optional, not installed", ", ".join(missing), how)


def _lower_bounds() -> dict[str, str]:
    """The oldest versions that nst_keras declares; empty if it is not installed."""
    try:
        declared = metadata.requires("nst_keras") or []
    except metadata.PackageNotFoundError:
        return {}
    pairs = (re.fullmatch(r"([\w.-]+)\s*\(?>=\s*([\w.]+)\)?", one) for one in declared)
    return {pair[1].lower(): pair[2] for pair in pairs if pair}


def _version_of(name: str) -> str | None:
    """The version of a package or of one that stands for it; None if there is none."""
    for one in (name, *_ALSO.get(name, ())):
        try:
            return metadata.version(one) or "of unknown version"
        except metadata.PackageNotFoundError:
            continue
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a release for comparisons; those of an unknown version count as newer."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else (sys.maxsize,)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
