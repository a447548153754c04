"""The learning rate over the steps of a scale, by Keras' schedules."""

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
    """The learning rate at each step.

    Args:
        name: 'constant', 'linear', 'cosine', 'exponential' or 'piecewise'.
        steps: of the scale.
        end: factor that linear, cosine and exponential reach after `fall_steps`, or at the last
            step where that is 0. Exponential goes on falling.
        at: piecewise: (1-based step, factor from that step on).
        warmup_steps: over these it rises from 0, whatever the schedule.
    """
    over = fall_steps or max(steps - 1, 1)
    last = end * learning_rate
    if name == "linear":
        fall = schedules.PolynomialDecay(learning_rate, over, last)
    elif name == "cosine":
        fall = schedules.CosineDecay(learning_rate, over, alpha=end)
    elif name == "exponential":
        fall = schedules.ExponentialDecay(learning_rate, over, end)
    else:
        # A boundary belongs to what comes before it.
        boundaries = [step - 2 for step, _ in at]
        factors = [1.0, *(factor for _, factor in at)]
        fall = _Steps(boundaries, [factor * learning_rate for factor in factors])
    return _WarmUp(fall, warmup_steps) if warmup_steps else fall


class _Steps(schedules.LearningRateSchedule):
    """Keras' piecewise schedule, which also may have one piece only."""

    def __init__(self, boundaries: list[int], values: list[float]):
        self.boundaries, self.values = boundaries, values
        self._pieces = None
        if boundaries:
            self._pieces = schedules.PiecewiseConstantDecay(boundaries, values)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self._pieces(step) if self._pieces else tf.constant(self.values[0])

    def get_config(self) -> dict:
        """The arguments of a schedule like this."""
        return {"boundaries": self.boundaries, "values": self.values}


class _WarmUp(schedules.LearningRateSchedule):
    """Another schedule, rising to it over the first steps."""

    def __init__(self, schedule: Schedule, steps: int):
        self.schedule, self.steps = schedule, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        risen = (tf.cast(step, tf.float32) + 1.0) / float(self.steps)
        return tf.minimum(risen, 1.0) * self.schedule(step)

    def get_config(self) -> dict:
        """The arguments of a schedule like this."""
        return {"schedule": self.schedule, "steps": self.steps}
