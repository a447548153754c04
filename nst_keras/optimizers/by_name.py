"""Makes optimizers by name; `facts` describes each of them without TensorFlow."""

from collections.abc import Mapping
from typing import Any

from nst_keras.optimizers.adam import Adam
from nst_keras.optimizers.keras_optimizer import KerasOptimizer
from nst_keras.optimizers.lbfgs import Lbfgs
from nst_keras.optimizers.optimizer import Add, Optimizer, add_at_once
from nst_keras.optimizers.schedules import Schedule


def make_optimizer(
    name: str,
    shape: tuple[int, ...],
    rate: Schedule,
    settings: Mapping[str, Any],
    *,
    pixel_range: float = 1.0,
    bounded: bool = False,
    loss_names: tuple[str, ...] = ("total",),
    add: Add = add_at_once,
) -> Optimizer:
    """Make an optimizer.

    Args:
        name: one of `facts.FACTS`.
        shape: the image's, (1, H, W, 3).
        rate: the step size for pixels in [0, `pixel_range`]; for lbfgs, a factor on its steps.
        settings: a value for each of the settings that the optimizer takes (see `facts`).
        bounded: whether pixels stay within [0, 1].
        loss_names: the keys of the objective's losses.
        add: updates variables as large as the image.
    """
    options = dict(settings)
    if name == "lbfgs":
        backtrack = options.pop("line_search") == "backtrack"
        return Lbfgs(
            shape,
            rate=rate,
            backtrack=backtrack,
            bounded=bounded,
            loss_names=loss_names,
            **options,
        )
    if name == "adam":
        opponent = options.pop("adam_colors") == "opponent"
        return Adam(
            shape, rate=rate, pixel_range=pixel_range, opponent=opponent, add=add, **options
        )
    return KerasOptimizer(name, shape, rate=rate, pixel_range=pixel_range, **options)
