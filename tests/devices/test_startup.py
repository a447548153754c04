"""TensorFlow's start, and the device's name and speed."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices import startup
from nst_keras.runtime.errors import InputError
from tests.devices.conftest import pretend


def test_the_processor_is_named():
    name = startup.describe_device()
    assert name.startswith("CPU: ") and name.endswith("cores")


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


def test_the_start_lets_gpu_memory_grow_before_anything_is_asked_of_it(monkeypatch):
    calls = []
    monkeypatch.setattr(startup, "on_gpu", lambda: True)
    for name in ("take_gpu_memory_as_needed", "gpu_bytes"):
        monkeypatch.setattr(startup, name, lambda name=name: calls.append(name))
    startup.start_tensorflow(deterministic=False, seed=3)
    assert calls == ["take_gpu_memory_as_needed", "gpu_bytes"]


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_start_seeds_all_generators(monkeypatch, deterministic):
    chosen = []
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: chosen.append(True)
    )
    drawn = []
    for seed in (3, 3, 4):
        startup.start_tensorflow(deterministic=deterministic, seed=seed)
        drawn.append((np.random.rand(), float(tf.random.uniform(()))))
    assert drawn[0] == drawn[1] != drawn[2]
    assert chosen == [True] * 3 * deterministic


def test_a_matrix_product_takes_some_time():
    assert 1e7 < startup.matrix_rate("float32") < 1e16


@pytest.mark.parametrize(("fails", "shown"), [(False, ""), (True, "the reason")])
def test_messages_of_c_code_show_only_after_a_failure(fails, shown):
    code = f"""
import os, contextlib
from nst_keras.devices import startup
with contextlib.suppress(ValueError), startup._stderr_aside():
    os.write(2, b"the reason")
    if {fails}:
        raise ValueError
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == shown


# Hosts


@pytest.mark.parametrize("index", [0, 1])
def test_a_host_finds_its_number_in_tf_config(monkeypatch, index):
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert startup.host_number("multiworker") == index
    assert startup.host_number("none") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
    ],
)
def test_a_tf_config_without_hosts_or_a_place_among_them_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="--distribute=multiworker: TF_CONFIG="):
        startup.host_number("multiworker")
    assert startup.host_number("mirrored") == 0
