"""One scale at work: its image, its optimizer and its compiled steps."""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import tensorflow as tf

from nst_keras.devices import memory
from nst_keras.objective import balance
from nst_keras.objective import objective as objective_lib
from nst_keras.objective.terms import matches
from nst_keras.objective.tiled import TiledObjective
from nst_keras.optimizers import by_name, optimizer, schedules
from nst_keras.optimizers.lbfgs import Lbfgs, ValueAndGrad
from nst_keras.optimizers.strips import add_by_strips
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.presets import PRESETS
from nst_keras.transfer.iterate import References
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scales import Scale

_log = logging.getLogger(__name__)


_Terms = TypeVar("_Terms")

# What a saved state holds beside the variables: of `Stage` itself, of the course, and of a batch.
_OTHER_STATE = {"weights", "plateau", "watch", "recoveries", "precision", "batch"}


class ScaleRun:
    """One scale at work: the image, its optimizer and the compiled steps.

    Args:
        image: makes the image (H, W, 3) to start from.
        state: of the same scale, in place of a start.
        tile_size: see `Painter.objective`.
        slower: how often the learning rate is halved.
    """

    def __init__(
        self,
        painter: StyleTransferProblem,
        scale: Scale,
        image: Callable[[], np.ndarray],
        state: Mapping[str, np.ndarray] | None = None,
        tile_size: int | None = None,
        slower: int = 0,
    ):
        self.scale, self._painter, self._config = scale, painter, painter.config
        self._decay = self._config.average
        # First: it holds large copies a while.
        self._objective = painter.objective(scale, tile_size)
        self._image = tf.Variable(image()[None], trainable=False)
        self._average = None
        if self._decay:
            self._average = tf.Variable(tf.zeros_like(self._image), trainable=False)
        tiled = isinstance(self._objective, TiledObjective)
        # Strips spare the memory of the host; a GPU would have all of it go there and back.
        by_strips = tiled and not memory.on_gpu()
        self._add = add_by_strips if by_strips else optimizer.add_at_once
        self._optimizer = _make_optimizer(
            self._config, scale, self._objective.term_names, self._add, 0.5**slower
        )
        if state is not None:
            self._restore(state)
        elif self._config.balance:
            self._balance()
        for variable in self._variables().values():
            variable.assign(painter.replicas.from_chief(variable.read_value()))
        self._step, self._run = self._one_step, self._steps_one_by_one
        if not tiled:
            is_lbfgs = isinstance(self._optimizer, Lbfgs)
            self._step = compiled_step(
                self._one_step, xla=self._config.xla, with_conditions=is_lbfgs
            )
            self._run = tf.function(self._steps, autograph=False)
        self._warned = False

    def run(self, steps: int) -> dict[str, float]:
        """Take some steps; returns the terms that the last one saw, or the first one that saw a
        total or a gradient that is not finite; its total is then not finite."""
        terms = self._run(tf.constant(steps))
        if isinstance(self._optimizer, Lbfgs) and self._optimizer.stalls and not self._warned:
            _log.warning("lbfgs finds no lower total any more; it goes on halving its steps")
            self._warned = True
        return {name: float(value) for name, value in terms.items()}

    @property
    def variable(self) -> tf.Variable:
        """The iterate that steps change, (1, H, W, 3); `picture` is what is shown of it."""
        return self._image

    @property
    def objective(self) -> objective_lib.Objective | TiledObjective:
        """At this scale, balanced."""
        return self._objective

    @property
    def steps(self) -> int:
        """Steps that were taken at this scale."""
        return int(self._optimizer.steps)

    def picture(self) -> np.ndarray:
        """The iterate, or the bias-corrected average of the iterates: (H, W, 3), in [0, 1]."""
        picture = _array(self._image)[0]
        if self._shows_image():
            return picture
        if self._average is not None and self.steps:
            picture = _array(self._average)[0] / np.float32(1.0 - self._decay**self.steps)
        return np.clip(picture, 0.0, 1.0)

    def _shows_image(self) -> bool:
        """Whether the picture is the iterate as it is, of which a copy may be large."""
        averaged = self._average is not None and self.steps
        return self._config.clamp and not averaged

    def value(self) -> dict[str, float]:
        """The terms of the picture."""
        image = self._image.read_value() if self._shows_image() else self.picture()[None]
        terms = self._compiled(self._objective.value)(tf.convert_to_tensor(image))
        return {name: float(value) for name, value in terms.items()}

    def references(self) -> References:
        """What the picture is judged by."""
        return self._painter.references()

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, beside the settings."""
        state = {name: _array(variable) for name, variable in self._variables().items()}
        if self._config.balance:
            state["weights"] = np.array(list(self._objective.weights.values()))
        return state

    def _restore(self, state: Mapping[str, np.ndarray]) -> None:
        variables = self._variables()
        unknown = set(state) - set(variables) - _OTHER_STATE
        unfit = {name for name, variable in variables.items() if not _fits(state, name, variable)}
        if wrong := sorted(unknown | unfit):
            raise InputError(f"--workdir: its checkpoint is not of this job: {', '.join(wrong)}")
        for name, variable in variables.items():
            variable.assign(state[name])
        if self._config.balance:
            values = map(float, state["weights"])
            weights = dict(zip(self._objective.weights, values, strict=True))
            self._objective = self._objective.reweighted(weights)

    def _balance(self) -> None:
        weights = self._objective.weights
        shares = {
            tuple(term for term in weights if matches(term, name)): share
            for name, share in self._config.balance
        }
        balanced = balance.balanced_weights(
            self._objective, self._image.read_value(), shares, self._config.seed, self._compiled
        )
        self._objective = self._objective.reweighted(balanced)
        _log.info(
            "balance at %dx%d: weights %s",
            self.scale.width,
            self.scale.height,
            ", ".join(f"{name} {weight:.4g}" for name, weight in self._objective.weights.items()),
        )

    def _compiled(self, function: Callable) -> Callable:
        """The function of this objective as a graph, unless it is to be called outside of one."""
        if isinstance(self._objective, TiledObjective):
            return function
        return tf.function(function, autograph=False)

    def _variables(self) -> dict[str, tf.Variable]:
        average = {} if self._average is None else {"average": self._average}
        return {"image": self._image, **average, **self._optimizer.variables()}

    def _steps_one_by_one(self, count: tf.Tensor) -> dict[str, tf.Tensor]:
        terms: dict[str, tf.Tensor] = {}
        for _ in range(int(count)):
            terms = self._step()
            if not tf.math.is_finite(terms["total"]):
                break
        return terms

    def _steps(self, count: tf.Tensor) -> dict[str, tf.Tensor]:
        names = self._objective.term_names

        def step() -> tf.Tensor:
            terms = self._step()
            return tf.stack([terms[name] for name in names])

        return dict(zip(names, tf.unstack(repeated(step, count, (len(names),))), strict=True))

    def _one_step(self) -> dict[str, tf.Tensor]:
        return self.advance(self._objective.value_and_grad)

    def advance(self, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        """One step by this objective, in a graph unless the stage is tiled; returns the terms that
        it saw."""
        terms = self._optimizer.step(self._image, value_and_grad)
        if self._config.clamp:
            # Exact: a float and what it lacks to a bound add up to that bound.
            self._add(self._image, _excess)
        if self._average is not None:
            mix = functools.partial(_toward, share=1.0 - self._decay)
            self._add(self._average, mix, self._image)
        return terms


def compiled_step(
    step: Callable[[], _Terms], *, xla: bool, with_conditions: bool = False
) -> Callable[[], _Terms]:
    """A step as a graph of its own, beside that of the loop over steps.

    Where a graph has a loop, TensorFlow comes to its nodes in an order that differs from process to
    process, and with it whether oneDNN takes over the gradients of pooling. Where it does not, one
    thread computes them, and a step takes a quarter longer. And XLA would compile anew for each
    number of steps.

    Args:
        with_conditions: whether it is written with Python's; what reads these takes a second.
    """
    return tf.function(
        step,
        jit_compile=xla or None,
        autograph=with_conditions,
        experimental_attributes={"_noinline": True},
    )


def repeated(step: Callable[[], tf.Tensor], count: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """In a graph, the terms of so many steps: those of the last one, or for each picture of the
    first one whose total is not finite.

    Later ones tell nothing of where it began, or look sound: a GPU clips NaN to black.

    Args:
        step: takes one and returns its terms, the total first: (..., terms), float32.
        shape: of the terms.
    """

    def more(number: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sound = tf.math.is_finite(before[..., :1])
        return number + 1, tf.where(sound, step(), before)

    start = (tf.constant(0), tf.zeros(shape))
    return tf.while_loop(lambda number, _: number < count, more, start)[1]


def _fits(state: Mapping[str, np.ndarray], name: str, variable: tf.Variable) -> bool:
    there = state.get(name)
    kind = variable.dtype.as_numpy_dtype
    return there is not None and there.shape == tuple(variable.shape) and there.dtype == kind


def _excess(pixels: tf.Tensor) -> tf.Tensor:
    """What is to be added to bring pixels into [0, 1]."""
    return tf.clip_by_value(pixels, 0.0, 1.0) - pixels


def _toward(average: tf.Tensor, image: tf.Tensor, share: float) -> tf.Tensor:
    return share * (image - average)


def _array(variable: tf.Variable) -> np.ndarray:
    """The value of a variable, without a copy where it is in the host's memory: TensorFlow makes
    one when the variable changes."""
    return np.asarray(variable.read_value())


def _make_optimizer(
    config: Config,
    scale: Scale,
    term_names: tuple[str, ...],
    add: optimizer.Add,
    rate_factor: float,
) -> optimizer.Optimizer:
    rate = schedules.make_schedule(
        config.schedule,
        config.learning_rate * rate_factor,
        steps=scale.steps,
        end=config.schedule_end,
        fall_steps=config.schedule_steps,
        at=[(int(step), factor) for step, factor in config.schedule_at],
        warmup_steps=config.warmup_steps,
    )
    return by_name.make_optimizer(
        config.optimizer,
        (1, scale.height, scale.width, 3),
        rate,
        pixel_range=PRESETS[config.objective].pixel_range,
        bounded=config.clamp,
        history=config.history,
        backtrack=config.line_search == "backtrack",
        term_names=term_names,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.epsilon,
        momentum=config.momentum,
        opponent=config.adam_colors == "opponent",
        add=add,
    )
