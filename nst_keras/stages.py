"""One scale at work: its targets, its image and its compiled steps."""

import logging
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nst_keras import backbones, images, inits, losses, objective, optimizers
from nst_keras.config import INITS, Config
from nst_keras.scales import Scale
from nst_keras.weights import Weights

_log = logging.getLogger(__name__)


class Painter:
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
        # Of any size, so that the targets of all scales and styles are computed by one trace.
        self._capture = tf.function(
            self._extractor,
            input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)],
            autograph=False,
        )

    def first_image(self) -> np.ndarray:
        """The image to start from, at the coarsest scale."""
        scale, config = self.plan[0], self.config
        content = images.resize(self._content, scale.height, scale.width)
        named = config.init not in INITS
        picture = images.read_image(config.init, "--init").pixels if named else None
        return inits.initial_image(config.init, content, self._styles[0], picture, config.seed)

    def objective(self, scale: Scale) -> objective.Objective:
        """The objective at a scale, its targets captured."""
        content = images.resize(self._content, scale.height, scale.width)
        styles = [self._fit_style(style, scale) for style in self._styles]
        targets = objective.capture_targets(
            self._capture,
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
        return images.resize(
            style, *images.fit_size(style.shape[:2], max(longest, images.MIN_SIDE))
        )


class Stage:
    """One scale at work: the image, its optimiser and the compiled steps."""

    def __init__(self, painter: Painter, scale: Scale, image: np.ndarray):
        config = painter.config
        self.scale = scale
        self._decay = config.average
        self._image = tf.Variable(image[None], trainable=False)
        self._average = None
        if self._decay:
            self._average = tf.Variable(tf.zeros_like(self._image), trainable=False)
        self._objective = painter.objective(scale)
        self._optimizer = optimizers.Adam(
            self._image.shape,
            learning_rate=config.step_size,
            schedule=optimizers.make_schedule(config.schedule, scale.steps, config.schedule_end),
        )
        self._run = tf.function(self._steps)

    def run(self, steps: int) -> dict[str, float]:
        """Take some steps; returns the terms before the last one's update."""
        terms = self._run(tf.constant(steps))
        return {name: float(value) for name, value in terms.items()}

    def picture(self) -> np.ndarray:
        """The iterate, or the bias-corrected average of the iterates: (H, W, 3)."""
        steps = int(self._optimizer.steps)
        if self._average is None or not steps:
            return self._image.numpy()[0]
        return self._average.numpy()[0] / np.float32(1.0 - self._decay**steps)

    def value(self) -> dict[str, float]:
        """The terms of the picture."""
        terms = tf.function(self._objective.value)(tf.constant(self.picture()[None]))
        return {name: float(value) for name, value in terms.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, beside the settings."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` returned."""
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def _variables(self) -> dict[str, tf.Variable]:
        average = {} if self._average is None else {"average": self._average}
        return {"image": self._image, **average, **self._optimizer.variables()}

    def _steps(self, count: tf.Tensor) -> dict[str, tf.Tensor]:
        terms = {name: tf.constant(0.0) for name in self._objective.term_names}
        for _ in tf.range(count):
            terms = self._optimizer.step(self._image, self._objective.value_and_grad)
            self._image.assign(tf.clip_by_value(self._image, 0.0, 1.0))
            if self._average is not None:
                mixed = self._decay * self._average + (1.0 - self._decay) * self._image
                self._average.assign(mixed)
        return terms


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
