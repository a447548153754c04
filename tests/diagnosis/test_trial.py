"""The checks that need TensorFlow, in this process."""

import json
import re

import pytest

from nst_keras.devices import memory, precision
from nst_keras.diagnosis import trial
from nst_keras.diagnosis.finding import OK, PROBLEM, WARNING, Finding


@pytest.fixture(autouse=True)
def forget():
    yield
    trial._precision.cache_clear()


def test_a_small_picture_is_painted():
    (found,) = trial.check_painting()
    assert found.level == OK and "5 steps at 64x48" in found.text


def test_a_picture_that_did_not_change_is_a_problem(monkeypatch):
    import nst_keras

    class Unpainted:
        def __init__(self, image):
            self.image = image

    monkeypatch.setattr(
        nst_keras, "stylize", lambda content, *_: [Unpainted(content)], raising=False
    )
    (found,) = trial.check_painting()
    assert found.level == PROBLEM and "--json" in found.remedy


def test_a_default_picture_is_estimated_as_its_plan_would_say(monkeypatch):
    from nst_keras.devices import startup

    monkeypatch.setattr(startup, "matrix_rate", lambda precision: 1e11)
    (found,) = trial.check_default_picture()
    seconds = re.search(r"512x384 takes about (\d+):(\d+) and \d\.\d GiB, if", found.text)
    slow = int(seconds[1]) * 60 + int(seconds[2])
    monkeypatch.setattr(startup, "matrix_rate", lambda precision: 2e11)
    (found,) = trial.check_default_picture()
    minutes, rest = re.search(r"about (\d+):(\d+)", found.text).groups()
    assert 0.45 * slow < int(minutes) * 60 + int(rest) < 0.55 * slow


def test_devices_and_the_one_in_use_are_told():
    seen, used = trial.check_devices()
    assert seen.text == "TensorFlow sees 1 CPU" and used.text.startswith("CPU: ")


@pytest.fixture
def kernels_on(monkeypatch):
    """What is found of the kernels for a GPU of a compute capability, by TensorFlow's own list."""
    import tensorflow as tf

    def found(capability, built=("sm_60", "sm_80", "sm_89", "compute_90")):
        details = {} if capability is None else {"compute_capability": capability}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
        info = {"cuda_compute_capabilities": list(built)}
        monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: info)
        return [*trial.check_kernels()]

    for name in ("CUDA_CACHE_DISABLE", "CUDA_CACHE_PATH"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize("capability", [(6, 0), (6, 1), (8, 0), (8, 6), (8, 9), None])
def test_kernels_with_machine_code_for_the_gpu_are_not_told(capability, kernels_on):
    assert kernels_on(capability) == []


@pytest.mark.parametrize("capability", [(5, 2), (7, 5), (9, 0), (12, 0)])
def test_kernels_that_the_driver_compiles_are_told(capability, kernels_on, monkeypatch):
    (found,) = kernels_on(capability)
    assert found.level == OK and f"{capability[0]}.{capability[1]};" in found.text
    assert "~/.nv/ComputeCache" in found.text
    monkeypatch.setenv("CUDA_CACHE_PATH", "/own")
    assert kernels_on(capability)[0].text.endswith("in /own")
    monkeypatch.setenv("CUDA_CACHE_DISABLE", "1")
    (found,) = kernels_on(capability)
    assert (found.level, found.remedy) == (WARNING, "unset CUDA_CACHE_DISABLE")


def test_kernels_of_an_unknown_build_are_not_told(kernels_on):
    assert kernels_on((9, 0), built=()) == []


@pytest.mark.parametrize(
    ("told", "remedy"),
    [
        ("a GPU that TensorFlow cannot use; pip install '.[cuda]'", "pip install '.[cuda]'"),
        ("CUDA_VISIBLE_DEVICES=-1 hides it", "unset CUDA_VISIBLE_DEVICES to use it"),
    ],
)
def test_a_gpu_that_is_not_used_is_a_warning(told, remedy, monkeypatch):
    monkeypatch.setattr(memory, "unused_gpu", lambda: told)
    *_, found = trial.check_devices()
    assert (found.level, found.remedy) == (WARNING, remedy)
    assert found.text == told.partition(";")[0]


def test_the_precision_is_told_with_its_reason(monkeypatch):
    monkeypatch.setattr(precision, "fastest_precision", lambda: ("bfloat16", "as it is fast"))
    assert next(trial.check_precision()).text == "bfloat16, as it is fast"


def test_the_process_ends_after_the_first_problem(monkeypatch, capsys):
    def fails():
        raise ImportError("no libcudart")
        yield

    fine = Finding(OK, "one", "fine")
    checks = [("one", lambda: iter([fine]), ""), ("two", fails, "do"), ("three", fails, "")]
    monkeypatch.setattr(trial, "_CHECKS", checks)
    trial.main()
    lines = [Finding(**json.loads(line)) for line in capsys.readouterr().out.splitlines()]
    assert lines == [fine, Finding(PROBLEM, "two", "ImportError: no libcudart", "do")]
