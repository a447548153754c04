"""The terms of the objective: each has its statistics, its target and its weight.

`docs/design.md` lists what to change for a new kind of term.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from nst_keras.network.architecture import Architecture, Layer
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.evaluation import (
    Evaluation,
    Features,
    Length,
    Statistic,
    Sums,
    combined,
    divided,
    vjp,
)
from nst_keras.objective.formulas import Formulas, Size
from nst_keras.objective.loss_term import LossTerm
from nst_keras.objective.neighbors import Neighbors
from nst_keras.objective.targets import Targets, regions_name, weights_name
from nst_keras.objective.term_names import (
    CONTENT,
    LAPLACIAN,
    NEIGHBORS,
    STYLE,
    TV,
    kind_of,
    layer_of,
)
from nst_keras.objective.tiles import LAPLACIAN_STRIDE
from nst_keras.runtime.errors import InputError

# Statistics of features (1, h, w, N), or of pixels (1, H, W, 3). Those of a term of one layer are
# sums over positions. Those of pixels may combine a row with the next one, but not reach further,
# since strips overlap by one row. The second argument holds what is known at the same positions:
# the content's features by layer, weights of positions, and numbers of neighbors.
Statistics = Callable[[tf.Tensor, Features], Statistic]
# The unweighted loss of the statistics of a whole image, given its height and width in pixels.
Loss = Callable[[tf.Tensor, Length, Length], tf.Tensor]
# Makes a sum over positions from the statistics of several layers; pulls back to each of these.
# The second argument is as above.
Join = Callable[[Sequence[tf.Tensor], Features], Statistic]


@dataclasses.dataclass(frozen=True)
class Term:
    """One term of the objective, with its target.

    Attributes:
        statistics: by layer; '' is the image itself, 'laplacian' its Laplacian.
        join: for a term of several layers.
    """

    name: str
    weight: float
    statistics: Mapping[str, Statistics]
    loss: Loss
    join: Join | None = None


def make_terms(
    weights: Mapping[str, float],
    targets: Targets,
    formulas: Formulas,
    neighbors: Neighbors | None = None,
) -> tuple[Term, ...]:
    """The terms of an objective, given weights by name and targets for the same formulas."""
    terms = []
    for name, weight in weights.items():
        if name == NEIGHBORS and neighbors is not None:
            terms.append(_neighbors(weight, neighbors))
            continue
        layer = LAPLACIAN if name == LAPLACIAN else layer_of(name)
        statistics, loss = _MAKERS[kind_of(name)](layer, targets, formulas)
        terms.append(Term(name, weight, {layer: statistics}, loss))
    return tuple(terms)


def custom_terms(given: Sequence[LossTerm]) -> tuple[Term, ...]:
    """The terms that the user has written, in the same form as the others."""
    return tuple(map(_custom, given))


def check_gradients(
    given: Sequence[LossTerm], architecture: Architecture, height: int, width: int
) -> None:
    """Raise InputError for a term without a gradient or of no scalar, at a size of the image.

    The functions are traced, not computed.
    """
    for term in custom_terms(given):
        shapes = [_shape(architecture, layer, height, width) for layer in term.statistics]
        specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        tf.function(functools.partial(_pull_back_one, term), autograph=False).get_concrete_function(
            *specs
        )


def _shape(architecture: Architecture, layer: str, height: int, width: int) -> tuple[int, ...]:
    if not layer:
        return 1, height, width, 3
    own = architecture[layer]
    return 1, height // own.stride, width // own.stride, own.channels


def _pull_back_one(term: Term, *features: tf.Tensor) -> Any:
    """The gradients of a custom term by its features."""
    if term.join is not None:
        value, pull_back = term.join(features, {})
    else:
        (statistics,) = term.statistics.values()
        value, pull_back = statistics(features[0], {})
    return pull_back(tf.ones_like(value))


def evaluate_layer(
    terms: Sequence[Term], known: Features, layer: str, features: tf.Tensor
) -> Evaluation:
    """Statistics of a layer's features (1, h, w, N).

    Of an image (1, H, W, 3) if the layer is ''. What is known is at the same positions.
    """
    return combined(
        {
            _part_name(term, layer): term.statistics[layer](features, known)
            for term in terms
            if layer in term.statistics
        }
    )


def join_layers(terms: Sequence[Term], known: Features, evaluation: Evaluation) -> Evaluation:
    """The evaluation of all layers, with the statistics of each term of several layers joined."""
    for term in terms:
        if term.join is not None:
            evaluation = _joined(term, term.join, known, evaluation)
    return evaluation


def _joined(term: Term, join: Join, known: Features, evaluation: Evaluation) -> Evaluation:
    names = [_part_name(term, layer) for layer in term.statistics]
    joined, to_parts = join([evaluation.sums[name] for name in names], known)
    others = {name: sums for name, sums in evaluation.sums.items() if name not in names}

    def pull_back(cotangents: Sums) -> tf.Tensor:
        parts = dict(zip(names, to_parts(cotangents[term.name]), strict=True))
        return evaluation.pull_back({**cotangents, **parts})

    return Evaluation({**others, term.name: joined}, pull_back)


def _part_name(term: Term, layer: str) -> str:
    """The name of a term's statistics at one of its layers."""
    return term.name if term.join is None else f"{term.name}/{layer}"


def _content(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """Squared errors of the features, as in Gatys et al. 2016, equation 1."""
    target_sum = targets.content_sums[layer]
    own, channels = targets.architecture[layer], targets.content[0][layer].shape[-1]

    def loss(sums: tf.Tensor, height: Length, width: Length) -> tf.Tensor:
        count = 1.0 * own.positions(height, width) * channels
        return formulas.content(sums, target_sum, count)

    def error_sum(features: tf.Tensor, known: Features) -> Statistic:
        weights = known.get(weights_name(layer))
        return formulas_lib.squared_error_sum(features, known[layer], weights)

    return error_sum, loss


def _style(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """The distance of the features' moments from the styles', as in equation 4; with regions, the
    sum of those of each, which count by their shares."""
    of_regions, own_layer = targets.style[layer], targets.architecture[layer]

    def whole(sums: tf.Tensor, height: Length, width: Length) -> tf.Tensor:
        size = _size(own_layer, height, width)
        return formulas.style(divided(sums, size.positions), of_regions[0], size)

    def by_region(sums: tf.Tensor, height: Length, width: Length) -> tf.Tensor:
        # Where a mask has vanished at a small size, the loss is constant.
        moments = tf.math.divide_no_nan(
            sums, tf.cast(targets.region_sums[layer][:, None, None], sums.dtype)
        )
        size = _size(own_layer, height, width)
        losses = [
            formulas.style(own, target, size)
            for own, target in zip(tf.unstack(moments), of_regions, strict=True)
        ]
        return tf.tensordot(tf.cast(targets.region_shares, sums.dtype), tf.stack(losses), 1)

    if targets.region_shares is None:
        return lambda features, known: formulas.style_sums(features), whole
    name = regions_name(layer)
    return lambda features, known: formulas.style_sums(features, known[name]), by_region


def _size(layer: Layer, height: Length, width: Length) -> Size:
    return Size(1.0 * layer.positions(height, width), 1.0 * height * width)


def _laplacian(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """The weighted mean of squared errors of the Laplacian."""

    def loss(sums: tf.Tensor, height: Length, width: Length) -> tf.Tensor:
        return divided(sums, (height // LAPLACIAN_STRIDE) * (width // LAPLACIAN_STRIDE))

    def error_sum(features: tf.Tensor, known: Features) -> Statistic:
        return formulas_lib.squared_error_sum(features, known[layer], known[weights_name(layer)])

    return error_sum, loss


def _total_variation(layer: str, targets: Targets, formulas: Formulas) -> tuple[Statistics, Loss]:
    """Differences of neighboring pixels."""
    return lambda pixels, known: formulas.variation.sums(pixels), formulas.variation.loss


def _custom(given: LossTerm) -> Term:
    """A function of the pixels or of one layer, or of several layers, whose features are joined."""

    def value(*features: tf.Tensor) -> tf.Tensor:
        found = given.function(*(tf.cast(one, tf.float32) for one in features))
        return tf.cast(_scalar(given.name, found), tf.float32)

    def loss(sums: tf.Tensor, height: Length, width: Length) -> tf.Tensor:
        return divided(sums, height * width) if given.additive else sums

    def of_one(features: tf.Tensor, known: Features) -> Statistic:
        return _connected(given.name, value, features)

    def all_of_it(features: tf.Tensor, known: Features) -> Statistic:
        return features, lambda upstream: upstream

    weight = float(given.weight)
    if len(given.layers) < 2:
        return Term(given.name, weight, {"".join(given.layers): of_one}, loss)

    def join(parts: Sequence[tf.Tensor], known: Features) -> Statistic:
        return _connected(given.name, lambda own: value(*own), [*parts])

    return Term(given.name, weight, dict.fromkeys(given.layers, all_of_it), loss, join)


def _connected(name: str, function: Callable[[Any], tf.Tensor], inputs: Any) -> Statistic:
    """The value of a custom term's function, and its pull-back: zero by inputs that do not count.

    The latter raises InputError if none of them counts, as in rounded or constant values.
    """
    value, pull_back = vjp(function, inputs)

    def all_pulled_back(upstream: tf.Tensor) -> Any:
        found = tf.nest.flatten(pull_back(upstream))
        if all(gradient is None for gradient in found):
            raise InputError(
                f"terms: the function of {name} has no gradient; its value must depend on its "
                "arguments through operations that TensorFlow can differentiate"
            )
        whole = [
            tf.zeros_like(own) if gradient is None else tf.convert_to_tensor(gradient)
            for own, gradient in zip(tf.nest.flatten(inputs), found, strict=True)
        ]
        return tf.nest.pack_sequence_as(inputs, whole)

    return value, all_pulled_back


def _scalar(name: str, value: Any) -> tf.Tensor:
    """What the function of a custom term has returned, if that is a scalar."""
    try:
        found = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"terms: the function of {name} returns {value!r}, no tensor") from error
    if found.shape.rank not in (0, None):
        raise InputError(f"terms: the function of {name} returns shape {found.shape}, no scalar")
    return tf.reshape(found, ())  # of an unknown shape, as from `tf.py_function`


def _neighbors(weight: float, neighbors: Neighbors) -> Term:
    """Distances from the styles' features of each position's neighbor, in the mean."""

    def loss(sums: tf.Tensor, height: Length, width: Length) -> tf.Tensor:
        above = sums - tf.cast(neighbors.constant, sums.dtype)
        return divided(above, tf.cast(neighbors.positions, sums.dtype))

    statistics = {
        layer: functools.partial(neighbors.statistics, layer) for layer in neighbors.layers
    }
    return Term(NEIGHBORS, weight, statistics, loss, neighbors.joined)


_MAKERS: dict[str, Callable[[str, Targets, Formulas], tuple[Statistics, Loss]]] = {
    CONTENT: _content,
    STYLE: _style,
    LAPLACIAN: _laplacian,
    TV: _total_variation,
}
