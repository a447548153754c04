"""A Laplacian pyramid as the variable that an optimizer changes, in place of pixels.

An image is the sum of bands, each enlarged to the image's size: Burt and Adelson, "The Laplacian
Pyramid as a Compact Image Code" (1983). A step in a coarse band moves many pixels together, so that
colors of large areas change in few steps, with less noise than steps of single pixels leave.
"""

import tensorflow as tf

from nst_keras.optimizers.optimizer import ValueAndGrad

_AT_BOUND = 1e-6  # the bands of a pixel at a bound add up to it but for their rounding
_LEAST_SIDE = 8  # of the coarsest band
_MOST_BANDS = 5


class Pyramid:
    """The pyramids of images (1, height, width, 3), as tensors (1, number of coefficients, 1, 3).

    The finest band comes first; each further one has half its height and width.
    """

    def __init__(self, height: int, width: int):
        self.sizes = [(height, width)]
        while len(self.sizes) < _MOST_BANDS and min(self.sizes[-1]) >= 2 * _LEAST_SIDE:
            self.sizes.append((self.sizes[-1][0] // 2, self.sizes[-1][1] // 2))
        self._counts = [rows * columns for rows, columns in self.sizes]
        self.shape = (1, sum(self._counts), 1, 3)

    def coefficients(self, image: tf.Tensor) -> tf.Tensor:
        """The coefficients of an image: each band is what the coarser ones do not hold."""
        bands = []
        for finer, coarser in zip(self.sizes, self.sizes[1:], strict=False):
            reduced = tf.image.resize(image, coarser, antialias=True)
            bands.append(image - tf.image.resize(reduced, finer))
            image = reduced
        return self._joined([*bands, image])

    def image(self, coefficients: tf.Tensor) -> tf.Tensor:
        """The image of coefficients."""
        *bands, image = self._bands(coefficients)
        for band, size in zip(reversed(bands), reversed(self.sizes[:-1]), strict=True):
            image = tf.image.resize(image, size) + band
        return image

    def pull_back(self, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient by the coefficients, given that by the image: the adjoint of `image`."""
        bands = [gradient]
        for rows, columns in self.sizes[1:]:
            enlarged = tf.zeros((1, rows, columns, 3), gradient.dtype)  # only its form counts
            bands.append(
                tf.raw_ops.ResizeBilinearGrad(
                    grads=bands[-1], original_image=enlarged, half_pixel_centers=True
                )
            )
        return self._joined(bands)

    def value_and_grad(
        self, of_image: ValueAndGrad, is_clamped: bool, coefficients: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The losses of the image of coefficients, and the gradient of the total by these.

        Pixels that cannot move further have no part in it if they are clamped: in a coarse band
        they would take their surroundings with them, so that dark lines fade in white areas.
        """
        image = self.image(coefficients)
        losses, gradient = of_image(image)
        if is_clamped:
            gradient = tf.where(_leaves_range(image, gradient), 0.0, gradient)
        return losses, self.pull_back(gradient)

    def finest(self, image: tf.Tensor) -> tf.Tensor:
        """Coefficients whose image is this one, all of it in the finest band."""
        zeros = [tf.zeros((1, rows, columns, 3), image.dtype) for rows, columns in self.sizes[1:]]
        return self._joined([image, *zeros])

    def _joined(self, bands: list[tf.Tensor]) -> tf.Tensor:
        return tf.concat([tf.reshape(band, (1, -1, 1, 3)) for band in bands], axis=1)

    def _bands(self, coefficients: tf.Tensor) -> list[tf.Tensor]:
        parts = tf.split(coefficients, self._counts, axis=1)
        pairs = zip(parts, self.sizes, strict=True)
        return [tf.reshape(part, (1, rows, columns, 3)) for part, (rows, columns) in pairs]


def _leaves_range(image: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Whether a step against the gradient moves a pixel out of [0, 1], where it is at a bound."""
    is_white, is_black = image >= 1.0 - _AT_BOUND, image <= _AT_BOUND
    return tf.where(gradient < 0.0, is_white, is_black)
