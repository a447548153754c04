"""The memory of the device and of this process, and the share of it that a job may take."""

import contextlib
import dataclasses
import functools
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

GIB = 1 << 30

_SHARE = 0.8  # of what is there that a job plans to take
# Set where several jobs share a device: the part of its memory that is for this one.
MEMORY_SHARE = "NST_MEMORY_SHARE"


@dataclasses.dataclass(frozen=True)
class MemoryBudget:
    """What of a device a job may take."""

    bytes: float
    features: float = math.inf  # of a layer, of all that goes through the network at once


def available_bytes() -> int:
    """Bytes that jobs on the CPU plan to take: a share of what is there; endless if nobody tells.

    What is there: what the system has free beside this process, within the limits of its cgroup.
    """
    there = min(_free_bytes(), _cgroup_bytes())
    return sys.maxsize if there == math.inf else round(_SHARE * there)


def own_share(there: int) -> int:
    """Of what jobs plan to take in all, the part of this one."""
    try:
        share = float(os.environ.get(MEMORY_SHARE, 1.0))
    except ValueError:
        share = 1.0
    return round(share * there) if 0.0 < share < 1.0 else there


def _free_bytes() -> float:
    """What this process has and could get, or where the system does not tell that, what it has in
    all; endless where it does not tell that either."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        own = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return free["MemAvailable"] * 1024 + own * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS has it, Windows not
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf


def _cgroup_bytes() -> float:
    """The limit of this process's group; endless without one."""
    limit = math.inf
    for path in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):
        with contextlib.suppress(OSError, ValueError):
            limit = min(limit, int(Path(path).read_text(encoding="ascii")))
    return limit


_GPU_SHARE = 0.85  # of its free memory that a job plans to take
_MOST_FEATURES = 2**31 - 1  # of a layer: GPUs count them in 32 bits


def on_gpu() -> bool:
    """Whether TensorFlow has a GPU to compute on."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def memory_budget(given: int | None, count: int = 1) -> MemoryBudget:
    """What of a device a job may take.

    Args:
        given: bytes of memory, if it was given any.
        count: devices of this host that it takes, all alike.
    """
    features = _MOST_FEATURES if on_gpu() else math.inf
    if given is not None:
        return MemoryBudget(given, features)
    there = min(gpu_bytes()[:count]) if on_gpu() else available_bytes()
    return MemoryBudget(own_share(there), features)


def unused_gpu() -> str | None:
    """What to tell somebody who has a GPU that TensorFlow does not use."""
    if on_gpu() or not shutil.which("nvidia-smi"):
        return None
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "a GPU is there but CUDA_VISIBLE_DEVICES hides it"
    return "a GPU is there but TensorFlow cannot use it; pip install 'nst_keras[cuda]' may help"


@functools.cache
def gpu_bytes() -> tuple[int, ...]:
    """What each GPU of this process has free, but for a part; endless where nobody tells.

    Asked once, before TensorFlow computes anything: later what it holds would count as taken.
    """
    column = "memory.free" if _take_by_need() else "memory.total"
    query = ["nvidia-smi", f"--query-gpu=index,uuid,{column}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, check=True, capture_output=True, text=True, timeout=30)
        rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
        sizes = [(index, uuid, int(mebibytes)) for index, uuid, mebibytes in rows]
    except (OSError, ValueError, subprocess.SubprocessError):
        return (sys.maxsize,)
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(index for index, _, _ in sizes))
    return tuple(_bytes_of(name.strip(), sizes) for name in seen.split(","))


def _take_by_need() -> bool:
    """Have TensorFlow take GPUs' memory as it needs it, not all at once; False: it is too late."""
    import tensorflow as tf

    try:
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:  # somebody has computed something before
        return False
    return True


def _bytes_of(name: str, sizes: Sequence[tuple[str, str, int]]) -> int:
    """What a GPU of this index or (the beginning of) UUID has, but for a part."""
    for index, uuid, mebibytes in sizes:
        if name == index or (name.startswith("GPU-") and uuid.startswith(name)):
            return round(_GPU_SHARE * mebibytes * 2**20)
    return sys.maxsize  # such as a part of one


def cpu_cores() -> int:
    """Of the processor, that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The GPUs that a process started here would see, as CUDA_VISIBLE_DEVICES names them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [] if allowed.strip() in ("", "-1") else allowed.split(",")
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))] if listed.returncode == 0 else []
