"""Optimizers by name."""

from nst_keras.optimizers.adam import Adam
from nst_keras.optimizers.keras_optimizer import KerasOptimizer
from nst_keras.optimizers.lbfgs import Lbfgs
from nst_keras.optimizers.optimizer import Add, Optimizer, add_at_once
from nst_keras.optimizers.schedules import Schedule


def make_optimizer(
    name: str,
    shape: tuple[int, ...],
    rate: Schedule,
    *,
    pixel_range: float,
    bounded: bool,
    history: int,
    backtrack: bool,
    term_names: tuple[str, ...] = ("total",),
    opponent: bool = False,
    add: Add = add_at_once,
    **options: float,
) -> Optimizer:
    """The optimizer of this name, 'adam', 'lbfgs' or one of Keras', for an image of this shape.

    Args:
        rate: step size for pixels in [0, `pixel_range`]; of lbfgs, factor on its step.
        bounded, history, backtrack, term_names: see `Lbfgs`.
        opponent, add: see `Adam`.
        options: beta_1, beta_2, epsilon and momentum; each optimizer takes those that it knows.
    """
    if name == "lbfgs":
        return Lbfgs(
            shape,
            rate=rate,
            history=history,
            backtrack=backtrack,
            bounded=bounded,
            term_names=term_names,
        )
    if name == "adam":
        options.pop("momentum", None)
        return Adam(
            shape, rate=rate, pixel_range=pixel_range, opponent=opponent, add=add, **options
        )
    return KerasOptimizer(name, shape, rate=rate, pixel_range=pixel_range, **options)
