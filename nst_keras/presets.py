"""What each objective brings along. Imports no TensorFlow."""

import dataclasses
from typing import Any

_STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))


@dataclasses.dataclass(frozen=True)
class Preset:
    """What an objective brings along; a value of the user's own always wins."""

    defaults: dict[str, Any]
    pixel_range: float  # the unit of its learning rate: 1 for pixels in [0, 1], 255 for 0..255


PRESETS = {
    "relative": Preset(
        {
            "content_layers": ("block5_conv2",),
            "style_layers": _STYLE_LAYERS,
            # The deepest layer holds whole forms of the style; at an equal share they displace the
            # scene (a moon in place of a gable).
            "style_layer_weights": (1.0, 1.0, 1.0, 1.0, 0.3),
            "content_weight": 1.0,
            "style_weight": 8.0,
            "tv_weight": 2.0,
            "learning_rate": 0.02,
            "schedule": "linear",
            "init": "content",
            "pooling": "max",
            "padding": "zero",
            "average": 0.0,
            "scales": "auto",
            "iterations": 80,
            "coarse_iterations": (150, 80, 60, 50),
        },
        pixel_range=1.0,
    ),
    "gatys": Preset(
        {
            "content_layers": ("block4_conv2",),
            "style_layers": _STYLE_LAYERS,
            "style_layer_weights": (1.0, 1.0, 1.0, 1.0, 1.0),
            "content_weight": 1.0,
            "style_weight": 1000.0,
            "tv_weight": 0.0,
            "learning_rate": 2.0,
            "schedule": "constant",
            "init": "noise",
            "pooling": "avg",
            "padding": "zero",
            "average": 0.0,
            "scales": 1,
            "iterations": 1000,
            "coarse_iterations": (),
        },
        pixel_range=255.0,
    ),
}
