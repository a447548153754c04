"""The scores of a result: what each one means, which values are better, what it depends on.

`scores` computes them; this table imports no TensorFlow.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from nst_keras.network import vgg
from nst_keras.objective.term_names import kind_of


class Score(NamedTuple):
    """What one score of `scores.Scorer` means."""

    best: float
    explanation: str  # one sentence for a person
    # Scores of runs that differ in one of these settings cannot be compared.
    depends_on: tuple[str, ...] = ("size",)
    by_layer: bool = False  # there is one for each held-out layer, named 'NAME/LAYER'


SCORES = {
    "gram_error": Score(
        0.0,
        "Difference in texture from the styles, at a layer that no style loss uses; lower is "
        "better: 0 is the same, the photo itself has 0.3 to 1.5.",
        ("size", "backbone", "weights", "style_layers"),
        by_layer=True,
    ),
    "content_cosine": Score(
        1.0,
        "Similarity of result and photo in the network's features, -1 to 1; higher is more "
        "faithful: 1 is the photo, 0 is unrelated.",
        ("size", "backbone", "weights"),
    ),
    "ssim": Score(
        1.0,
        "Structural similarity with the photo, -1 to 1; higher is more faithful, but strokes lower "
        "it and blur raises it.",
    ),
    "edge_correlation": Score(
        1.0,
        "Agreement of the outlines with those of the photo, -1 to 1; higher is more faithful: "
        "1 is the photo, 0 is unrelated.",
    ),
    "color_distance": Score(
        0.0,
        "Difference of the colors from those of the styles, in CIELAB units; lower is better: "
        "0 is the same palette, 10 is another one.",
    ),
    "total_variation": Score(
        1.0,
        "Roughness divided by that of photo or styles, whichever is rougher; near 1 is best, far "
        "above is noise, far below is blur.",
    ),
    "high_frequency": Score(
        1.0,
        "Fine detail divided by that of photo or styles, whichever has more; near 1 is best, far "
        "above is shimmer, far below is blur.",
    ),
}
# Layers for Gram errors, unless they are style layers.
HELD_OUT = ("block2_conv2", "block3_conv3", "block4_conv3")


def held_out_layers(style_layers: Sequence[str], backbone: str = "vgg19") -> tuple[str, ...]:
    """Layers for Gram errors: one in each of blocks 2 to 4, none of which is a style layer.

    Block 1 sees little more than pixels, and block 5 has few positions in small pictures. A block
    whose layers are all style layers is left out. To compare runs, give the style layers of all.
    """
    network = vgg.architecture(backbone)
    used = {network.canonical(name, "style_layers") for name in style_layers}
    found = []
    for wanted in HELD_OUT:
        block = wanted.partition("_")[0] + "_"
        free = [n for n in network.layers if n.startswith(block) and n not in used]
        found += [wanted] if wanted in free else free[-1:]
    return tuple(found)


def distance_from_best(score: str, values: Sequence[float]) -> float:
    """The distance to the best value of a score, a key of SCORES or 'gram_error/LAYER'.

    Several values, of a score by layer, count by their mean. Infinite if one or all are missing.
    """
    mean = sum(values) / len(values) if values else math.inf
    return abs(mean - SCORES[kind_of(score)].best) if math.isfinite(mean) else math.inf
