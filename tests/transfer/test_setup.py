"""What is read, settled and measured before the first step, on a tiny network."""

import dataclasses
import math

import numpy as np
import pytest

from nst_keras import stylize
from nst_keras.devices import startup
from nst_keras.imaging import images
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import setup as setup_lib
from tests.transfer.test_loop import CONFIG, CONTENT, SINGLE, STYLE, paint, tiles_made


def interrupted(config, weights, folder, stop_at=3):
    """Take some steps, save and stop; returns what goes on from there."""
    options = {"folder": folder, "job": "a", "every": 0, "minutes": 0, "keep": 2}
    iterates = stylize(
        CONTENT, STYLE, config, weights=weights, checkpointer=Checkpointer(**options)
    )
    next(iterate for iterate in iterates if iterate.step == stop_at)
    iterates.close()  # saves
    return Checkpointer(**options)


def on_a_processor(monkeypatch, flags):
    monkeypatch.setattr(startup, "_cpuinfo", lambda: {"flags": flags})


AUTO = dataclasses.replace(SINGLE, precision="auto")


@pytest.mark.parametrize(
    ("first", "later", "chosen"),
    [("avx512_bf16", "avx2", "bfloat16"), ("avx2", "avx512_bf16", "float32")],
)
def test_what_auto_chose_holds_on_another_device(
    tiny_weights, tmp_path, monkeypatch, caplog, first, later, chosen
):
    caplog.set_level("INFO")
    whole = paint(dataclasses.replace(SINGLE, precision=chosen), tiny_weights).image
    assert "precision: " not in caplog.text
    on_a_processor(monkeypatch, first)
    checkpointer = interrupted(AUTO, tiny_weights, tmp_path)
    assert caplog.text.count(f"precision: {chosen}, ") == 1
    on_a_processor(monkeypatch, later)
    caplog.clear()
    result = paint(AUTO, tiny_weights, checkpointer=checkpointer).image
    np.testing.assert_array_equal(result, whole)
    assert "precision: " not in caplog.text


def test_a_state_of_another_precision_is_refused_with_both_names(tiny_weights, tmp_path):
    checkpointer = interrupted(SINGLE, tiny_weights, tmp_path)
    other = dataclasses.replace(SINGLE, precision="bfloat16")
    with pytest.raises(InputError) as caught:
        paint(other, tiny_weights, checkpointer=checkpointer)
    message = str(caught.value)
    assert message.startswith(
        "--precision=bfloat16: the state after step 3 was computed in float32"
    )
    same = paint(SINGLE, tiny_weights, checkpointer=checkpointer)
    assert same.step == 6


def test_a_state_that_does_not_tell_its_precision_is_gone_on_from(tiny_weights, tmp_path):
    checkpointer = interrupted(SINGLE, tiny_weights, tmp_path)
    old = checkpointer.latest()
    del old.arrays["precision"]
    checkpointer.save(old)
    resumed = paint(SINGLE, tiny_weights, checkpointer=checkpointer).image
    np.testing.assert_array_equal(resumed, paint(SINGLE, tiny_weights).image)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.zeros((40, 60), np.uint8), "height, width, 3"),
        (np.zeros((8, 60, 3), np.uint8), "too small"),
        (np.full((40, 60, 3), 2.0), "in \\[0, 1\\]"),
        (np.full((40, 60, 3), np.nan), "in \\[0, 1\\]"),
        ("missing.jpg", "no such file"),
    ],
)
def test_bad_arrays_are_refused(tiny_weights, content, words):
    with pytest.raises(InputError, match=words):
        next(stylize(content, STYLE, SINGLE, weights=tiny_weights))


def test_bytes_and_floats_are_the_same_picture(tiny_weights):
    as_bytes = images.to_uint8(CONTENT)
    *_, from_bytes = stylize(as_bytes, STYLE, SINGLE, weights=tiny_weights)
    image = from_bytes.image
    *_, from_floats = stylize(as_bytes / np.float32(255), STYLE, SINGLE, weights=tiny_weights)
    np.testing.assert_array_equal(image, from_floats.image)


def test_steps_are_measured_in_the_tiles_that_will_be_taken(tiny_weights, monkeypatch):
    made = tiles_made(monkeypatch)
    config = resolve(SINGLE)
    setup_lib.measure_step_seconds(CONTENT, [STYLE], config, tiny_weights, tile_size=32)
    assert len(made) == 1 and made[0] > 1


def test_measured_times_are_linear_in_pixels(tiny_weights):
    config = resolve(dataclasses.replace(CONFIG, scales=3))
    plan, seconds, setup = setup_lib.measure_step_seconds(CONTENT, [STYLE], config, tiny_weights)
    assert len(plan) == len(seconds) == 3 and setup >= 0
    assert all(math.isfinite(value) for value in seconds)
    share = (plan[1].pixels - plan[0].pixels) / (plan[2].pixels - plan[0].pixels)
    assert seconds[1] == pytest.approx(seconds[0] + share * (seconds[2] - seconds[0]))
