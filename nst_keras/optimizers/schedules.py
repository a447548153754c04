"""Learning rates over the steps of a scale, from Keras' schedules."""

from collections.abc import Callable, Sequence

import tensorflow as tf
from keras.optimizers import schedules

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
    """
    over = fall_steps or max(steps - 1, 1)
    if name == "linear":
        fall = schedules.PolynomialDecay(learning_rate, over, end * learning_rate)
    elif name == "cosine":
        fall = schedules.CosineDecay(learning_rate, over, alpha=end)
    elif name == "exponential":
        fall = schedules.ExponentialDecay(learning_rate, over, end)
    else:  # 'constant' is a single piece
        # In Keras, a boundary belongs to the piece before it, and there is at least one.
        boundaries = [-2, *(step - 2 for step, _ in at)]
        factors = [1.0, 1.0, *(factor for _, factor in at)]
        values = [factor * learning_rate for factor in factors]
        fall = schedules.PiecewiseConstantDecay(boundaries, values)
    return _WarmUp(fall, warmup_steps) if warmup_steps else fall


class _WarmUp(schedules.LearningRateSchedule):
    """Another schedule, multiplied by a factor that rises to 1 over the first steps."""

    def __init__(self, schedule: Schedule, steps: int):
        self.schedule, self.steps = schedule, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        risen = (tf.cast(step, tf.float32) + 1.0) / float(self.steps)
        return tf.minimum(risen, 1.0) * self.schedule(step)
