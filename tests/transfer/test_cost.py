"""What a run costs: counted by hand, and the tiles that are chosen from it."""

import math

import pytest

from nst_keras.devices.memory import GIB, MemoryBudget
from nst_keras.network import vgg
from nst_keras.objective import tiles
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.cost import CostModel
from nst_keras.transfer.plan import Scale

VGG19 = vgg.architecture("vgg19")


def costs(channels=vgg.CHANNELS, precision="float32", **settings):
    config = Config(**{"objective": "relative", **settings})
    return CostModel(resolve(config), precision, vgg.architecture("vgg19", channels))


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
    assert VGG19.cost((content, style)).kept == floats


def test_operations_of_a_step_are_those_counted_by_hand():
    # Forward to block5_conv2 740736 a pixel, Grams of five layers 34816.
    assert costs().step_flops(SMALL, None) == 512 * 384 * (2 * 740736 + 2 * 34816)
    parts = tiles.plan_tiles(3072, 4096, 1024, tiles.receptive_field([VGG19["block5_conv2"]]))
    pixels = sum(tile.pixels for tile in parts)
    assert costs().step_flops(LARGE, 1024) == pixels * (3 * 740736 + 2 * 34816)


def test_memory_grows_with_all_that_takes_memory():
    def peak(scale=SMALL, side=None, **settings):
        return costs(**settings).peak_bytes(scale, side)

    assert peak(LARGE) > 10 * peak()
    assert peak(precision="bfloat16") < peak() < peak(content_layers=("block1_conv1",), average=0.9)
    assert peak(LARGE, 512) < peak(LARGE, 1024) < 0.3 * peak(LARGE)
    few, many = (peak(HUGE, 512, optimizer="lbfgs", history=n) for n in (5, 20))
    assert many - few == 30 * 8192 * 6144 * 12


def test_a_photo_in_the_colors_of_the_styles_is_one_more_picture():
    plain, colored = (costs(style_colors=share).peak_bytes(HUGE, 512) for share in (0.0, 0.5))
    assert colored - plain == 8192 * 6144 * 12


def test_a_pyramid_takes_four_thirds_of_what_pixels_take_and_its_bands():
    for settings, held in (({}, 5), ({"average": 0.9}, 6)):
        models = [costs(variables=kind, **settings) for kind in ("pixels", "pyramid")]
        pixels, pyramid = (model.peak_bytes(HUGE, 512) for model in models)
        assert pyramid - pixels == pytest.approx((held / 3 + 1.75) * 8192 * 6144 * 12, abs=1)


def test_a_network_of_other_channels_costs_what_it_is_wide():
    channels = (tuple(round(f * n) for n in vgg.CHANNELS) for f in (0.25, 1, 2))
    models = narrow, usual, wide = [costs(some) for some in channels]
    flops = [model.step_flops(SMALL, None) for model in models]
    assert 13 < flops[1] / flops[0] < 16 and 3.9 < flops[2] / flops[1] < 4  # but for RGB
    peaks = [model.peak_bytes(LARGE, None) for model in models]
    assert peaks[0] < peaks[1] / 2 and 1.8 < peaks[2] / peaks[1] < 2
    plan, budget = (SMALL, LARGE), MemoryBudget(peaks[1])
    assert narrow.choose_tile_size(plan, budget) is None
    assert usual.choose_tile_size(plan, budget) is None
    assert wide.choose_tile_size(plan, budget) is not None
    exact = MemoryBudget(math.inf, 128 * LARGE.pixels)
    assert wide.choose_tile_size(plan, exact) is None
    assert wide.choose_tile_size(plan, MemoryBudget(math.inf, exact.features - 1))


def chosen(limit, scale=LARGE, **settings):
    return costs(**settings).choose_tile_size((SMALL, scale), MemoryBudget(limit))


def test_auto_takes_whole_pictures_where_they_fit_and_else_the_largest_tiles_that_do():
    assert chosen(math.inf) is None and chosen(4 * GIB, SMALL) is None
    limits = (40, 20, 8, 5, 4, 3.2)
    sides = [chosen(limit * GIB) for limit in limits]
    assert sides[0] is None
    assert sides[1:] == sorted(sides[1:], reverse=True)
    assert len(set(sides)) > 3
    for side, limit in zip(sides, limits, strict=True):
        assert costs().peak_bytes(LARGE, side) <= limit * GIB


@pytest.mark.parametrize(("given", "side"), [("none", None), (512, 512), (10000, 10000)])
def test_a_given_tile_size_is_taken(given, side):
    assert chosen(1, tile_size=given) == side


@pytest.mark.parametrize("given", ["none", 2048])
def test_a_given_tile_size_that_a_given_limit_rules_out_is_refused(given):
    limited = {"tile_size": given, "memory_limit": 2 * GIB}
    side = None if given == "none" else given
    needed = costs().peak_bytes(LARGE, side)
    assert needed > 2 * GIB and chosen(needed, **limited) == side
    message = (
        rf"^--tile_size={given}: {LARGE.width}x{LARGE.height} then needs about "
        rf"{needed / GIB:.1f} GiB, but --memory_limit allows 2 GiB; use --tile_size=auto$"
    )
    with pytest.raises(InputError, match=message):
        chosen(2 * GIB, **limited)


def test_tiles_that_are_too_small_for_the_layers_are_refused():
    with pytest.raises(InputError, match="--tile_size=100: .*at least"):
        chosen(math.inf, tile_size=100)


def test_a_history_that_memory_cannot_hold_is_refused():
    with pytest.raises(InputError) as error:
        chosen(9 * GIB, HUGE, optimizer="lbfgs", history=20)
    for words in (
        "8192x6144",
        "--optimizer=lbfgs --history=20",
        "9.0 GiB are available",
        "smaller --h",
    ):
        assert words in str(error.value)
    assert chosen(9 * GIB, HUGE) is not None  # Adam can


def test_a_picture_that_no_tile_makes_fit_is_refused():
    with pytest.raises(InputError, match="or more memory"):
        chosen(GIB, HUGE)


def test_a_device_that_cannot_index_so_many_features_has_tiles():
    plan = (SMALL, LARGE)
    model, less = costs(precision="bfloat16"), MemoryBudget(math.inf, 64 * LARGE.pixels - 1)
    exact = MemoryBudget(math.inf, 64 * LARGE.pixels)
    assert model.choose_tile_size(plan, exact) is None
    side = model.choose_tile_size(plan, less)
    assert side * side < LARGE.pixels
    too_large = "--tile_size=none: tiles of 12582912 pixels exceed .* use --tile_size=auto"
    with pytest.raises(InputError, match=too_large):
        costs(tile_size="none").choose_tile_size(plan, less)


def test_a_batch_fits_in_bytes_and_in_pixels():
    model = costs()
    three = model.peak_bytes(SMALL, None) * 3
    model.check_batch((SMALL,), 3, MemoryBudget(three, 3 * 64 * SMALL.pixels))
    with pytest.raises(InputError, match=r"--batch=3: .*512x384 need about .* at once"):
        model.check_batch((SMALL,), 3, MemoryBudget(three // 2))
    with pytest.raises(InputError, match=r"--batch=3: .*512x384 have more pixels than .* at once"):
        model.check_batch((SMALL,), 3, MemoryBudget(three, 3 * 64 * SMALL.pixels - 1))


def test_a_description_gives_sizes_steps_time_memory_and_tiles():
    # 1551104 operations a pixel and step, of 7000 pixels more than there are, at 0.9 of 1e12 a
    # second; seconds are rounded up.
    coarse, fine = ((pixels + 7000) * 1551104 / 0.9e12 for pixels in (128 * 96, 512 * 384))
    assert 14 < 40 * fine < 15
    # In all: 1 s for the graph of both scales, 0.5 s and 1.5 of its steps to set up each of them,
    # and 8 steps of the last one at the end.
    whole = 1.0 + 10 * coarse + 40 * fine + 2 * 0.5 + 1.5 * (coarse + fine) + 8 * fine
    assert 19.5 < whole < 20
    both = scale(128, 96), scale(512, 384, 40)
    steps, text = costs().describe(both, None, 1e12)
    assert steps == "10 steps at 128x96, 40 at 512x384"
    assert text.startswith("about 0:20, up to about ") and text.endswith(" GiB, in whole pictures")
    # A graph of the bands of a pyramid serves one size only.
    _, text = costs(variables="pyramid").describe(both, None, 1e12)
    assert text.startswith("about 0:21, ")
    # With neighbors 1.6 times as long; these reach no deeper than the content.
    _, text = costs(objective="neighbors", content_layers=("block5_conv2",)).describe(
        (scale(512, 384, 40),), None, 1e12
    )
    assert 22 < 40 * 1.6 * fine < 23 and 32 < (40 + 7 + 8) * 1.6 * fine + 1.5 < 33
    assert text.startswith("about 0:33, ")
    # On a GPU a quarter of the rate, for 200000 pixels more, and 6 s to set up a scale; XLA makes
    # steps 2.5 times as fast.
    step = (512 * 384 + 200_000) * 1551104 / 250e12
    assert 12 < 5000 * step < 13 and 24 < 5000 * step / 2.5 + 20 < 25
    for xla, told in ((False, "0:19"), ("auto", "0:19"), (True, "0:31")):
        _, text = costs().describe((scale(512, 384, 5000),), None, 1e15, on_gpu=True, xla=xla)
        assert text.startswith(f"about {told}, ")
    _, text = costs().describe((scale(512, 384, 50_000),), None, 1e15, on_gpu=True, xla="auto")
    assert text.startswith("about 1:16, ")  # 123 s / 2.5 + 20 s + 6 s
    _, tiled = costs().describe((scale(4096, 3072),), 512, 1e12)
    assert tiled.endswith("in tiles of 512 px")


def test_the_plan_counts_what_reading_took_and_the_pictures_that_are_held():
    settings, one = resolve(Config()), scale(128, 96)
    plain, holding = (CostModel(settings, "float32", VGG19, held) for held in (0, 2 * GIB))
    assert holding.peak_bytes(one, None) - plain.peak_bytes(one, None) == 2 * GIB
    assert "up to about 7.5 GiB" in plain.describe((one,), None, 1e12, round(7.5 * GIB))[1]


def test_neighbors_take_memory_for_the_vectors_of_the_styles_and_of_a_tile():
    def peak(scale, side=None, precision="bfloat16", **settings):
        given = {"objective": "neighbors", **settings}
        return costs(precision=precision, **given).peak_bytes(scale, side)

    assert peak(SMALL) < peak(LARGE, 512) < peak(HUGE, 512)
    # The number of vectors is bounded: 2^14 of all channels in bfloat16. In a tile the widest layer
    # has 512 channels every 4 pixels.
    more = peak(HUGE, 512) - peak(HUGE, 512, neighbors_weight=0.0)
    vectors = 2**14 * (2 * 64 + 2 * 128 + 4 * 256 + 4 * 512) * 2
    tile = 2.5 * 512 * 4 * (512 / 4) ** 2
    assert more == pytest.approx(vectors + tile + (160 << 20), abs=1)


def test_regions_cost_moments_of_their_own():
    settings = resolve(Config(objective="relative"))
    plain, masked = (CostModel(settings, "float32", VGG19, regions=count) for count in (0, 3))
    difference = masked.step_flops(SMALL, None) - plain.step_flops(SMALL, None)
    assert difference == 512 * 384 * 2 * (3 - 1) * 34816
    # Weighted features of block1_conv1 in each region, and its masks.
    more = masked.peak_bytes(SMALL, None) - plain.peak_bytes(SMALL, None)
    assert more == 512 * 384 * 3 * 4 * (64 + 2.5)
