"""Batches of labeled pictures whose order and augmentation depend only on the seed and the place.

A resumed epoch therefore continues, at any batch, with what it would have had without a stop.
"""

import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nst_keras.runtime.errors import InputError
from nst_keras.training.config import TrainConfig
from nst_keras.training.datasets import Pictures

PADDING = -1  # the label of pictures that only complete the last batch


def training_batches(
    pictures: Pictures, config: TrainConfig, *, epoch: int, first: int
) -> tf.data.Dataset:
    """Batches of an epoch: images, float32 RGB in [0, 1] (B, size, size, 3); labels, int32 (B,).

    They begin with batch `first`, which counts from 0 as `epoch` does. Only whole batches: in a
    smaller one, pictures would count for more, and a replica could be left without any. Which
    pictures are left over differs from epoch to epoch.
    """
    count, batch_size = len(pictures), config.batch_size
    order = np.random.default_rng([config.seed, 2, epoch]).permutation(count)
    order = order[first * batch_size : count // batch_size * batch_size].astype(np.int64)

    def change(image: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        seed = [tf.constant(config.seed, tf.int64), index + epoch * count]
        return augment(image, tf.random.stateless_uniform((6,), seed), config)

    return _batches(pictures, config, order, pictures.labels[order], change)


def validation_batches(pictures: Pictures, config: TrainConfig) -> tf.data.Dataset:
    """All pictures in order and unchanged, as in `training_batches`.

    The last batch is completed by pictures with the label PADDING.
    """
    missing = -len(pictures) % config.batch_size
    labels = np.pad(pictures.labels, (0, missing), constant_values=PADDING)
    indices = np.arange(len(labels), dtype=np.int64) % len(pictures)
    return _batches(pictures, config, indices, labels, lambda image, _: image)


def augment(image: tf.Tensor, noise: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    """Mirror, shift and recolor an image (size, size, 3), as six numbers in [0, 1) decide."""
    if config.flip:
        image = tf.cond(noise[0] < 0.5, lambda: tf.reverse(image, [1]), lambda: image)
    size = config.image_size
    if margin := round(config.shift * size):
        padded = tf.pad(image, [[margin, margin], [margin, margin], [0, 0]], "REFLECT")
        corner = tf.cast(noise[1:3] * float(2 * margin + 1), tf.int32)
        image = tf.slice(padded, tf.concat([corner, [0]], 0), (size, size, 3))
    if config.color:
        brightness, contrast, saturation = tf.unstack(1.0 + config.color * (2.0 * noise[3:] - 1.0))
        gray = tf.reduce_mean(image, axis=-1, keepdims=True)
        image = (gray + saturation * (image - gray)) * brightness
        mean = tf.reduce_mean(image)
        image = tf.clip_by_value(mean + contrast * (image - mean), 0.0, 1.0)
    return image


def fit(image: tf.Tensor, size: int) -> tf.Tensor:
    """The central square of a uint8 image (H, W, 3), resized to float32 in [0, 1]."""
    side = tf.reduce_min(tf.shape(image)[:2])
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    # Not in float32 yet: a photo of 50 megapixels would take 600 MB, and several are open at once.
    resized = tf.cast(tf.image.resize(square, (size, size), antialias=True), tf.float32) / 255.0
    return tf.ensure_shape(tf.clip_by_value(resized, 0.0, 1.0), (size, size, 3))


def unreadable(error: tf.errors.InvalidArgumentError) -> str:
    """What `read_picture` said of the file that ended a batch; empty for errors of other origin.

    TensorFlow keeps only the text of an error that a Python function of a dataset raises.
    """
    found = re.search(f"{InputError.__name__}: (.*)", error.message)
    return found[1] if found else ""


def _batches(
    pictures: Pictures,
    config: TrainConfig,
    indices: np.ndarray,
    labels: np.ndarray,
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tf.data.Dataset:
    """Batches of the pictures at these indices, each image changed as its index decides."""
    size = config.image_size

    def prepare(index: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(lambda index: pictures.read(index, size), [index], tf.uint8)
        return change(fit(tf.ensure_shape(image, (None, None, 3)), size), index), label

    dataset = tf.data.Dataset.from_tensor_slices((indices, labels))
    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(config.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
