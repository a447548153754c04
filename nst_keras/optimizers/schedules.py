"""Learning rates over the steps of a scale, from Keras' schedules."""

from collections.abc import Callable, Sequence

import tensorflow as tf
from keras.optimizers import schedules

from nst_keras.optimizers.optimizer import MakeConstant

Schedule = Callable[[tf.Tensor], tf.Tensor]  # 0-based step within the scale -> learning rate


def make_schedule(
    name: str,
    learning_rate: float,
    *,
    steps: int,
    end: float,
    fall_steps: int = 0,
    at: Sequence[tuple[int, float]] = (),
    warmup_steps: int = 0,
    constant: MakeConstant = lambda name, value: value,
) -> Schedule:
    """Make a schedule: the learning rate as a function of the step.

    Args:
        name: 'constant', 'linear', 'cosine', 'exponential' or 'piecewise'.
        learning_rate: the rate that factors refer to.
        steps: the number of steps of the scale.
        end: the factor that 'linear', 'cosine' and 'exponential' reach after `fall_steps`, or at
            the last step if that is 0. 'exponential' keeps falling after it.
        at: for 'piecewise', pairs of a 1-based step and the factor from that step on.
        warmup_steps: the number of steps over which a factor on the schedule rises to 1.
        constant: makes what differs between scales.
    """
    over = constant("fall steps", tf.constant(fall_steps or max(steps - 1, 1), tf.float32))
    factor = constant("learning rate", tf.constant(learning_rate, tf.float32))
    if name == "linear":
        fall = schedules.PolynomialDecay(1.0, over, end)
    elif name == "cosine":
        fall = schedules.CosineDecay(1.0, over, alpha=end)
    elif name == "exponential":
        fall = schedules.ExponentialDecay(1.0, over, end)
    else:  # 'constant' is a single piece
        # In Keras, a boundary belongs to the piece before it, and there is at least one.
        boundaries = [-2, *(step - 2 for step, _ in at)]
        fall = schedules.PiecewiseConstantDecay(boundaries, [1.0, 1.0, *(it for _, it in at)])
    return _Scaled(fall, factor, warmup_steps)


class _Scaled(schedules.LearningRateSchedule):
    """A schedule of factors on a learning rate; a further factor rises to 1 over the first steps.

    Numbers are tensors, so that runs which differ in them share compiled programs.
    """

    def __init__(
        self, factors: Schedule, learning_rate: tf.Tensor | tf.Variable, warmup_steps: int
    ):
        self.factors, self.learning_rate, self.warmup_steps = factors, learning_rate, warmup_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        rate = self.learning_rate * self.factors(step)
        if not self.warmup_steps:
            return rate
        risen = (tf.cast(step, tf.float32) + 1.0) / float(self.warmup_steps)
        return tf.minimum(risen, 1.0) * rate


class Product(schedules.LearningRateSchedule):
    """A learning rate, or a schedule of one, times a schedule of factors."""

    def __init__(self, rate: float | Schedule, factor: Schedule):
        self.factor = factor
        self.rate = rate if callable(rate) else tf.constant(rate, tf.float32)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        rate = self.rate(step) if callable(self.rate) else self.rate
        return rate * self.factor(step)
