"""The plan of tiles: they own every pixel once, see enough, and are few sizes."""

import pytest

from nst_keras.network import vgg
from nst_keras.objective import tiles
from nst_keras.runtime.errors import InputError

STYLES = tuple(f"block{n}_conv1" for n in range(1, 6))


def field_of(layers, backbone="vgg19"):
    return tiles.receptive_field(map(vgg.architecture(backbone).__getitem__, layers))


REACH = field_of(STYLES)


@pytest.mark.parametrize(
    ("layer", "backbone", "halo", "stride"),
    [
        # Receptive fields of 3, 24, 68, 84, 156, 188 and 252 px, from the literature's recursion.
        ("block1_conv1", "vgg19", 1, 1),
        ("block3_conv1", "vgg19", 12, 4),
        ("block4_conv1", "vgg19", 32, 8),
        ("block4_conv2", "vgg19", 40, 8),
        ("block5_conv1", "vgg19", 80, 16),
        ("block5_conv2", "vgg19", 96, 16),
        ("block5_conv4", "vgg19", 128, 16),
        # 3 instead of 4 convolutions in block 3 and 4: 132 px and, at block3_conv3, 40.
        ("block5_conv1", "vgg16", 64, 16),
        ("block3_conv3", "vgg16", 20, 4),
    ],
)
def test_the_halo_is_what_features_see_beyond_their_own(layer, backbone, halo, stride):
    assert field_of((layer,), backbone) == tiles.ReceptiveField(halo, stride)
    assert field_of(("block1_conv1", layer), backbone) == tiles.ReceptiveField(halo, stride)


SIZES = [(512, 384, 256), (413, 379, 240), (1000, 1000, 512), (4096, 3072, 1024), (97, 2000, 300)]


@pytest.mark.parametrize(("height", "width", "side"), SIZES)
@pytest.mark.parametrize("layers", [STYLES, ("block4_conv2", "block3_conv1"), ("block1_conv1",)])
def test_tiles_own_every_pixel_once_and_see_enough(height, width, side, layers):
    reach = field_of(layers)
    halo, stride = reach.halo, reach.stride
    plan = tiles.plan_tiles(height, width, side, reach)
    assert sum(owned(tile.rows) * owned(tile.columns) for tile in plan) == height * width
    assert len({(tile.rows, tile.columns) for tile in plan}) == len(plan) > 1
    for spans, length in (
        ({tile.rows for tile in plan}, height),
        ({tile.columns for tile in plan}, width),
    ):
        inner = [0, *sorted(span.own_stop for span in spans)]
        assert [span.own_start for span in sorted(spans, key=lambda s: s.start)] == inner[:-1]
        assert inner[-1] == length
        for span in spans:
            assert span.length <= side
            assert span.start == 0 or span.own_start - span.start == halo
            assert span.stop == length or span.stop - span.own_stop == halo
            assert span.start % stride == 0 and span.own_start % stride == 0
            assert span.stop == length or span.stop % stride == 0
    assert len({(tile.rows.length, tile.columns.length) for tile in plan}) <= 4


def owned(span):
    return span.own_stop - span.own_start


def test_a_window_is_what_is_owned_in_the_tile_itself():
    first, second = tiles.plan_tiles(100, 200, 160, field_of(("block3_conv1",)))
    assert first.rows == second.rows == tiles.Span(0, 100, 0, 100)
    assert (first.columns, second.columns) == (
        tiles.Span(0, 112, 0, 100),
        tiles.Span(88, 200, 100, 200),
    )
    assert first.window == (0, 100, 0, 100) and second.window == (0, 100, 12, 112)
    assert first.pixels == 11200


def test_tiles_are_as_equal_as_they_can_be():
    """600 px in tiles of up to 512: not one of 512 and a small rest."""
    plan = tiles.plan_tiles(64, 600, 512, field_of(("block5_conv1",)))
    assert [tile.columns.length for tile in plan] == [384, 376]


@pytest.mark.parametrize("side", [None, 500, 10**6])
def test_one_tile_is_the_whole_image(side):
    (tile,) = tiles.plan_tiles(300, 500, side, REACH)
    assert tile.rows == tiles.Span(0, 300, 0, 300)
    assert tile.columns == tiles.Span(0, 500, 0, 500)
    assert tile.window == (0, 300, 0, 500)


def test_a_side_that_leaves_nothing_between_halos_is_refused():
    with pytest.raises(
        InputError, match=r"^--tile_size=100: must be at least 176 with these layers$"
    ):
        tiles.plan_tiles(300, 500, 100, REACH)
    assert len(tiles.plan_tiles(300, 500, 176, REACH)) > 1
    assert len(tiles.plan_tiles(60, 90, 100, REACH)) == 1


def load_of(side, count, height, width):
    """Pixels of the busiest of so many replicas."""
    found = tiles.plan_tiles(height, width, side, REACH)
    return max(sum(found[n].pixels for n in share) for share in tiles.assign(found, count))


@pytest.mark.parametrize("size", [(1536, 2048), (6144, 8192), (700, 3000)])
@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_side_for_replicas_keeps_the_busiest_from_having_much_more_than_its_share(size, count):
    side = tiles.side_for(count, *size, REACH)
    found = tiles.plan_tiles(*size, side, REACH)
    assert len(found) >= count
    load = load_of(side, count, *size)
    assert load <= 1.3 * sum(tile.pixels for tile in found) / count
    largest = next(
        one
        for one in range(max(size) // 16 * 16, 0, -16)
        if len(tiles.plan_tiles(*size, one, REACH)) >= count
    )
    assert load <= load_of(largest, count, *size)


def test_at_8k_64_replicas_are_not_left_waiting_for_a_second_round():
    side = tiles.side_for(64, 6144, 8192, REACH)
    assert load_of(side, 64, 6144, 8192) < 0.85 * load_of(1024, 64, 6144, 8192)


def test_a_side_for_replicas_stays_below_what_memory_holds():
    assert tiles.side_for(2, 6144, 8192, REACH, most=1024) <= 1024
    assert tiles.side_for(2, 6144, 8192, REACH) > 1024


def test_a_picture_too_small_for_so_many_replicas_has_no_side():
    assert tiles.side_for(64, 200, 256, REACH) is None
