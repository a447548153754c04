"""What the rest of the program needs to know about each optimizer. Imports no TensorFlow.

`docs/design.md` lists what to change for a new one.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from nst_keras.optimizers import keras_text

_ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "adam_colors": "rgb"}


@dataclasses.dataclass(frozen=True)
class OptimizerFacts:
    """What settings, plans and batches need to know about an optimizer.

    Attributes:
        takes: the names of the settings that it uses, besides the learning rate and its schedule.
        step_size: a learning rate that suits most objectives, for pixels in [0, 1]; None if its
            steps grow with the gradient, whose size depends on the objective.
        defaults: settings for objectives that were published with another optimizer.
        step_is_share: whether its steps are a share of the image's norm, whatever the pixels' unit.
        rate_is_factor: whether its learning rate is a factor on steps of its own, usually 1.
        images: the number of float32 images that a step needs in memory besides the image itself.
        images_per_history: how many more for each remembered step.
        joins_batches: whether several pictures can be optimized at once, through one network. Each
            step must evaluate the current image alone, once: a batch is evaluated before it.
        moves_alone: whether nothing else may move the image between its steps.
        any_size: whether its graph serves images of any size.
        has_conditions: whether its step has Python conditions on tensors, for AutoGraph to convert.
    """

    takes: tuple[str, ...]
    step_size: float | None = None
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=lambda: _ADAM)
    step_is_share: bool = False
    rate_is_factor: bool = False
    images: int = 4
    images_per_history: int = 0
    joins_batches: bool = True
    moves_alone: bool = False
    any_size: bool = False
    has_conditions: bool = False

    def learning_rate(self, pixel_range: float) -> float | None:
        """A learning rate for pixels in [0, `pixel_range`] that suits most objectives, if any."""
        if self.step_size is None or self.step_is_share or self.rate_is_factor:
            return self.step_size
        return self.step_size * pixel_range


_MOMENTS = ("beta_1", "beta_2", "epsilon")

FACTS = {
    "adam": OptimizerFacts((*_MOMENTS, "adam_colors"), 0.02, any_size=True),
    "lbfgs": OptimizerFacts(
        ("history", "line_search"),
        1.0,
        {"schedule": "constant", "schedule_end": 0.2, "schedule_steps": 0, "average": 0.0},
        rate_is_factor=True,
        # The gradient, the direction, temporaries of the recursion, and gaps between these.
        images=30,
        images_per_history=2,
        joins_batches=False,
        moves_alone=True,
        has_conditions=True,
    ),
    "adadelta": OptimizerFacts(("epsilon",)),
    "adafactor": OptimizerFacts((), 0.02, step_is_share=True),
    "adagrad": OptimizerFacts(("epsilon",), 0.1),
    "adamax": OptimizerFacts(_MOMENTS, 0.02),
    "adamw": OptimizerFacts(_MOMENTS, 0.02),
    "lamb": OptimizerFacts(_MOMENTS, 0.02, step_is_share=True),
    "lion": OptimizerFacts(("beta_1", "beta_2"), 0.01),
    "nadam": OptimizerFacts(_MOMENTS, 0.02),
    "rmsprop": OptimizerFacts(("epsilon", "momentum"), 0.01),
    "sgd": OptimizerFacts(("momentum",)),
}

# One of Keras that the user has made, with a rate and settings of its own.
_OWN = OptimizerFacts(
    (),
    1.0,
    {"schedule": "constant", "schedule_end": 0.2, "schedule_steps": 0},
    rate_is_factor=True,
    images=6,
)


def facts_of(optimizer: str) -> OptimizerFacts:
    """What is known of an optimizer, by its name or its text (see `keras_text`)."""
    return _OWN if keras_text.is_text(optimizer) else FACTS[optimizer]
