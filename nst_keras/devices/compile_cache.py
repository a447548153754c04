"""What TensorFlow compiles for a device, kept in the user's cache folder for later runs.

TensorFlow finds a program by a hash of what it computes. It does not look at the machine, so each
kind of machine has a folder of its own; and it fails on a file that is damaged, so each file that
was written whole gets a hash beside it, and files without one that fits are removed first.
"""

import contextlib
import hashlib
import logging
import os
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from nst_keras.runtime import files

_log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 30  # of all programs; then the oldest are removed
_HASH = ".sha256"  # the suffix of files with the hash of another
# Variables of the environment with flags of TensorFlow and XLA, which are read at their import.
_PROGRAMS = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory"
_ALGORITHMS = "XLA_FLAGS", "--xla_gpu_per_fusion_autotune_cache_dir"
_KERNELS = "TF_JIT_CACHE_DIR"  # of single operations, which TensorFlow compiles at their first use
_FOLDERS = "programs", "algorithms", "kernels"
# What NVIDIA's driver compiles, of kernels for which TensorFlow has no machine code: where it keeps
# that, and the folder for it. The driver checks and bounds it by itself.
_DRIVER = "CUDA_CACHE_PATH"
_OF_DRIVER = "driver"

# The folder of this process; None: nothing is kept.
_folder: Path | None = None


def keep_compiled(place: str) -> None:
    """Have TensorFlow keep what it and XLA compile, and the algorithms that XLA chooses.

    In a folder that is given, NVIDIA's driver keeps what it compiles, too.

    It must be called before TensorFlow is imported. What the user's environment says already wins.
    A folder that cannot be used is no error: programs are compiled anew then.

    Args:
        place: 'auto' for the user's cache folder, 'none', or a folder. What is kept is in a folder
            `nst_keras/compiled` below it.
    """
    global _folder
    _folder = None
    if place == "none":
        return
    root = root_of(place)
    own = root / _machine()
    if re.search(r"\s", str(own)):  # the variables separate their flags by spaces
        _log.debug("compile cache: %s has spaces in its name; nothing is kept", own)
        return
    try:
        for kept in _FOLDERS:
            (own / kept).mkdir(parents=True, exist_ok=True)
            _remove_damaged(own / kept)
        (own / _OF_DRIVER).mkdir(exist_ok=True)
        _remove_oldest(root)
    except OSError as error:
        _log.debug("compile cache: %s", error)
        return
    _add_flag(*_PROGRAMS, own / "programs")
    _add_flag(*_ALGORITHMS, own / "algorithms")
    os.environ.setdefault(_KERNELS, str(own / "kernels"))
    if place != "auto":  # then it stays in ~/.nv, which the user's other programs share
        os.environ.setdefault(_DRIVER, str(own / _OF_DRIVER))
    _folder = own


def folder() -> Path | None:
    """The folder of this process; None: nothing is kept."""
    return _folder


def seal() -> int:
    """Mark the files that are there as whole, to be called after something may have been compiled.

    Returns the number of programs that were compiled since the last call.
    """
    compiled = 0
    if _folder is None:
        return compiled
    with contextlib.suppress(OSError):
        for kept in _FOLDERS:
            new = [path for path in _files(_folder / kept) if not _hash_path(path).exists()]
            compiled += len(new) if kept == "programs" else 0
            for path in new:
                files.write_text(_hash_path(path), _hash_of(path))
    return compiled


def _remove_damaged(folder: Path) -> None:
    for path in _files(folder):
        beside = _hash_path(path)
        if not beside.exists() or beside.read_bytes() != _hash_of(path).encode():
            path.unlink(missing_ok=True)
            beside.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """The files in a folder and those below it, except for hashes."""
    return [path for path in folder.rglob("*") if path.suffix != _HASH and path.is_file()]


def _hash_path(path: Path) -> Path:
    return path.with_name(path.name + _HASH)


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _add_flag(variable: str, flag: str, folder: Path) -> None:
    given = os.environ.get(variable, "")
    if flag not in given:
        os.environ[variable] = f"{given} {flag}={folder}".strip()


def held_bytes(root: Path) -> int:
    """Bytes of what is kept in a folder of all kinds of machines; 0 if there is none."""
    return sum(path.stat().st_size for path in _files(root))


def root_of(place: str) -> Path:
    """The folder of all kinds of machines; it holds nothing else, so that files may be removed.

    `place` is as for `keep_compiled`, except for 'none'.
    """
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache" if place == "auto" else place
    return Path(base).expanduser().absolute() / "nst_keras" / "compiled"


def _machine() -> str:
    """A name for what a compiled program depends on besides what it computes."""
    versions = [_version(name) for name in ("tensorflow", "tensorflow-cpu", "keras", "nst_keras")]
    facts = (platform.machine(), *_processor(), *_gpus(), *versions)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _version(package: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return ""


def _processor() -> Iterator[str]:
    """Linux's lines about the first core that tell which instructions it has."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines():
            if line.startswith(("model name", "flags", "Features", "CPU part")):
                yield line


def _gpus() -> Iterator[str]:
    """What NVIDIA's driver says of itself and of its GPUs."""
    driver = Path("/proc/driver/nvidia")
    for path in [driver / "version", *sorted(driver.glob("gpus/*/information"))]:
        with contextlib.suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace")
            yield from (line for line in text.splitlines() if line.startswith(("NVRM", "Model")))


def _remove_oldest(root: Path) -> None:
    """Remove files, the oldest first, until what is left is within the limit."""
    own = (path for path in _files(root) if _OF_DRIVER not in path.relative_to(root).parts)
    found = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in own)
    excess = sum(size for _, size, _ in found) - _MOST_BYTES
    for _, size, path in found:
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        _hash_path(path).unlink(missing_ok=True)
        excess -= size
