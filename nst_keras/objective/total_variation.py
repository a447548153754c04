"""Total variation: sums over neighboring pixels, and the losses of published tools.

Images are RGB in [0, 1], (1, H, W, 3). Sums are over positions, so those of a whole image are the
sums of its parts'.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from nst_keras.objective.evaluation import Length, PullBack, Statistic, divided, vjp

PIXEL_RANGE = 255.0  # several published formulas are on 0..255

_Offset = tuple[int, int]  # rows, columns
_X, _Y, _DOWN_RIGHT, _DOWN_LEFT = (0, 1), (1, 0), (1, 1), (1, -1)


@dataclasses.dataclass(frozen=True)
class Variation:
    """One kind of total variation.

    Attributes:
        sums: makes statistics (k,) from an image.
        loss: makes it from the statistics, and the height and width in pixels.
    """

    sums: Callable[[tf.Tensor], Statistic]
    loss: Callable[[tf.Tensor, Length, Length], tf.Tensor]


def differences(image: tf.Tensor, offsets: Sequence[_Offset]) -> tuple[list[tf.Tensor], PullBack]:
    """Pixels minus their neighbors, (h, w, 3) for each offset, where both are in the image.

    Autodiff would make two gradients for each offset, which AddN would add in an order that varies
    between runs. This pull-back makes one, so that the same image gives the same bytes.
    """
    plane = tf.squeeze(image, 0)
    found = [_part(plane, (y, x)) - _part(plane, (-y, -x)) for y, x in offsets]

    def pull_back(upstream: Sequence[tf.Tensor]) -> tf.Tensor:
        parts = [
            _placed(gradient, (-y, -x)) - _placed(gradient, (y, x))
            for (y, x), gradient in zip(offsets, upstream, strict=True)
        ]
        # Differences only: graph optimization would merge sums into an AddN.
        return tf.expand_dims(functools.reduce(tf.subtract, parts[1:], -parts[0]), 0)

    return found, pull_back


def _part(plane: tf.Tensor, offset: _Offset) -> tf.Tensor:
    """The pixels that have a neighbor at minus the offset."""
    (top, bottom), (left, right) = _margins(offset)
    return plane[top : -bottom or None, left : -right or None]


def _placed(part: tf.Tensor, offset: _Offset) -> tf.Tensor:
    """The transpose of `_part`: a part at its place in a plane of zeros."""
    return tf.pad(part, (*_margins(offset), (0, 0)))


def _margins(offset: _Offset) -> tuple[_Offset, _Offset]:
    """Rows above and below, and columns left and right, that `_part` leaves out."""
    y, x = offset
    return (max(y, 0), max(-y, 0)), (max(x, 0), max(-x, 0))


def square_sums(image: tf.Tensor) -> Statistic:
    """Sums of dx^2 and of dy^2: (2,)."""
    found, to_image = differences(image, (_X, _Y))

    def pull_back(upstream: tf.Tensor) -> tf.Tensor:
        factors = tf.unstack(2.0 * upstream)
        return to_image([own * factor for own, factor in zip(found, factors, strict=True)])

    return _sums_of_squares(found), pull_back


def absolute_sums(image: tf.Tensor) -> Statistic:
    """Sums of |dx| and of |dy|: (2,)."""
    return _sums_of_differences(
        image, (_X, _Y), lambda found: tf.stack([tf.reduce_sum(tf.abs(d)) for d in found])
    )


def power_sums(image: tf.Tensor) -> Statistic:
    """The sum of (dx^2 + dy^2)^1.25 where both differences exist: (1,)."""

    def power_sum(found: Sequence[tf.Tensor]) -> tf.Tensor:
        dx, dy = found
        squares = tf.square(dx[:-1]) + tf.square(dy[:, :-1])
        return tf.reduce_sum(squares**1.25)[None]

    return _sums_of_differences(image, (_X, _Y), power_sum)


def nine_point_sums(image: tf.Tensor) -> Statistic:
    """Sums of squared differences along x, y and both diagonals, edge pixels repeated: (4,)."""

    def sums_of_own(found: Sequence[tf.Tensor]) -> tf.Tensor:
        dx, dy, *diagonals = found
        return _sums_of_squares((dx[1:-1, 1:], dy[1:, 1:-1], *diagonals))

    framed, to_image = vjp(
        lambda image: tf.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC"), image
    )
    offsets = (_X, _Y, _DOWN_RIGHT, _DOWN_LEFT)
    sums, to_framed = _sums_of_differences(framed, offsets, sums_of_own)
    return sums, lambda upstream: to_image(to_framed(upstream))


def _sums_of_differences(
    image: tf.Tensor,
    offsets: Sequence[_Offset],
    function: Callable[[Sequence[tf.Tensor]], tf.Tensor],
) -> Statistic:
    found, to_image = differences(image, offsets)
    sums, to_differences = vjp(function, found)
    return sums, lambda upstream: to_image(to_differences(upstream))


def _sums_of_squares(found: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.stack([tf.reduce_sum(tf.square(d)) for d in found])


def _mean_squares(sums: tf.Tensor, height: Length, width: Length) -> tf.Tensor:
    along_x, along_y = tf.unstack(sums)
    return divided(along_x, 3.0 * height * (width - 1)) + divided(
        along_y, 3.0 * (height - 1) * width
    )


def _nine_point_mean(sums: tf.Tensor, height: Length, width: Length) -> tf.Tensor:
    straight = 2.0 / 3.0 / (3.0 * height * width)
    diagonal = 2.0 / 12.0 / (3.0 * (height + 1) * (width + 1))
    factors = tf.cast(tf.stack([straight, straight, diagonal, diagonal]), sums.dtype)
    return tf.reduce_sum(sums * factors)


# mean dx^2 + mean dy^2 on [0, 1]: equally strong at every size.
MEAN_SQUARES = Variation(square_sums, _mean_squares)
# The same on 0..255.
MEAN_SQUARES_255 = Variation(
    square_sums, lambda sums, height, width: _mean_squares(sums, height, width) * PIXEL_RANGE**2
)
# sum dx^2 + sum dy^2 on 0..255; this and the other sums grow with the picture's size.
SQUARES_255 = Variation(
    square_sums, lambda sums, height, width: tf.reduce_sum(sums) * PIXEL_RANGE**2
)
# Half of that.
HALF_SQUARES_255 = Variation(
    square_sums, lambda sums, height, width: tf.reduce_sum(sums) * (PIXEL_RANGE**2 / 2.0)
)
# sum |dx| + sum |dy| on [0, 1].
ABSOLUTE = Variation(absolute_sums, lambda sums, height, width: tf.reduce_sum(sums))
# sum (dx^2 + dy^2)^1.25 on 0..255.
POWER_255 = Variation(
    power_sums, lambda sums, height, width: tf.reduce_sum(sums) * PIXEL_RANGE**2.5
)
# Nine-point stencil on [0, 1]: straight neighbors by 1/3, diagonal ones by 1/12, twice the sum.
NINE_POINT = Variation(nine_point_sums, _nine_point_mean)
