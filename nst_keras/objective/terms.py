"""The terms of the objective: each has its statistics, its target and its weight.

`docs/design.md` lists what to change for a new kind of term.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from nst_keras.network import vgg
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.evaluation import Evaluation, Features, Statistic, combined
from nst_keras.objective.formulas import Formulas, Size
from nst_keras.objective.targets import Targets
from nst_keras.objective.term_names import CONTENT, STYLE, TV, kind_of, layer_of

# Statistics of features (1, h, w, N), or of pixels (1, H, W, 3): sums over their positions. Those
# of pixels may combine a row with the next one, but not reach further, since strips overlap by one
# row. The second argument holds the content's features at the same positions, None for pixels.
Statistics = Callable[[tf.Tensor, tf.Tensor | None], Statistic]
# The unweighted loss of the statistics of a whole image, given its height and width in pixels.
Loss = Callable[[tf.Tensor, int, int], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Term:
    """One term of the objective, with its target; without a layer, it is of the pixels."""

    name: str
    layer: str
    weight: float
    statistics: Statistics
    loss: Loss


def make_terms(
    weights: Mapping[str, float], targets: Targets, formulas: Formulas
) -> tuple[Term, ...]:
    """The terms of an objective, given weights by name and targets for the same formulas."""
    terms = []
    for name, weight in weights.items():
        layer = layer_of(name)
        terms.append(Term(name, layer, weight, *_MAKERS[kind_of(name)](layer, targets, formulas)))
    return tuple(terms)


def evaluate_layer(
    terms: Sequence[Term], content: Features, layer: str, features: tf.Tensor
) -> Evaluation:
    """Statistics of a layer's features (1, h, w, N).

    Of an image (1, H, W, 3) if the layer is ''. The content's features are at the same positions.
    """
    own = [term for term in terms if term.layer == layer]
    return combined({term.name: term.statistics(features, content.get(layer)) for term in own})


def _content(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """Squared errors of the features, as in Gatys et al. 2016, equation 1."""
    target_sum = targets.content_sums[layer]
    channels = targets.content[0][layer].shape[-1]

    def loss(sums: tf.Tensor, height: int, width: int) -> tf.Tensor:
        count = float(vgg.positions(layer, height, width) * channels)
        return formulas.content(sums, target_sum, count)

    return formulas_lib.squared_error_sum, loss


def _style(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """The distance of the features' moments from the styles', as in equation 4."""
    target = targets.style[layer]

    def loss(sums: tf.Tensor, height: int, width: int) -> tf.Tensor:
        positions = float(vgg.positions(layer, height, width))
        return formulas.style(sums / positions, target, Size(positions, float(height * width)))

    return lambda features, content: formulas.style_sums(features), loss


def _total_variation(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """Differences of neighboring pixels."""
    return lambda pixels, content: formulas.variation.sums(pixels), formulas.variation.loss


_MAKERS: dict[str, Callable[[str, Targets, Formulas], tuple[Statistics, Loss]]] = {
    CONTENT: _content,
    STYLE: _style,
    TV: _total_variation,
}
