"""What each objective brings along, as published with it. Imports no TensorFlow."""

import dataclasses
import math
from typing import Any

_STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))
_IMAGENET_DEVIATION = 0.226  # of pixels in [0, 1]: the unit of torchvision's inputs

# What an optimizer needs where the objective was published with another one; step sizes are for
# pixels in [0, 1]. Those that are not here step by the gradient's size, which nobody can guess.
_STEP_SIZES = {
    "adam": 0.02,
    "adamw": 0.02,
    "adamax": 0.02,
    "nadam": 0.02,
    "lion": 0.01,
    "rmsprop": 0.01,
    "adagrad": 0.1,
    "lamb": 0.02,
    "adafactor": 0.02,
}
# What each optimizer listens to, beside the learning rate.
TAKES = {
    "adam": ("beta_1", "beta_2", "epsilon", "adam_colors"),
    "lbfgs": ("history", "line_search"),
    "adadelta": ("epsilon",),
    "adafactor": (),
    "adagrad": ("epsilon",),
    "adamax": ("beta_1", "beta_2", "epsilon"),
    "adamw": ("beta_1", "beta_2", "epsilon"),
    "lamb": ("beta_1", "beta_2", "epsilon"),
    "lion": ("beta_1", "beta_2"),
    "nadam": ("beta_1", "beta_2", "epsilon"),
    "rmsprop": ("epsilon", "momentum"),
    "sgd": ("momentum",),
}
_OF_THE_NORM = ("adafactor", "lamb")  # their steps are a share of the image's own size
OPTIMIZERS = ("adam", "lbfgs", *sorted({*_STEP_SIZES, "sgd", "adadelta"} - {"adam"}))


@dataclasses.dataclass(frozen=True)
class Preset:
    """What an objective brings along; a value of the user's own always wins."""

    defaults: dict[str, Any]
    pixel_range: float = 255.0  # the unit of its learning rate: 1 for pixels in [0, 1]
    shares: bool = True  # whether the weights of layers are brought to a sum of 1
    adam: dict[str, Any] = dataclasses.field(default_factory=dict)  # published beside its own
    best: dict[str, Any] = dataclasses.field(default_factory=dict)  # for --quality=best

    def schedule_of(self, schedule: str) -> dict[str, Any]:
        """How far and over how many steps a schedule falls, which go with the preset's own only."""
        source = self.defaults if schedule == self.defaults["schedule"] else _COMMON
        return {name: source[name] for name in ("schedule_end", "schedule_steps")}

    def with_optimizer(self, optimizer: str | None) -> dict[str, Any]:
        """The defaults for an optimizer; its learning rate may be None: nobody can guess it."""
        optimizer = optimizer or self.defaults["optimizer"]
        if optimizer == self.defaults["optimizer"]:
            return self.defaults
        if optimizer == "lbfgs":
            return {**self.defaults, **_LBFGS}
        step, unit = _STEP_SIZES.get(optimizer), self.pixel_range
        rate = step and step * (1.0 if optimizer in _OF_THE_NORM else unit)
        own = self.adam if optimizer == "adam" else {}
        changed = {**_ADAM, "optimizer": optimizer, "learning_rate": rate}
        return {**self.defaults, **changed, **own}


_ADAM = {
    "optimizer": "adam",
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "adam_colors": "rgb",
}
_LBFGS = {
    "optimizer": "lbfgs",
    "learning_rate": 1.0,
    "schedule": "constant",
    "schedule_end": 0.2,
    "schedule_steps": 0,
    "average": 0.0,
}
_COMMON: dict[str, Any] = {
    "style_layers": _STYLE_LAYERS,
    "style_layer_weights": (1.0, 1.0, 1.0, 1.0, 1.0),
    "content_weight": 1.0,
    "tv_weight": 0.0,
    **_ADAM,
    "schedule": "constant",
    "schedule_end": 0.2,
    "schedule_steps": 0,
    "clamp": False,
    "average": 0.0,
    "init": "content",
    "init_noise": 0.0,
    "pooling": "max",
    "padding": "zero",
    "scales": 1,
    "scale_ratio": 2.0,
    "iterations": 1000,
    "coarse_iterations": (),
}

PRESETS = {
    "relative": Preset(
        {
            **_COMMON,
            "content_layers": ("block5_conv2",),
            # The deepest layer holds whole forms of the style; at an equal share they displace the
            # scene (a moon in place of a gable).
            "style_layer_weights": (1.0, 1.0, 1.0, 1.0, 0.3),
            "style_weight": 8.0,
            "tv_weight": 2.0,
            # Larger steps are a little quicker, but blur what the objective does not see:
            # a picture painted in its own manner no longer comes back.
            "beta_2": 0.9,
            "learning_rate": 0.03,
            "schedule": "linear",
            "clamp": True,
            "scales": "auto",
            "iterations": 80,
            "coarse_iterations": (100, 60),
        },
        pixel_range=1.0,
        # With many steps more momentum gets further; with few it is still on its way.
        best={
            "adam_colors": "opponent",
            "beta_1": 0.95,
            "learning_rate": 0.05,
            "schedule_end": 0.1,
            "iterations": 290,
        },
    ),
    # Gatys et al. 2016, with one of the ratios that it shows; its network was rescaled to a mean
    # activation of 1, ours is as trained. The number of steps is ours.
    "gatys": Preset(
        {
            **_COMMON,
            **_LBFGS,
            "content_layers": ("block4_conv2",),
            "style_weight": 1000.0,
            "init": "noise",
            "pooling": "avg",
        },
        adam={"learning_rate": 2.0},
    ),
    # jcjohnson/neural-style; its history is 100, which takes 5 times the memory of our default.
    "jcjohnson": Preset(
        {
            **_COMMON,
            **_LBFGS,
            "content_layers": ("block4_conv2",),
            "content_weight": 5.0,
            "style_weight": 100.0,
            "tv_weight": 1e-3,
            "init": "mean",
            "init_noise": 0.001 / 255.0,
        },
        shares=False,
        adam={"learning_rate": 10.0},
    ),
    # TensorFlow's tutorial "Neural style transfer".
    "tf_tutorial": Preset(
        {
            **_COMMON,
            "content_layers": ("block5_conv2",),
            "content_weight": 1e4,
            "style_weight": 1e-2,
            "tv_weight": 30.0,
            "learning_rate": 0.02,
            "beta_1": 0.99,
            "epsilon": 0.1,
            "clamp": True,
        },
        pixel_range=1.0,
    ),
    # Keras' code example "Neural style transfer".
    "keras_example": Preset(
        {
            **_COMMON,
            "content_layers": ("block5_conv2",),
            "content_weight": 2.5e-8,
            "style_weight": 1e-6,
            "tv_weight": 1e-6,
            "optimizer": "sgd",
            "learning_rate": 100.0,
            "schedule": "exponential",
            "schedule_end": 0.96,
            "schedule_steps": 100,
            "iterations": 4000,
        },
    ),
    # anishathalye/neural-style, which also keeps the picture of the least loss; here the last.
    "anishathalye": Preset(
        {
            **_COMMON,
            "content_layers": ("block4_conv2",),
            "content_weight": 5.0,
            "style_weight": 500.0,
            "tv_weight": 100.0,
            "learning_rate": 10.0,
            "init": "mean",
            "init_noise": 0.256 / 255.0,
        },
    ),
    # The notebooks of PyTorch classes; torchvision's weights differ, so pictures do, too.
    "pytorch_tutorial": Preset(
        {
            **_COMMON,
            "content_layers": ("block4_conv2",),
            "style_layer_weights": (1.0, 0.8, 0.5, 0.3, 0.1),
            "style_weight": 1e6,
            "learning_rate": 0.003,
            "iterations": 2000,
        },
        pixel_range=1.0 / _IMAGENET_DEVIATION,
        shares=False,
    ),
    # crowsonkb/style-transfer-pytorch, which also carries Adam's moments from scale to scale.
    "crowsonkb": Preset(
        {
            **_COMMON,
            "content_layers": ("block4_conv2",),
            "content_weight": 0.015,
            "style_layer_weights": (256.0, 64.0, 16.0, 4.0, 1.0),
            "style_weight": 1.0,
            "tv_weight": 2.0,
            "beta_2": 0.99,
            "learning_rate": 0.02,
            "clamp": True,
            "average": 0.99,
            "padding": "replicate",
            "scales": "auto",
            "scale_ratio": math.sqrt(2.0),
            "iterations": 500,
            "coarse_iterations": (1000, 500, 500, 500),
        },
        pixel_range=1.0,
    ),
}
