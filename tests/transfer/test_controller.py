"""What is due, early stopping, and recovery from bad losses, want of memory and lost devices."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import Config, LossTerm, stylize
from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.network import extractor
from nst_keras.runtime.checkpoints import Checkpoint
from nst_keras.runtime.errors import DeviceError, LostHostError, StepDropped
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import pace
from nst_keras.transfer.controller import Controller
from nst_keras.transfer.plan import Plan, Scale
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import require_precision
from tests.network.conftest import distance_error, switching
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    NEIGHBORS,
    OUT_OF_MEMORY,
    SINGLE,
    STYLE,
    TEN_STEPS,
    TILED,
    TILES,
    count_tiles,
    fail_at_calls,
    interrupt,
    make_checkpointer,
    paint,
    painted,
    spoil_gradients,
)

SCALES = (Scale(0, 10, 20, 30, 1), Scale(1, 20, 40, 50, 31))


def make_controller(checkpointer=None, **settings):
    """The controller of a run of 80 steps at two scales, which computes nothing."""
    plan = Plan(SCALES, "float32", None, 0, 50, (30,))
    problem = SimpleNamespace(
        settings=resolve(Config(**settings)),
        plan=plan,
        replicas=ALONE,
        shares_graphs=lambda scale, tile_size: not tile_size,
    )
    return Controller(problem, checkpointer)


def halvings(keeper):
    """How often the newest checkpoint's run has halved its learning rate."""
    return keeper.latest().state["run"]["halvings"]


def test_calls_stop_where_something_is_due(tiny_weights, monkeypatch, tmp_path):
    monkeypatch.setattr(pace, "_CALL_SECONDS", 1e6)
    config = dataclasses.replace(
        CONFIG, iterations=40, log_every=100, image_every=15, image_at=(21,)
    )
    keeper = make_checkpointer(tmp_path, every=32)
    steps = [step for step, _ in painted(config, tiny_weights, keeper)]
    assert keeper.steps() == [44, 32]
    # The first step of a scale is a call of its own: it traces. The next one's pace is not known.
    traced, ends, pictures, saved = {1, 2, 5}, {4, 44}, {15, 21, 30}, {32}
    checked = {14, 24, 34, 44}  # for an exploding total, every ten steps of a scale
    assert steps == sorted(traced | ends | pictures | saved | checked)


def test_neighbors_are_matched_when_it_is_due_however_many_steps_a_call_takes(
    tiny_weights, monkeypatch
):
    matched, normal = [], StyleTransferProblem.match

    def match(self, neighbors, scale, image):
        matched.append((scale.index, float(image.mean())))
        normal(self, neighbors, scale, image)

    monkeypatch.setattr(StyleTransferProblem, "match", match)
    settings = {**NEIGHBORS, "detail_iterations": 9, "match_every": 4}
    settings |= {"log_every": 100, "image_every": 0}
    config = dataclasses.replace(SINGLE, iterations=3, **settings)
    found = []
    for seconds in (0.0, 1e6):
        monkeypatch.setattr(pace, "_CALL_SECONDS", seconds)
        matched.clear()
        found.append((paint(config, tiny_weights).image, [*matched]))
    (image, one_by_one), (same, in_long_calls) = found
    assert [index for index, _ in one_by_one] == [0, 1, 1, 1]  # after 0, 0, 4 and 8 steps
    assert one_by_one == in_long_calls
    np.testing.assert_array_equal(image, same)


def test_early_stopping_ends_a_scale_and_leaves_step_numbers_out(tiny_weights, caplog):
    config = dataclasses.replace(CONFIG, tolerance=0.9, patience=2, image_every=0)
    caplog.set_level("INFO")
    iterates = list(stylize(CONTENT, STYLE, config, weights=tiny_weights))
    ends = [iterate.step for iterate in iterates if iterate.ends_scale]
    assert ends == [4, 8]  # the second comparison of each scale, which begin at 1 and at 5
    assert [iterate.is_last for iterate in iterates] == [False] * (len(iterates) - 1) + [True]
    for step in ends:
        text = f"converged at step {step}: the total fell by less than 90 % in 2 steps"
        assert caplog.text.count(text) == 1


@pytest.mark.parametrize(("tolerance", "share"), [(0.4, "40 %"), (0.001, "0.1 %")])
def test_the_message_of_early_stopping_names_the_share(caplog, tolerance, share):
    one = make_controller(tolerance=tolerance, patience=2)
    one.begin(SCALES[1])
    for total in (1000.0, 999.0, 998.8, 998.6):  # a fall of 0.4 is one of 0.04 %
        assert not one.ends_scale
        one.count(1, 0.1, {"total": total})
    assert one.ends_scale and one.is_over
    text = f"converged at step 34: the total fell by less than {share} in 2 steps"
    assert text in caplog.text


def test_a_step_counts_from_the_start_of_the_scale_or_from_the_checkpoint():
    one = make_controller()
    one.begin(SCALES[0])
    assert one.step == 0 and not one.ends_scale
    one.begin(SCALES[1])
    assert one.step == 30
    saved = Checkpoint(42, 1000.0, {"run": {"halvings": np.array(2)}})
    resumed = make_controller(SimpleNamespace(latest=lambda: saved))
    resumed.begin(SCALES[1])
    assert (resumed.step, resumed.halvings) == (42, 2)
    iterate = resumed.report(None, {"total": 1.0})
    assert (iterate.step, iterate.total_steps) == (42, 80)
    assert 1000.0 <= iterate.seconds < 1060.0


def test_pauses_do_not_count_as_work():
    one = make_controller()
    one.begin(SCALES[0])
    before = one.report(None, {"total": 1.0}).seconds
    one.leave_out(1000.0)
    assert one.report(None, {"total": 1.0}).seconds < before - 900.0


def test_the_last_state_is_saved_and_others_when_they_are_due(tmp_path):
    one = make_controller(make_checkpointer(tmp_path, every=4))
    one.begin(SCALES[1])
    due = []
    for _ in range(50):
        one.count(1, 0.1, {"total": 1.0})
        if one.is_save_due(one.report(None, {"total": 1.0})):
            due.append(one.step)
    assert due == [*range(32, 81, 4)] and one.is_over
    one = make_controller()
    one.begin(SCALES[1])
    one.count(50, 0.1, {"total": 1.0})
    assert one.is_save_due(one.report(None, {"total": 1.0}))


# The pace


def test_the_call_that_traces_does_not_count_for_the_pace():
    one = make_controller()
    one.begin(SCALES[0])
    one.count(1, 99.0, {"total": 1.0})
    assert math.isnan(one.report(None, {"total": 1.0}).steps_per_second)
    one.count(10, 2.0, {"total": 1.0})
    found = one.report(None, {"total": 1.0})
    assert found.steps_per_second == pytest.approx(5.0)
    assert found.seconds_left == one.pace.seconds_left(SCALES, 11, SCALES[0]) > 0


def test_variables_are_those_of_the_scale_before_while_its_graph_serves():
    one, any_size = make_controller(), (1, None, None, 3)
    one.begin(SCALES[0])
    first = one.variables
    image = first.variable("image", tf.ones((1, 10, 20, 3)), any_size)
    assert first.are_shared and not one.leaves_graph
    one.begin(SCALES[1])
    assert one.variables is first and not one.leaves_graph
    assert image.numpy().shape == (1, 0, 0, 3)
    image = first.variable("image", tf.ones((1, 20, 40, 3)), any_size)
    one.tile_size = 16  # as memory has run out
    one.begin(SCALES[1])
    assert one.leaves_graph and not one.variables.are_shared
    assert image.numpy().shape == (1, 0, 0, 3)  # which needs the memory
    before = one.variables
    one.begin(SCALES[1])
    assert one.leaves_graph and one.variables is not before


def test_neighbors_by_layer_have_other_variables():
    one = make_controller()
    one.begin(SCALES[0])
    before = one.variables
    one.begin(dataclasses.replace(SCALES[1], by_layer=True))
    assert one.leaves_graph and one.variables is not before and one.variables.are_shared


def test_after_compiling_anew_the_pace_is_another_one():
    one = make_controller()
    one.begin(SCALES[0])
    for steps, seconds in ((1, 9.0), (10, 20.0)):
        one.count(steps, seconds, {"total": 1.0})
    one.expect_another_pace()
    assert one.steps_per_call() == 1
    for steps, seconds in ((1, 9.0), (10, 1.0)):
        one.count(steps, seconds, {"total": 1.0})
    assert one.report(None, {"total": 1.0}).steps_per_second == pytest.approx(10.0)


# Recovery from numerical trouble


@pytest.mark.parametrize("settings", [{}, TILES, {"precision": "bfloat16"}])
def test_trouble_restarts_the_scale_at_half_the_rate(tiny_weights, monkeypatch, caplog, settings):
    config = dataclasses.replace(TEN_STEPS, **settings)
    require_precision(config.precision)
    halved = dataclasses.replace(config, learning_rate=resolve(config).learning_rate / 2)
    expected = painted(halved, tiny_weights)
    spoil_gradients(monkeypatch, [4])
    found = painted(config, tiny_weights)
    assert [step for step, _ in found] == [1, 2, 3, *range(1, 11)]
    np.testing.assert_array_equal(found[-1][1], expected[-1][1])
    told = "the gradient not finite at step 4; resuming from step 0 at half the learning rate "
    assert told + "(recovery 1 of 3)" in caplog.text


def test_trouble_goes_back_to_the_last_checkpoint(tiny_weights, monkeypatch, tmp_path):
    spoil_gradients(monkeypatch, [8])
    keeper = make_checkpointer(tmp_path, every=3)
    found = painted(TEN_STEPS, tiny_weights, keeper)
    assert [step for step, _ in found] == [*range(1, 8), *range(7, 11)]
    assert halvings(keeper) == 1
    keeper.forget_after(9)
    assert keeper.latest().step == 9
    resumed = painted(TEN_STEPS, tiny_weights, keeper)  # with smaller steps, too
    assert [step for step, _ in resumed] == [10]
    np.testing.assert_array_equal(resumed[-1][1], found[-1][1])


def test_a_checkpoint_that_leads_nowhere_is_left_for_the_one_before(
    tiny_weights, monkeypatch, tmp_path
):
    spoil_gradients(monkeypatch, [8, 9])  # the second is the first step after going back to step 6
    keeper = make_checkpointer(tmp_path, every=3)
    found = painted(TEN_STEPS, tiny_weights, keeper)
    assert [step for step, _ in found] == [*range(1, 8), *range(4, 11)]
    assert halvings(keeper) == 2


def test_a_scale_begins_anew_if_its_only_checkpoint_leads_nowhere(
    tiny_weights, monkeypatch, tmp_path
):
    keeper = interrupt(TEN_STEPS, tiny_weights, tmp_path, 6)
    spoil_gradients(monkeypatch, [1])
    found = painted(TEN_STEPS, tiny_weights, keeper)
    assert [step for step, _ in found] == [*range(1, 11)]
    assert halvings(keeper) == 1


def test_the_only_checkpoint_is_resumed_from_where_the_start_of_its_scale_is_gone(
    tiny_weights, monkeypatch, tmp_path
):
    keeper = interrupt(CONFIG, tiny_weights, tmp_path, 7)  # in the second scale
    spoil_gradients(monkeypatch, [1])
    found = painted(CONFIG, tiny_weights, keeper)
    assert [step for step, _ in found] == [8, 9, 10]
    assert halvings(keeper) == 1


@pytest.mark.parametrize(("every", "keep", "back_to"), [(1, 30, 34), (5, 30, 30), (1, 2, 0)])
def test_a_run_that_explodes_goes_back_to_before_it_did(
    tiny_weights, tmp_path, caplog, every, keep, back_to
):
    # By 1000 times the rate from step 35 on; finite, as losses of images beyond [0, 1] are.
    config = dataclasses.replace(
        SINGLE, iterations=70, clamp=False, schedule="piecewise", schedule_at=((35, 1000.0),)
    )
    keeper = make_checkpointer(tmp_path, every=every, keep=keep)
    assert painted(config, tiny_weights, keeper)[-1][0] == 70
    went_back = [text for text in caplog.messages if "resuming from step" in text]
    assert went_back and all(f"resuming from step {back_to} at" in text for text in went_back)


def test_an_explosion_does_not_pass_for_a_loss_that_falls_no_more(tiny_weights, caplog):
    config = dataclasses.replace(
        SINGLE, iterations=70, clamp=False, schedule="piecewise", schedule_at=((35, 1000.0),)
    )
    stopping = dataclasses.replace(config, tolerance=1e-9, patience=20)
    painted(stopping, tiny_weights)
    assert "the total has grown from" in caplog.text


def test_a_scale_that_begins_anew_leaves_a_checkpoint_of_its_start(
    tiny_weights, monkeypatch, tmp_path
):
    spoil_gradients(monkeypatch, [6])  # the second step of the second scale
    keeper, seen = make_checkpointer(tmp_path, every=1, keep=1), {}
    for iterate in stylize(CONTENT, STYLE, CONFIG, weights=tiny_weights, checkpointer=keeper):
        seen.setdefault(iterate.step, []).append([path.name for path in tmp_path.iterdir()])
    assert len(seen[5]) == 2 and seen[5][1] == ["step_000000004.npz"]
    assert seen[10]


TWO_STYLE_LAYERS = dataclasses.replace(SINGLE, style_layers=("block1_conv1", "block2_conv1"))


def test_an_image_that_explodes_is_brought_back(tiny_weights, caplog):
    config = dataclasses.replace(
        TWO_STYLE_LAYERS, optimizer="sgd", learning_rate=3.0, clamp=False, iterations=40
    )
    last = painted(config, tiny_weights)[-1]
    assert "the total has grown from" in caplog.text or "not finite" in caplog.text
    assert last[0] == 40 and np.isfinite(last[1]).all()


def test_an_overflow_in_float16_ends_the_run_with_a_way_out(tiny_weights, monkeypatch):
    require_precision("float16")
    monkeypatch.setitem(extractor.LARGEST_GRADIENT, "float16", 1e6)
    config = dataclasses.replace(SINGLE, precision="float16", max_recoveries=2)
    gone = r"^the gradient not .* step 1 after 2 recoveries; .*--precision=float32"
    with pytest.raises(FloatingPointError, match=gone):
        paint(config, tiny_weights)


def test_losses_that_stay_not_finite_end_the_run_and_name_the_step(tiny_weights):
    broken = dataclasses.replace(
        tiny_weights,
        biases={**tiny_weights.biases, "block2_conv1": np.full(6, np.float32(1e25))},
    )
    twice = dataclasses.replace(TWO_STYLE_LAYERS, max_recoveries=2)
    with pytest.raises(FloatingPointError, match=r"style/block2_conv1.* step 1 after 2 recover"):
        paint(twice, broken)
    with pytest.raises(FloatingPointError, match=r"style/block2_conv1.* step 1; use a smaller"):
        paint(dataclasses.replace(TWO_STYLE_LAYERS, max_recoveries=0), broken)


# Steps that fail for want of memory, are dropped, or lose their device

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
    # Sums over tiles are rounded in another order; their gradient goes through ReLUs and maxima.
    share = switching(distance_error("float32", 3, expected[-1][1][..., 0].size), 3)
    moved = np.linalg.norm(expected[-1][1] - expected[0][1])
    assert np.linalg.norm(seen[-1][1] - expected[-1][1]) < share * moved


class OutOfMemoryOnce:
    """A term that is 0, and for which memory runs out at one of its evaluations."""

    def __init__(self, fail_at):
        self.calls, self.fail_at = 0, fail_at

    def term(self):
        return LossTerm("own", 1.0, self.loss, additive=True)

    def loss(self, pixels):
        return 0.0 * tf.reduce_sum(pixels) + tf.py_function(self.evaluate, [], tf.float32)

    def evaluate(self):
        self.calls += 1
        if self.calls == self.fail_at:
            raise MemoryError  # which TensorFlow turns into an error of the operation
        return 0.0


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adam", 0.02), ("lbfgs", 1.0), ("nadam", 0.02), ("sgd", 1.0)]
)
@pytest.mark.parametrize("fail_at", [1, 4])
def test_a_step_without_memory_within_the_graph_changes_nothing(
    tiny_weights, optimizer, rate, fail_at
):
    config = dataclasses.replace(WHOLE, optimizer=optimizer, learning_rate=rate)

    def losses(fail_at):
        term = OutOfMemoryOnce(fail_at).term()
        iterates = stylize(CONTENT, STYLE, config, weights=tiny_weights, terms=[term])
        return {iterate.step: iterate.terms["total"] for iterate in iterates}

    found, expected = losses(fail_at), losses(None)
    assert [*found] == [*expected] == [1, 2, 3, 4, 5, 6]
    # Sums over tiles are rounded in another order; the image has moved by then.
    np.testing.assert_allclose([*found.values()], [*expected.values()], rtol=1e-3)


def test_a_picture_that_cannot_be_cut_ends_with_its_state_saved(
    tiny_weights, monkeypatch, tmp_path
):
    whole = LossTerm("own", 1.0, lambda pixels: tf.reduce_mean(pixels) ** 2)
    fail_at_calls(monkeypatch, {4})
    keeper = make_checkpointer(tmp_path)
    begun = stylize(CONTENT, STYLE, WHOLE, weights=tiny_weights, checkpointer=keeper, terms=[whole])
    with pytest.raises(MemoryError, match="^out of memory at 64x43; a smaller --size needs less$"):
        list(begun)
    assert keeper.latest().step == 3


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
    fail_at_calls(monkeypatch, {1}, error)
    iterates = stylize(CONTENT, STYLE, WHOLE, weights=tiny_weights)
    assert next(iterates).step == 1 and made == [6]
    iterates.close()


def test_an_operation_that_is_not_found_is_not_taken_for_want_of_memory(tiny_weights, monkeypatch):
    error = tf.errors.NotFoundError(None, None, "no such operation")
    fail_at_calls(monkeypatch, {1}, error)
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
    fail_at_calls(monkeypatch, set(range(1, 100)))
    config = dataclasses.replace(TILED, scales=1, optimizer=optimizer)
    out = f"at 64x43 with tiles of .* px; a smaller --size{advice} needs less"
    with pytest.raises(MemoryError, match=out):
        paint(config, tiny_weights)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "lbfgs", "learning_rate": 1.0}], ids=str)
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


def test_a_scale_that_is_dropped_in_its_first_step_is_resumed_there(tiny_weights, tmp_path):
    config, asked = dataclasses.replace(CONFIG, **TILES), []
    whole = painted(config, tiny_weights)
    first_scale = len({step for step, _ in whole if step <= 4})
    assert first_scale == 4

    def run(is_dropped=lambda: False):
        return stylize(
            *(CONTENT, [STYLE], config),
            weights=tiny_weights,
            checkpointer=make_checkpointer(tmp_path),
            is_dropped=is_dropped,
        )

    def drop():
        asked.append(1)
        return taken == 4

    taken = 0
    with pytest.raises(StepDropped):
        for iterate in run(drop):
            taken = iterate.step
    saved = make_checkpointer(tmp_path).latest()
    assert (saved.step, int(saved.state["run"]["scale"])) == (4, 1)
    resumed = [(iterate.step, np.array(iterate.image)) for iterate in run()]
    assert [step for step, _ in resumed] == [step for step, _ in whole if step > 4]
    np.testing.assert_array_equal(resumed[-1][1], whole[-1][1])


def test_a_scale_that_was_dropped_in_its_first_step_begins_with_the_scale_before(
    tiny_weights, tmp_path, monkeypatch
):
    config, steps = dataclasses.replace(CONFIG, **TILES), []
    given = {"weights": tiny_weights, "checkpointer": make_checkpointer(tmp_path)}
    with pytest.raises(StepDropped):
        for iterate in stylize(
            CONTENT, [STYLE], config, **given, is_dropped=lambda: steps[-1:] == [4]
        ):
            steps.append(iterate.step)
    started, normal = [], ScaleRun.__init__

    def remember(self, problem, scale, start, state, *others):
        started.append(state is not None)
        normal(self, problem, scale, start, state, *others)

    monkeypatch.setattr(ScaleRun, "__init__", remember)
    spoil_gradients(monkeypatch, [1])
    *_, last = stylize(CONTENT, [STYLE], config, **given)
    assert started == [True, True] and last.is_last


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
