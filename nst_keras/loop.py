"""The job: scales times steps. `stylize` yields iterates, saves its state and goes on from it."""

import logging
import math
import os
import time
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from nst_keras import (
    backbones,
    images,
    inits,
    losses,
    objective,
    optimizers,
    progress,
    scales,
    weights as weights_lib,
)
from nst_keras.checkpoints import Checkpoint, Checkpointer
from nst_keras.config import Config
from nst_keras.errors import InputError
from nst_keras.progress import Iterate, Pace
from nst_keras.scales import Scale
from nst_keras.weights import Weights

_log = logging.getLogger(__name__)

# A call into the graph lasts about this long: short enough for Ctrl-C and the bar, long enough that
# Python's share vanishes.
_CALL_SECONDS = 1.0

PictureLike = str | os.PathLike | np.ndarray


def stylize(
    content: PictureLike,
    styles: PictureLike | Sequence[PictureLike],
    config: Config | None = None,
    *,
    weights: Weights | None = None,
    checkpointer: Checkpointer | None = None,
) -> Iterator[Iterate]:
    """Paint the content in the manner of the styles (Gatys et al. 2016), from coarse to fine.

    Args:
        content, styles: paths, or (H, W, 3) arrays of RGB: uint8, or floats in [0, 1].
        config: settings; those that are None come from its objective's preset. Its own `content`,
            `style`, `workdir` and `output` are not looked at.
        weights: of the backbone, if read already.
        checkpointer: where the state is saved when due, and taken from at the start. Closing the
            generator early saves the state, too.

    Yields:
        An `Iterate` at least about every second of work, and at every multiple of `log_every`,
        `image_every` and `checkpoint_every`, at every `image_at` and at the end of every scale.

    Raises:
        InputError: a picture, a weights file or a setting cannot be used.
        FloatingPointError: the objective is no longer finite.
    """
    config = (config or Config()).resolve()
    if isinstance(styles, (str, os.PathLike, np.ndarray)):
        styles = [styles]
    pictures = [_pixels(content, "content"), *(_pixels(style, "style") for style in styles)]
    plan = plan_scales(config, pictures[0].shape[:2])
    painter = _Painter(config, pictures[0], pictures[1:], weights or load_weights(config), plan)
    return _run(painter, config, plan, checkpointer)


def load_weights(config: Config) -> Weights:
    """The backbone's weights that `--weights` names."""
    if config.weights == "imagenet":
        return backbones.imagenet_weights(config.backbone)
    path = weights_lib.embedded_path() if config.weights == "embedded" else config.weights
    return weights_lib.read_weights(path, config.backbone)


def plan_scales(config: Config, content_size: tuple[int, int]) -> tuple[Scale, ...]:
    """The scales of a resolved config for a content of (height, width)."""
    size = max(content_size) if config.size == "original" else config.size
    coarse = len(scales.plan_sizes(size, config.min_size, config.scales)) - 1
    return scales.plan_scales(
        content_size,
        size=size,
        min_size=config.min_size,
        scales=config.scales,
        iterations=config.iterations,
        coarse_iterations=scales.spread_steps(config.coarse_iterations, coarse),
    )


def measure_step_seconds(
    content: np.ndarray, styles: Sequence[np.ndarray], config: Config, weights: Weights
) -> tuple[tuple[Scale, ...], tuple[float, ...], float]:
    """The plan, seconds per step at each of its scales, and seconds to set a scale up.

    Times a few steps at the coarsest and the finest scale; between them, time is linear in pixels.
    """
    plan = plan_scales(config, content.shape[:2])
    painter = _Painter(config, content, styles, weights, plan)
    first, last = plan[0], plan[-1]
    image = painter.first_image()
    coarse, coarse_setup = _time_scale(painter, first, image)
    fine, fine_setup = coarse, coarse_setup
    if last is not first:
        image = images.resize(image, last.height, last.width)
        fine, fine_setup = _time_scale(painter, last, image)
    slope = (fine - coarse) / max(last.pixels - first.pixels, 1)
    seconds = tuple(coarse + slope * (scale.pixels - first.pixels) for scale in plan)
    return plan, seconds, max(coarse_setup, fine_setup)


class _Painter:
    """The inputs of a job, and what they become at each scale."""

    def __init__(
        self,
        config: Config,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        weights: Weights,
        plan: tuple[Scale, ...],
    ):
        self.config, self.plan = config, plan
        # Reduced at once: a photo of 50 megapixels is not carried along for a picture of 0.2.
        self._content = images.resize(content, plan[-1].height, plan[-1].width)
        self._styles = [self._fit_style(style, plan[-1]) for style in styles]
        self._term_weights = _term_weights(config)
        self._extractor = backbones.feature_extractor(
            weights,
            (*config.content_layers, *config.style_layers),
            pooling=config.pooling,
            padding=config.padding,
            precision=config.precision,
        )

    def first_image(self) -> np.ndarray:
        """The image to start from, at the coarsest scale."""
        scale, config = self.plan[0], self.config
        content = images.resize(self._content, scale.height, scale.width)
        named = config.init not in ("content", "noise", "gray", "style")
        picture = images.read_image(config.init, "--init").pixels if named else None
        return inits.initial_image(config.init, content, self._styles[0], picture, config.seed)

    def objective(self, scale: Scale) -> objective.Objective:
        """The objective at a scale, its targets captured."""
        content = images.resize(self._content, scale.height, scale.width)
        styles = [self._fit_style(style, scale) for style in self._styles]
        targets = objective.capture_targets(
            tf.function(self._extractor, autograph=False),
            tf.constant(content[None]),
            [tf.constant(style[None]) for style in styles],
            list(self.config.style_blend) or [1.0] * len(styles),
            self._term_weights,
        )
        for note in targets.notes:
            _log.warning("%s", note)
        formulas = losses.OBJECTIVES[self.config.objective]
        return objective.Objective(self._extractor, targets, self._term_weights, formulas)

    def _fit_style(self, style: np.ndarray, scale: Scale) -> np.ndarray:
        """The style at `style_scale` times the picture's longest side.

        Strokes come out at the size at which the network sees them. Enlarging invents no detail, so
        it is only done when asked for.
        """
        longest = round(max(scale.height, scale.width) * self.config.style_scale)
        if self.config.style_scale <= 1.0:
            longest = min(longest, max(style.shape[:2]))
        return images.resize(style, *images.fit_size(style.shape[:2], max(longest, 16)))


class _Stage:
    """One scale at work: the image, its optimiser and the compiled steps."""

    def __init__(self, painter: _Painter, scale: Scale, image: np.ndarray):
        config = painter.config
        self.scale = scale
        self._decay = config.average
        self._image = tf.Variable(image[None], trainable=False)
        self._average = tf.Variable(tf.zeros_like(self._image), trainable=False)
        self._objective = painter.objective(scale)
        self._optimizer = optimizers.Adam(
            self._image.shape,
            learning_rate=config.step_size,
            schedule=optimizers.make_schedule(config.schedule, scale.steps, config.schedule_end),
        )
        self._run = tf.function(self._steps)
        self.steps_done = 0

    def run(self, steps: int) -> dict[str, float]:
        """Take some steps; returns the terms before the last one's update."""
        terms = self._run(tf.constant(steps))
        self.steps_done += steps
        return {name: float(value) for name, value in terms.items()}

    def picture(self) -> np.ndarray:
        """The iterate, or the bias-corrected average of the iterates: (H, W, 3)."""
        if not self._decay or not self.steps_done:
            return self._image.numpy()[0]
        return self._average.numpy()[0] / np.float32(1.0 - self._decay**self.steps_done)

    def value(self) -> dict[str, float]:
        """The terms of the picture."""
        terms = tf.function(self._objective.value)(tf.constant(self.picture()[None]))
        return {name: float(value) for name, value in terms.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, beside the settings."""
        return {
            "image": self._image.numpy(),
            "average": self._average.numpy(),
            "steps_done": np.int64(self.steps_done),
            **self._optimizer.state(),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` returned."""
        self._image.assign(state["image"])
        self._average.assign(state["average"])
        self.steps_done = int(state["steps_done"])
        self._optimizer.restore(state)

    def _steps(self, count: tf.Tensor) -> dict[str, tf.Tensor]:
        terms = {name: tf.constant(0.0) for name in self._objective.term_names}
        for _ in tf.range(count):
            terms = self._optimizer.step(self._image, self._objective.value_and_grad)
            self._image.assign(tf.clip_by_value(self._image, 0.0, 1.0))
            if self._decay:
                mixed = self._decay * self._average + (1.0 - self._decay) * self._image
                self._average.assign(mixed)
        return terms


def _run(
    painter: _Painter, config: Config, plan: tuple[Scale, ...], checkpointer: Checkpointer | None
) -> Iterator[Iterate]:
    saved = checkpointer.latest() if checkpointer else None
    job = _Job(config, plan, checkpointer, saved)
    picture = None if saved else painter.first_image()
    for scale in plan:
        if scale.last_step < job.step:
            continue
        if saved:
            stage = _Stage(painter, scale, np.zeros((scale.height, scale.width, 3), np.float32))
            stage.restore(saved.arrays)
            saved = None
        else:
            stage = _Stage(painter, scale, images.resize(picture, scale.height, scale.width))
        yield from job.run_scale(stage)
        picture = stage.picture()


class _Job:
    """Counts steps and seconds over the scales; reports and saves what is due."""

    def __init__(
        self,
        config: Config,
        plan: tuple[Scale, ...],
        checkpointer: Checkpointer | None,
        saved: Checkpoint | None,
    ):
        self.config, self.plan, self.checkpointer = config, plan, checkpointer
        self.step = saved.step if saved else 0
        self._started = time.monotonic() - (saved.seconds if saved else 0.0)
        self._pace = Pace(plan)

    def run_scale(self, stage: _Stage) -> Iterator[Iterate]:
        """Take the steps that are left of a scale."""
        if self.step == self.plan[-1].last_step:  # all done, but perhaps not yet written out
            yield from self._report(stage, stage.value())
        tracing = True
        while self.step < stage.scale.last_step:
            steps = 1 if tracing else self._steps_per_call(stage.scale)
            began = time.monotonic()
            terms = stage.run(steps)
            self.step += steps
            if not tracing:
                self._pace.saw(stage.scale, steps, time.monotonic() - began)
            tracing = False
            if bad := [name for name, value in terms.items() if not math.isfinite(value)]:
                raise FloatingPointError(
                    f"{', '.join(bad)} not finite at step {self.step}; "
                    "a smaller --learning_rate or style weight may help"
                )
            yield from self._report(stage, terms)

    def _report(self, stage: _Stage, terms: dict[str, float]) -> Iterator[Iterate]:
        seconds = time.monotonic() - self._started
        iterate = Iterate(
            step=self.step,
            total_steps=self.plan[-1].last_step,
            scale=stage.scale,
            scales=self.plan,
            terms=terms,
            seconds=seconds,
            seconds_left=self._pace.seconds_left(self.step),
            steps_per_second=1.0 / self._pace.seconds_per_step(stage.scale),
            stage=stage,
        )
        try:
            yield iterate
        except GeneratorExit:
            self._save(stage)
            raise
        if not iterate.is_last:
            iterate.stage = None
        if self.checkpointer and self.checkpointer.is_due(self.step, seconds):
            self._save(stage)

    def _save(self, stage: _Stage) -> None:
        if self.checkpointer:
            seconds = time.monotonic() - self._started
            self.checkpointer.save(Checkpoint(self.step, seconds, stage.state()))

    def _steps_per_call(self, scale: Scale) -> int:
        """As many as fit a call, but no further than to the next step at which something is due."""
        pace = self._pace.seconds_per_step(scale)
        steps = max(1, int(_CALL_SECONDS / pace)) if math.isfinite(pace) else 1
        config = self.config
        stops = [scale.last_step, *(at for at in config.image_at if at > self.step)]
        for every in (config.log_every, config.image_every, config.checkpoint_every):
            if every:
                stops.append(self.step - self.step % every + every)
        return min(steps, min(stops) - self.step)


def _pixels(picture: PictureLike, name: str) -> np.ndarray:
    """Float32 RGB in [0, 1], (H, W, 3), of a path or an array."""
    if not isinstance(picture, np.ndarray):
        return images.read_image(picture, f"--{name}").pixels
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise InputError(f"{name}: has shape {picture.shape}; (height, width, 3) is needed")
    if min(picture.shape[:2]) < images.MIN_SIDE:
        raise InputError(f"{name}: {picture.shape} is too small; a side needs {images.MIN_SIDE} px")
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / 255.0
    pixels = np.asarray(picture, np.float32)
    if not (np.isfinite(pixels).all() and pixels.min() >= 0.0 and pixels.max() <= 1.0):
        raise InputError(f"{name}: floats must be in [0, 1]; uint8 may be 0..255")
    return pixels


def _term_weights(config: Config) -> objective.TermWeights:
    return objective.TermWeights(
        content=config.content_weight,
        style=config.style_weight,
        tv=config.tv_weight,
        content_layers=_shares(config.content_layers, config.content_layer_weights),
        style_layers=_shares(config.style_layers, config.style_layer_weights),
    )


def _shares(layers: tuple[str, ...], weights: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(layers, weights or (1.0,) * len(layers), strict=True))


def _time_scale(painter: _Painter, scale: Scale, image: np.ndarray) -> tuple[float, float]:
    """Seconds of one step, and of setting the scale up."""
    began = time.monotonic()
    stage = _Stage(painter, scale, image)
    stage.run(1)
    setup = time.monotonic() - began
    began = time.monotonic()
    stage.run(2)
    step = (time.monotonic() - began) / 2
    return step, max(setup - step, 0.0)
