"""Optimisers of one image and the schedules of their step size."""

import math
from collections.abc import Callable

import tensorflow as tf

ValueAndGrad = Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], tf.Tensor]]
Schedule = Callable[[tf.Tensor], tf.Tensor]  # 0-based step within the scale -> factor


def make_schedule(name: str, steps: int, final: float) -> Schedule:
    """A factor on the learning rate over the `steps` of a scale, from 1 to `final`.

    Args:
        name: 'constant', 'linear' or 'cosine'.
        final: the factor at the last step; unused when constant.
    """
    last = float(max(steps - 1, 1))
    shapes = {
        "constant": lambda t: tf.ones_like(t),
        "linear": lambda t: 1.0 - (1.0 - final) * t,
        "cosine": lambda t: final + (1.0 - final) * 0.5 * (1.0 + tf.cos(math.pi * t)),
    }
    shape = shapes[name]
    return lambda step: shape(tf.minimum(tf.cast(step, tf.float32) / last, 1.0))


def adam_update(image, gradient, first, second, step, *, learning_rate, beta_1, beta_2, epsilon):
    """Algorithm 1 of Kingma and Ba (2015), in place on variables.

    Args:
        image, first, second: variables: the iterate and the moments m and v.
        step: float, the number of updates after this one; corrects the moments' bias.
    """
    first.assign(beta_1 * first + (1.0 - beta_1) * gradient)
    second.assign(beta_2 * second + (1.0 - beta_2) * tf.square(gradient))
    # The form of the paper's section 2, last paragraph, which Keras uses too: one temporary less.
    rate = learning_rate * tf.sqrt(1.0 - beta_2**step) / (1.0 - beta_1**step)
    image.assign_sub(rate * first / (tf.sqrt(second) + epsilon))


class Adam:
    """Adam on one image variable."""

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        learning_rate: float,
        schedule: Schedule,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        epsilon: float = 1e-8,
    ):
        self.learning_rate, self.schedule = learning_rate, schedule
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.first = tf.Variable(tf.zeros(shape), trainable=False)
        self.second = tf.Variable(tf.zeros(shape), trainable=False)
        self.steps = tf.Variable(0, trainable=False, dtype=tf.int64)

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        """One update of the image, in place; returns the terms before it."""
        terms, gradient = value_and_grad(image.read_value())
        rate = self.learning_rate * self.schedule(self.steps.read_value())
        self.steps.assign_add(1)
        adam_update(
            image,
            gradient,
            self.first,
            self.second,
            tf.cast(self.steps.read_value(), tf.float32),
            learning_rate=rate,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )
        return terms

    def variables(self) -> dict[str, tf.Variable]:
        """Everything that the next step depends on, by a name for checkpoints."""
        return {"adam_first": self.first, "adam_second": self.second, "adam_steps": self.steps}
