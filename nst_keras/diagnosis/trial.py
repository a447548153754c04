"""Starts TensorFlow and paints a small picture: `python -m nst_keras.diagnosis.trial`.

It is a process of its own, since a TensorFlow that does not fit the processor ends its process. It
writes a finding as a line of JSON as soon as there is one.
"""

import dataclasses
import functools
import json
import math
import os
import time
from collections.abc import Iterator

from nst_keras.diagnosis.finding import OK, PROBLEM, WARNING, Check, Finding, guarded
from nst_keras.runtime.cli import show

_SIZE, _STEPS = 64, 5  # of the small picture: its longest side in pixels
_DEFAULT = (384, 512)  # height and width of the picture whose time is estimated
_REINSTALL = "install TensorFlow again: pip install --force-reinstall tensorflow keras"
_REPORT = "report it with what `nst doctor --json` prints"


def main() -> None:
    """Write all findings; ends after the first problem, which the next checks would repeat."""
    for topic, check, remedy in _CHECKS:
        for finding in guarded(check, topic, remedy):
            show(json.dumps(dataclasses.asdict(finding)))
            if finding.level == PROBLEM:
                return


def check_start() -> Iterator[Finding]:
    """Whether TensorFlow and Keras can be imported, and how long that takes."""
    from nst_keras.devices import startup

    began = time.perf_counter()
    startup.start_tensorflow("auto")
    import keras
    import tensorflow as tf

    seconds = time.perf_counter() - began
    text = f"{tf.__version__} with Keras {keras.__version__}, imported in {seconds:.1f} s"
    yield Finding(OK, "TensorFlow", text)


def check_devices() -> Iterator[Finding]:
    """The devices that TensorFlow sees, and the one that a run uses."""
    import tensorflow as tf

    from nst_keras.devices import memory, startup

    kinds = [device.device_type for device in tf.config.list_physical_devices()]
    seen = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    yield Finding(OK, "devices", f"TensorFlow sees {seen}")
    yield Finding(OK, "a run uses", startup.describe_device())
    if warning := memory.unused_gpu():
        text, _, remedy = warning.partition("; ")
        yield Finding(WARNING, "GPU", text, remedy or "unset CUDA_VISIBLE_DEVICES to use it")
    if memory.on_gpu():
        budget = min(memory.gpu_bytes()) / memory.GIB
        told = f"{budget:.1f} GiB that a run may take" if budget < 1 << 20 else "not known"
        yield Finding(OK, "GPU memory", told)
        yield from check_kernels()


def check_kernels() -> Iterator[Finding]:
    """Whether TensorFlow has machine code for the GPU, which the driver would compile otherwise."""
    import tensorflow as tf

    gpu = tf.config.list_physical_devices("GPU")[0]
    capability = tf.config.experimental.get_device_details(gpu).get("compute_capability")
    built = tf.sysconfig.get_build_info().get("cuda_compute_capabilities", [])
    # Machine code runs on GPUs of its own generation, from the one on that it is made for.
    made_for = [divmod(int(name[3:]), 10) for name in built if name.startswith("sm_")]
    if not capability or not made_for:
        return
    major, minor = capability
    if any(own == major and least <= minor for own, least in made_for):
        return
    text = f"TensorFlow has no machine code for compute capability {major}.{minor}"
    if os.environ.get("CUDA_CACHE_DISABLE", "0") != "0":
        what = f"{text}, and CUDA_CACHE_DISABLE is set: each run compiles it anew"
        yield Finding(WARNING, "GPU kernels", what, "unset CUDA_CACHE_DISABLE")
        return
    where = os.environ.get("CUDA_CACHE_PATH") or "~/.nv/ComputeCache"
    what = f"{text}; the driver compiles it for the first runs, and keeps it in {where}"
    yield Finding(OK, "GPU kernels", what)


def check_precision() -> Iterator[Finding]:
    """The precision that a run would choose, and why."""
    chosen, reason = _precision()
    yield Finding(OK, "precision", f"{chosen}, {reason}")


@functools.cache
def _precision() -> tuple[str, str]:
    from nst_keras.devices.precision import fastest_precision

    return fastest_precision()


def check_painting() -> Iterator[Finding]:
    """Whether a small picture can be painted, from pictures that are computed here."""
    import numpy as np

    from nst_keras import Config, stylize

    rows, columns = np.mgrid[0 : _SIZE * 3 // 4, 0:_SIZE] / _SIZE
    content = np.stack([rows, columns, 1.0 - rows], axis=-1)
    style = np.stack([0.5 + 0.5 * np.sin(40.0 * (rows * k + columns)) for k in (1, 2, 3)], axis=-1)
    began = time.perf_counter()
    # Without neighbors, whose preparation takes seconds.
    config = Config(size=_SIZE, scales=1, iterations=_STEPS, objective="relative")
    for iterate in stylize(content, style, config):
        picture = iterate.image
    seconds = time.perf_counter() - began
    sound = picture.shape == content.shape and np.isfinite(picture).all()
    if not sound or np.abs(picture - content).max() < 1e-3:
        yield Finding(PROBLEM, "painting", "the small picture is wrong", _REPORT)
        return
    what = f"{_STEPS} steps at {picture.shape[1]}x{picture.shape[0]}"
    yield Finding(OK, "painting", f"works: {what} took {seconds:.1f} s with all preparation")


def check_default_picture() -> Iterator[Finding]:
    """How long a picture of the default size would take, and how much memory."""
    from nst_keras import Config
    from nst_keras.devices import memory, startup
    from nst_keras.devices.xla import settle_xla
    from nst_keras.network import vgg
    from nst_keras.runtime.progress import format_seconds
    from nst_keras.settings.resolve import resolve
    from nst_keras.transfer.cost import CostModel
    from nst_keras.transfer.plan import plan_run

    settings, (precision, _) = resolve(Config()), _precision()
    scales = plan_run(settings, _DEFAULT)
    costs = CostModel(settings, precision, vgg.architecture(settings.backbone))
    on_gpu, budget = memory.on_gpu(), memory.memory_budget(None)
    tile_size = costs.choose_tile_size(scales, budget)
    rate = startup.matrix_rate(precision)
    xla = settle_xla(settings.xla, settings.deterministic)
    steps, around = costs.seconds(scales, tile_size, rate, on_gpu=on_gpu, xla=xla)
    needed = max(costs.peak_bytes(scale, tile_size) for scale in scales) / memory.GIB
    text = (
        f"{scales[-1].width}x{scales[-1].height} takes about "
        f"{format_seconds(math.fsum(steps) + around)} and {needed:.1f} GiB"
    )
    tiled = f", in tiles of {tile_size} px" if tile_size else ""
    yield Finding(OK, "a default picture", f"{text}{tiled}, if nothing else runs here")


def seal_compiled() -> Iterator[Finding]:
    """Keep what was compiled for later runs; finds nothing."""
    from nst_keras.devices import compile_cache

    compile_cache.seal()
    yield from ()


_CHECKS: tuple[tuple[str, Check, str], ...] = (
    ("TensorFlow", check_start, _REINSTALL),
    ("devices", check_devices, _REINSTALL),
    ("precision", check_precision, "give --precision=float32"),
    ("painting", check_painting, _REPORT),
    ("a default picture", check_default_picture, _REPORT),
    ("compile cache", seal_compiled, "give --compile_cache=none"),
)


if __name__ == "__main__":
    main()
