"""The optimization of one picture at one scale: its image, its optimizer and its compiled steps."""

import functools
import logging
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from nst_keras.devices import memory
from nst_keras.objective.objective import Objective, balanced_weights
from nst_keras.objective.term_names import matches
from nst_keras.optimizers import by_name, optimizer, schedules
from nst_keras.optimizers.facts import FACTS
from nst_keras.optimizers.strips import add_by_strips
from nst_keras.runtime.checkpoints import State
from nst_keras.runtime.errors import InputError
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.compiled import compiled_step, repeated
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scales import Scale

_log = logging.getLogger(__name__)


class ScaleRun:
    """One picture at one scale.

    Args:
        start: returns the image (H, W, 3) to start from; not called if there is a state.
        state: the result of `state` at the same scale, to resume from.
        tile_size: see `StyleTransferProblem.objective`.
        halvings: how often the learning rate is halved.

    Raises:
        InputError: the state belongs to another run.
    """

    def __init__(
        self,
        problem: StyleTransferProblem,
        scale: Scale,
        start: Callable[[], np.ndarray],
        state: State | None = None,
        tile_size: int | None = None,
        halvings: int = 0,
    ):
        self.scale, self.problem, self._settings = scale, problem, problem.settings
        self._decay = self._settings.average
        # First, because it needs large arrays for a while.
        self.objective = problem.objective(scale, tile_size)
        self._add = _adder(self.objective)
        shape = (1, scale.height, scale.width, 3)
        self._optimizer = _make_optimizer(
            self._settings, scale, shape, self.objective.names, self._add, 0.5**halvings
        )
        self._warning = ""
        if state is None:
            self._image = tf.Variable(start()[None], trainable=False)
        else:
            self._image = tf.Variable(tf.zeros(shape), trainable=False)
        self._average = None
        if self._decay:
            self._average = tf.Variable(tf.zeros(shape), trainable=False)
        if state is not None:
            self._restore(state)
        elif self._settings.balance:
            self._balance()
        for variable in self._all_variables():
            variable.assign(problem.replicas.from_chief(variable.read_value()))
        self._compile()

    def run(self, steps: int) -> dict[str, float]:
        """Take some steps.

        Returns:
            The losses that the last step saw, or the first step that saw a total or a gradient that
            is not finite; its total is then not finite.
        """
        losses = self._run(tf.constant(steps))
        if (warning := self._optimizer.warning()) and warning != self._warning:
            _log.warning("%s", warning)
        self._warning = warning or self._warning
        return {name: float(value) for name, value in losses.items()}

    @property
    def variable(self) -> tf.Variable:
        """The iterate that steps change, (1, H, W, 3); `picture` is what is shown of it."""
        return self._image

    @property
    def steps(self) -> int:
        """The number of steps taken at this scale."""
        return int(self._optimizer.steps)

    def picture(self) -> np.ndarray:
        """The iterate, or the bias-corrected average of the iterates: (H, W, 3), in [0, 1]."""
        picture = _array(self._image)[0]
        if self._shows_image():
            return picture
        if self._average is not None and self.steps:
            picture = _array(self._average)[0] / np.float32(1.0 - self._decay**self.steps)
        return np.clip(picture, 0.0, 1.0)

    def value(self) -> dict[str, float]:
        """The losses of the picture by term name."""
        image = self._image.read_value() if self._shows_image() else self.picture()[None]
        losses = self.objective.compiled(self.objective.value)(tf.convert_to_tensor(image))
        return {name: float(value) for name, value in losses.items()}

    def state(self) -> State:
        """Everything that the next step depends on, beside the settings."""
        scale = {name: _array(variable) for name, variable in self._variables().items()}
        if self._settings.balance:
            scale["weights"] = np.array(list(self.objective.weights.values()))
        moments = self._optimizer.variables()
        return {
            "scale": scale,
            "optimizer": {name: _array(variable) for name, variable in moments.items()},
        }

    def advance(self, value_and_grad: optimizer.ValueAndGrad) -> dict[str, tf.Tensor]:
        """Take one step, part of a graph unless in tiles; returns the losses that it saw."""
        losses = self._optimizer.step(self._image, value_and_grad)
        if self._settings.clamp:
            # Exact: a float and its difference to a bound add up to that bound.
            self._add(self._image, _excess)
        if self._average is not None:
            mix = functools.partial(_toward, share=1.0 - self._decay)
            self._add(self._average, mix, self._image)
        return losses

    def _compile(self) -> None:
        self._step, self._run = self._one_step, self._steps_one_by_one
        if self.objective.evaluator.in_graph:
            facts = FACTS[self._settings.optimizer]
            self._step = compiled_step(
                self._one_step, xla=self._settings.xla, with_conditions=facts.has_conditions
            )
            self._run = tf.function(self._steps, autograph=False)

    def _shows_image(self) -> bool:
        """Whether the picture is the iterate itself, which need not be copied."""
        averaged = self._average is not None and self.steps
        return self._settings.clamp and not averaged

    def _restore(self, state: State) -> None:
        owners = {"scale": self._variables(), "optimizer": self._optimizer.variables()}
        wrong = []
        for owner, variables in owners.items():
            saved = state.get(owner, {})
            extra = saved.keys() - variables.keys() - {"weights"}
            unfit = {name for name in variables if not _fits(saved, name, variables[name])}
            wrong += [f"{owner}/{name}" for name in sorted(extra | unfit)]
        if wrong:
            raise InputError(f"--workdir: its checkpoint is of another run: {', '.join(wrong)}")
        for owner, variables in owners.items():
            for name, variable in variables.items():
                variable.assign(state[owner][name])
        if self._settings.balance:
            values = map(float, state["scale"]["weights"])
            weights = dict(zip(self.objective.weights, values, strict=True))
            self.objective = self.objective.reweighted(weights)

    def _balance(self) -> None:
        shares = {
            tuple(name for name in self.objective.weights if matches(name, chosen)): share
            for chosen, share in self._settings.balance
        }
        image = self._image.read_value()
        weights = balanced_weights(self.objective, image, shares, self._settings.seed)
        self.objective = self.objective.reweighted(weights)
        _log.info(
            "balance at %dx%d: weights %s",
            self.scale.width,
            self.scale.height,
            ", ".join(f"{name} {weight:.4g}" for name, weight in weights.items()),
        )

    def _variables(self) -> dict[str, tf.Variable]:
        average = {} if self._average is None else {"average": self._average}
        return {"image": self._image, **average}

    def _all_variables(self) -> list[tf.Variable]:
        return [*self._variables().values(), *self._optimizer.variables().values()]

    def _steps_one_by_one(self, count: tf.Tensor) -> dict[str, tf.Tensor]:
        losses: dict[str, tf.Tensor] = {}
        for _ in range(int(count)):
            losses = self._step()
            if not tf.math.is_finite(losses["total"]):
                break
        return losses

    def _steps(self, count: tf.Tensor) -> dict[str, tf.Tensor]:
        names = self.objective.names

        def step() -> tf.Tensor:
            losses = self._step()
            return tf.stack([losses[name] for name in names])

        return dict(zip(names, tf.unstack(repeated(step, count, (len(names),))), strict=True))

    def _one_step(self) -> dict[str, tf.Tensor]:
        return self.advance(self.objective.value_and_grad)


def _adder(objective: Objective) -> optimizer.Add:
    """The function that updates variables as large as the image.

    Updating by strips saves memory on the host; on a GPU it would copy everything there and back.
    """
    by_strips = not objective.evaluator.in_graph and not memory.on_gpu()
    return add_by_strips if by_strips else optimizer.add_at_once


def _fits(saved: Mapping[str, np.ndarray], name: str, variable: tf.Variable) -> bool:
    there = saved.get(name)
    dtype = variable.dtype.as_numpy_dtype
    return there is not None and there.shape == tuple(variable.shape) and there.dtype == dtype


def _excess(pixels: tf.Tensor) -> tf.Tensor:
    """The differences that bring pixels into [0, 1] when they are added."""
    return tf.clip_by_value(pixels, 0.0, 1.0) - pixels


def _toward(average: tf.Tensor, image: tf.Tensor, share: float) -> tf.Tensor:
    return share * (image - average)


def _array(variable: tf.Variable) -> np.ndarray:
    """The value of a variable, without a copy where it is in the host's memory: TensorFlow copies
    it when the variable changes."""
    return np.asarray(variable.read_value())


def _make_optimizer(
    settings: Settings,
    scale: Scale,
    shape: tuple[int, ...],
    loss_names: tuple[str, ...],
    add: optimizer.Add,
    rate_factor: float,
) -> optimizer.Optimizer:
    rate = schedules.make_schedule(
        settings.schedule,
        settings.learning_rate * rate_factor,
        steps=scale.steps,
        end=settings.schedule_end,
        fall_steps=settings.schedule_steps,
        at=[(int(step), factor) for step, factor in settings.schedule_at],
        warmup_steps=settings.warmup_steps,
    )
    return by_name.make_optimizer(
        settings.optimizer,
        shape,
        rate,
        {name: getattr(settings, name) for name in FACTS[settings.optimizer].takes},
        pixel_range=PRESETS[settings.objective].pixel_range,
        bounded=settings.clamp,
        loss_names=loss_names,
        add=add,
    )
