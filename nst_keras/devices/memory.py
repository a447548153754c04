"""Processor cores and memory: what the device has, and how much of it a run may take."""

import contextlib
import csv
import ctypes
import functools
import gc
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

GIB = 1 << 30
# Set where several runs share a device: the fraction of its memory that is for this one.
MEMORY_SHARE = "NST_MEMORY_SHARE"

_CPU_SHARE, _GPU_SHARE = 0.8, 0.85  # of the available memory that runs plan to take
_MOST_FEATURES = 2**31 - 1  # in one layer: GPUs count them in 32 bits


class MemoryBudget(NamedTuple):
    """What a run may take of a device."""

    bytes: float
    features: float = math.inf  # in one layer, of all images in the network at once


def memory_budget(given: int | None, count: int = 1) -> MemoryBudget:
    """What a run may take of each of `count` devices: the given bytes, if any, or its share."""
    features = _MOST_FEATURES if on_gpu() else math.inf
    if given is not None:
        return MemoryBudget(given, features)
    available = min(gpu_bytes()[:count]) if on_gpu() else available_bytes()
    with contextlib.suppress(KeyError, ValueError):
        share = float(os.environ[MEMORY_SHARE])
        if 0.0 < share < 1.0:
            available = round(share * available)
    return MemoryBudget(available, features)


def cpu_cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_bytes() -> int:
    """Bytes that runs on the CPU plan to take, within their cgroup; unlimited if unknown."""
    available = min(_free_bytes(), _cgroup_bytes())
    return sys.maxsize if available == math.inf else round(_CPU_SHARE * available)


def peak_bytes() -> int:
    """The most bytes that this process has held in memory so far; 0 if unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _free_bytes() -> float:
    """Bytes that this process holds or could get; if unknown, all that are installed, or inf."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        own = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return free["MemAvailable"] * 1024 + own * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS has it, Windows not
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf


def _cgroup_bytes() -> float:
    """The memory limit of this process's control group; infinite without one."""
    limit = math.inf
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limit = min(limit, int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")))
    return limit


def free_garbage() -> None:
    """Free what nothing refers to any more, and return the memory to the system, where possible.

    A network, its graphs and the steps that call them refer to each other, so they stay until a
    collection. What they leave in glibc's heaps stays with the process until it is trimmed.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextlib.contextmanager
def only_new_garbage() -> Iterator[None]:
    """Have garbage collections in the block visit only what is made in the block.

    They come often while graphs are made, and TensorFlow and Keras alone hold 300,000 objects. What
    is garbage already stays until the block ends. Changes nothing if the caller has frozen objects.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def has_nvidia_driver() -> bool:
    """Whether this host may have GPUs that TensorFlow can use, told without TensorFlow."""
    return Path("/proc/driver/nvidia/version").exists()


def on_gpu() -> bool:
    """Whether TensorFlow has a GPU to compute on."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def take_gpu_memory_as_needed() -> None:
    """Have TensorFlow take GPU memory as it needs it, not all at once, unless it has begun."""
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def gpu_bytes() -> tuple[int, ...]:
    """Bytes that runs plan to take of each GPU of this process; unlimited where that is not known.

    Free memory is measured only at the first call, so call this before TensorFlow computes: later,
    memory that TensorFlow holds would count as taken. Where it takes all memory at once, the total
    counts.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    as_needed = all(tf.config.experimental.get_memory_growth(gpu) for gpu in gpus)
    return tuple(_planned_bytes(name, as_needed) for name in visible_gpus()) or (sys.maxsize,)


def smallest_gpu_bytes() -> int:
    """What the smallest GPU that a process started here would see has in all; 0 without any."""
    found = [_planned_bytes(name, as_needed=False) for name in visible_gpus()]
    return min((one for one in found if one < sys.maxsize), default=0)


def visible_gpus() -> list[str]:
    """The GPUs that a process started here would see, as CUDA_VISIBLE_DEVICES names them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [index for index, *_ in _installed_gpus()]
    return [] if allowed.strip() in ("", "-1") else [name.strip() for name in allowed.split(",")]


def unused_gpu() -> str | None:
    """A warning for a user who has a GPU that TensorFlow does not use."""
    if on_gpu() or not shutil.which("nvidia-smi"):
        return None
    if (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) in ("", "-1"):
        return f"this machine has a GPU, but CUDA_VISIBLE_DEVICES={hidden} hides it"
    return (
        "this machine has a GPU, but TensorFlow cannot use it; "
        "pip install '.[cuda]' in the folder of nst_keras may help"
    )


@functools.cache
def _installed_gpus() -> list[list[str]]:
    """Index, UUID, free and total MiB of each GPU of this machine; none if nvidia-smi fails."""
    columns = "--query-gpu=index,uuid,memory.free,memory.total"
    command = ["nvidia-smi", columns, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
    return [row for row in rows if len(row) == 4]


def _planned_bytes(name: str, as_needed: bool) -> int:
    """Bytes to plan with on a GPU of this index or (beginning of a) UUID."""
    for index, uuid, free, total in _installed_gpus():
        mebibytes = free if as_needed else total
        is_named = name == index or (name.startswith("GPU-") and uuid.startswith(name))
        if is_named and mebibytes.isdecimal():  # not [N/A]
            return round(_GPU_SHARE * (int(mebibytes) << 20))
    return sys.maxsize  # such as a part of a GPU
