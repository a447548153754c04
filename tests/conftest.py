"""What tests share: a small random network and small pictures. Nothing is downloaded."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # numbers are compared with NumPy's

import gc
import json
import platform
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices import precision, startup
from nst_keras.imaging import geometry, images
from nst_keras.network import vgg, weights

# What a shell's background and nohup ignore is heard here, as from a terminal.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGUSR1, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

# Three devices, for the tests of replicas; it cannot be changed once TensorFlow computes.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
)

# Instruction sets that computing chooses by, as Linux names them, and variables that limit them.
INSTRUCTION_SETS = (
    *("sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx_ne_convert"),
    *("avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "bf16", "i8mm", "sve", "sve2"),  # Arm
)
VARIABLES = ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS", "PYTHONHASHSEED")


def pytest_report_header() -> list[str]:
    """The machine and the versions, since results may differ by them."""
    cpu = startup.cpuinfo()
    flags = cpu.get("flags", cpu.get("Features", "")).split()
    found = [name for name in INSTRUCTION_SETS if name in flags]
    able = {name: precision.obstacle(name) for name in ("float32", "bfloat16", "float16")}
    libraries = {"TensorFlow": tf, "Keras": keras, "NumPy": np}
    versions = [f"{name} {library.__version__}" for name, library in libraries.items()]
    return [
        f"{startup.describe_device()}; {' '.join(found) or 'instruction sets not known'}",
        "; ".join(f"{name}: {why or 'computed'}" for name, why in able.items()),
        f"{platform.platform()}; Python {platform.python_version()}, {', '.join(versions)}",
        *(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ),
    ]


def require_precision(*names: str) -> None:
    """Skip a test where TensorFlow cannot compute in these precisions on this device."""
    for name in names:
        if told := precision.obstacle(name):
            pytest.skip(f"TensorFlow cannot compute in {name} on this device: {told}")


ROOT = Path(__file__).parent.parent
TINY_CHANNELS = (4, 6, 8, 8, 8)


@pytest.fixture(scope="module", autouse=True)
def small_collections():
    """Have the collections of a run not visit what lives on: objects of libraries and other tests.

    Scales of a run with graphs of their own begin with one, which would take ever longer.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_weights() -> weights.Weights:
    """A random VGG19 of a few channels, scaled so that features stay of one order."""
    rng = np.random.default_rng(0)
    kernels, biases = {}, {}
    for conv in vgg.convolutions("vgg19", channels=TINY_CHANNELS):
        deviation = np.sqrt(2.0 / (9 * conv.inputs)) / (60.0 if conv.inputs == 3 else 1.0)
        kernels[conv.name] = rng.normal(0, deviation, conv.kernel_shape).astype(np.float32)
        biases[conv.name] = rng.normal(0, 0.1, conv.outputs).astype(np.float32)
    return weights.Weights("vgg19", TINY_CHANNELS, kernels, biases, sha256="0" * 64)


@pytest.fixture(scope="session")
def tiny_weights_path(tiny_weights, tmp_path_factory) -> Path:
    """The same network as a weights file."""
    path = tmp_path_factory.mktemp("weights") / "tiny.npz"
    weights.write_weights(path, tiny_weights)
    return path


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colored forms with a little noise: float32 RGB in [0, 1], (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((4, 5, 3), dtype=np.float32)
    smooth = geometry.resize(coarse, height, width)
    return np.clip(smooth + rng.normal(0, 0.03, smooth.shape), 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def picture_paths(tmp_path_factory) -> tuple[Path, Path]:
    """A content of 60x40 px and a style of 50x50 px, as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    content, style = folder / "photo.png", folder / "painting.png"
    images.write_image(content, picture(40, 60, seed=1))
    images.write_image(style, picture(50, 50, seed=2))
    return content, style


def in_a_thread(work):
    """What a function returns in a thread that is not the main one; its error, if it raises one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


# The command line


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache folder of the test session, in place of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def flags_of(picture_paths, weights_path) -> list[str]:
    """A run of 10 steps at two scales, in the folder `job`."""
    content, style = picture_paths
    return [
        f"--content={content}",
        f"--style={style}",
        f"--weights={weights_path}",
        "--objective=relative",
        "--content_layers=block2_conv2",  # shallow: most of a test's time goes into compiling
        "--style_layers=block1_conv1,block2_conv1",
        "--size=48",
        "--min_size=36",
        "--coarse_iterations=4",
        "--iterations=6",
        "--checkpoint_every=3",
        "--image_every=2",
        "--log_every=1",
        "--precision=float32",
        "--noscores",
        "--workdir=job",
    ]


class Clock:
    """A clock that is set by hand, in place of the module `time`."""

    now = 100.0

    def monotonic(self):
        return self.now


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of a folder by their paths within it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def logged_steps(folder: Path) -> list[int]:
    """The steps of which a run folder's metrics tell."""
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().split()]


@pytest.fixture
def sweep_flags(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """Flags for all trials, of 6 steps each."""
    monkeypatch.chdir(tmp_path)
    content, style = picture_paths
    return [
        f"--content={content}",
        f"--style={style}",
        f"--weights={tiny_weights_path}",
        *("--size=48", "--scales=1", "--iterations=6", "--log_every=1", "--checkpoint_every=2"),
        *("--image_every=6", "--precision=float32", "--noscores", "--workdir=sweep"),
    ]
