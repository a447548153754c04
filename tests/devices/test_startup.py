"""TensorFlow's start, and the device's name and speed."""

import gc
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from nst_keras.devices import startup
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
    startup.start_tensorflow()
    assert calls == ["take_gpu_memory_as_needed", "gpu_bytes"]


@pytest.mark.parametrize("asked", [None, "jax"])
def test_the_backend_that_the_user_asks_for_is_put_aside(monkeypatch, asked):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if asked:
        monkeypatch.setenv("KERAS_BACKEND", asked)
    seen = []
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda: seen.append(os.environ["KERAS_BACKEND"])
    )
    startup.import_tensorflow()
    assert seen == ["tensorflow"] and os.environ.get("KERAS_BACKEND") == asked


@pytest.mark.parametrize("enabled", [True, False])
def test_imports_are_not_interrupted_by_collections(monkeypatch, enabled):
    seen = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda: seen.append(gc.isenabled()))
    if not enabled:
        gc.disable()
    try:
        startup.import_tensorflow()
        assert seen == [False] and gc.isenabled() == enabled
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"floatx": "bfloat16"}', "Invalid `floatx` configuration"),
        ('{"epsilon": 1}', "Invalid `epsilon` configuration"),
        ("[1]", "'list' object has no attribute 'get'"),
        (None, "Is a directory"),
    ],
)
def test_a_configuration_that_keras_cannot_use_is_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "keras.json"
    path.mkdir() if text is None else path.write_text(text)
    code = "from nst_keras.devices import startup; startup.start_tensorflow()"
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    last = done.stderr.strip().splitlines()[-1]
    assert f"InputError: {path}: Keras cannot use it (" in last
    assert words in last or "(AssertionError)" in last  # of older versions of Keras


def test_a_matrix_product_takes_some_time():
    assert 1e7 < startup.matrix_rate("float32") < 1e16


def test_the_start_of_a_command_does_without_packages_that_keras_can_do_without(tmp_path):
    for name in startup._OPTIONAL:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("import sys; print('imported', __name__)")
    code = (
        "import cv2; from nst_keras.devices import startup; startup.start_tensorflow();"
        "print('started'); import pandas"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    lines = done.stdout.splitlines()
    assert lines == ["imported cv2", "started", "imported pandas"], done.stderr
