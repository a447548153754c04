"""The device's name and what 'auto' precision makes of it."""

import math
import subprocess
import sys

import pytest
import tensorflow as tf

from nst_keras.devices import memory, startup


def test_the_processor_is_named():
    name = startup.describe_device()
    assert name.startswith("CPU: ") and name.endswith("cores")


def pretend(monkeypatch, flags="", gpus=0, **details):
    """A processor of these flags, and GPUs of these details."""
    monkeypatch.setattr(startup, "_cpuinfo", lambda: {"flags": flags})
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda _: [f"gpu{n}" for n in range(gpus)]
    )
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)


@pytest.mark.parametrize(("gpus", "expected"), [(0, [1]), (1, [])])
def test_operations_take_turns_where_there_is_no_gpu(monkeypatch, gpus, expected):
    pretend(monkeypatch, gpus=gpus)
    chosen = []
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", chosen.append)
    startup.one_operation_at_a_time()
    assert chosen == expected


def test_it_is_no_error_once_tensorflow_has_begun():
    tf.constant(0)
    startup.one_operation_at_a_time()


HAS, HAS_NOT = "fpu avx512_bf16", "fpu avx2"
MACHINES = pytest.mark.parametrize(
    ("machine", "chosen", "why"),
    [
        ({"flags": HAS}, "bfloat16", "which this processor has instructions for"),
        ({"flags": "fpu amx_bf16"}, "bfloat16", "which this processor has instructions for"),
        ({"flags": HAS_NOT}, "float32", "as this processor has no instructions for bfloat16"),
        ({}, "float32", "as this processor has no instructions for bfloat16"),
        (
            {"flags": HAS_NOT, "gpus": 1, "compute_capability": (8, 0)},
            "bfloat16",
            "which this GPU's compute capability 8.0 includes",
        ),
        (
            {"gpus": 2, "compute_capability": (10, 0)},
            "bfloat16",
            "which this GPU's compute capability 10.0 includes",
        ),
        (
            {"flags": HAS, "gpus": 1, "compute_capability": (7, 5)},
            "float32",
            "as this GPU's compute capability 7.5 has no bfloat16",
        ),
        (
            {"flags": HAS, "gpus": 1, "device_name": "other"},
            "float32",
            "as this GPU does not tell its compute capability",
        ),
    ],
    ids=str,
)


@MACHINES
def test_auto_precision_follows_the_device_and_says_why(monkeypatch, caplog, machine, chosen, why):
    caplog.set_level("INFO")
    pretend(monkeypatch, **machine)
    assert startup.settle_precision("auto") == chosen
    assert caplog.messages == []
    assert startup.settle_precision("auto", announce=True) == chosen
    assert caplog.messages == [f"precision: {chosen}, {why}"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_precision_that_is_asked_for_stays_without_a_word(monkeypatch, caplog, precision):
    caplog.set_level("INFO")
    pretend(monkeypatch, HAS_NOT if precision == "bfloat16" else HAS)
    assert startup.settle_precision(precision, announce=True) == precision
    assert caplog.messages == []


def test_a_hidden_gpu_is_told_from_an_unusable_one(monkeypatch):
    monkeypatch.setattr(memory.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert "CUDA_VISIBLE_DEVICES" in memory.unused_gpu()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "nst_keras[cuda]" in memory.unused_gpu()
    monkeypatch.setattr(memory.shutil, "which", lambda _: None)
    assert memory.unused_gpu() is None


# Memory

LISTED = """0, GPU-aaaa-1, 1000
1, GPU-bbbb-2, 3000
2, GPU-cccc-3, 2000
"""


@pytest.fixture
def listed(monkeypatch):
    """Three GPUs, and the columns that nvidia-smi was asked for."""
    pretend(monkeypatch, gpus=3)
    asked, grown = [], []

    def answer(command, **options):
        asked.append(command[1].split(",")[-1])
        return subprocess.CompletedProcess(command, 0, LISTED)

    monkeypatch.setattr(memory.subprocess, "run", answer)
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda gpu, _: grown.append(gpu)
    )
    memory.gpu_bytes.cache_clear()
    yield asked, grown
    memory.gpu_bytes.cache_clear()


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
def test_memory_is_that_of_the_gpus_that_the_job_takes(
    listed, monkeypatch, visible, count, mebibytes
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert memory.memory_budget(None, count).bytes == round(0.85 * mebibytes * 2**20)
    assert memory.memory_budget(12345, count).bytes == 12345
    monkeypatch.setenv(memory.MEMORY_SHARE, "0.5")
    assert memory.memory_budget(None, count).bytes == round(0.425 * mebibytes * 2**20)
    assert listed == (["memory.free"], ["gpu0", "gpu1", "gpu2"])  # once, as it will be taken


def test_what_this_process_holds_already_does_not_count_as_taken(listed, monkeypatch):
    def too_late(gpu, _):
        raise RuntimeError("cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", too_late)
    memory.memory_budget(None)
    assert listed[0] == ["memory.total"]


@pytest.mark.parametrize("visible", ["MIG-dddd", "0"])
def test_where_nobody_tells_there_is_no_end(listed, monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if visible == "0":
        failing = subprocess.CalledProcessError(9, "nvidia-smi")
        monkeypatch.setattr(memory.subprocess, "run", raising(failing))
    assert memory.memory_budget(None).bytes == sys.maxsize


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_gpus_count_features_in_32_bits(monkeypatch):
    assert memory.memory_budget(1).features == math.inf
    pretend(monkeypatch, gpus=1)
    assert memory.memory_budget(1).features == 2**31 - 1
