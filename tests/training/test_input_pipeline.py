"""Batches: decoded as a run decodes, augmented, and the same from any batch on."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nst_keras.imaging.geometry import crop_to_aspect
from nst_keras.imaging.images import read_image
from nst_keras.network.weights import Weights
from nst_keras.training import datasets, input_pipeline
from tests.training.conftest import MOVED, STILL, Trainer, epoch_of, pictures_in, pictures_of

KINDS = ["CMYK.jpg", "L.jpg", "P.png", "RGBA.png", "I;16.png", "P.gif", "F.tiff", "RGB.webp"]


def seen(path):
    """A file as a training sees it, whole and in [0, 1]."""
    return datasets.read_picture(path, 16).pixels / np.float32(255)


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_pictures_are_decoded_as_in_a_run(tmp_path, kind):
    path = tmp_path / kind
    picture = Image.effect_noise((20, 18), 99).convert(kind.split(".")[0])
    picture.save(path)
    np.testing.assert_allclose(seen(path), read_image(path).pixels, atol=0.51 / 255)
    batch, _ = epoch_of(pictures_in(*[path] * 4), STILL)[0]
    assert batch.shape == (4, 16, 16, 3) and batch.std() > 0


@pytest.mark.parametrize("number", range(1, 9))
def test_pictures_that_lie_on_their_side_are_turned_upright(tmp_path, number):
    noise = np.random.default_rng(number).integers(0, 256, (18, 23, 3), np.uint8)
    path, exif = tmp_path / "lying.png", Image.Exif()
    exif[0x0112] = number
    Image.fromarray(noise).save(path, exif=exif)
    np.testing.assert_array_equal(seen(path), read_image(path).pixels)
    assert (seen(path).shape == (23, 18, 3)) == (number > 4)
    square = crop_to_aspect(read_image(path).pixels, 1, 1)
    images, _ = epoch_of(pictures_in(*[path] * 4), dataclasses.replace(STILL, image_size=18))[0]
    np.testing.assert_allclose(images[0], square, atol=1e-6)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "RGB"])
def test_transparency_is_composited_over_white(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (18, 20, 4), np.uint8)
    picture, more = Image.fromarray(noise), {}
    if kind == "P":  # one color is see-through
        picture, more = picture.convert("RGB").quantize(8), {"transparency": 3}
    elif kind == "RGB":
        picture, more = picture.convert("RGB"), {"transparency": tuple(map(int, noise[5, 5, :3]))}
    else:
        picture = picture.convert(kind)
    path = tmp_path / "clear.png"
    picture.save(path, **more)
    expected = read_image(path).pixels
    np.testing.assert_allclose(seen(path), expected, atol=0.51 / 255)
    opaque = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    assert np.abs(expected - opaque).max() > 0.3  # the test can fail


def test_pictures_may_have_names_of_any_bytes(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (20, 18)).save(path)
    assert epoch_of(pictures_in(*[path] * 4), STILL)[0][0].shape == (4, 16, 16, 3)


def test_an_epoch_can_be_entered_at_any_batch():
    pictures = pictures_of(18)
    all_of_it, rest = epoch_of(pictures, MOVED), epoch_of(pictures, MOVED, first=2)
    assert len(all_of_it) == 4 and len(rest) == 2
    for (images, labels), (again, labels_again) in zip(all_of_it[2:], rest, strict=True):
        assert np.array_equal(images, again) and np.array_equal(labels, labels_again)


def test_order_and_augmentation_depend_on_epoch_and_seed():
    pictures = pictures_of(16)
    other_seed = dataclasses.replace(STILL, seed=1)
    orders = [
        tuple(np.concatenate([labels for _, labels in epoch_of(pictures, config, epoch)]))
        for config, epoch in ((STILL, 0), (STILL, 1), (other_seed, 0))
    ]
    assert len(set(orders)) == 3 and all(sorted(order) == list(range(16)) for order in orders)
    first, second = (epoch_of(pictures_of(4), MOVED, epoch=epoch)[0] for epoch in (0, 1))
    order = np.argsort(first[1]), np.argsort(second[1])
    assert not np.array_equal(first[0][order[0]], second[0][order[1]])


def test_without_augmentation_pictures_are_unchanged():
    pictures = pictures_of(4)
    images, labels = epoch_of(pictures, STILL)[0]
    np.testing.assert_allclose(images, pictures.sources[labels] / 255.0, atol=1e-6)


def test_validation_completes_its_last_batch_with_padding():
    pictures = pictures_of(6)
    batches = list(input_pipeline.validation_batches(pictures, STILL))
    labels = np.concatenate([labels for _, labels in batches])
    assert list(labels) == [0, 1, 2, 3, 4, 5, input_pipeline.PADDING, input_pipeline.PADDING]
    start = Weights("vgg16", (4, 4, 4, 4, 4), {}, {}, "")
    configs = [dataclasses.replace(STILL, batch_size=size) for size in (4, 6)]
    by_four, by_six = (Trainer(config, start, 6).evaluate(pictures, []) for config in configs)
    assert by_four.loss == pytest.approx(by_six.loss, rel=1e-5)
    assert by_four.accuracy == by_six.accuracy


def test_augmentation_keeps_range_and_shape():
    image = tf.constant(pictures_of(1).sources[0] / 255.0, tf.float32)
    for value in (0.0, 0.3, 0.999):
        moved = input_pipeline.augment(image, tf.fill((6,), value), MOVED).numpy()
        assert moved.shape == (16, 16, 3) and moved.min() >= 0 and moved.max() <= 1
    flipped = input_pipeline.augment(image, tf.zeros(6), dataclasses.replace(STILL, flip=True))
    assert np.array_equal(flipped, image[:, ::-1])


def test_pictures_are_cropped_to_a_square_and_not_stretched():
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255
    assert input_pipeline.fit(tf.constant(wide), 16).numpy().min() == 1.0


def test_the_error_of_a_picture_is_told_from_others(tmp_path):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        epoch_of(pictures_in(*[tmp_path / "no.png"] * 4), STILL)
    assert input_pipeline.unreadable(caught.value) == f"{tmp_path / 'no.png'}: no such file"
    other = tf.errors.InvalidArgumentError(None, None, "incompatible shapes")
    assert input_pipeline.unreadable(other) == ""
