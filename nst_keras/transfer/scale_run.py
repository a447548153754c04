"""The optimization of one picture at one scale: its image, its optimizer and its compiled steps."""

import functools
import logging
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from nst_keras.devices import memory
from nst_keras.devices.variables import Variables, value_of
from nst_keras.devices.xla_programs import is_for_xla
from nst_keras.objective.objective import Losses, balanced_weights
from nst_keras.objective.term_names import matches
from nst_keras.optimizers import by_name, optimizer, schedules
from nst_keras.optimizers.facts import facts_of
from nst_keras.optimizers.pyramid import Pyramid
from nst_keras.optimizers.strips import add_by_strips
from nst_keras.runtime.checkpoints import State
from nst_keras.runtime.errors import InputError
from nst_keras.settings.presets import PRESETS
from nst_keras.transfer.compiling import CompiledSteps
from nst_keras.transfer.plan import Scale
from nst_keras.transfer.problem import StyleTransferProblem

_log = logging.getLogger(__name__)

_HOST = "/device:CPU:0"


class ScaleRun:
    """One picture at one scale.

    Args:
        start: returns the image (H, W, 3) to start from; not called if there is a state.
        state: the result of `state` at the same scale, to resume from.
        tile_size: see `StyleTransferProblem.objective`.
        halvings: how often the learning rate is halved.
        variables: those of all scales that have a graph in common; None: it has its own.

    Attributes:
        compiled: the compiled steps; None where steps run from Python, one by one.

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
        variables: Variables | None = None,
    ):
        self.scale, self.problem, self._settings = scale, problem, problem.settings
        self.variables = variables or Variables()
        self._generation = self.variables.generation
        self._result: np.ndarray | None = None  # once the scale is over
        # First, because it needs large arrays for a while.
        self.objective = problem.objective(scale, tile_size, self.variables)
        in_graph = self.objective.evaluator.in_graph
        self._facts = facts_of(self._settings.optimizer)
        self._home = _HOST if problem.plan.state_on_host and not in_graph else None
        with tf.device(self._home):
            self._kept = problem.pictures.kept_at(scale.height, scale.width, self.variables)
        # Strips save memory on the host; on a GPU they would copy everything there and back.
        by_strips = not in_graph and (self._home is not None or not memory.on_gpu())
        self._add = add_by_strips if by_strips else optimizer.add_at_once
        of_pyramid = self._settings.variables == "pyramid"
        self._pyramid = Pyramid(scale.height, scale.width) if of_pyramid else None
        shape = self._pyramid.shape if self._pyramid else (1, scale.height, scale.width, 3)
        with tf.device(self._home):
            self._optimizer = self._make_optimizer(shape, halvings)
        self._warning = ""
        self._matched_at = 0  # the number of steps before the last match
        first = tf.zeros(shape)
        if state is None:
            image = start()
            image = self._kept.in_picture(image) if self._kept else image
            first = self._pyramid.coefficients(image[None]) if self._pyramid else image[None]
        # What steps change: the pixels, or the coefficients of their pyramid.
        with tf.device(self._home):
            self.variable = self.variables.variable("image", first)
            own = {"pyramid" if self._pyramid else "image": self.variable}
            if self._settings.average:
                own["average"] = self.variables.variable("average", tf.zeros(shape))
        self._average = own.get("average")
        # By owner and name, as in checkpoints.
        self._by_owner = {"scale": own, "optimizer": self._optimizer.variables()}
        if state is not None:
            self._restore(state)
        elif self.objective.neighbors is not None:
            problem.match(self.objective.neighbors, scale, image)
        if state is None and self._settings.balance:
            self._balance()
        for named in self._by_owner.values():
            for variable in named.values():
                variable.assign(problem.replicas.from_chief(variable.read_value()))
        self.compiled = self._compiled_steps() if in_graph else None

    def run(self, steps: int) -> dict[str, float]:
        """Take some steps; returns the losses of the last one, or of the first one whose total or
        gradient is not finite. In that case their total is not finite."""
        self.prepare()
        take = self.compiled or self._one_by_one
        losses = take(tf.constant(steps)).numpy()
        if (warning := self._optimizer.warning()) and warning != self._warning:
            _log.warning("%s", warning)
        self._warning = warning or self._warning
        return self.named(losses)

    def prepare(self) -> None:
        """Match the image with the styles anew if that is due before the next step."""
        neighbors, every = self.objective.neighbors, self.scale.match_every
        if neighbors is None or not every or self.steps % every or self.steps == self._matched_at:
            return
        self.problem.match(neighbors, self.scale, self.image().numpy()[0])
        self._matched_at = self.steps
        self._optimizer.restart()

    def image(self) -> tf.Tensor:
        """The iterate that steps change, (1, H, W, 3), with what is kept of the photo; `picture` is
        what is shown of it."""
        image = self._image_of(self.variable)
        return self._kept.with_photo(image) if self._kept else image

    def _image_of(self, variable: tf.Variable) -> tf.Tensor:
        value = value_of(variable)
        return self._pyramid.image(value) if self._pyramid else value

    def row(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        """The losses in the order of the objective's names."""
        return tf.stack([losses[name] for name in self.objective.names])

    def named(self, row: np.ndarray) -> dict[str, float]:
        """The losses of a row by term name."""
        return dict(zip(self.objective.names, map(float, row), strict=True))

    @property
    def steps(self) -> int:
        """The number of steps taken at this scale."""
        return int(self._optimizer.steps)

    def leave(self) -> np.ndarray:
        """The last picture, which can be read even after the variables were released."""
        result = self._result = self.picture()
        return result

    def _check_variables(self) -> None:
        """Raise RuntimeError if another scale has the variables."""
        if self.variables.generation != self._generation:
            raise RuntimeError("this scale of the run is over; read its iterates before it ends")

    def picture(self) -> np.ndarray:
        """The iterate, or the bias-corrected average of the iterates: (H, W, 3), in [0, 1]."""
        if self._result is not None:
            return self._result
        self._check_variables()
        if self._average is not None and self.steps:
            correction = np.float32(1.0 - self._settings.average**self.steps)
            mean = np.clip(_array(self._image_of(self._average))[0] / correction, 0.0, 1.0)
            return self._kept.in_picture(mean) if self._kept else mean
        picture = _array(self.image())[0]
        if self._settings.clamp and self._pyramid is None:
            return picture  # which need not be copied
        return np.clip(picture, 0.0, 1.0)

    def value(self) -> dict[str, float]:
        """The losses of the picture by term name."""
        self._check_variables()
        # Not compiled: for one call, a graph would take longer to trace than to use.
        image = tf.convert_to_tensor(self.picture()[None])
        return {name: float(loss) for name, loss in self.objective.value(image).items()}

    def state(self) -> State:
        """Everything that the next step depends on, beside the settings."""
        self._check_variables()
        state = {
            owner: {name: _array(variable) for name, variable in named.items()}
            for owner, named in self._by_owner.items()
        }
        if self.objective.neighbors is not None:
            state["neighbors"] = self.objective.neighbors.state()
        if self._settings.balance:
            state["scale"]["weights"] = np.array(list(self.objective.weights.values()))
        return state

    def advance(self, value_and_grad: optimizer.ValueAndGrad) -> dict[str, tf.Tensor]:
        """Take one step, part of a graph unless in tiles; returns the losses that it saw."""
        if self._kept is not None:
            value_and_grad = functools.partial(self._kept.value_and_grad, value_and_grad)
        if self._pyramid is not None:
            is_clamped = self._settings.clamp and not self._facts.moves_alone
            value_and_grad = functools.partial(
                self._pyramid.value_and_grad, value_and_grad, is_clamped
            )
        losses = self._optimizer.step(self.variable, value_and_grad)
        if self._settings.clamp:
            self._clamp()
        if self._average is not None:
            mix = functools.partial(_toward, share=1.0 - self._settings.average)
            self._add(self._average, mix, self.variable)
        return losses

    def _clamp(self) -> None:
        if self._pyramid is None:
            # Exact: a float and its difference to a bound add up to that bound.
            self._add(self.variable, _excess)
        elif not self._facts.moves_alone:
            image = self._image_of(self.variable)
            self.variable.assign_add(self._pyramid.finest(_excess(image)))

    def _restore(self, state: State) -> None:
        wrong = []
        neighbors = self.objective.neighbors
        all_needed: dict[str, Mapping[str, np.ndarray | tf.Variable]] = dict(self._by_owner)
        if neighbors is not None:
            all_needed["neighbors"] = neighbors.state()
        for owner, named in all_needed.items():
            needed = {name: _form(variable) for name, variable in named.items()}
            found = {name: _form(array) for name, array in state.get(owner, {}).items()}
            differing = {name for name, _ in needed.items() ^ found.items()} - {"weights"}
            wrong += [f"{owner}/{name}" for name in sorted(differing)]
        if wrong:
            raise InputError(f"--workdir: its checkpoint is of another run: {', '.join(wrong)}")
        for owner, named in self._by_owner.items():
            for name, variable in named.items():
                variable.assign(state[owner][name])
        if neighbors is not None:
            neighbors.restore(state["neighbors"])
        if self._settings.balance:
            values = map(float, state["scale"]["weights"])
            weights = dict(zip(self.objective.weights, values, strict=True))
            self.objective = self.objective.reweighted(weights, self.variables)

    def _balance(self) -> None:
        shares = {
            tuple(name for name in self.objective.weights if matches(name, chosen)): share
            for chosen, share in self._settings.balance
        }
        image = self.image()
        around = self._kept.value_and_grad if self._kept else None
        weights = balanced_weights(self.objective, image, shares, self._settings.seed, around)
        self.objective = self.objective.reweighted(weights, self.variables)
        _log.info(
            "balance at %dx%d: weights %s",
            self.scale.width,
            self.scale.height,
            ", ".join(f"{name} {weight:.4g}" for name, weight in weights.items()),
        )

    def _make_optimizer(self, shape: tuple[int, ...], halvings: int) -> optimizer.Optimizer:
        settings = self._settings
        rate = schedules.make_schedule(
            settings.schedule,
            settings.learning_rate * 0.5**halvings,
            steps=self.scale.steps,
            end=settings.schedule_end,
            fall_steps=settings.schedule_steps,
            at=[(int(step), factor) for step, factor in settings.schedule_at],
            warmup_steps=settings.warmup_steps,
            constant=self.variables.constant,
        )
        return by_name.make_optimizer(
            settings.optimizer,
            shape,
            rate,
            {name: getattr(settings, name) for name in facts_of(settings.optimizer).takes},
            pixel_range=PRESETS[settings.objective].pixel_range,
            bounded=settings.clamp and self._pyramid is None,
            loss_names=self.objective.names,
            add=self._add,
            variable=self.variables.variable,
        )

    def _compiled_steps(self) -> CompiledSteps:
        return CompiledSteps(
            self._one_step,
            (len(self.objective.names),),
            xla=self.problem.plan.xla is True,
            variables=self.variables,
            with_conditions=self._facts.has_conditions,
        )

    def _one_by_one(self, count: tf.Tensor) -> tf.Tensor:
        losses = tf.constant([])
        for _ in range(int(count)):
            with tf.device(self._home):
                losses = self._one_step()
            if not tf.math.is_finite(losses[0]):
                break
        return losses

    def _one_step(self) -> tf.Tensor:
        evaluate = self._evaluate
        if self._facts.has_conditions:  # AutoGraph would go through the objective and the network
            evaluate = tf.autograph.experimental.do_not_convert(evaluate)
        return self.row(self.advance(evaluate))

    def _evaluate(self, image: tf.Tensor) -> tuple[Losses, tf.Tensor]:
        if is_for_xla():  # which compiles this size only
            image.set_shape((1, self.scale.height, self.scale.width, 3))
        return self.objective.value_and_grad(image)


def _excess(pixels: tf.Tensor) -> tf.Tensor:
    """The differences that bring pixels into [0, 1] when they are added."""
    return tf.clip_by_value(pixels, 0.0, 1.0) - pixels


def _toward(average: tf.Tensor, image: tf.Tensor, share: float) -> tf.Tensor:
    return share * (image - average)


def _form(array: np.ndarray | tf.Variable) -> tuple:
    """The shape of the array or of the variable's present value, and the type."""
    value = array.read_value() if isinstance(array, tf.Variable) else array
    return tuple(value.shape), tf.as_dtype(array.dtype)


def _array(value: tf.Variable | tf.Tensor) -> np.ndarray:
    """The value, not copied where it is in the host's memory: TensorFlow copies it on a change."""
    return np.asarray(value.read_value() if isinstance(value, tf.Variable) else value)
