"""Kinds, layers, names and weights of the objective's terms. Imports no TensorFlow."""

import dataclasses
from collections.abc import Iterable, Mapping

CONTENT, STYLE, TV = "content", "style", "tv"
TOTAL = "total"  # the sum of all terms, reported beside them


@dataclasses.dataclass(frozen=True)
class WeightedTerm:
    """What a term compares, and how much it counts.

    Attributes:
        kind: one of the constants above.
        layer: the Keras name of the layer whose features it reads; empty for the pixels.
        weight: the factor on its loss.
    """

    kind: str
    layer: str
    weight: float

    @property
    def name(self) -> str:
        """'content/block5_conv2' or 'tv': the term's name in metrics, pages and settings."""
        return term_name(self.kind, self.layer)


def term_name(kind: str, layer: str = "") -> str:
    """The name of the term of a kind at a layer; terms of the pixels have no layer."""
    return f"{kind}/{layer}" if layer else kind


def kind_of(name: str) -> str:
    """The kind in a term's name: 'style' for 'style/block1_conv1'."""
    return name.partition("/")[0]


def layer_of(name: str) -> str:
    """The layer in a term's name; empty for a term of the pixels."""
    return name.partition("/")[2]


def matches(name: str, chosen: str) -> bool:
    """Whether a term is chosen by its own name or by its kind."""
    return chosen in (name, kind_of(name))


def term_names(content_layers: Iterable[str], style_layers: Iterable[str]) -> tuple[str, ...]:
    """The names of all terms of an objective on these layers, without the total."""
    content = (term_name(CONTENT, layer) for layer in content_layers)
    style = (term_name(STYLE, layer) for layer in style_layers)
    return (*content, *style, TV)


def weigh_terms(
    content: float,
    style: float,
    tv: float,
    *,
    content_layers: Mapping[str, float],
    style_layers: Mapping[str, float],
    shares: bool,
) -> tuple[WeightedTerm, ...]:
    """The terms of an objective with the weight of each.

    Args:
        content, style, tv: weights of the three kinds.
        content_layers, style_layers: weights of layers within their kind.
        shares: whether the weights of layers are scaled to a sum of 1, or used as they are.
    """
    terms = []
    for kind, weight, layers in ((CONTENT, content, content_layers), (STYLE, style, style_layers)):
        total = sum(layers.values()) if shares else 1.0
        terms += [
            WeightedTerm(kind, layer, weight * share / total) for layer, share in layers.items()
        ]
    return (*terms, WeightedTerm(TV, "", tv))
