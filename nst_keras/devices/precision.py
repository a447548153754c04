"""The precision to compute in: what this device can compute in, and what is fastest on it."""

import functools
import logging
import os
import re
from typing import TYPE_CHECKING

from nst_keras.devices import startup
from nst_keras.runtime.errors import InputError, first_line

if TYPE_CHECKING:
    import tensorflow as tf

_log = logging.getLogger(__name__)

_ISAS_WITHOUT_BFLOAT16 = (
    *("sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2"),
    *("avx512_core", "avx512_core_vnni"),
)
# Values of environment variables that keep TensorFlow from a processor's instructions for bfloat16.
# Without these, bfloat16 is no faster than float32, and often several times slower.
_WITHOUT_BFLOAT16 = {
    "TF_ENABLE_ONEDNN_OPTS": ("0", "false"),
    "ONEDNN_MAX_CPU_ISA": _ISAS_WITHOUT_BFLOAT16,
    "DNNL_MAX_CPU_ISA": _ISAS_WITHOUT_BFLOAT16,
}

_AMPERE = (8, 0)  # the first compute capability whose tensor cores take bfloat16


def settle_precision(precision: str, *, announce: bool = False) -> str:
    """The precision to compute in: for 'auto' the fastest here, told in the log if `announce`.

    Raises InputError if this device cannot compute in the given one.
    """
    reason: str | None
    if precision == "auto":
        precision, reason = fastest_precision()
        if announce:
            _log.info("precision: %s, %s", precision, reason)
    elif precision != "float32" and (told := obstacle(precision)):
        raise InputError(
            f"--precision={precision}: TensorFlow cannot compute in it on this device "
            f"({told}); use --precision=float32"
        )
    return precision


@functools.cache
def obstacle(precision: str) -> str | None:
    """Why TensorFlow cannot compute in this precision on this device; None if it can.

    TensorFlow chooses operations of oneDNN by the processor. oneDNN may refuse them, as where
    ONEDNN_MAX_CPU_ISA limits it.
    """
    import tensorflow as tf

    if (capability := _compute_capability()) and capability >= _AMPERE:
        return None  # NVIDIA's libraries have it, but take seconds to compute for the first time
    refusals = (  # other errors are want of memory, or a device that fails
        tf.errors.AbortedError,
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
        tf.errors.UnimplementedError,
    )
    try:
        _compute_in(tf.as_dtype(precision))
    except refusals as error:
        told = re.search(r"message: ([^.,]+)", str(error))  # by oneDNN
        return told[1] if told else first_line(error)
    return None


def _compute_in(dtype: "tf.DType") -> None:
    """A pooling, a convolution and a product, each forward and backward.

    The pooling comes first: if oneDNN refuses it, TensorFlow raises an exception, while a product
    and, in TensorFlow 2.18, a convolution would end the process.
    """
    import tensorflow as tf

    features, kernel = tf.ones((1, 8, 8, 8), dtype), tf.ones((3, 3, 8, 8), dtype)
    rows = tf.reshape(features, (-1, 8))
    operations = (
        (lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), features),
        (lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"), features),
        (lambda x: tf.nn.conv2d(features, x, 1, "SAME"), kernel),
        (lambda x: tf.matmul(x, x, transpose_a=True), rows),
    )
    for operation, argument in operations:
        with tf.GradientTape() as tape:
            tape.watch(argument)
            result = operation(argument)
        tape.gradient(result, argument)


def _compute_capability() -> tuple[int, int] | None:
    """The version of an NVIDIA GPU's instructions; None without a GPU that reports one."""
    import tensorflow as tf

    if not (gpus := tf.config.list_physical_devices("GPU")):
        return None
    found = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability")
    return tuple(found) if found else None


def fastest_precision() -> tuple[str, str]:
    """bfloat16 where TensorFlow can use instructions for it, otherwise float32; and the reason."""
    has_bfloat16, reason = _bfloat16_instructions()
    if has_bfloat16 and (told := obstacle("bfloat16")):
        return "float32", f"as TensorFlow cannot compute in bfloat16 on this device ({told})"
    return ("bfloat16" if has_bfloat16 else "float32"), reason


def _bfloat16_instructions() -> tuple[bool, str]:
    """Whether the hardware has instructions for bfloat16 that may be used; and the reason."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        if (capability := _compute_capability()) is None:
            return False, "as this GPU does not report its compute capability"
        text = f"this GPU's compute capability {capability[0]}.{capability[1]}"
        if capability >= _AMPERE:
            return True, f"which {text} includes"
        return False, f"as {text} has no bfloat16"
    if not {"avx512_bf16", "amx_bf16"}.intersection(startup.cpuinfo().get("flags", "").split()):
        return False, "as this processor has no instructions for bfloat16"
    for name, values in _WITHOUT_BFLOAT16.items():
        if os.environ.get(name, "").lower() in values:
            setting = f"{name}={os.environ[name]}"
            return False, f"as {setting} turns off this processor's instructions for bfloat16"
    return True, "which this processor has instructions for"
