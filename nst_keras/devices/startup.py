"""TensorFlow's start on the device that computes; the device's name and speed."""

import contextlib
import functools
import gc
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from nst_keras.devices import compile_cache
from nst_keras.devices.memory import (
    cpu_cores,
    free_garbage,
    gpu_bytes,
    on_gpu,
    take_gpu_memory_as_needed,
)
from nst_keras.runtime.cli import stderr_aside
from nst_keras.runtime.errors import InputError, reason_of

# What Keras and TensorFlow import where it is installed, and do without where it is not. Together
# these take longer to import than TensorFlow, and the commands use none of them.
_OPTIONAL = "cv2", "jax", "matplotlib", "pandas", "scipy", "sklearn"
_ROWS = 1024  # of the products that tell a device's rate, which are to take little time


def start_tensorflow(compile_cache_place: str = "none") -> None:
    """Import TensorFlow, before anything else does, and set it up for a command.

    `compile_cache_place` is as for `compile_cache.keep_compiled`.
    """
    compile_cache.keep_compiled(compile_cache_place)
    if "tensorflow" in sys.modules:
        free_garbage()  # of earlier runs of this process, which `only_new_garbage` would keep
    with _as_if_missing(_OPTIONAL):
        import_tensorflow()
    if on_gpu():
        take_gpu_memory_as_needed()
        gpu_bytes()  # kept from here on: what is free before TensorFlow takes any


def import_tensorflow() -> None:
    """Import TensorFlow without its log messages, unless TF_CPP_MIN_LOG_LEVEL asks for them, and
    Keras with it as the backend."""
    aside = contextlib.nullcontext() if "TF_CPP_MIN_LOG_LEVEL" in os.environ else stderr_aside()
    # Errors, too: what matters of them is also raised, and the rest is about GPUs that are not
    # there and instructions that a processor lacks.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with aside, _keras_on_tensorflow(), _without_collections():
        import keras  # noqa: F401  before TensorFlow, which would hide why it failed
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _as_if_missing(packages: Sequence[str]) -> Iterator[None]:
    """Have imports of packages fail in the block, unless they were imported before."""
    hidden = [name for name in packages if name not in sys.modules]
    try:
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: no such module
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Have no garbage collections in the block.

    Imports make hundreds of thousands of objects that stay. Collections, which look for others
    among them time and again, take a fourth of the time that importing TensorFlow takes.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def keras_file() -> Path:
    """The file of the user's settings of Keras, which may be missing."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras"), "keras.json").expanduser()


@contextlib.contextmanager
def _keras_on_tensorflow() -> Iterator[None]:
    """Have Keras choose TensorFlow if the block imports it, whatever the user has set.

    Raises InputError if Keras cannot be imported because of its configuration file.
    """
    asked = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        yield
    except (AssertionError, AttributeError, OSError, TypeError, ValueError) as error:
        path = keras_file()
        if not path.exists():
            raise
        message = f"{path}: Keras cannot use it ({reason_of(error)}); correct it or remove it"
        raise InputError(message) from error
    finally:
        del os.environ["KERAS_BACKEND"]
        if asked is not None:
            os.environ["KERAS_BACKEND"] = asked


def one_operation_at_a_time() -> None:
    """On a CPU, run one operation at a time, each on all cores.

    That takes less memory and is no slower, since all operations of a step are large. Call it
    before TensorFlow computes anything; later it does nothing.
    """
    import tensorflow as tf

    if not on_gpu():
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_inter_op_parallelism_threads(1)


@functools.cache
def matrix_rate(precision: str) -> float:
    """Floating-point operations per second of matrix products in a precision."""
    from nst_keras.devices.products import MatrixProducts

    slow = precision == "float16" and not on_gpu()
    return MatrixProducts("float32" if slow else precision, rows=_ROWS).rate()


def describe_device() -> str:
    """The name of the device that computes, such as 'CPU: AMD EPYC, 2 cores'."""
    import tensorflow as tf

    if gpus := tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"GPU: {details.get('device_name', 'unnamed')}"
    name = cpuinfo().get("model name") or platform.processor() or platform.machine()
    cores = cpu_cores()
    return f"CPU: {name}, {cores} {'core' if cores == 1 else 'cores'}"


def cpuinfo() -> dict[str, str]:
    """Linux's description of the first core; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
