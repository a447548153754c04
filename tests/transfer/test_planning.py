"""The plan that is made of settings and inputs, and the time limit that it must fit."""

import dataclasses
import math
import time

import pytest

from nst_keras.network import vgg
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import compiling, planning
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.inputs import read_inputs
from nst_keras.transfer.planning import make_plan
from tests.conftest import picture
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    NEIGHBORS,
    OUT_OF_MEMORY,
    SINGLE,
    STYLE,
    TILED,
    count_tiles,
)


def settled(config, weights):
    """The settings and inputs of a run."""
    settings = resolve(config)
    return settings, read_inputs(settings, CONTENT, STYLE, weights)


def plan_of(weights, config=CONFIG, **options):
    return make_plan(*settled(config, weights), **options)


def test_a_plan_says_scales_steps_precision_and_pictures(tiny_weights):
    plan = plan_of(tiny_weights)
    assert [(s.height, s.width, s.steps) for s in plan.scales] == [(24, 36, 4), (32, 48, 6)]
    assert (plan.precision, plan.tile_size, plan.image_every) == ("float32", None, 1)
    assert (plan.iterations, plan.coarse_iterations, plan.total_steps) == (6, (4,), 10)


@pytest.mark.parametrize(("given", "steps", "every"), [(None, 100, 5), (7, 100, 7), (0, 100, 0)])
def test_about_24_pictures_are_kept_unless_given(tiny_weights, given, steps, every):
    config = dataclasses.replace(SINGLE, iterations=steps, image_every=given)
    assert plan_of(tiny_weights, config).image_every == every


@pytest.mark.parametrize(
    ("given", "steps", "every"), [(None, 45, 1), (None, 61, 2), (None, 6000, 100), (7, 6000, 7)]
)
def test_losses_are_logged_at_about_sixty_steps(tiny_weights, given, steps, every):
    config = dataclasses.replace(SINGLE, iterations=steps, log_every=given)
    assert plan_of(tiny_weights, config).log_every == every


def test_auto_cuts_what_memory_does_not_hold(tiny_weights):
    config = dataclasses.replace(SINGLE, size=800)
    (scale,) = plan_of(tiny_weights, config).scales
    held = settled(config, tiny_weights)[1].held_bytes
    costs = CostModel(
        resolve(config), "float32", vgg.architecture("vgg19", tiny_weights.channels), held
    )
    whole = costs.peak_bytes(scale, None)
    enough, less = (
        plan_of(tiny_weights, dataclasses.replace(config, memory_limit=whole + more))
        for more in (1, -1)
    )
    assert enough.tile_size is None and less.tile_size < 800
    with pytest.raises(InputError, match="--memory_limit allows"):
        plan_of(tiny_weights, dataclasses.replace(config, memory_limit=1 << 20))


@pytest.mark.parametrize(
    ("size", "changes", "advice"),
    [
        (128, {}, "16"),  # 100 * (128 * 96) / (320 * 240)
        (192, {}, "36"),
        (320, {}, None),
        (128, {"learning_rate": 16.0}, None),
        (320, {"style_weight": 4e-6}, "25"),
        (128, {"style_weight": 0.0}, None),
        (128, {"optimizer": "adam", "learning_rate": 1.0}, None),
        (128, {"scales": 2, "size": 512}, "16"),  # at the coarsest scale
        (128, {"objective": "tf_tutorial"}, None),
    ],
)
def test_a_rate_that_is_known_to_diverge_is_warned_of(tiny_weights, caplog, size, changes, advice):
    config = Config(
        **{"objective": "keras_example", "size": size, "precision": "float32"} | changes
    )
    settings = resolve(config)
    make_plan(settings, read_inputs(settings, picture(30, 40), STYLE, tiny_weights))
    found = [it.message for it in caplog.records if it.levelname == "WARNING"]
    if advice is None:
        assert found == []
    else:
        (message,) = found
        assert "losses may grow to NaN" in message
        assert message.endswith(f"use --learning_rate={advice}")


# Time limits


@pytest.fixture
def measured(monkeypatch):
    """A machine on which a step takes 1 s at the coarse scale and 2 s at the fine one."""
    monkeypatch.setattr(planning, "measure_seconds", lambda *_: ((1.0, 2.0), 1.0))


LIMITED = dataclasses.replace(CONFIG, iterations=20, coarse_iterations=(10,), time_limit=200.0)


def test_steps_fit_the_time_that_is_left(tiny_weights, measured):
    now = time.monotonic()
    plan = plan_of(tiny_weights, LIMITED, started=now)
    # 200 s less 12 for the end, 16 of slack and 1 to set both up; one step of each takes 3.
    factor = (200 - 12 - 16 - 1 - 3) / 50
    assert plan.coarse_iterations in ((1 + int(10 * factor),), (int(10 * factor),))
    assert plan.iterations in (1 + int(20 * factor), int(20 * factor))
    assert [scale.steps for scale in plan.scales] == [*plan.coarse_iterations, plan.iterations]
    assert plan.image_every == math.ceil(plan.total_steps / 24)


def test_time_counts_from_when_the_run_was_asked_for(tiny_weights, measured):
    later = plan_of(tiny_weights, LIMITED, started=time.monotonic() - 100.0)
    assert later.total_steps < 0.5 * plan_of(tiny_weights, LIMITED).total_steps


def test_a_limit_for_a_few_steps_only_is_told(tiny_weights, measured, caplog):
    plan = plan_of(tiny_weights, dataclasses.replace(LIMITED, time_limit=22.0))
    assert plan.total_steps < 6
    assert f"only {plan.total_steps} of the usual 30 steps fit" in caplog.text
    caplog.clear()
    plan_of(tiny_weights, LIMITED)
    assert "steps fit" not in caplog.text


def test_given_steps_are_the_most_that_a_time_limit_leads_to(tiny_weights, measured):
    plan = plan_of(tiny_weights, LIMITED, iterations_given=True)
    assert (plan.coarse_iterations, plan.iterations) == ((10,), 20)
    short = dataclasses.replace(LIMITED, time_limit=60.0)
    assert plan_of(tiny_weights, short, iterations_given=True).iterations < 20


def test_a_limit_that_is_too_short_is_refused(tiny_weights, measured):
    with pytest.raises(InputError, match="--time_limit=9s: .*--size"):
        plan_of(tiny_weights, dataclasses.replace(LIMITED, time_limit=9.0))


def test_measured_times_are_linear_in_pixels(tiny_weights):
    settings, inputs = settled(dataclasses.replace(CONFIG, scales=3), tiny_weights)
    plan = make_plan(settings, inputs)
    seconds, setting_up = planning.measure_seconds(settings, inputs, plan)
    first, middle, last = (scale.pixels for scale in plan.scales)
    share = (middle - first) / (last - first)
    assert len(plan.scales) == len(seconds) == 3 and setting_up >= 0
    assert all(math.isfinite(value) for value in seconds)
    assert seconds[1] == pytest.approx(seconds[0] + share * (seconds[2] - seconds[0]))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 3 * 10.0 + 100.0 + 100.0),  # both ends, one of which would take none
        ({"optimizer": "sgd"}, 3 * 10.0 + 3 * 100.0),
        (NEIGHBORS, 4 * 10.0 + 2 * 100.0),
    ],
    ids=str,
)
def test_a_graph_that_scales_share_is_set_up_once(tiny_weights, monkeypatch, settings, expected):
    monkeypatch.setattr(planning, "_time_scale", lambda *_: (1.0, 10.0, 100.0))
    settings, inputs = settled(dataclasses.replace(CONFIG, scales=3, **settings), tiny_weights)
    plan = make_plan(settings, inputs)
    assert planning.measure_seconds(settings, inputs, plan) == (
        (1.0,) * len(plan.scales),
        expected,
    )


@pytest.mark.parametrize(
    ("settings", "graphs"), [({}, 1), ({"optimizer": "sgd"}, 2), (NEIGHBORS, 2)], ids=str
)
def test_times_are_measured_with_as_many_graphs_as_a_run_has(
    tiny_weights, monkeypatch, settings, graphs
):
    made, normal = [], compiling.TracedOnce.__init__

    def remember(self, function):
        normal(self, function)
        made.append(self)

    monkeypatch.setattr(compiling.TracedOnce, "__init__", remember)
    settings, inputs = settled(dataclasses.replace(CONFIG, **settings), tiny_weights)
    planning.measure_seconds(settings, inputs, make_plan(settings, inputs))
    assert len(made) == graphs


def test_without_memory_times_are_measured_in_smaller_tiles(tiny_weights, monkeypatch, caplog):
    seen = []

    def measured(settings, inputs, plan, replicas):
        seen.append(plan.tile_size)
        if len(seen) < 3:
            raise OUT_OF_MEMORY
        return (1.0, 2.0), 1.0

    monkeypatch.setattr(planning, "measure_seconds", measured)
    plan = plan_of(tiny_weights, dataclasses.replace(LIMITED, size=160, scales=2))
    assert seen == [None, 80, 40] and plan.tile_size == 40
    assert "out of memory; continuing with tiles of 40 px" in caplog.text


def test_steps_are_measured_in_the_tiles_that_will_be_used(tiny_weights, monkeypatch):
    made = count_tiles(monkeypatch)
    settings, inputs = settled(dataclasses.replace(TILED, scales=1), tiny_weights)
    planning.measure_seconds(settings, inputs, make_plan(settings, inputs))
    assert len(made) == 1 and made[0] > 1


@pytest.mark.parametrize(
    ("on_gpu", "room", "host", "on_host"),
    [
        (True, 1, 1 << 40, False),  # bytes more than the least with all on the device
        (True, -1, 1 << 40, True),
        (True, -1, 1 << 20, None),  # the host has no room either
        (False, -1, 1 << 40, None),
    ],
)
def test_a_gpu_leaves_to_the_host_what_it_has_no_room_for(
    tiny_weights, monkeypatch, on_gpu, room, host, on_host
):
    config = dataclasses.replace(SINGLE, size=1024)
    plan = plan_of(tiny_weights, config)
    held = settled(config, tiny_weights)[1].held_bytes
    costs = CostModel(
        resolve(config), "float32", vgg.architecture("vgg19", tiny_weights.channels), held
    )
    least = min(costs.peak_bytes(plan.scales[-1], side) for side in range(256, 2561, 64))
    monkeypatch.setattr(planning.memory, "on_gpu", lambda: on_gpu)
    monkeypatch.setattr(planning.memory, "available_bytes", lambda: host)
    limited = dataclasses.replace(config, memory_limit=least + room)
    if on_host is None:
        with pytest.raises(InputError, match="even in small tiles"):
            plan_of(tiny_weights, limited)
        return
    found = plan_of(tiny_weights, limited)
    assert found.tile_size and found.state_on_host == on_host
    # A resume has the size of tiles as a setting.
    again = plan_of(tiny_weights, dataclasses.replace(limited, tile_size=found.tile_size))
    assert (again.tile_size, again.state_on_host) == (found.tile_size, on_host)
