"""Batches of labeled pictures whose order and augmentation depend only on the seed and the place.

A resumed epoch therefore continues, at any batch, with what it would have had without a stop.
"""

import dataclasses
import re

import numpy as np
import tensorflow as tf

from nst_keras.runtime.errors import InputError
from nst_keras.training import datasets
from nst_keras.training.datasets import Pictures

PADDING = -1  # the label of pictures that only complete the last batch


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The random changes of a training picture."""

    flip: bool  # mirror half of the pictures
    shift: float  # by up to this share of the side
    color: float  # brightness, contrast and saturation, each by up to this share


def batches_per_epoch(pictures: Pictures, batch_size: int) -> int:
    """The number of whole batches in an epoch.

    Which pictures are left over differs from epoch to epoch. In a smaller batch they would count
    for more, and a replica could be left without any.
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
    """Batches of an epoch: images, float32 RGB in [0, 1] (B, size, size, 3); labels, int32 (B,).

    Args:
        epoch: from 0.
        first: the batch to begin with, from 0.
    """
    count = batches_per_epoch(pictures, batch_size) * batch_size
    order = np.random.default_rng([seed, 2, epoch]).permutation(len(pictures))[:count]
    # The augmentation is seeded by `seed` and by this number of the picture and the epoch.
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
    """All pictures in order and unchanged, as in `training_batches`.

    The last batch is completed by pictures with the label PADDING.
    """
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
    """Mirror, shift and recolor an image (size, size, 3), as six numbers in [0, 1) decide."""
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

    def read(index: np.ndarray) -> np.ndarray:
        return datasets.read_picture(pictures.paths[index], size).pixels

    with tf.device("CPU"):
        labels = tf.constant(pictures.labels)
        pixels = None if pictures.pixels is None else tf.constant(pictures.pixels)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(read, [index], tf.uint8) if pixels is None else pixels[index]
        return fit(tf.ensure_shape(image, (None, None, 3)), size), labels[index]

    return load


def unreadable(error: tf.errors.InvalidArgumentError) -> str:
    """What `read_picture` said of the file that ended a batch; empty for errors of other origin.

    TensorFlow keeps only the text of an error that a Python function of a dataset raises.
    """
    found = re.search(f"{InputError.__name__}: (.*)", error.message)
    return found[1] if found else ""


def fit(image: tf.Tensor, size: int) -> tf.Tensor:
    """The central square of a uint8 image (H, W, 3), resized to float32 in [0, 1]."""
    height, width = tf.unstack(tf.shape(image)[:2])
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    # Not in float32 yet: a photo of 50 megapixels would take 600 MB, and several are open at once.
    resized = tf.cast(tf.image.resize(square, (size, size), antialias=True), tf.float32) / 255.0
    return tf.ensure_shape(tf.clip_by_value(resized, 0.0, 1.0), (size, size, 3))
