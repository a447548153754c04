"""What this machine offers, told without TensorFlow: memory, disk, the weights, Keras' settings."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nst_keras.devices import compile_cache, startup
from nst_keras.devices.memory import GIB, available_bytes, cpu_cores
from nst_keras.diagnosis.finding import OK, PROBLEM, WARNING, Finding
from nst_keras.runtime import files

_LITTLE_MEMORY, _LITTLE_DISK = 2 * GIB, GIB  # below these, a run is likely to fail or to be slow
_BUSY = 0.75  # of the cores that the machine has: from here on, measured times are too long
_UNKNOWN = 1 << 50  # so many bytes stand for a number that is not known


def check_memory() -> Iterator[Finding]:
    """Processor cores, and the memory that runs plan to take."""
    free, cores = available_bytes(), cpu_cores()
    text = f"{cores} CPU {'core' if cores == 1 else 'cores'}"
    if free > _UNKNOWN:
        yield Finding(OK, "memory", f"{text}; free memory is not known")
        return
    text += f", {free / GIB:.1f} GiB of memory that a run may take"
    few = free < _LITTLE_MEMORY
    remedy = "close other programs, or use a smaller --size" if few else ""
    yield Finding(WARNING if few else OK, "memory", text, remedy)


def check_load() -> Iterator[Finding]:
    """A warning if other programs keep the processor busy, so that a run would be slow now."""
    if not hasattr(os, "getloadavg"):  # Windows
        return
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > _BUSY * cores:
        text = f"other programs use {load:.1f} of {cores} cores, so times below are too long"
        yield Finding(WARNING, "load", text, "run it again when the machine is idle")


def check_disk(folder: str) -> Iterator[Finding]:
    """Whether results can be written to a folder, which may not exist yet, and free space there."""
    place = _existing(Path(folder).absolute())
    with files.preparing(place, "folder"):
        pass
    free = shutil.disk_usage(place).free
    few = free < _LITTLE_DISK
    remedy = "free some space, or give --workdir a place on another disk" if few else ""
    text = f"{free / GIB:.1f} GiB free for results in {Path(folder).absolute()}"
    yield Finding(WARNING if few else OK, "disk", text, remedy)
    files.check_temporary_folder()


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def check_compile_cache() -> Iterator[Finding]:
    """Where compiled programs are kept, and how much they take."""
    root = compile_cache.root_of("auto")
    mebibytes = compile_cache.held_bytes(root) / (1 << 20)
    text = f"{mebibytes:.0f} MiB in {root}; a folder that can be removed at any time"
    yield Finding(OK, "compile cache", text)


def check_weights() -> Iterator[Finding]:
    """Whether the weights in the package are the bytes that were published."""
    from nst_keras.network import weights

    path = weights.embedded_path()
    again = "install nst_keras again: pip install --force-reinstall --no-deps . in its folder"
    if not path.is_file():
        yield Finding(PROBLEM, "weights", f"{path} is missing", again)
    elif hashlib.sha256(path.read_bytes()).hexdigest() != weights.EMBEDDED_SHA256:
        yield Finding(PROBLEM, "weights", f"{path} is damaged", again)
    else:
        yield Finding(OK, "weights", "VGG19 of ImageNet is in the package and intact")


def check_keras_backend() -> Iterator[Finding]:
    """Whether Keras would choose TensorFlow in a Python process of the user."""
    asked = os.environ.get("KERAS_BACKEND")
    where = f"KERAS_BACKEND={asked}"
    if not asked:
        path = startup.keras_file()
        asked = files.read_json(path).get("backend")
        where = f'"backend": "{asked}" in {path}'
    if asked in (None, "tensorflow"):
        yield Finding(OK, "Keras backend", "TensorFlow")
        return
    text = f"{where}; the commands use TensorFlow all the same"
    remedy = "from Python, set KERAS_BACKEND=tensorflow before Keras is imported"
    yield Finding(WARNING, "Keras backend", text, remedy)
