"""The terms of the objective: each has its statistics, its target and its weight.

To add a kind of term, write a function here that makes it and add it to `_MAKERS`; name and weigh
it in `term_names.py`; declare its weight in `settings/config.py`, and pass it on in
`transfer/problem.py`. `docs/design.md` lists all places.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from nst_keras.network import vgg
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.formulas import Formulas, Size
from nst_keras.objective.targets import Targets
from nst_keras.objective.term_names import CONTENT, STYLE, TV, WeightedTerm

# Statistics of features (1, h, w, N), or of pixels (1, H, W, 3): sums over their positions. Those
# of pixels may combine a row with the next one, but not reach further, since strips overlap by one
# row. The second argument holds the content's features at the same positions, None for pixels.
Statistics = Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]
# The unweighted loss of the statistics of a whole image, given its height and width in pixels.
Loss = Callable[[tf.Tensor, int, int], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Term(WeightedTerm):
    """One term of the objective, with its target.

    Attributes:
        statistics: makes its statistics from features, or from pixels if it has no layer.
        loss: makes its unweighted loss from the statistics of a whole image.
    """

    statistics: Statistics
    loss: Loss


def make_terms(
    weighted: Sequence[WeightedTerm], targets: Targets, formulas: Formulas
) -> tuple[Term, ...]:
    """The terms of an objective, with statistics and losses.

    Args:
        weighted: the kind, layer and weight of each.
        targets: captured for the same terms and formulas.
    """
    made = []
    for term in weighted:
        statistics, loss = _MAKERS[term.kind](term.layer, targets, formulas)
        made.append(Term(term.kind, term.layer, term.weight, statistics, loss))
    return tuple(made)


def _content(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """Squared errors of the features, as in Gatys et al. 2016, equation 1."""
    target_sum = targets.content_sums[layer]
    channels = targets.content[0][layer].shape[-1]

    def statistics(features: tf.Tensor, content: tf.Tensor | None) -> tf.Tensor:
        return formulas_lib.squared_error_sum(features, content)

    def loss(sums: tf.Tensor, height: int, width: int) -> tf.Tensor:
        count = float(vgg.positions(layer, height, width) * channels)
        return formulas.content(sums, target_sum, count)

    return statistics, loss


def _style(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """The distance of the features' moments from the styles', as in equation 4."""
    target = targets.style[layer]

    def statistics(features: tf.Tensor, content: tf.Tensor | None) -> tf.Tensor:
        return formulas.style_sums(features)

    def loss(sums: tf.Tensor, height: int, width: int) -> tf.Tensor:
        positions = float(vgg.positions(layer, height, width))
        return formulas.style(sums / positions, target, Size(positions, float(height * width)))

    return statistics, loss


def _total_variation(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """Differences of neighboring pixels."""

    def statistics(pixels: tf.Tensor, content: tf.Tensor | None) -> tf.Tensor:
        return formulas.variation.sums(pixels)

    return statistics, formulas.variation.term


_MAKERS: dict[str, Callable[[str, Targets, Formulas], tuple[Statistics, Loss]]] = {
    CONTENT: _content,
    STYLE: _style,
    TV: _total_variation,
}
