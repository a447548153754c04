"""`stylize` from Python: what it obeys, what it refuses, and what it reads and plans."""

import dataclasses
import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import func_graph, ops

from nst_keras import stylize
from nst_keras.devices import startup
from nst_keras.devices.replicas import Replicas
from nst_keras.imaging import images
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.transfer import planning
from nst_keras.transfer import stylize as stylize_lib
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    SINGLE,
    STYLE,
    TILED,
    interrupt,
    paint,
)

ABOUT_FILES = {
    "content": "photo.jpg",
    "style": ("painting.jpg",),
    "workdir": "folder",
    "output": "picture.png",
    "overwrite": True,
    "checkpoint_every": 5,
    "checkpoint_minutes": 1.0,
    "keep_checkpoints": 7,
    "tensorboard": True,
    "gif": False,
    "mp4": True,
    "frame_labels": True,
    "scores": False,
}


@pytest.mark.parametrize("name", ABOUT_FILES)
def test_settings_about_files_are_refused(tiny_weights, name):
    config = dataclasses.replace(SINGLE, **{name: ABOUT_FILES[name]})
    with pytest.raises(InputError, match=rf"^{name}=.*: stylize\(\) takes no settings about files"):
        stylize(CONTENT, STYLE, config, weights=tiny_weights)
    usual = dataclasses.replace(SINGLE, **{name: getattr(Config(), name)})
    stylize(CONTENT, STYLE, usual, weights=tiny_weights)


def test_the_settings_about_files_are_these():
    assert {name for name, option in OPTIONS.items() if option.for_files} == {*ABOUT_FILES}


def test_a_time_limit_is_obeyed(tiny_weights, monkeypatch):
    monkeypatch.setattr(planning, "measure_step_seconds", lambda *_: ((10.0,), 0.0))
    limited = dataclasses.replace(SINGLE, iterations=None, time_limit=60.0)
    *_, last = stylize(CONTENT, STYLE, limited, weights=tiny_weights)
    # 60 s less 12 for the end and 4.8 of slack; a moment has passed.
    assert last.is_last and last.total_steps in (3, 4)
    given = dataclasses.replace(limited, iterations=2)  # the most
    *_, last = stylize(CONTENT, STYLE, given, weights=tiny_weights)
    assert last.total_steps == 2


def test_devices_are_those_of_the_config_unless_they_are_given(tiny_weights, monkeypatch):
    made, normal = [], stylize_lib.make_replicas

    def remember(*arguments):
        made.append(arguments)
        return normal("none")

    monkeypatch.setattr(stylize_lib, "make_replicas", remember)
    mirrored = dataclasses.replace(SINGLE, distribute="mirrored", replicas=2)
    stylize(CONTENT, STYLE, mirrored, weights=tiny_weights)
    assert made == [("mirrored", 2)]
    stylize(CONTENT, STYLE, mirrored, weights=tiny_weights, replicas=Replicas(("",)))
    assert len(made) == 1


@pytest.mark.parametrize("asked", [True, False])
def test_determinism_is_obeyed(tiny_weights, monkeypatch, asked):
    calls = []
    monkeypatch.setattr(
        stylize_lib.tf.config.experimental, "enable_op_determinism", lambda: calls.append(1)
    )
    config = dataclasses.replace(SINGLE, deterministic=asked)
    stylize(CONTENT, STYLE, config, weights=tiny_weights)
    assert bool(calls) == asked


@pytest.mark.parametrize(
    ("content", "words"),
    [(np.zeros((40, 60), np.uint8), "height, width, 3"), ("missing.jpg", "no such file")],
)
def test_bad_input_is_refused_by_the_call_itself(tiny_weights, content, words):
    with pytest.raises(InputError, match=words):
        stylize(content, STYLE, SINGLE, weights=tiny_weights)


def test_paths_and_arrays_give_the_same_picture(tiny_weights, tiny_weights_path, tmp_path):
    for name, pixels in (("photo", CONTENT), ("painting", STYLE)):
        images.write_image(tmp_path / f"{name}.png", pixels)
    arrays = [images.to_uint8(pixels) for pixels in (CONTENT, STYLE)]
    *_, from_arrays = stylize(*arrays, SINGLE, weights=tiny_weights)
    config = dataclasses.replace(SINGLE, weights=str(tiny_weights_path))
    *_, from_files = stylize(tmp_path / "photo.png", [str(tmp_path / "painting.png")], config)
    np.testing.assert_array_equal(from_arrays.image, from_files.image)


def test_inputs_are_read_and_planned_once(tiny_weights, monkeypatch):
    calls = []

    def count(name):
        normal = getattr(stylize_lib, name)

        def counted(*arguments, **options):
            calls.append(name)
            return normal(*arguments, **options)

        monkeypatch.setattr(stylize_lib, name, counted)

    for name in ("resolve", "read_inputs", "make_plan"):
        count(name)
    paint(CONFIG, tiny_weights)
    assert calls == ["resolve", "read_inputs", "make_plan"]


# The precision of a run that is resumed


AUTO = dataclasses.replace(SINGLE, precision="auto")


@pytest.mark.parametrize(
    ("first", "later", "chosen"),
    [("avx512_bf16", "avx2", "bfloat16"), ("avx2", "avx512_bf16", "float32")],
)
def test_the_precision_that_auto_chose_holds_on_another_device(
    tiny_weights, tmp_path, monkeypatch, caplog, first, later, chosen
):
    def on_a_processor(flags):
        monkeypatch.setattr(startup, "_cpuinfo", lambda: {"flags": flags})

    caplog.set_level("INFO")
    whole = paint(dataclasses.replace(SINGLE, precision=chosen), tiny_weights).image
    assert "precision: " not in caplog.text
    on_a_processor(first)
    checkpointer = interrupt(AUTO, tiny_weights, tmp_path, 3)
    assert caplog.text.count(f"precision: {chosen}, ") == 1
    on_a_processor(later)
    caplog.clear()
    result = paint(AUTO, tiny_weights, checkpointer=checkpointer).image
    np.testing.assert_array_equal(result, whole)
    assert "precision: " not in caplog.text


def test_a_state_of_another_precision_is_refused_with_both_names(tiny_weights, tmp_path):
    checkpointer = interrupt(SINGLE, tiny_weights, tmp_path, 3)
    other = dataclasses.replace(SINGLE, precision="bfloat16")
    with pytest.raises(InputError) as caught:
        paint(other, tiny_weights, checkpointer=checkpointer)
    message = str(caught.value)
    assert message.startswith(
        "--precision=bfloat16: the checkpoint of step 3 was computed in float32"
    )
    same = paint(SINGLE, tiny_weights, checkpointer=checkpointer)
    assert same.step == 6


# What a call leaves in the process


def kept():
    """How many graphs, operations and variables are alive, and how many gradients are registered.

    TensorFlow never removes the latter, and has no public way to count them.
    """
    gc.collect()
    alive = [type(one) for one in gc.get_objects()]
    counts = {
        kind: alive.count(kind) for kind in (func_graph.FuncGraph, tf.Variable, ops.Operation)
    }
    return {**counts, "gradients": len(ops.gradient_registry.list())}


CALLS = {
    "scales": CONFIG,
    "tiles": TILED,
    "L-BFGS": dataclasses.replace(SINGLE, optimizer="lbfgs"),
    "bfloat16": dataclasses.replace(SINGLE, precision="bfloat16"),
    "crowsonkb": dataclasses.replace(SINGLE, objective="crowsonkb", optimizer="nadam"),
}


@pytest.mark.parametrize("config", CALLS.values(), ids=CALLS)
def test_a_call_leaves_no_graph_no_variable_and_no_gradient(tiny_weights, config):
    found = []
    for _ in range(3):  # the first one may import and set up what is then kept
        paint(config, tiny_weights)
        found.append(kept())
    assert found[2] == found[1]


def test_a_call_that_is_closed_early_leaves_nothing_either(tiny_weights):
    found = []
    for _ in range(3):
        iterates = stylize(CONTENT, STYLE, CONFIG, weights=tiny_weights)
        next(iterates)
        iterates.close()
        del iterates
        found.append(kept())
    assert found[2] == found[1]


def test_a_call_frees_what_the_one_before_has_left(tiny_weights):
    """Compiled steps and what they act on refer to each other: only a collection frees them."""

    def graphs():
        return sum(isinstance(one, func_graph.FuncGraph) for one in gc.get_objects())

    gc.collect()
    before = graphs()
    gc.disable()
    try:
        paint(SINGLE, tiny_weights)
        left = graphs() - before
        iterates = stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights)
        assert left > 0 and graphs() == before
    finally:
        gc.enable()
    iterates.close()


MANY_CALLS = """
import sys
from pathlib import Path
from nst_keras import Config, stylize

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

content, style, calls, *flags = sys.argv[1:]
settings = {name: value for name, value in (flag.split("=") for flag in flags)}
config = Config(size=64, scales=1, iterations=2, **settings)
for call in range(1, int(calls) + 1):
    *_, last = stylize(content, style, config)
    print(call, resident_bytes())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    "flags",
    [
        ("precision=float32",),
        ("precision=bfloat16",),
        ("precision=float32", "optimizer=lbfgs"),
        ("precision=float32", "objective=crowsonkb"),
    ],
    ids=" ".join,
)
def test_fifty_calls_end_within_50_mb_of_the_fifth(picture_paths, flags):
    """The embedded VGG19 has 50 MB of weights in float32: one copy kept per call would be 2 GB."""
    command = [sys.executable, "-c", MANY_CALLS, *map(str, picture_paths), "50", *flags]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
    resident = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(resident) == 50
    assert resident[-1] - resident[4] < 50e6
