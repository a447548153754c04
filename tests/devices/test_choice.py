"""The choice of a device, with GPUs that nvidia-smi would show."""

import os

import pytest

from nst_keras.devices import choice, memory
from nst_keras.runtime.errors import InputError


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


def installed(monkeypatch, *indices):
    monkeypatch.setattr(memory, "_installed_gpus", lambda: [[it, "", "", ""] for it in indices])


@pytest.mark.parametrize(
    ("device", "visible"),
    [("auto", None), ("cpu", "-1"), ("gpu", None), ("gpu:0", "0"), ("gpu:1", "1")],
)
def test_tensorflow_sees_the_chosen_device_in_the_block_only(device, visible, monkeypatch):
    installed(monkeypatch, "0", "1")
    with choice.chosen(device):
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
        assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # the numbers of nvidia-smi
    assert not {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} & set(os.environ)


def test_numbers_count_the_gpus_that_the_process_may_use(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-8a")
    assert choice.variables("gpu:1")["CUDA_VISIBLE_DEVICES"] == "GPU-8a"
    with choice.chosen("cpu"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,GPU-8a"


@pytest.mark.parametrize(
    ("device", "gpus", "said"),
    [
        ("gpu", (), "--device=gpu: nvidia-smi shows no GPU here"),
        ("gpu:0", (), "--device=gpu:0: nvidia-smi shows no GPU here"),
        ("gpu:1", "0", "--device=gpu:1: must be one of those here, only gpu:0"),
        ("gpu:7", "012", "--device=gpu:7: must be one of those here, gpu:0 to gpu:2"),
    ],
)
def test_gpus_that_are_not_there_are_refused(device, gpus, said, monkeypatch):
    installed(monkeypatch, *gpus)
    with pytest.raises(InputError) as caught:
        choice.variables(device)
    assert str(caught.value) == said


@pytest.mark.parametrize("device", ["auto", "cpu", "gpu", "gpu:1"])
def test_a_gpu_that_tensorflow_cannot_use_is_refused(device, monkeypatch):
    monkeypatch.setattr(memory, "on_gpu", lambda: False)
    if device.startswith("gpu"):
        with pytest.raises(InputError, match=f"--device={device}: "):
            choice.confirm(device)
    else:
        choice.confirm(device)
