"""`stylize` from Python: what it obeys, what it refuses, and what it reads and plans."""

import dataclasses

import numpy as np
import pytest

from nst_keras import stylize
from nst_keras.devices import precision
from nst_keras.devices.replicas import Replicas
from nst_keras.imaging import images
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.transfer import planning
from nst_keras.transfer import stylize as stylize_lib
from tests.conftest import require_precision
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    SINGLE,
    STYLE,
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
    ("first", "later", "chosen"), [(True, False, "bfloat16"), (False, True, "float32")]
)
def test_the_precision_that_auto_chose_holds_on_another_device(
    tiny_weights, tmp_path, monkeypatch, caplog, first, later, chosen
):
    def on_a_processor(has_bfloat16):
        found = has_bfloat16, "for this reason"
        monkeypatch.setattr(precision, "_bfloat16_instructions", lambda: found)

    require_precision(chosen)
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
