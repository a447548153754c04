"""TensorFlow's start on the device that computes; the device's name and speed."""

import contextlib
import json
import os
import platform
import sys
import tempfile
import timeit
from collections.abc import Iterator
from pathlib import Path

from nst_keras.devices.memory import cpu_cores, gpu_bytes, on_gpu, take_gpu_memory_as_needed
from nst_keras.runtime.errors import InputError


def start_tensorflow(*, deterministic: bool, seed: int) -> None:
    """Import TensorFlow, before anything else does, without its log messages, and set it up."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as nvidia-smi counts them
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:  # the user wants to see the messages
        import tensorflow as tf
    else:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        with _stderr_aside():
            import tensorflow as tf

            tf.config.list_physical_devices()
    if on_gpu():
        take_gpu_memory_as_needed()
        gpu_bytes()  # kept from here on: what is free before TensorFlow takes any
    import keras

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def one_operation_at_a_time() -> None:
    """On a CPU, run one operation at a time, each on all cores.

    That takes less memory and is no slower, since all operations of a step are large. Call it
    before TensorFlow computes anything; later it does nothing.
    """
    import tensorflow as tf

    if not on_gpu():
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_inter_op_parallelism_threads(1)


def host_number(distribute: str) -> int:
    """The number of this host among those of a run, from TF_CONFIG; 0 is the chief or the only one.

    Raises InputError unless TF_CONFIG names the hosts and this one's place among them.
    """
    if distribute != "multiworker":
        return 0
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        hosts, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--distribute=multiworker: TF_CONFIG={text or '(not set)'} must be JSON such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from error
    if task.get("type") != "worker" or not 0 <= index < len(hosts):
        raise InputError(
            f"--distribute=multiworker: TF_CONFIG={text}: the task must be one of the "
            f"{len(hosts)} workers, by its index from 0"
        )
    return index


def matrix_rate(precision: str) -> float:
    """Floating-point operations per second, measured on a few matrix products."""
    import tensorflow as tf

    slow = precision == "float16" and not on_gpu()
    dtype = tf.as_dtype("float32" if slow else precision)
    left, right = (tf.ones(shape, dtype) for shape in ((2048, 2304), (2304, 1024)))
    multiply = tf.function(lambda: tf.reduce_sum(tf.matmul(left, right)), autograph=False)
    float(multiply())
    seconds = min(timeit.repeat(lambda: float(multiply()), number=1, repeat=3))
    return 2.0 * 2048 * 2304 * 1024 / seconds


def describe_device() -> str:
    """The name of the device that computes, such as 'CPU: AMD EPYC, 2 cores'."""
    import tensorflow as tf

    if gpus := tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"GPU: {details.get('device_name', 'unnamed')}"
    name = cpuinfo().get("model name") or platform.processor() or platform.machine()
    return f"CPU: {name}, {cpu_cores()} cores"


@contextlib.contextmanager
def _stderr_aside() -> Iterator[None]:
    """Hold back what C++ code writes to standard error, and show it only if the block fails.

    TensorFlow writes some lines before it reads its own log level.
    """
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # not a real file, as under a test runner
        yield
        return
    sys.stderr.flush()
    kept = os.dup(descriptor)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), descriptor)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)


def cpuinfo() -> dict[str, str]:
    """Linux's description of the first core; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
