"""Adam on one image, without temporaries of the image's size where memory is scarce."""

import numpy as np
import tensorflow as tf

from nst_keras.optimizers.optimizer import (
    Add,
    MakeVariable,
    Optimizer,
    ValueAndGrad,
    add_at_once,
    after,
    make_variable,
)
from nst_keras.optimizers.schedules import Schedule

# Lightness, red against blue, green against both (Ohta, Kanade and Sakai 1980), each of length 1.
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], np.float32)
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)


class Adam(Optimizer):
    """Adam on one image variable: algorithm 1 of Kingma and Ba (2015).

    Args:
        rate: learning rate for pixels in [0, `pixel_range`].
        beta_1, beta_2: decay rates of the mean and the mean square of the gradient.
        epsilon: added to the root of the mean square, in the unit of the gradient.
        adam_colors: 'rgb', or 'opponent' for gradients and steps in opponent colors. The gradients
            of red, green and blue are nearly equal, so Adam, which normalizes each coordinate
            separately, would change little but lightness.
        add: updates variables as large as the image.
        variable: makes variables.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        rate: Schedule,
        pixel_range: float = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        epsilon: float = 1e-8,
        adam_colors: str = "rgb",
        add: Add = add_at_once,
        variable: MakeVariable = make_variable,
    ):
        # On pixels r times as large, gradients are r times as small: epsilon grows, steps shrink.
        self.rate, self.pixel_range = rate, pixel_range
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon * pixel_range
        self.opponent, self._add = adam_colors == "opponent", add
        self.first = variable("first", tf.zeros(shape))
        self.second = variable("second", tf.zeros(shape))
        self.steps = variable("steps", tf.constant(0, tf.int64))

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        losses, gradient = value_and_grad(image.read_value())
        rate = self.rate(self.steps.read_value()) / self.pixel_range
        with after(gradient):
            self.steps.assign_add(1)
        step = tf.cast(self.steps.read_value(), tf.float32)
        # Corrects the moments' bias toward 0, where they start.
        rate *= tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)

        def mean(first: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
            return (1.0 - self.beta_1) * (self._turned(gradient, OPPONENT.T) - first)

        def mean_square(second: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
            return (1.0 - self.beta_2) * (tf.square(self._turned(gradient, OPPONENT.T)) - second)

        def move(_: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
            return self._turned(-rate * first / (tf.sqrt(second) + self.epsilon), OPPONENT)

        self._add(self.first, mean, gradient)
        self._add(self.second, mean_square, gradient)
        self._add(image, move, self.first, self.second)
        return losses

    def variables(self) -> dict[str, tf.Variable]:
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def _turned(self, pixels: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
        """Where colors are opponent, each pixel (a row) of an array (..., 3) times the matrix."""
        if not self.opponent:
            return pixels
        return tf.reshape(tf.matmul(tf.reshape(pixels, (-1, 3)), matrix), tf.shape(pixels))
