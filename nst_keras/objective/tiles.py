"""An image cut into overlapping tiles, such that statistics and gradients come out exact.

A tile is a part of the image that goes through the network at once. It owns the features of its
inner part; the rest, the halo, is there so that these see all that they would see in the whole
image, and so that their gradient reaches all that it would reach. What tiles own adds up to the
image; their gradients overlap and are added.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from nst_keras.network import vgg
from nst_keras.runtime.errors import InputError

# Of the largest tiles that are enough for all replicas: smaller ones cost more in halos than they
# gain in balance; and about how many sides are looked at.
_SMALLEST_SHARE, _TRIED = 0.4, 24


@dataclasses.dataclass(frozen=True)
class Span:
    """A stretch of rows or of columns, in pixels: what a tile covers, and what it owns of that."""

    start: int
    stop: int
    own_start: int
    own_stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclasses.dataclass(frozen=True)
class Tile:
    """A part of an image."""

    rows: Span
    columns: Span

    @property
    def pixels(self) -> int:
        return self.rows.length * self.columns.length

    @property
    def region(self) -> tuple[slice, slice, slice]:
        """Of an image (1, H, W, 3)."""
        rows, columns = self.rows, self.columns
        return slice(None), slice(rows.start, rows.stop), slice(columns.start, columns.stop)

    @property
    def window(self) -> tuple[int, int, int, int]:
        """What it owns, as top, bottom, left and right within itself."""
        return (
            self.rows.own_start - self.rows.start,
            self.rows.own_stop - self.rows.start,
            self.columns.own_start - self.columns.start,
            self.columns.own_stop - self.columns.start,
        )


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What the layers in use ask of tiles, along each side, in pixels."""

    halo: int  # beyond what a tile owns
    stride: int  # of the deepest features: borders between tiles are multiples of it

    @property
    def least_side(self) -> int:
        """Of a tile: two halos, and one position of the deepest features."""
        return 2 * self.halo + self.stride


def receptive_field(layers: tuple[str, ...], backbone: str) -> ReceptiveField:
    """That of the layers of which features are used.

    A feature of stride s that sees r pixels in a row sees (r - s) / 2 beyond its own s on each
    side. Borders at multiples of the largest stride keep all poolings in step.
    """
    beyond, stride, seen, step, block = 0, 1, 1, 1, 1
    for conv in vgg.up_to_deepest(vgg.convolutions(backbone), layers):
        if conv.block > block:  # a pooling of 2x2 by strides of 2
            seen, step, block = seen + step, step * 2, conv.block
        seen += 2 * step
        if conv.name in layers:
            beyond, stride = max(beyond, (seen - step) // 2), step
    return ReceptiveField(math.ceil(beyond / stride) * stride, stride)


def whole(height: int, width: int) -> tuple[Tile, ...]:
    """One tile, which is the image."""
    return (Tile(Span(0, height, 0, height), Span(0, width, 0, width)),)


def plan_tiles(
    height: int, width: int, side: int | None, reach: ReceptiveField
) -> tuple[Tile, ...]:
    """Tiles of about equal size, of at most `side` pixels a side, row by row; None: a single one.

    There are at most four sizes of tiles, since each may cost a compilation.

    Raises:
        InputError: `side` leaves nothing between the halos.
    """
    if side is None or side >= max(height, width):
        return whole(height, width)
    if side < reach.least_side:
        raise InputError(
            f"--tile_size={side}: these layers need tiles of at least {reach.least_side} px"
        )
    spans = (_spans(length, side, reach) for length in (height, width))
    return tuple(Tile(rows, columns) for rows, columns in itertools.product(*spans))


def side_for(
    count: int, height: int, width: int, reach: ReceptiveField, most: int | None = None
) -> int | None:
    """The side of tiles with which the busiest of so many replicas has the least to do.

    Fewer tiles than replicas leave some idle, a few more leave most of them waiting for the last
    round, and small ones are nearly all halo.

    Args:
        most: the largest side that there may be.

    Returns:
        None where even the smallest tiles are too few.
    """
    longest, least, stride = max(height, width), reach.least_side, reach.stride

    def planned(side: int) -> tuple[Tile, ...]:
        return plan_tiles(height, width, side, reach)

    def busiest(side: int) -> int:
        tiles = planned(side)
        return max(sum(tiles[n].pixels for n in hand) for hand in assign(tiles, count))

    sides = range(min(most or longest, longest) // stride * stride, least - 1, -stride)
    enough = next((side for side in sides if len(planned(side)) >= count), None)
    if enough is None:
        return None
    smallest = max(least, round(_SMALLEST_SHARE * enough))
    step = max(stride, (enough - smallest) // _TRIED // stride * stride)
    return min(range(enough, smallest - 1, -step), key=busiest)


def assign(tiles: Sequence[Tile], count: int) -> list[list[int]]:
    """Numbers of tiles for each of so many replicas, with about equal pixels for all."""
    hands: list[list[int]] = [[] for _ in range(count)]
    pixels = [0] * count
    for number in sorted(range(len(tiles)), key=lambda n: -tiles[n].pixels):
        least = pixels.index(min(pixels))
        hands[least].append(number)
        pixels[least] += tiles[number].pixels
    return [sorted(hand) for hand in hands]


def _spans(length: int, side: int, reach: ReceptiveField) -> tuple[Span, ...]:
    if length <= side:
        return (Span(0, length, 0, length),)
    halo, stride = reach.halo, reach.stride
    # Tiles at a border have a halo on one side only, and own so much more.
    shared = 2 * halo
    advance = (side - shared) // stride * stride
    for _ in range(2):  # the fewest, and then as small as so many can be
        count = math.ceil((length - shared) / advance)
        advance = math.ceil((length - shared) / count / stride) * stride
    count = math.ceil((length - shared) / advance)
    spans = []
    for index in range(count):
        start, last = index * advance, index == count - 1
        stop = length if last else start + advance + shared
        own_start = start + halo if index else 0
        own_stop = length if last else stop - halo
        spans.append(Span(start, stop, own_start, own_stop))
    return tuple(spans)
