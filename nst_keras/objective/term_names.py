"""Names, kinds, layers and weights of the objective's terms. Imports no TensorFlow.

In metrics, pages and settings, a term is named after its kind and the layer whose features it
reads, such as 'content/block5_conv2'. A term of the pixels has no layer: 'tv'; nor has one of
several layers together, 'neighbors', or of the image's edges, 'laplacian'.
"""

from collections.abc import Iterable, Mapping

CONTENT, STYLE, NEIGHBORS, LAPLACIAN, TV = "content", "style", "neighbors", "laplacian", "tv"
TOTAL = "total"  # the sum of all terms, reported beside them
# Names that neither the user's terms nor layers may have.
RESERVED = (CONTENT, STYLE, NEIGHBORS, LAPLACIAN, TV, TOTAL, "loss", "step")


def kind_of(name: str) -> str:
    """The kind in a term's name: 'style' for 'style/block1_conv1'."""
    return name.partition("/")[0]


def by_kind(terms: Mapping[str, float]) -> dict[str, float]:
    """The sums of losses by kind."""
    sums: dict[str, float] = {}
    for name, value in terms.items():
        sums[kind_of(name)] = sums.get(kind_of(name), 0.0) + value
    return sums


def layer_of(name: str) -> str:
    """The layer in a term's name; empty if there is none."""
    return name.partition("/")[2]


def matches(name: str, chosen: str) -> bool:
    """Whether a term is chosen by its own name or by its kind."""
    return chosen in (name, kind_of(name))


def term_names(
    content_layers: Iterable[str],
    style_layers: Iterable[str],
    neighbors: bool = False,
    laplacian: bool = False,
) -> tuple[str, ...]:
    """The names of all terms of an objective on these layers, without the total.

    `neighbors` and `laplacian` are whether it has these terms.
    """
    content = (f"{CONTENT}/{layer}" for layer in content_layers)
    style = (f"{STYLE}/{layer}" for layer in style_layers)
    others = [name for name, has in ((NEIGHBORS, neighbors), (LAPLACIAN, laplacian)) if has]
    return (*content, *style, *others, TV)


def weigh_terms(
    content: float,
    style: float,
    tv: float,
    *,
    neighbors: float = 0.0,
    laplacian: float = 0.0,
    content_layers: Mapping[str, float],
    style_layers: Mapping[str, float],
    normalized: bool,
) -> dict[str, float]:
    """The weights of an objective's terms by name, in the order of `term_names`.

    Args:
        content, style, tv, neighbors, laplacian: weights of the kinds; 0 for one of the last two
            means that there is no such term.
        content_layers, style_layers: weights of layers within their kind.
        normalized: whether the weights of layers are scaled to a sum of 1, or used as they are.
    """
    weights = []
    for weight, layers in ((content, content_layers), (style, style_layers)):
        total = sum(layers.values()) if normalized else 1.0
        weights += [weight * share / total for share in layers.values()]
    names = term_names(content_layers, style_layers, bool(neighbors), bool(laplacian))
    weights += [weight for weight in (neighbors, laplacian) if weight]
    return dict(zip(names, (*weights, tv), strict=True))
