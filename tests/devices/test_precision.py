"""Which precisions a device can compute in, and what 'auto' makes of that."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices import precision
from nst_keras.runtime.errors import InputError
from tests.conftest import ROOT
from tests.devices.conftest import pretend

HAS, HAS_NOT = "fpu avx512_bf16", "fpu avx2"
NO_INSTRUCTIONS = "as this processor has no instructions for bfloat16"


@pytest.mark.parametrize(
    ("machine", "chosen", "why"),
    [
        ({"flags": HAS}, "bfloat16", "which this processor has instructions for"),
        ({"flags": "fpu amx_bf16"}, "bfloat16", "which this processor has instructions for"),
        ({"flags": HAS_NOT}, "float32", NO_INSTRUCTIONS),
        ({}, "float32", NO_INSTRUCTIONS),
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
            "as this GPU does not report its compute capability",
        ),
    ],
    ids=str,
)
def test_auto_precision_follows_the_device_and_says_why(monkeypatch, caplog, machine, chosen, why):
    caplog.set_level("INFO")
    pretend(monkeypatch, **machine)
    assert precision.settle_precision("auto") == chosen
    assert caplog.messages == []
    assert precision.settle_precision("auto", announce=True) == chosen
    assert caplog.messages == [f"precision: {chosen}, {why}"]


@pytest.mark.parametrize(
    ("name", "value", "chosen"),
    [
        ("TF_ENABLE_ONEDNN_OPTS", "0", "float32"),
        ("TF_ENABLE_ONEDNN_OPTS", "1", "bfloat16"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE", "float32"),
        ("ONEDNN_MAX_CPU_ISA", "avx2", "float32"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", "bfloat16"),
        ("ONEDNN_MAX_CPU_ISA", "DEFAULT", "bfloat16"),
        ("DNNL_MAX_CPU_ISA", "SSE41", "float32"),
    ],
)
def test_auto_precision_follows_what_tensorflow_may_use(monkeypatch, caplog, name, value, chosen):
    caplog.set_level("INFO")
    pretend(monkeypatch, HAS)
    monkeypatch.setenv(name, value)
    assert precision.settle_precision("auto", announce=True) == chosen
    told = f"as {name}={value} turns off this processor's instructions for bfloat16"
    assert (told in caplog.text) == (chosen == "float32")


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_precision_that_is_given_is_used_without_a_message(monkeypatch, caplog, name):
    caplog.set_level("INFO")
    pretend(monkeypatch, HAS_NOT if name == "bfloat16" else HAS)
    assert precision.settle_precision(name, announce=True) == name
    assert caplog.messages == []


# What a device can compute in

ONEDNN = (
    "{{function_node __wrapped__MaxPool}} Compute received an exception:Status: 3, message: could "
    "not create a descriptor for a pooling primitive, in file mkl_maxpooling_op.cc:1 [Op:MaxPool]"
)
KERNEL = "Could not find device for node: {{node MaxPool}}\nAll kernels registered for it: none"


@pytest.fixture(params=["max_pool2d", "conv2d"])
def refuse(request, monkeypatch):
    """Have one kind of operation raise an error; the others compute in float32 on any machine."""
    compute_in = precision._compute_in

    def fail_with(error):
        def operation(*_):
            raise error

        monkeypatch.setattr(precision, "_compute_in", lambda _: compute_in(tf.float32))
        monkeypatch.setattr(tf.nn, request.param, operation)

    precision.obstacle.cache_clear()
    yield fail_with
    precision.obstacle.cache_clear()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            tf.errors.AbortedError(None, None, ONEDNN),
            "could not create a descriptor for a pooling primitive",
        ),
        (tf.errors.NotFoundError(None, None, KERNEL), KERNEL.splitlines()[0]),
        (tf.errors.UnimplementedError(None, None, "not in bfloat16"), "not in bfloat16"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_precision_that_tensorflow_refuses_is_not_chosen_and_refused_by_name(
    monkeypatch, caplog, refuse, error, told
):
    caplog.set_level("INFO")
    refuse(error)
    obstacle = precision.obstacle
    assert obstacle("bfloat16") == told
    pretend(monkeypatch, HAS)
    monkeypatch.setattr(precision, "obstacle", obstacle)
    assert precision.settle_precision("auto", announce=True) == "float32"
    assert caplog.messages == [
        f"precision: float32, as TensorFlow cannot compute in bfloat16 on this device ({told})"
    ]
    with pytest.raises(InputError) as caught:
        precision.settle_precision("bfloat16")
    assert str(caught.value) == (
        f"--precision=bfloat16: TensorFlow cannot compute in it on this device ({told}); "
        "use --precision=float32"
    )


def test_want_of_memory_does_not_count_against_a_precision(refuse):
    refuse(tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"))
    with pytest.raises(tf.errors.ResourceExhaustedError):
        precision.obstacle("bfloat16")


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_only_what_really_fails_has_an_obstacle(name):
    """So that the tests of a precision are skipped only where they would fail."""
    ones = tf.ones((1, 4, 4, 8), name)
    if precision.obstacle(name):
        with pytest.raises(tf.errors.OpError):  # the operation that is asked first
            tf.nn.max_pool2d(ones, 2, 2, "VALID")
        return
    kernel = tf.ones((3, 3, 8, 8), name)
    np.testing.assert_array_equal(tf.cast(tf.nn.conv2d(ones, kernel, 1, "VALID"), "float32"), 72)
    product = tf.matmul(ones[0, 0], ones[0, 0], transpose_a=True)
    np.testing.assert_array_equal(tf.cast(product, "float32"), 4)


def test_a_command_ends_with_a_picture_or_a_line(picture_paths, tiny_weights_path, tmp_path):
    """TensorFlow would end the process without a message of ours."""
    content, style = picture_paths
    flags = [f"--content={content}", f"--style={style}", f"--weights={tiny_weights_path}"]
    flags += ["--content_layers=relu2_1", "--style_layers=relu1_1", "--objective=relative"]
    flags += ["--precision=bfloat16"]
    flags += ["--size=32", "--scales=1", "--iterations=1", "--noscores", "--workdir=job"]
    done = subprocess.run(
        [sys.executable, "-m", "nst_keras.run", *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT), "ONEDNN_MAX_CPU_ISA": "SSE41"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 2)  # 0 where TensorFlow computes bfloat16 without oneDNN
    assert (tmp_path / "job" / "result.png").exists() == (done.returncode == 0)
    if done.returncode:
        *_, last = done.stderr.strip().splitlines()
        assert last.startswith("nst_keras: --precision=bfloat16: TensorFlow cannot compute in it ")
        assert "Traceback" not in done.stderr
