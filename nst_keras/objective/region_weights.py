"""What the positions of a layer weigh in regions, and which region a position belongs to."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nst_keras.network.architecture import Layer
from nst_keras.network.pooling import mean_of_squares
from nst_keras.objective.regions import MaskOptions
from nst_keras.objective.tiles import receptive_field

_LEAST_LEFT = 0.1  # share of a region's area that erosion must leave, or else it is not used
# A sequence whose first terms are spread evenly over the plane (Roberts, "The unreasonable
# effectiveness of quasirandom sequences", 2018).
_SPREAD = 0.7548776662466927, 0.5698402909980532


def region_weights(masks: Sequence[np.ndarray], layer: Layer, options: MaskOptions) -> tf.Tensor:
    """The weights of a layer's positions in some regions, (1, h, w, regions)."""
    radius = round(options.erosion * receptive_field([layer]).halo)
    planes = np.stack([_inner(mask, radius) for mask in masks], axis=-1)
    weights = mean_of_squares(tf.constant(planes[None]), layer.stride)
    return tf.square(weights) if options.squared else weights


def _inner(mask: np.ndarray, radius: int) -> np.ndarray:
    """The mask without its border, or all of it if too little would be left."""
    if not radius:
        return mask
    inner = eroded(mask, radius)
    return inner if inner.sum() >= _LEAST_LEFT * mask.sum() else mask


def places(masks: Sequence[np.ndarray], spacing: int, rows: int, columns: int) -> np.ndarray:
    """The number of the region that each position of a grid belongs to: int (rows, columns).

    -1 where it belongs to none. Where masks are neither 0 nor 1, as many positions belong to each
    region as its mask says, evenly mixed.

    Args:
        masks: (H, W) each; their sum is nowhere above 1.
        spacing: pixels between positions.
    """
    planes = np.stack(masks, axis=-1)[None]
    shares = mean_of_squares(tf.constant(planes), spacing).numpy()[0, :rows, :columns]
    row, column = np.ogrid[:rows, :columns]
    threshold = (row * _SPREAD[0] + column * _SPREAD[1] + 0.5) % 1.0
    ends = np.cumsum(shares, axis=-1, dtype=np.float64)
    # The allowance keeps positions where masks add up to 1, but for rounding, from being none's.
    numbers = (ends + 1e-5 <= threshold[..., None]).sum(axis=-1)
    return np.where(numbers < len(masks), numbers, -1)


def eroded(mask: np.ndarray, radius: int) -> np.ndarray:
    """The least value within a square of `radius` pixels around each place.

    Beyond the borders of the picture, nothing is less.
    """
    for axis in (0, 1):
        mask = _least_along(mask, radius, axis)
    return mask


def _least_along(mask: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """The least of 2 radius + 1 neighbors along an axis, in a number of steps like log(radius)."""
    margins = [(radius, radius) if axis == a else (0, 0) for a in (0, 1)]
    least = np.moveaxis(np.pad(mask, margins, constant_values=np.inf), axis, 0)
    reached, wanted = 1, 2 * radius + 1
    while reached < wanted:
        step = min(reached, wanted - reached)
        least = np.minimum(least[:-step], least[step:])
        reached += step
    return np.ascontiguousarray(np.moveaxis(least, 0, axis))
