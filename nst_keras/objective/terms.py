"""Names and weights of the objective's terms. Imports no TensorFlow."""

from collections.abc import Iterable, Mapping


def weigh_terms(
    content: float,
    style: float,
    tv: float,
    *,
    content_layers: Mapping[str, float],
    style_layers: Mapping[str, float],
    shares: bool,
) -> dict[str, float]:
    """The weight of each term by name: 'content/LAYER', 'style/LAYER' and 'tv'.

    Args:
        content_layers, style_layers: weights of layers.
        shares: whether these are brought to a sum of 1, or taken as they are.
    """
    weights: dict[str, float] = {}
    kinds = {"content": (content, content_layers), "style": (style, style_layers)}
    for kind, (weight, layers) in kinds.items():
        total = sum(layers.values()) if shares else 1.0
        weights |= {f"{kind}/{layer}": weight * share / total for layer, share in layers.items()}
    return {**weights, "tv": tv}


def layers_of(kind: str, terms: Mapping[str, float]) -> tuple[str, ...]:
    """The layers of the 'content' or 'style' terms."""
    parts = (name.split("/") for name in terms)
    return tuple(part[1] for part in parts if part[0] == kind)


def term_names(content_layers: Iterable[str], style_layers: Iterable[str]) -> tuple[str, ...]:
    """The terms of an objective on these layers, but for their total."""
    content = (f"content/{layer}" for layer in content_layers)
    style = (f"style/{layer}" for layer in style_layers)
    return (*content, *style, "tv")


def matches(term: str, name: str) -> bool:
    """Whether a term is meant by its own name or by its kind: 'style' or 'style/block1_conv1'."""
    return term == name or term.startswith(name + "/")
