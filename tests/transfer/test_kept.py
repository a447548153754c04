"""What is kept: exactly the photo where the mask is 1, no gradient there, a blend at its border."""

import numpy as np
import tensorflow as tf

from nst_keras.transfer.kept import KeptPart
from tests.conftest import picture

PHOTO, OTHER = picture(6, 8, seed=1), picture(6, 8, seed=2)
MASK = np.zeros((6, 8), np.float32)
MASK[:, :3], MASK[:, 3] = 1.0, 0.25
KEPT = KeptPart(PHOTO, MASK)


def check(found):
    np.testing.assert_array_equal(found[:, :3], PHOTO[:, :3])
    np.testing.assert_array_equal(found[:, 4:], OTHER[:, 4:])
    np.testing.assert_allclose(found[:, 3], 0.25 * PHOTO[:, 3] + 0.75 * OTHER[:, 3], rtol=1e-6)


def test_the_photo_is_in_place():
    check(KEPT.in_picture(OTHER))
    check(KEPT.with_photo(tf.constant(OTHER[None])).numpy()[0])


def test_the_gradient_is_that_of_the_picture_with_the_photo_in_place():
    def value_and_grad(image):
        check(image.numpy()[0])
        return {"total": tf.reduce_sum(image**2)}, 2.0 * image

    losses, gradient = KEPT.value_and_grad(value_and_grad, tf.constant(OTHER[None]))
    shown = KEPT.in_picture(OTHER)
    np.testing.assert_allclose(losses["total"], (shown**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(gradient[0], 2 * shown * (1 - MASK[..., None]), rtol=1e-6)
