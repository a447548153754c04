"""The coarse-to-fine plan, as settings and as steps."""

import dataclasses
import math
import re

import pytest

from nst_keras import Config
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import plan as plan_lib
from nst_keras.transfer.plan import Plan, Scale

PLAN = Plan((Scale(0, 10, 20, 30, 1), Scale(1, 20, 40, 50, 31)), "bfloat16", None, 4, 50, (30,))


def test_auto_takes_steps_of_root_two_from_128_to_512():
    assert plan_lib.plan_sizes(512, 128, "auto", math.sqrt(2)) == (128, 181, 256, 362, 512)


def test_auto_doubles_from_128_to_512():
    assert plan_lib.plan_sizes(512, 128, "auto", 2.0) == (128, 256, 512)


@pytest.mark.parametrize("size", [129, 181, 182, 256, 300, 511, 512, 513, 1000, 2048, 8000])
@pytest.mark.parametrize("min_size", [32, 128])
@pytest.mark.parametrize("ratio", [1.2, math.sqrt(2), 2.0, 8.0])
def test_auto_is_the_fewest_scales_of_at_most_the_ratio(size, min_size, ratio):
    sizes = plan_lib.plan_sizes(size, min_size, "auto", ratio)
    assert (sizes[0], sizes[-1]) == (min_size, size)
    jumps = len(sizes) - 1
    assert (size / min_size) ** (1 / jumps) <= ratio * (1 + 1e-9)
    if jumps > 1:
        assert (size / min_size) ** (1 / (jumps - 1)) > ratio


@pytest.mark.parametrize("size", [64, 128])
def test_auto_is_one_scale_where_the_size_is_not_above_the_smallest(size):
    assert plan_lib.plan_sizes(size, 128, "auto", 2.0) == (size,)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, (512,)), (2, (128, 512)), (3, (128, 256, 512)), (4, (128, 203, 323, 512))],
)
def test_a_number_of_scales_has_one_equal_ratio_and_ends_at_the_size(count, sizes):
    assert plan_lib.plan_sizes(512, 128, count, 2.0) == sizes


@pytest.mark.parametrize(
    ("given", "coarse", "spread"),
    [
        ((100,), 0, ()),
        ((100,), 3, (100, 100, 100)),
        ((150, 80, 60, 50), 4, (150, 80, 60, 50)),
        ((150, 80, 60, 50), 2, (150, 50)),
        ((150, 80, 60, 50), 1, (150,)),
        ((150, 50), 3, (150, 100, 50)),
        ((100, 50, 20), 5, (100, 75, 50, 35, 20)),
    ],
)
def test_steps_are_read_as_a_curve_over_the_coarse_scales(given, coarse, spread):
    assert plan_lib.spread_steps(given, coarse) == spread


def test_the_plan_counts_steps_over_the_whole_run():
    plan = plan_lib.plan_scales((300, 400), (128, 256), (30, 20))
    assert plan == (Scale(0, 96, 128, 30, 1), Scale(1, 192, 256, 20, 31))
    assert [(s.first_step, s.last_step, s.pixels) for s in plan] == [
        (1, 30, 96 * 128),
        (31, 50, 192 * 256),
    ]


def test_the_plan_needs_steps_for_each_scale():
    with pytest.raises(ValueError):
        plan_lib.plan_scales((300, 400), (128, 256), (30,))


def test_fitted_steps_use_the_time_and_keep_the_proportions():
    # 10 s less 2 beside the steps; one step each takes 0.3 s; 7.7 s over 20*0.1 + 10*0.2 s: 1.925.
    assert plan_lib.fit_steps((20, 10), (0.1, 0.2), 2.0, 10.0) == (39, 20)


@pytest.mark.parametrize("limit", [1.0, 7.3, 60.0, 1000.0])
def test_fitted_steps_end_within_the_limit_but_not_much_before(limit):
    steps, seconds = (150, 80, 100), (0.01, 0.03, 0.2)
    fitted = plan_lib.fit_steps(steps, seconds, 0.6, limit)
    spent = 0.6 + sum(n * each for n, each in zip(fitted, seconds, strict=True))
    assert limit - sum(seconds) <= spent <= limit
    assert min(fitted) >= 1


def test_a_limit_that_allows_one_step_per_scale_gives_just_that():
    assert plan_lib.fit_steps((100, 100), (1.0, 2.0), 1.0, 4.0) == (1, 1)


def test_a_limit_below_one_step_per_scale_is_refused():
    with pytest.raises(InputError) as caught:
        plan_lib.fit_steps((100, 100), (1.0, 2.0), 1.0, 3.9)
    message = str(caught.value)
    assert message.startswith("--time_limit=3.9s: ")
    assert "about 4 s" in message and "--size" in message and "\n" not in message


def test_original_size_is_the_contents_own():
    config = resolve(Config(size="original"))
    last = plan_lib.plan_run(config, (40, 60))[-1]
    assert (last.height, last.width) == (40, 60)


@pytest.mark.parametrize("ratio", [1, 1.5, 4, 7.9, 8.1, 10, 20, 31.9, 32.1, 150, 1000])
@pytest.mark.parametrize("size", [32, 100, 256, 512, 3000, "original"])
@pytest.mark.parametrize("scales", [1, 3, "auto"])
def test_no_scale_is_stretched_or_the_size_is_refused(ratio, size, scales):
    config = resolve(Config(size=size, scales=scales, min_size=32))
    for content in ((40, round(40 * ratio)), (round(40 * ratio), 40)):
        try:
            plan = plan_lib.plan_run(config, content)
        except InputError:
            assert min(content) * size / max(content) < 15.5
            continue
        assert max(plan[-1].height, plan[-1].width) == (
            max(content) if size == "original" else size
        )
        for scale in plan:
            longest = max(scale.height, scale.width)
            assert min(scale.height, scale.width) >= 16
            exact = [side * longest / max(content) for side in content]
            assert abs(scale.height - exact[0]) <= 0.5 and abs(scale.width - exact[1]) <= 0.5


@pytest.mark.parametrize(
    ("content", "size", "words"),
    [
        ((20, 3000), 512, "3000x20 would become 512x3, .* --size=2325 or more, --size=original or"),
        ((500, 10_000), 256, "10000x500 would become 256x13, .*; use --size=310 or more, "),
        ((10_000, 500), 256, "500x10000 would become 13x256, "),
        ((16, 40_000), 512, "40000x16 would become 512x1, .*; use --size=original or --fit=crop$"),
    ],
)
def test_a_size_that_makes_a_side_too_short_is_refused_with_one_that_works(content, size, words):
    with pytest.raises(InputError, match=f"^--size={size}: the content of {words}") as caught:
        plan_lib.plan_run(resolve(Config(size=size)), content)
    assert caught.value.flags == ("size",)
    for advice in re.findall(r"--size=(\w+)", str(caught.value))[1:]:
        config = resolve(Config(size=advice if advice == "original" else int(advice)))
        assert plan_lib.plan_run(config, content)


def test_the_coarsest_scale_is_larger_where_a_side_would_be_too_short():
    sizes = [(it.width, it.height) for it in plan_lib.plan_run(resolve(Config()), (100, 1000))]
    assert sizes == [(155, 16), (282, 28), (512, 51)]


def test_fit_crop_makes_a_square_of_the_content():
    config = resolve(Config(fit="crop"))
    assert plan_lib.cropped_size(config, (20, 3000)) == (20, 20)
    assert plan_lib.cropped_size(dataclasses.replace(config, fit="scale"), (20, 30)) == (20, 30)


def test_total_steps_are_those_of_all_scales():
    assert PLAN.total_steps == 80


def test_what_is_decided_are_settings_with_which_the_run_can_be_repeated():
    decided = PLAN.decided()
    assert decided == {
        "xla": False,
        "precision": "bfloat16",
        "tile_size": "none",
        "image_every": 4,
        "log_every": 1,
        "iterations": 50,
        "coarse_iterations": (30,),
        "detail_iterations": 0,
        "time_limit": None,
    }
    assert decided.keys() <= OPTIONS.keys()
    assert dataclasses.replace(Config(), **decided).iterations == 50
    assert dataclasses.replace(PLAN, tile_size=512).decided()["tile_size"] == 512


def test_the_last_phase_is_a_scale_of_its_own_at_full_size():
    config = resolve(Config(size=64, scales=2, min_size=32, detail_iterations=7, match_every=3))
    *scales, detail = plan_lib.plan_run(config, (40, 64))
    plain = plan_lib.plan_run(dataclasses.replace(config, detail_iterations=0), (40, 64))
    assert tuple(scales) == plain
    assert (detail.height, detail.width, detail.steps) == (40, 64, 7)
    assert detail.first_step == scales[-1].last_step + 1 and detail.index == 2
    assert detail.by_layer and detail.match_every == 3
    assert not any(scale.by_layer or scale.match_every for scale in scales)


def test_without_neighbors_there_is_no_last_phase():
    config = resolve(Config(neighbors_weight=0.0, detail_iterations=7))
    assert not plan_lib.plan_run(config, (40, 64))[-1].by_layer
