"""What is kept of the photo: there, the picture is the photo, whatever the optimizer does.

Losses are those of the picture with the kept part in place, so that the style around it fits; the
gradient there is zero.
"""

import numpy as np
import tensorflow as tf

from nst_keras.devices.variables import Variables
from nst_keras.imaging.masks import with_kept
from nst_keras.objective.objective import Losses, ValueAndGrad


class KeptPart:
    """The kept part of a picture of one size.

    Args:
        photo: float32 (H, W, 3) in [0, 1].
        mask: (H, W) in [0, 1]; where it is 1, the photo stays exactly as it is.
        variables: in which both are for steps.
    """

    def __init__(self, photo: np.ndarray, mask: np.ndarray, variables: Variables | None = None):
        self.photo, self.mask = photo, mask
        # As tensors, so that pictures of a size share compiled programs.
        constant = (variables or Variables()).constant
        self._photo = constant("kept photo", tf.constant(photo[None]))
        self._mask = constant("kept mask", tf.constant(mask[None, ..., None]))

    def with_photo(self, image: tf.Tensor) -> tf.Tensor:
        """An image (1, H, W, 3) with the kept part in place."""
        return tf.where(self._mask >= 1.0, self._photo, image + self._mask * (self._photo - image))

    def value_and_grad(
        self, value_and_grad: ValueAndGrad, image: tf.Tensor
    ) -> tuple[Losses, tf.Tensor]:
        """The losses of the image with the kept part in place, and their gradient by the image."""
        losses, gradient = value_and_grad(self.with_photo(image))
        return losses, (1.0 - self._mask) * gradient

    def in_picture(self, picture: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) with the kept part in place."""
        return with_kept(picture, self.photo, self.mask)
