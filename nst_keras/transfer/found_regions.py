"""Finds parts that a photo and its styles have in common, such as a sky, by the network alone.

Features of all pictures are factorized into a few non-negative parts, whose shares at each position
are soft masks that correspond between the pictures: Collins et al., "Deep Feature Factorization for
Concept Discovery" (2018). Departures: two layers together, at a length of 1 at each position, so
that strong features do not decide alone; channels relative to their mean in each picture, as a
painting has more texture than a photo everywhere; beside the features, how high and how bright a
position is; and each part gets the same area in a style as in the photo. So the part of a painting
that is the most like a sky is the target of the photo's sky, even where it is not much like it.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from nst_keras.imaging import geometry
from nst_keras.imaging.guided_filter import guided
from nst_keras.network import extractor
from nst_keras.network.weights import Weights

_LAYERS = ("block4_conv4", "block5_conv2")  # of VGG19; the first decides the grid
_LAYERS_OF_VGG16 = ("block4_conv3", "block5_conv2")
_SIDE = 512  # px, longest side at which parts are looked for
_ROUNDS = 100  # of the factorization
_BALANCING_ROUNDS = 100
_SHARPNESS = 3.0  # power of the shares at a position
_PLACE = 0.5  # weight of height and brightness beside the features of a layer, whose length is 1
_FLOOR = 0.1  # of a channel's mean, relative to that of all channels
_TINY = 1e-9
_RADIUS, _SMOOTHNESS = 40, 1e-4  # px and variance, of the guided filter


def find_regions(
    photo: np.ndarray, styles: Sequence[np.ndarray], count: int, weights: Weights
) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Masks of `count` parts, from the top of the photo to its bottom: float32 (H, W) in [0, 1].

    At each place of a picture, the masks add up to 1.

    Args:
        photo, styles: float32 (H, W, 3) each, of any sizes.
        weights: of the network.

    Returns:
        The masks of the photo; and for each style, those of the same parts in it.
    """
    pictures = [_reduced(picture) for picture in (photo, *styles)]
    layers = _LAYERS if weights.backbone == "vgg19" else _LAYERS_OF_VGG16
    model = extractor.feature_extractor(weights, layers)
    described = [_described(picture, model, layers) for picture in pictures]
    rows = np.concatenate([own.reshape(-1, own.shape[-1]) for own in described], dtype=np.float32)
    activity = factorize(rows, count)
    ends = np.cumsum([own.shape[0] * own.shape[1] for own in described])[:-1]
    parts = [
        own.reshape(*grid.shape[:2], count)
        for own, grid in zip(np.split(activity, ends), described, strict=True)
    ]
    shares = [balanced_shares(own) for own in parts[:1]]
    areas = shares[0].mean(axis=(0, 1))
    shares += [balanced_shares(own, areas) for own in parts[1:]]
    order = np.argsort(_heights(shares[0]), kind="stable")
    found = [
        _masks(own[..., order], small, whole.shape[:2])
        for own, small, whole in zip(shares, pictures, (photo, *styles), strict=True)
    ]
    return found[0], found[1:]


def _reduced(picture: np.ndarray) -> np.ndarray:
    """A picture at the size at which parts are looked for; no side gets too short for VGG."""
    size = picture.shape[:2]
    longest = max(min(_SIDE, max(size)), geometry.least_longest(size))
    return geometry.resize(picture, *geometry.fit_size(size, longest))


def factorize(rows: np.ndarray, count: int) -> np.ndarray:
    """The factor H (M, count) of rows A = H W, all of them non-negative, that has the least error.

    By the multiplicative updates of Lee and Seung, "Algorithms for Non-negative Matrix
    Factorization" (2001), from the main axes of the rows. Each row of W has a length of 1.

    Args:
        rows: (M, N).
    """
    _, axes = np.linalg.eigh(rows.T @ rows)
    basis = np.abs(axes[:, ::-1][:, :count].T) + rows.dtype.type(_TINY)
    activity = np.maximum(rows @ basis.T, _TINY)
    for _ in range(_ROUNDS):
        activity *= (rows @ basis.T) / (activity @ (basis @ basis.T) + _TINY)
        basis *= (activity.T @ rows) / ((activity.T @ activity) @ basis + _TINY)
    return activity * np.linalg.norm(basis, axis=1)


def balanced_shares(activity: np.ndarray, areas: np.ndarray | None = None) -> np.ndarray:
    """Shares (h, w, parts) of the parts at each position, from their activity there.

    Args:
        areas: the mean share that each part gets; None: as it comes.
    """
    relative = activity / (activity.sum(axis=-1, keepdims=True) + _TINY)
    relative = np.power(relative + 1e-4, _SHARPNESS)
    factors = np.ones(activity.shape[-1])
    for _ in range(0 if areas is None else _BALANCING_ROUNDS):
        shares = relative * factors
        shares /= shares.sum(axis=-1, keepdims=True)
        factors *= np.sqrt(areas / shares.mean(axis=(0, 1)))
    shares = relative * factors
    return shares / shares.sum(axis=-1, keepdims=True)


def _described(picture: np.ndarray, model: keras.Model, layers: Sequence[str]) -> np.ndarray:
    """What is known of each position of a picture, none of it negative: (h, w, N)."""
    features = model(tf.constant(picture[None]))
    grid = features[layers[0]].shape[1:3]
    found = []
    for layer in layers:
        own = tf.image.resize(features[layer], grid).numpy()[0].astype(np.float64)
        means = own.mean(axis=(0, 1))
        own /= np.sqrt(means + _FLOOR * means.mean() + _TINY)
        found.append(own / np.maximum(np.linalg.norm(own, axis=-1, keepdims=True), _TINY))
    depth = np.broadcast_to(np.linspace(0.0, 1.0, grid[0])[:, None], grid)
    bright = geometry.resize(picture, *grid).mean(axis=-1)
    found.append(_PLACE * np.stack([depth, 1.0 - depth, bright, 1.0 - bright], axis=-1))
    return np.concatenate(found, axis=-1)


def _heights(shares: np.ndarray) -> np.ndarray:
    """How far down each part is in the mean, in rows."""
    rows = np.arange(shares.shape[0])[:, None, None]
    return (rows * shares).sum(axis=(0, 1)) / shares.sum(axis=(0, 1))


def _masks(shares: np.ndarray, small: np.ndarray, size: tuple[int, ...]) -> list[np.ndarray]:
    """Shares (h, w, parts) as masks of a picture, whose edges they follow."""
    rough = [
        geometry.resize_mask(own, small.shape[0], small.shape[1])
        for own in np.moveaxis(shares, -1, 0)
    ]
    planes = guided(np.stack(rough, axis=-1), small, _RADIUS, _SMOOTHNESS)
    planes /= np.maximum(planes.sum(axis=-1, keepdims=True), _TINY)
    return [geometry.resize_mask(own, size[0], size[1]) for own in np.moveaxis(planes, -1, 0)]
