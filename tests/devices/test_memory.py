"""Memory of the device and of the system, and the share of it that a run may take."""

import gc
import math
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import tensorflow as tf

from nst_keras.devices import memory
from tests.devices.conftest import pretend

LISTED = """0, GPU-aaaa-1, 1000, 8000
1, GPU-bbbb-2, 3000, 9000
2, GPU-cccc-3, 2000, 7000
"""


@pytest.fixture
def listed(monkeypatch):
    """Three GPUs; how often nvidia-smi was asked, and the GPUs whose memory may grow."""
    pretend(monkeypatch, gpus=3)
    asked, grown = [], []

    def answer(command, **options):
        asked.append(command[0])
        return subprocess.CompletedProcess(command, 0, LISTED)

    monkeypatch.setattr(memory.subprocess, "run", answer)
    config = tf.config.experimental
    monkeypatch.setattr(config, "set_memory_growth", lambda gpu, _: grown.append(gpu))
    monkeypatch.setattr(config, "get_memory_growth", lambda gpu: gpu in grown)
    memory._installed_gpus.cache_clear()
    yield asked, grown
    memory._installed_gpus.cache_clear()


@pytest.mark.parametrize(
    ("visible", "count", "mebibytes"),
    [
        (None, 1, 1000),
        (None, 3, 1000),
        ("1", 1, 3000),
        ("1, 2", 1, 3000),
        ("1,2", 2, 2000),
        ("GPU-cccc", 1, 2000),
    ],
)
def test_memory_is_that_of_the_gpus_that_the_run_takes(
    listed, monkeypatch, visible, count, mebibytes
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    memory.take_gpu_memory_as_needed()
    assert memory.memory_budget(None, count).bytes == round(0.85 * mebibytes * 2**20)
    assert memory.memory_budget(12345, count).bytes == 12345
    monkeypatch.setenv(memory.MEMORY_SHARE, "0.5")
    assert memory.memory_budget(None, count).bytes == round(0.425 * mebibytes * 2**20)
    assert listed == (["nvidia-smi"], ["gpu0", "gpu1", "gpu2"])  # asked once


def test_a_question_of_memory_changes_nothing(listed, monkeypatch):
    """Where TensorFlow takes all memory at once, what it holds does not count as taken."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert memory.gpu_bytes() == tuple(round(0.85 * n * 2**20) for n in (8000, 9000, 7000))
    assert listed[1] == []


def test_it_may_be_too_late_to_let_memory_grow(listed, monkeypatch):
    def too_late(gpu, _):
        raise RuntimeError("cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", too_late)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    memory.take_gpu_memory_as_needed()
    assert memory.memory_budget(None).bytes == round(0.85 * 8000 * 2**20)


@pytest.mark.parametrize("visible", ["MIG-dddd", "0"])
def test_memory_that_nobody_knows_is_unlimited(listed, monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if visible == "0":
        failing = subprocess.CalledProcessError(9, "nvidia-smi")
        monkeypatch.setattr(memory.subprocess, "run", raising(failing))
    assert memory.memory_budget(None).bytes == sys.maxsize


def test_a_gpu_whose_memory_nvidia_smi_does_not_know_is_still_there(monkeypatch):
    rows = "0, GPU-aaaa-1, [N/A], [N/A]\n"
    monkeypatch.setattr(
        memory.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 0, rows)
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    memory._installed_gpus.cache_clear()
    assert memory.visible_gpus() == ["0"] and memory.gpu_bytes() == (sys.maxsize,)
    memory._installed_gpus.cache_clear()


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_gpus_count_features_in_32_bits(monkeypatch):
    assert memory.memory_budget(1).features == math.inf
    pretend(monkeypatch, gpus=1)
    assert memory.memory_budget(1).features == 2**31 - 1


@pytest.mark.parametrize(
    ("visible", "mebibytes"), [("GPU-bbbb,GPU-aaaa", 16000), ("GPU-bbbb", 24000), ("-1", 0)]
)
def test_the_smallest_gpu_counts_whatever_is_taken_of_it(monkeypatch, visible, mebibytes):
    rows = "0, GPU-aaaa-1, 900, 16000\n1, GPU-bbbb-2, 24000, 24000\n"
    monkeypatch.setattr(
        memory.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 0, rows)
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    memory._installed_gpus.cache_clear()
    assert memory.smallest_gpu_bytes() == round(0.85 * (mebibytes << 20))
    memory._installed_gpus.cache_clear()


def test_a_hidden_gpu_and_an_unusable_one_have_different_warnings(monkeypatch):
    monkeypatch.setattr(memory.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert memory.unused_gpu() == "this machine has a GPU, but CUDA_VISIBLE_DEVICES=-1 hides it"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "pip install '.[cuda]'" in memory.unused_gpu()
    monkeypatch.setattr(memory.shutil, "which", lambda _: None)
    assert memory.unused_gpu() is None


@pytest.mark.parametrize(
    ("visible", "listed", "gpus"),
    [
        ("", "0, GPU-x, 1, 2\n", []),
        ("-1", "0, GPU-x, 1, 2\n", []),
        ("2,3", "", ["2", "3"]),
        (None, "0, GPU-y, 1, 2\n1, GPU-z, 1, 2\n", ["0", "1"]),
        (None, "No devices were found\n", []),
        (None, None, []),
    ],
)
def test_gpus_are_those_that_a_process_would_see(visible, listed, gpus, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if listed is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '{listed}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    memory._installed_gpus.cache_clear()
    assert memory.visible_gpus() == gpus
    memory._installed_gpus.cache_clear()


# The system


@pytest.mark.parametrize(
    ("share", "bytes_"), [("0.25", 250), ("1", 1000), ("0", 1000), ("-1", 1000), ("x", 1000)]
)
def test_runs_that_share_a_device_share_its_memory(monkeypatch, share, bytes_):
    monkeypatch.setenv(memory.MEMORY_SHARE, share)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    assert memory.memory_budget(None).bytes == bytes_


def test_the_memory_of_the_system_is_what_is_free_beside_this_process(monkeypatch):
    texts = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 4000 kB\n",
        "/proc/self/statm": "900 100 10",
        "/sys/fs/cgroup/memory.max": "max\n",
    }

    def read(path, **_):
        if str(path) not in texts:
            raise FileNotFoundError(path)
        return texts[str(path)]

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 4096)
    assert memory.available_bytes() == round(0.8 * (4000 * 1024 + 100 * 4096))
    texts["/sys/fs/cgroup/memory.max"] = "1000000\n"
    assert memory.available_bytes() == 800000
    del texts["/proc/meminfo"], texts["/sys/fs/cgroup/memory.max"]
    assert memory.available_bytes() == round(0.8 * 4096 * 4096)  # all pages of the system
    monkeypatch.setattr(memory.os, "sysconf", raising(ValueError()))
    assert memory.available_bytes() == sys.maxsize


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(memory.os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert memory.cpu_cores() == 3
    monkeypatch.delattr(memory.os, "sched_getaffinity")
    monkeypatch.setattr(memory.os, "cpu_count", lambda: None)
    assert memory.cpu_cores() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_that_of_the_process():
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kibibytes,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    assert memory.peak_bytes() == pytest.approx(kibibytes * 1024, rel=0.02)


class Cyclic:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self):
        self.own = self


@pytest.mark.parametrize("error", [None, OSError("no such library"), AttributeError("malloc_trim")])
def test_garbage_is_freed_with_any_c_library(monkeypatch, error):
    if error:
        monkeypatch.setattr(memory.ctypes, "CDLL", raising(error))
    gone = weakref.ref(Cyclic())
    memory.free_garbage()
    assert gone() is None


@pytest.fixture
def nothing_frozen():
    """Undoes what the fixture of all modules froze, for one test."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_collections_of_a_run_visit_only_what_it_has_made(nothing_frozen):
    before = weakref.ref(Cyclic())
    with memory.only_new_garbage():
        within = weakref.ref(Cyclic())
        gc.collect()
        assert within() is None and before() is not None
    gc.collect()
    assert before() is None and gc.get_freeze_count() == 0


def test_what_the_caller_has_frozen_stays_frozen(nothing_frozen):
    gc.freeze()
    frozen = gc.get_freeze_count()
    with memory.only_new_garbage():
        assert gc.get_freeze_count() == frozen
    assert gc.get_freeze_count() == frozen
