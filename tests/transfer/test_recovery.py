"""A step that fails for want of memory, is dropped, or loses its device."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import stylize
from nst_keras.devices.replicas import Replicas
from nst_keras.runtime.errors import DeviceError, LostHostError, StepDropped
from nst_keras.transfer.scale_run import ScaleRun
from tests.transfer.conftest import (
    CONTENT,
    OUT_OF_MEMORY,
    SINGLE,
    STYLE,
    TEN_STEPS,
    TILED,
    TILES,
    count_tiles,
    fail_at_calls,
    make_checkpointer,
    paint,
    painted,
)

WHOLE = dataclasses.replace(TILED, tile_size="none", scales=1)
TWO_HOSTS = Replicas(("",), hosts=2)


def test_without_memory_a_run_continues_from_the_same_step_in_tiles(
    tiny_weights, monkeypatch, caplog
):
    expected = painted(WHOLE, tiny_weights)
    made = count_tiles(monkeypatch)
    fail_at_calls(monkeypatch, {4})
    seen = painted(WHOLE, tiny_weights)
    assert [step for step, _ in seen] == [step for step, _ in expected] == [1, 2, 3, 4, 5, 6]
    assert made == [6] and "out of memory; continuing with tiles of 32 px" in caplog.text
    for (_, image), (_, same) in zip(seen[:3], expected[:3], strict=True):
        np.testing.assert_array_equal(image, same)
    np.testing.assert_allclose(seen[-1][1], expected[-1][1], atol=3 / 255)


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.InternalError(None, None, "CPU:0 to GPU:0: Dst tensor is not initialized."),
        tf.errors.InternalError(None, None, "cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY"),
        tf.errors.NotFoundError(None, None, "No algorithm worked!  Error messages: ..."),
    ],
    ids=str,
)
def test_gpus_say_in_other_words_that_memory_runs_out(tiny_weights, monkeypatch, error):
    made = count_tiles(monkeypatch)
    fail_at_calls(monkeypatch, {4}, error)
    assert paint(WHOLE, tiny_weights).step == 6 and made == [6]


def test_an_operation_that_is_not_found_is_not_taken_for_want_of_memory(tiny_weights, monkeypatch):
    error = tf.errors.NotFoundError(None, None, "no such operation")
    fail_at_calls(monkeypatch, {4}, error)
    with pytest.raises(tf.errors.NotFoundError):
        paint(SINGLE, tiny_weights)


def test_of_several_hosts_none_takes_smaller_tiles_alone(tiny_weights, monkeypatch):
    fail_at_calls(monkeypatch, {3})
    out = r"out of memory at 64x43; use --tile_size=\d+ on all hosts"
    with pytest.raises(MemoryError, match=out):
        paint(dataclasses.replace(TILED, scales=1), tiny_weights, replicas=TWO_HOSTS)


def test_tiles_are_tried_if_memory_runs_out_before_the_first_step(tiny_weights, monkeypatch):
    normal, made = ScaleRun.__init__, count_tiles(monkeypatch)

    def fail_on_whole_pictures(self, problem, scale, start, state, tile_size, *others):
        if tile_size is None:
            raise OUT_OF_MEMORY
        normal(self, problem, scale, start, state, tile_size, *others)

    monkeypatch.setattr(ScaleRun, "__init__", fail_on_whole_pictures)
    assert paint(WHOLE, tiny_weights).step == 6 and made == [6]


@pytest.mark.parametrize(
    ("optimizer", "advice"), [("adam", ""), ("lbfgs", " or --history, or --optimizer=adam,")]
)
def test_a_run_ends_where_the_smallest_tiles_do_not_fit(
    tiny_weights, monkeypatch, optimizer, advice
):
    fail_at_calls(monkeypatch, set(range(4, 100)))
    config = dataclasses.replace(TILED, scales=1, optimizer=optimizer)
    out = f"at 64x43 with tiles of .* px; a smaller --size{advice} needs less"
    with pytest.raises(MemoryError, match=out):
        paint(config, tiny_weights)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "lbfgs", "learning_rate": 1.0}])
def test_a_step_that_is_dropped_between_tiles_is_repeated(tiny_weights, tmp_path, settings):
    config = dataclasses.replace(TEN_STEPS, iterations=4, **TILES, **settings)
    whole, asked = painted(config, tiny_weights), []

    def drop():
        asked.append(1)
        return len(asked) == 21  # 8 tiles forth and back make a step: in the third one

    keeper = make_checkpointer(tmp_path)
    begun = stylize(
        CONTENT, [STYLE], config, weights=tiny_weights, checkpointer=keeper, is_dropped=drop
    )
    with pytest.raises(StepDropped, match="^tile 5 of 8$"):
        list(begun)
    assert keeper.latest().step == 2
    resumed = painted(config, tiny_weights, keeper)
    assert [step for step, _ in resumed] == [3, 4]
    for (_, image), (_, same) in zip(resumed, whole[2:], strict=True):
        np.testing.assert_array_equal(image, same)


LOST = tf.errors.UnavailableError(None, None, "Socket closed\nand more")


def test_a_device_that_fails_saves_nothing(tiny_weights, tmp_path, monkeypatch):
    fail_at_calls(monkeypatch, {3}, LOST)
    keeper = make_checkpointer(tmp_path)
    with pytest.raises(DeviceError, match="^the device failed after step 2: Socket closed$"):
        paint(SINGLE, tiny_weights, checkpointer=keeper)
    assert keeper.steps() == []


def test_a_lost_host_leaves_the_state_of_the_last_step(tiny_weights, tmp_path, monkeypatch):
    whole = paint(SINGLE, tiny_weights, replicas=TWO_HOSTS).image
    keeper = make_checkpointer(tmp_path)
    with monkeypatch.context() as patch:
        fail_at_calls(patch, {3}, LOST)
        with pytest.raises(LostHostError, match="^another host is gone: Socket closed$"):
            paint(SINGLE, tiny_weights, checkpointer=keeper, replicas=TWO_HOSTS)
    assert keeper.steps() == [2]
    resumed = paint(SINGLE, tiny_weights, checkpointer=keeper, replicas=TWO_HOSTS)
    np.testing.assert_array_equal(resumed.image, whole)
