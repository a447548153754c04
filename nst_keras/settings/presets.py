"""The settings that were published with each objective. Imports no TensorFlow."""

import math
from collections.abc import Mapping
from typing import Any

from nst_keras.network import vgg
from nst_keras.optimizers.facts import FACTS


class Preset:
    """The settings that come with an objective; a value that the user gives always wins."""

    def __init__(
        self,
        *,
        pixel_range: float = 255.0,  # in the unit of the learning rate, pixels are in [0, this]
        shares: bool = True,  # whether the weights of layers are scaled to a sum of 1
        adam: Mapping[str, Any] | None = None,  # for Adam, if published with another optimizer
        qualities: Mapping[str, Mapping[str, Any]] | None = None,  # instead of a factor on steps
        stable_rate: float = math.inf,  # the largest known one for each pixel of the picture
        **defaults: Any,  # where they differ from COMMON
    ):
        self.pixel_range, self.shares, self.stable_rate = pixel_range, shares, stable_rate
        self.adam, self.qualities = adam or {}, qualities or {}
        self.defaults = {**COMMON, **defaults}


# What --strength changes from 0.5 to 1: factors on weights, and the difference of a share.
_CONTENT_RANGE, _STYLE_RANGE, _MATCH_CONTENT_RANGE = 4.0, 2.0, 0.4

_LBFGS = {"optimizer": "lbfgs", **FACTS["lbfgs"].defaults, "learning_rate": 1.0}
COMMON: dict[str, Any] = {
    "style_layers": tuple(f"block{block}_conv1" for block in range(1, 6)),
    "style_layer_weights": (1.0, 1.0, 1.0, 1.0, 1.0),
    "content_weight": 1.0,
    "content_focus": 0.0,
    "content_detail": 0.0,
    "style_colors": 0.0,
    "neighbors_weight": 0.0,
    "laplacian_weight": 0.0,
    "match_content": 0.5,
    "tv_weight": 0.0,
    "variables": "pixels",
    "optimizer": "adam",
    **FACTS["adam"].defaults,
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
    "detail_iterations": 0,
}

# What our own two objectives share.
_OURS: dict[str, Any] = {
    # The deepest layer holds whole forms of the style; at an equal share they displace the scene
    # (a moon in place of a gable).
    "style_layer_weights": (1.0, 1.0, 1.0, 1.0, 0.3),
    "tv_weight": 2.0,
    # Larger steps are a little quicker, but blur what the objective does not measure: with one
    # picture as both content and style, the result is less similar to it.
    "beta_2": 0.9,
    "learning_rate": 0.03,
    "schedule": "linear",
    "clamp": True,
    "scales": "auto",
    "coarse_iterations": (100, 60),
    "pixel_range": 1.0,
}

# In so few steps of a small picture, single pixels would come out blotchy.
_PREVIEW = {
    "preview": {
        "variables": "pyramid",
        "learning_rate": 0.015,
        "scales": 1,
        "iterations": 20,
        "coarse_iterations": (),
    }
}

PRESETS = {
    # After Kolkin et al. 2022: a target for each position, beside Gram matrices.
    "neighbors": Preset(
        **_OURS,
        content_layers=("block4_conv2", "block5_conv2"),
        content_weight=1.2,
        content_focus=0.75,
        content_detail=1.0,
        style_colors=0.6,
        style_weight=16.0,
        neighbors_weight=1.0,
        laplacian_weight=6.0,
        match_content=0.65,
        iterations=60,
        qualities=_PREVIEW,
    ),
    "relative": Preset(
        **_OURS,
        content_layers=("block5_conv2",),
        style_weight=8.0,
        iterations=80,
        # More momentum gets further in many steps; in few it has not converged yet.
        qualities={
            **_PREVIEW,
            "best": {
                "adam_colors": "opponent",
                "beta_1": 0.95,
                "learning_rate": 0.05,
                "schedule_end": 0.1,
                "iterations": 290,
            },
        },
    ),
    # Gatys et al. 2016, with one of the ratios that it shows; its network was rescaled to a mean
    # activation of 1, ours is as trained. The number of steps is ours.
    "gatys": Preset(
        **_LBFGS,
        content_layers=("block4_conv2",),
        style_weight=1000.0,
        init="noise",
        pooling="avg",
        adam={"learning_rate": 2.0},
    ),
    # jcjohnson/neural-style; its history is 100, which takes 5 times the memory of our default.
    "jcjohnson": Preset(
        **_LBFGS,
        content_layers=("block4_conv2",),
        content_weight=5.0,
        style_weight=100.0,
        tv_weight=1e-3,
        init="mean",
        init_noise=0.001 / 255.0,
        shares=False,
        adam={"learning_rate": 10.0},
    ),
    # TensorFlow's tutorial "Neural style transfer".
    "tf_tutorial": Preset(
        content_layers=("block5_conv2",),
        content_weight=1e4,
        style_weight=1e-2,
        tv_weight=30.0,
        learning_rate=0.02,
        beta_1=0.99,
        epsilon=0.1,
        clamp=True,
        pixel_range=1.0,
    ),
    # Keras' code example "Neural style transfer", of pictures 400 px high. The gradient at a pixel
    # is the larger the fewer there are: at 192x144, SGD with the published rate ends in NaN.
    "keras_example": Preset(
        content_layers=("block5_conv2",),
        content_weight=2.5e-8,
        style_weight=1e-6,
        tv_weight=1e-6,
        optimizer="sgd",
        learning_rate=100.0,
        schedule="exponential",
        schedule_end=0.96,
        schedule_steps=100,
        iterations=4000,
        stable_rate=100.0 / (320 * 240),
    ),
    # anishathalye/neural-style, which keeps the picture with the lowest loss, not the last.
    "anishathalye": Preset(
        content_layers=("block4_conv2",),
        content_weight=5.0,
        style_weight=500.0,
        tv_weight=100.0,
        learning_rate=10.0,
        init="mean",
        init_noise=0.256 / 255.0,
    ),
    # The notebooks of PyTorch classes; torchvision's weights differ, so pictures do, too.
    "pytorch_tutorial": Preset(
        content_layers=("block4_conv2",),
        style_layer_weights=(1.0, 0.8, 0.5, 0.3, 0.1),
        style_weight=1e6,
        learning_rate=0.003,
        iterations=2000,
        pixel_range=1.0 / vgg.IMAGENET_DEVIATION,
        shares=False,
    ),
    # crowsonkb/style-transfer-pytorch, which also carries Adam's moments from scale to scale.
    "crowsonkb": Preset(
        content_layers=("block4_conv2",),
        content_weight=0.015,
        style_layer_weights=(256.0, 64.0, 16.0, 4.0, 1.0),
        style_weight=1.0,
        tv_weight=2.0,
        beta_2=0.99,
        learning_rate=0.02,
        clamp=True,
        average=0.99,
        padding="replicate",
        scales="auto",
        scale_ratio=math.sqrt(2.0),
        iterations=500,
        coarse_iterations=(1000, 500, 500, 500),
        pixel_range=1.0,
    ),
}


def with_strength(values: Mapping[str, Any], strength: float) -> dict[str, Any]:
    """A preset's settings for a strength from 0, faithful to the content, to 1, free.

    At 0.5 they stay as they are.
    """
    freedom = 2.0 * strength - 1.0
    match_content = values["match_content"] - _MATCH_CONTENT_RANGE * freedom
    return {
        **values,
        "content_weight": values["content_weight"] * _CONTENT_RANGE**-freedom,
        "laplacian_weight": values["laplacian_weight"] * _CONTENT_RANGE**-freedom,
        "style_weight": values["style_weight"] * _STYLE_RANGE**freedom,
        "match_content": min(max(match_content, 0.0), 1.0),
    }
