"""Labeled pictures as tf.data batches whose order and augmentation depend on seed and place alone.

So an epoch can be entered at any batch, and goes on as if it had begun at the first.
"""

import dataclasses
import os
import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nst_keras.training.datasets import Pictures

PADDING = -1  # the label of what fills up the last batch


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens to a training picture at random."""

    flip: bool
    shift: float  # share of the side
    color: float  # share of brightness, contrast and saturation


def batches_per_epoch(pictures: Pictures, batch_size: int) -> int:
    """Whole batches only: the order changes with each epoch, so none is left out for good.

    A part of a batch would weigh its pictures more, and can leave a replica without any.
    """
    return len(pictures) // batch_size


def training_batches(
    pictures: Pictures,
    size: int,
    batch_size: int,
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    first: int,
) -> tf.data.Dataset:
    """(images, labels) from batch `first` on: float32 RGB in [0, 1] (B, size, size, 3), int32 (B,).

    Args:
        epoch, first: from 0.
    """
    count = batches_per_epoch(pictures, batch_size) * batch_size
    order = np.random.default_rng([seed, 2, epoch]).permutation(len(pictures))[:count]
    # Two numbers seed a picture's augmentation: this one says which picture in which epoch.
    numbers = (order + epoch * len(pictures)).astype(np.int64)
    start = first * batch_size

    def prepare(index: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = load(index)
        noise = tf.random.stateless_uniform((6,), seed=[tf.constant(seed, tf.int64), number])
        return augment(image, noise, augmentation), label

    load = _loader(pictures, size)
    dataset = tf.data.Dataset.from_tensor_slices((order[start:], numbers[start:]))
    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def validation_batches(pictures: Pictures, size: int, batch_size: int) -> tf.data.Dataset:
    """As `training_batches`, in order and unchanged; the last batch is filled up with `PADDING`."""
    load = _loader(pictures, size)
    indices = np.arange(-(-len(pictures) // batch_size) * batch_size)
    real = indices < len(pictures)

    def prepare(index: tf.Tensor, is_real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = load(index)
        return image, tf.where(is_real, label, PADDING)

    dataset = tf.data.Dataset.from_tensor_slices((np.where(real, indices, 0), real))
    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def augment(image: tf.Tensor, noise: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """An image (size, size, 3) mirrored, shifted and recolored by six numbers in [0, 1)."""
    if augmentation.flip:
        image = tf.cond(noise[0] < 0.5, lambda: tf.reverse(image, [1]), lambda: image)
    size = int(image.shape[0])
    if margin := round(augmentation.shift * size):
        padded = tf.pad(image, [[margin, margin], [margin, margin], [0, 0]], "REFLECT")
        corner = tf.cast(noise[1:3] * float(2 * margin + 1), tf.int32)
        image = tf.slice(padded, tf.concat([corner, [0]], 0), (size, size, 3))
    if augmentation.color:
        brightness, contrast, saturation = tf.unstack(
            1.0 + augmentation.color * (2.0 * noise[3:] - 1.0)
        )
        gray = tf.reduce_mean(image, axis=-1, keepdims=True)
        image = (gray + saturation * (image - gray)) * brightness
        mean = tf.reduce_mean(image)
        image = tf.clip_by_value(mean + contrast * (image - mean), 0.0, 1.0)
    return image


def _loader(pictures: Pictures, size: int):
    """A function from an index to an image (size, size, 3), RGB in [0, 1], and its label."""
    with tf.device("CPU"):
        labels = tf.constant(pictures.labels)
        if pictures.pixels is None:
            stored = tuple(map(tf.constant, _files(pictures)))
        else:
            stored = (tf.constant(pictures.pixels),)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = [one[index] for one in stored]
        image = _read(*found) if pictures.pixels is None else found[0]
        return fit(image, size), labels[index]

    return load


def _files(pictures: Pictures) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """Of each file: its path, its orientation, and whether it has an alpha."""
    paths = [os.fsencode(path) for path in pictures.paths]
    orientations, transparent = pictures.orientations, pictures.transparent
    if orientations is None:
        orientations = np.ones(len(paths), np.int32)
    if transparent is None:
        transparent = np.zeros(len(paths), bool)
    return paths, orientations, transparent


def _read(path: tf.Tensor, orientation: tf.Tensor, transparent: tf.Tensor) -> tf.Tensor:
    """uint8 RGB (H, W, 3), as a person sees the picture: upright, and over white."""
    data = tf.io.read_file(path)
    image = tf.cond(
        transparent,
        lambda: _over_white(tf.io.decode_png(data, channels=4)),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    # An orientation is a transposition or none, and then a mirroring of columns, rows or both.
    for numbers, turn in (
        ((5, 6, 7, 8), lambda lying: tf.transpose(lying, (1, 0, 2))),
        ((2, 3, 6, 7), lambda lying: tf.reverse(lying, [1])),
        ((3, 4, 7, 8), lambda lying: tf.reverse(lying, [0])),
    ):
        image = _turned(image, tf.reduce_any(tf.equal(orientation, numbers)), turn)
    return tf.ensure_shape(image, (None, None, 3))


def _turned(
    image: tf.Tensor, needed: tf.Tensor, turn: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    return tf.cond(needed, lambda: turn(image), lambda: image)


def _over_white(image: tf.Tensor) -> tf.Tensor:
    """uint8 RGBA to RGB, on the encoded values, as in `images.read_image`."""
    pixels = tf.cast(image, tf.float32)
    over = 255.0 + (pixels[..., :3] - 255.0) * pixels[..., 3:] / 255.0
    return tf.cast(tf.round(over), tf.uint8)


def refusal(pictures: Pictures) -> str:
    """The first file that cannot be read, and why; empty if all can. Takes a look at each."""
    for path, *file in zip(pictures.paths, *_files(pictures), strict=True):
        try:
            _read(*map(tf.constant, file))
        except tf.errors.OpError as error:
            reason = re.sub(r"^{{.*?}} | \[Op:.*$", "", str(error.message).splitlines()[0])
            return f"{path}: cannot be read: {reason.removeprefix(f'{path}; ')}"
    return ""


def fit(image: tf.Tensor, size: int) -> tf.Tensor:
    """The central square of a uint8 image (H, W, 3), resized, never stretched: float32 [0, 1]."""
    height, width = tf.unstack(tf.shape(image)[:2])
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    # As it is: in float32 a photo of 50 megapixels would take 600 MB, and several are at work.
    resized = tf.cast(tf.image.resize(square, (size, size), antialias=True), tf.float32) / 255.0
    return tf.ensure_shape(tf.clip_by_value(resized, 0.0, 1.0), (size, size, 3))
