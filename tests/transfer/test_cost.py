"""What a job costs: counted by hand, and the tiles that are chosen from it."""

import math
import os
import sys
from pathlib import Path

import pytest

from nst_keras.devices import memory
from nst_keras.devices.memory import MemoryBudget
from nst_keras.network import vgg
from nst_keras.objective import tiles
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import cost
from nst_keras.transfer.scales import Scale

GIB = 1 << 30


def config(**settings):
    settings = {"precision": "float32", **settings}
    return resolve(Config(**settings))


def scale(width, height, steps=10):
    return Scale(0, height, width, steps, 1)


SMALL, LARGE, HUGE = scale(512, 384), scale(4096, 3072), scale(8192, 6144)


@pytest.mark.parametrize(
    ("content", "style", "floats"),
    [
        # 64 + 64; pool 16, 32 + 32; pool 8, 4 x 16; pool 4, 4 x 8; pool 2, 2 x 2.
        ("block5_conv2", "block1_conv1", 322),
        ("block1_conv1", "block5_conv1", 320),
        ("block4_conv2", "block4_conv1", 300),
        ("block1_conv1", "block1_conv1", 64),
    ],
)
def test_features_kept_of_a_pixel_are_those_counted_by_hand(content, style, floats):
    asked = config(content_layers=(content,), style_layers=(style,))
    found = cost._kept_floats(cost._convolutions(asked, vgg.CHANNELS))
    assert found == floats


def test_operations_of_a_step_are_those_counted_by_hand():
    one = config()  # forward to block5_conv2 740736 a pixel, Grams of five layers 34816
    assert cost.cost(one, SMALL, None).flops == 10 * 512 * 384 * (2 * 740736 + 2 * 34816)
    parts = tiles.plan_tiles(3072, 4096, 1024, tiles.receptive_field(("block5_conv2",), "vgg19"))
    pixels = sum(tile.pixels for tile in parts)
    assert cost.cost(one, LARGE, 1024).flops == 10 * pixels * (3 * 740736 + 2 * 34816)


def test_memory_grows_with_all_that_takes_memory():
    def peak(scale=SMALL, side=None, **settings):
        return cost.peak_bytes(config(**settings), scale, side)

    assert peak(LARGE) > 10 * peak()
    assert peak(precision="bfloat16") < peak() < peak(content_layers=("block1_conv1",), average=0.9)
    assert peak(LARGE, 512) < peak(LARGE, 1024) < 0.3 * peak(LARGE)
    few, many = (peak(HUGE, 512, optimizer="lbfgs", history=n) for n in (5, 20))
    assert many - few == 30 * 8192 * 6144 * 12


def test_a_network_of_other_channels_costs_what_it_is_wide():
    narrow, wide = (tuple(round(f * n) for n in vgg.CHANNELS) for f in (0.25, 2))
    one = config()
    flops = [cost.cost(one, SMALL, None, c).flops for c in (narrow, vgg.CHANNELS, wide)]
    assert 13 < flops[1] / flops[0] < 16 and 3.9 < flops[2] / flops[1] < 4  # but for RGB
    peaks = [cost.peak_bytes(one, LARGE, None, c) for c in (narrow, vgg.CHANNELS, wide)]
    assert peaks[0] < peaks[1] / 2 and 1.8 < peaks[2] / peaks[1] < 2
    plan, room = (SMALL, LARGE), MemoryBudget(peaks[1])
    assert cost.settle_tile_size(one, plan, room, narrow) is None
    assert cost.settle_tile_size(one, plan, room) is None
    assert cost.settle_tile_size(one, plan, room, wide) is not None
    exact = MemoryBudget(math.inf, 128 * LARGE.pixels)
    assert cost.settle_tile_size(one, plan, exact, wide) is None
    assert cost.settle_tile_size(one, plan, MemoryBudget(math.inf, exact.features - 1), wide)


def chosen(limit, scale=LARGE, **settings):
    return cost.settle_tile_size(config(**settings), (SMALL, scale), MemoryBudget(limit))


def test_auto_takes_whole_pictures_where_they_fit_and_else_the_largest_tiles_that_do():
    assert chosen(math.inf) is None and chosen(4 * GIB, SMALL) is None
    limits = (40, 20, 8, 5, 4, 3.2)
    sides = [chosen(limit * GIB) for limit in limits]
    assert sides[0] is None
    assert sides[1:] == sorted(sides[1:], reverse=True)
    assert len(set(sides)) > 3
    for side, limit in zip(sides, limits, strict=True):
        assert cost.peak_bytes(config(), LARGE, side) <= limit * GIB


@pytest.mark.parametrize(("given", "side"), [("none", None), (512, 512), (10000, 10000)])
def test_what_is_asked_for_is_taken(given, side):
    assert chosen(1, tile_size=given) == side


def test_tiles_that_are_too_small_for_the_layers_are_refused():
    with pytest.raises(InputError, match="--tile_size=100: must be at least"):
        chosen(math.inf, tile_size=100)


def test_a_history_that_memory_cannot_hold_is_refused():
    with pytest.raises(InputError) as error:
        chosen(9 * GIB, HUGE, optimizer="lbfgs", history=20)
    for words in (
        "8192x6144",
        "--optimizer=lbfgs --history=20",
        "9.0 GiB are there",
        "smaller --h",
    ):
        assert words in str(error.value)
    assert chosen(9 * GIB, HUGE) is not None  # Adam can


def test_a_picture_that_no_tile_makes_fit_is_refused():
    with pytest.raises(InputError, match="or more memory"):
        chosen(GIB, HUGE)


def test_a_device_that_cannot_count_so_far_has_tiles():
    plan = (SMALL, LARGE)
    asked, less = config(precision="bfloat16"), MemoryBudget(math.inf, 64 * LARGE.pixels - 1)
    assert cost.settle_tile_size(asked, plan, MemoryBudget(math.inf, 64 * LARGE.pixels)) is None
    side = cost.settle_tile_size(asked, plan, less)
    assert side * side < LARGE.pixels
    with pytest.raises(InputError, match="--tile_size=none: 12582912 pixels at once; .* give auto"):
        cost.settle_tile_size(config(tile_size="none"), plan, less)


def test_a_batch_fits_in_bytes_and_in_pixels():
    one, three = config(), cost.peak_bytes(config(), SMALL, None) * 3
    cost.check_batch(one, (SMALL,), 3, MemoryBudget(three, 3 * 64 * SMALL.pixels))
    with pytest.raises(InputError, match=r"--batch=3: .*512x384 at once need about"):
        cost.check_batch(one, (SMALL,), 3, MemoryBudget(three // 2))
    with pytest.raises(InputError, match=r"--batch=3: .*512x384 are more pixels at once"):
        cost.check_batch(one, (SMALL,), 3, MemoryBudget(three, 3 * 64 * SMALL.pixels - 1))


@pytest.mark.parametrize(
    ("share", "own"), [("0.25", 250), ("1", 1000), ("0", 1000), ("7", 1000), ("half", 1000)]
)
def test_jobs_that_share_a_device_have_a_part_of_its_memory_each(monkeypatch, share, own):
    assert memory.own_share(1000) == 1000
    monkeypatch.setenv(memory.MEMORY_SHARE, share)
    assert memory.own_share(1000) == own


def test_memory_that_is_there_is_what_is_free_within_the_limit_of_the_group(monkeypatch):
    monkeypatch.setattr(memory, "_free_bytes", lambda: 10.0 * GIB)
    monkeypatch.setattr(memory, "_cgroup_bytes", lambda: math.inf)
    assert memory.available_bytes() == 8 * GIB
    monkeypatch.setattr(memory, "_cgroup_bytes", lambda: 5.0 * GIB)
    assert memory.available_bytes() == 4 * GIB


def test_where_the_system_tells_nothing_there_is_no_end(monkeypatch):
    monkeypatch.setattr(memory, "Path", lambda path: Path("/nowhere") / path.strip("/"))
    all_of_it = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory.available_bytes() == round(0.8 * all_of_it)  # as on macOS
    monkeypatch.delattr(cost.os, "sysconf")
    assert memory.available_bytes() == sys.maxsize  # as on Windows


def test_this_machine_tells_what_it_has():
    assert memory._free_bytes() > 100 << 20
    assert memory._cgroup_bytes() > 100 << 20
    assert memory.available_bytes() > 100 << 20


def test_a_plan_tells_sizes_steps_time_memory_and_tiles():
    one = config(tile_size="none")
    # 1551104 operations a pixel and step, at 0.8 of 1e12 a second; seconds are rounded up.
    assert 15 < 40 * 512 * 384 * 1551104 / 0.8e12 < 16
    text = cost.describe(one, (scale(128, 96), scale(512, 384, 40)), 1e12)
    assert text.startswith("128x96 10 steps 0:01, 512x384 40 steps 0:16; in all about 0:16 if")
    assert text.endswith("GiB, in whole pictures")
    tiled = cost.describe(config(tile_size=512), (scale(4096, 3072),), 1e12)
    assert tiled.endswith("in tiles of 512 px")
