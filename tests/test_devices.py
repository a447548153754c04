"""The device's name and what 'auto' precision makes of it."""

import pytest

from nst_keras import devices


def test_the_processor_is_named():
    name = devices.describe_device()
    assert name.startswith("CPU: ") and name.endswith("cores")


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [("fpu avx512_bf16", "bfloat16"), ("fpu amx_bf16", "bfloat16"), ("fpu avx2", "float32")],
)
def test_auto_precision_follows_the_processor(monkeypatch, flags, chosen):
    monkeypatch.setattr(devices, "_cpuinfo", lambda: {"flags": flags})
    assert devices.settle_precision("auto") == chosen
    assert devices.settle_precision("float32") == "float32"


def test_a_hidden_gpu_is_told_from_an_unusable_one(monkeypatch):
    monkeypatch.setattr(devices.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert "CUDA_VISIBLE_DEVICES" in devices.unused_gpu()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "nst_keras[cuda]" in devices.unused_gpu()
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)
    assert devices.unused_gpu() is None
