"""`stylize` from Python: what it obeys, what it refuses, and what it reads and plans."""

import dataclasses
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from nst_keras import stylize
from nst_keras.devices import startup
from nst_keras.devices.replicas import Replicas
from nst_keras.imaging import images
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.transfer import planning
from nst_keras.transfer import stylize as stylize_lib
from nst_keras.transfer.problem import TileProgress
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import in_a_thread
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
    assert made == [("mirrored", 2, mirrored.cluster_timeout)]
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


# Other threads, interrupts, and going on afterwards


def test_off_the_main_thread_it_paints_the_same(tiny_weights):
    expected = paint(SINGLE, tiny_weights).image
    found = in_a_thread(lambda: paint(SINGLE, tiny_weights).image)
    np.testing.assert_array_equal(found, expected)


def interrupt_at(monkeypatch, step, times=1):
    """Have Ctrl-C come while a step is computed."""
    normal = ScaleRun.run

    def run(self, steps):
        losses = normal(self, steps)
        if self.steps == step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return losses

    monkeypatch.setattr(ScaleRun, "run", run)


def interrupted(tiny_weights, config=SINGLE, **options):
    """The iterates of a run until it was interrupted, and their images then."""
    before, seen = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):
        for iterate in stylize(CONTENT, STYLE, config, weights=tiny_weights, **options):
            assert signal.getsignal(signal.SIGINT) is before  # while the caller works
            seen.append((iterate, iterate.image.copy()))
    assert signal.getsignal(signal.SIGINT) is before
    return seen


@pytest.mark.parametrize("step", [1, 3, 6])
def test_an_interrupt_comes_after_the_step_whose_image_stays_readable(
    tiny_weights, monkeypatch, step
):
    interrupt_at(monkeypatch, step)
    seen = interrupted(tiny_weights)
    assert [iterate.step for iterate, _ in seen] == list(range(1, step + 1))
    last, image = seen[-1]
    np.testing.assert_array_equal(last.image, image)
    assert last.evaluate()["total"] > 0


def test_a_second_interrupt_comes_at_once_and_leaves_an_image(tiny_weights, monkeypatch):
    interrupt_at(monkeypatch, 3, times=2)
    seen = interrupted(tiny_weights)
    assert [iterate.step for iterate, _ in seen] == [1, 2]
    assert seen[-1][0].image.shape == seen[-1][1].shape


def test_a_long_step_in_tiles_is_given_up(tiny_weights, monkeypatch):
    normal, tiles = TileProgress.__call__, []

    def progress(self, done, in_all):
        tiles.append(done)
        if len(tiles) == 3 * in_all + 2:  # in the third step: targets take the first round
            signal.raise_signal(signal.SIGINT)
        normal(self, done, in_all)

    monkeypatch.setattr(TileProgress, "__call__", progress)
    tiled = dataclasses.replace(TILED, scales=1)
    seen = interrupted(tiny_weights, tiled)
    last, image = seen[-1]
    assert last.step < tiled.iterations and tiles[-1] == 2
    np.testing.assert_array_equal(last.image, image)


@pytest.mark.parametrize("config", [SINGLE, CONFIG], ids=["one scale", "two scales"])
def test_the_same_call_with_the_same_folder_goes_on(tiny_weights, tmp_path, monkeypatch, config):
    whole = paint(config, tiny_weights).image
    folder = tmp_path / "folder"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert len(interrupted(tiny_weights, config, checkpoints=folder)) == 3
    rest = [
        (iterate.step, iterate.image)
        for iterate in stylize(CONTENT, STYLE, config, weights=tiny_weights, checkpoints=folder)
    ]
    assert rest[0][0] == 4
    np.testing.assert_array_equal(rest[-1][1], whole)
    again = paint(config, tiny_weights, checkpoints=str(folder))  # of what is finished
    np.testing.assert_array_equal(again.image, whole)


@pytest.mark.parametrize("change", ["settings", "content", "style"])
def test_checkpoints_of_another_picture_are_reported_and_not_used(
    tiny_weights, tmp_path, caplog, change
):
    paint(SINGLE, tiny_weights, checkpoints=tmp_path)
    config = dataclasses.replace(SINGLE, seed=int(change == "settings"))
    content = CONTENT[::-1].copy() if change == "content" else CONTENT
    style = STYLE[::-1].copy() if change == "style" else STYLE
    other = stylize(content, style, config, weights=tiny_weights, checkpoints=tmp_path)
    assert next(other).step == 1
    assert "ignoring checkpoint step_000000006.npz: it belongs to another run" in caplog.text


# TensorFlow's own lines


def test_tensorflow_says_nothing_in_six_calls(tiny_weights_path):
    """In a process of its own, which TensorFlow starts in."""
    program = """
import sys
import numpy as np
from nst_keras import Config, stylize
layers = {"content_layers": ("block1_conv2",), "style_layers": ("block1_conv1",)}
config = Config(weights=sys.argv[1], size=32, scales=1, iterations=1, **layers)
for _ in range(6):
    for iterate in stylize(np.zeros((32, 32, 3)), np.ones((32, 32, 3)), config):
        iterate.evaluate()
"""
    shown = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")
    environment = {name: text for name, text in os.environ.items() if name not in shown}
    command = [sys.executable, "-c", program, str(tiny_weights_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


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
