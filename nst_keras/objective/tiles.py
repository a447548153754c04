"""An image cut into overlapping tiles, in a way that keeps statistics and gradients exact.

A tile is a part of the image that goes through the network at once. It owns the features of its
inner part. The rest, the halo, lets these depend on all pixels on which they would depend in the
whole image, and lets their gradient reach all of these. The parts that tiles own make up the image;
their gradients overlap and are added.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Sequence

from nst_keras.network.architecture import Layer
from nst_keras.runtime.errors import InputError

# Pixels along the sides of the squares whose positions have neighbors (see `neighbors`).
NEIGHBORS_STRIDE = 8
# And along those of the squares whose differences make the Laplacian (see `laplacian`).
LAPLACIAN_STRIDE = 4
# The smallest side of tiles for replicas, relative to the largest with which each gets a tile;
# below it, halos cost more than balance gains. And about how many sides are compared.
_SMALLEST_SHARE, _TRIED = 0.4, 24


@dataclasses.dataclass(frozen=True)
class Span:
    """A range of rows or columns, in pixels: what a tile covers, and what it owns of that."""

    start: int
    stop: int
    own_start: int
    own_stop: int

    @property
    def length(self) -> int:
        """Pixels that the tile covers."""
        return self.stop - self.start

    def owned(self, stride: int) -> slice:
        """The positions that the tile owns, of features of the image with this stride."""
        return slice(self.own_start // stride, self.own_stop // stride)


@dataclasses.dataclass(frozen=True)
class Tile:
    """A part of an image that goes through the network at once."""

    rows: Span
    columns: Span

    @property
    def pixels(self) -> int:
        """The number of pixels, with the halo."""
        return self.rows.length * self.columns.length

    @property
    def region(self) -> tuple[slice, slice, slice]:
        """The slices of an image (1, H, W, 3) that are the tile."""
        rows, columns = self.rows, self.columns
        return slice(None), slice(rows.start, rows.stop), slice(columns.start, columns.stop)

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The pixels that it owns: top, bottom, left and right, within the tile."""
        return (
            self.rows.own_start - self.rows.start,
            self.rows.own_stop - self.rows.start,
            self.columns.own_start - self.columns.start,
            self.columns.own_stop - self.columns.start,
        )


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What the layers in use require of tiles, along each side.

    Attributes:
        halo: pixels beyond what a tile owns.
        stride: pixels per position of the deepest features; borders of tiles are multiples of it.
    """

    halo: int
    stride: int

    @property
    def least_side(self) -> int:
        """The smallest side of a tile: two halos, and one position of the deepest features."""
        return 2 * self.halo + self.stride


def receptive_field(layers: Iterable[Layer], least_stride: int = 1) -> ReceptiveField:
    """The receptive field of the layers in use, its stride being at least `least_stride`.

    Borders at multiples of the largest stride keep all poolings aligned.
    """
    used = list(layers)
    stride = max(least_stride, *(layer.stride for layer in used))
    beyond = max(layer.reach for layer in used)
    return ReceptiveField(math.ceil(beyond / stride) * stride, stride)


def plan_tiles(
    height: int, width: int, side: int | None, field: ReceptiveField
) -> tuple[Tile, ...]:
    """Cut an image into tiles of about equal size, row by row, with sides of at most `side` pixels.

    There are at most four sizes of tiles, since each may cost a compilation. None: a single tile.

    Raises:
        InputError: with this side, tiles would be all halo.
    """
    longest = max(height, width)
    side = min(side or longest, longest)
    if side < min(field.least_side, longest):
        raise InputError(
            f"--tile_size={side}: must be at least {field.least_side} with these layers"
        )
    spans = (_spans(length, side, field) for length in (height, width))
    return tuple(Tile(rows, columns) for rows, columns in itertools.product(*spans))


def side_for(
    count: int, height: int, width: int, field: ReceptiveField, most: int | None = None
) -> int | None:
    """The side of tiles with which the busiest of `count` replicas has the fewest pixels.

    It is at most `most`, and None where even the smallest tiles are too few. Fewer tiles than
    replicas would leave some idle, a few more would leave most of them waiting for the last round,
    and small tiles are nearly all halo.
    """
    longest, least, stride = max(height, width), field.least_side, field.stride
    planned = functools.partial(plan_tiles, height, width, field=field)

    def busiest(side: int) -> int:
        tiles = planned(side)
        return max(sum(tiles[n].pixels for n in own) for own in assign(tiles, count))

    sides = range(min(most or longest, longest) // stride * stride, least - 1, -stride)
    enough = next((side for side in sides if len(planned(side)) >= count), None)
    if enough is None:
        return None
    smallest = max(least, round(_SMALLEST_SHARE * enough))
    step = max(stride, (enough - smallest) // _TRIED // stride * stride)
    return min(range(enough, smallest - 1, -step), key=busiest)


def assign(tiles: Sequence[Tile], count: int) -> list[list[int]]:
    """The numbers of the tiles of each of `count` replicas, with about as many pixels for each."""
    numbers: list[list[int]] = [[] for _ in range(count)]
    pixels = [0] * count
    for number in sorted(range(len(tiles)), key=lambda n: -tiles[n].pixels):
        least = pixels.index(min(pixels))
        numbers[least].append(number)
        pixels[least] += tiles[number].pixels
    return [sorted(own) for own in numbers]


def _spans(length: int, side: int, field: ReceptiveField) -> tuple[Span, ...]:
    """The rows or columns of tiles along a side of the image, in order."""
    if length <= side:
        return (Span(0, length, 0, length),)
    halo, stride = field.halo, field.stride
    # Tiles at the image's border have a halo on one side only, and own more instead.
    shared = 2 * halo
    advance = (side - shared) // stride * stride
    for _ in range(2):  # the fewest tiles, then the smallest that this many can be
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
