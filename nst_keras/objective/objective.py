"""Content and style pictures become targets; an image becomes named, weighted terms and a gradient.

All goes through statistics that are sums over positions (see `losses`), so that a whole image, its
tiles (see `tiling`) and replicas share one path.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import tensorflow as tf

from nst_keras.network import vgg
from nst_keras.objective import formulas as formulas_lib
from nst_keras.objective.backprop import Extractor, Features, ForwardPass, Sums
from nst_keras.objective.targets import Targets, Window, owned

Terms = dict[str, tf.Tensor]  # scalars by name
Pick = Callable[[Terms], tf.Tensor]  # what is differentiated


def total(terms: Terms) -> tf.Tensor:
    """What an optimizer lowers."""
    return terms["total"]


def tainted(terms: Terms, gradient: tf.Tensor) -> Terms:
    """The terms, with a total of NaN if the gradient is not finite.

    That would otherwise show at the next step, or, where clipping takes NaN for black, never.
    """
    finite = tf.math.is_finite(tf.reduce_sum(gradient))  # of any size, without temporaries
    return {**terms, "total": tf.where(finite, terms["total"], math.nan)}


def picking(names: Iterable[str], chosen: tf.Tensor) -> Pick:
    """The sum of those terms for which `chosen`, in the order of the names, is 1 and not 0."""
    return lambda terms: tf.reduce_sum(chosen * tf.stack([terms[name] for name in names]))


class Objective:
    """The weighted sum of content, style and variation terms on one size of image.

    Args:
        sections: of the network, one after the other: each takes what is last in the output of the
            one before, the first takes the image. An extractor in one piece is one section.
        largest_cotangent: gradients of features are pulled back through the network scaled so that
            the largest is between this and its double; None: as they are, which is quicker and
            right wherever they cannot underflow or overflow.
    """

    def __init__(
        self,
        sections: Sequence[Extractor],
        targets: Targets,
        weights: Mapping[str, float],
        formulas: formulas_lib.Formulas,
        largest_cotangent: float | None = None,
    ):
        self.sections = tuple(sections)
        self.targets = targets
        self._weights = dict(weights)
        self.formulas = formulas
        self.largest_cotangent = largest_cotangent

    @property
    def weights(self) -> dict[str, float]:
        """Of the terms."""
        return self._weights

    @property
    def term_names(self) -> tuple[str, ...]:
        """Keys of the terms, 'total' first."""
        return ("total", *self.weights)

    def reweighted(self, weights: Mapping[str, float]) -> "Objective":
        """The same with other weights of the terms."""
        return Objective(
            self.sections, self.targets, weights, self.formulas, self.largest_cotangent
        )

    def statistics(self, image: tf.Tensor) -> Sums:
        """Sums over the positions of an image (1, H, W, 3), by term name."""
        return {"tv": self.formulas.variation.sums(image), **self._passage(image).sums}

    def statistics_of_tile(self, tile: tf.Tensor, content: Features, window: Window) -> Sums:
        """Sums over what a tile (1, h, w, 3) owns, by term name; all but the variation.

        Args:
            content: the content's features there.
        """
        return self._passage(tile, content, window).sums

    def gradient_of_tile(
        self, tile: tf.Tensor, content: Features, window: Window, cotangents: Sums
    ) -> tf.Tensor:
        """What these cotangents of all sums pull back to a tile, but for the variation."""
        passage = self._passage(tile, content, window)
        pulled = passage.pull_back(cotangents, self.largest_cotangent)
        return tf.zeros_like(tile) if pulled is None else pulled

    def terms(self, sums: Sums, height: int, width: int) -> Terms:
        """Weighted terms of statistics summed over an image of this size; 'total' is their sum."""
        terms = {}
        for name, weight in self.weights.items():
            terms[name] = weight * self._term(name, sums[name], height, width)
        # Not add_n, whose order of summation depends on the moment.
        return {"total": tf.reduce_sum(tf.stack(list(terms.values()))), **terms}

    def value(self, image: tf.Tensor) -> Terms:
        """The terms of an image (1, H, W, 3), RGB in [0, 1]."""
        return self.terms(self.statistics(image), image.shape[1], image.shape[2])

    def value_and_grad(self, image: tf.Tensor) -> tuple[Terms, tf.Tensor]:
        """The terms of an image (1, H, W, 3) and the gradient of their total, of the same shape.

        Where the gradient is not finite, the total is NaN.
        """
        terms, gradient = self._differentiate(image, total)
        return tainted(terms, gradient), gradient

    def gradient_norm(self, image: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        """Euclidean norm of the gradient of some terms: `chosen` is 1 for these, 0 for others."""
        return tf.norm(self._differentiate(image, picking(self.weights, chosen))[1])

    def _differentiate(self, image: tf.Tensor, pick: Pick) -> tuple[Terms, tf.Tensor]:
        """All terms, and the gradient of what is made of them."""
        passage = self._passage(image)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            variation = self.formulas.variation.sums(image)
        sums = {"tv": variation, **passage.sums}
        terms, cotangents = self.cotangents(sums, image.shape[1], image.shape[2], pick)
        direct = tape.gradient(variation, image, output_gradients=cotangents["tv"])
        pulled = passage.pull_back(cotangents, self.largest_cotangent)
        return terms, direct if pulled is None else direct + pulled

    def cotangents(self, sums: Sums, height: int, width: int, pick: Pick) -> tuple[Terms, Sums]:
        """All terms of an image's sums, and the gradient by the sums of what is made of them."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sums)
            terms = self.terms(sums, height, width)
            picked = pick(terms)
        return terms, tape.gradient(picked, sums)

    def _passage(
        self, image: tf.Tensor, content: Features | None = None, window: Window | None = None
    ) -> ForwardPass:
        """Of a tile, or of the whole image."""

        def sums_of(layer: str, features: tf.Tensor) -> Sums:
            if window is not None:
                features = owned(features, layer, window)
            return self.sums_of_layer(layer, features, content)

        return ForwardPass(self.sections, image, sums_of)

    def sums_of_layer(
        self, layer: str, features: tf.Tensor, content: Features | None = None
    ) -> Sums:
        """Sums over a layer's features (1, h, w, N), by term name.

        Args:
            content: the content's features at the same place; None: those of the whole image.
        """
        content = self.targets.content[0] if content is None else content
        sums = {}
        if layer in content:
            sums[f"content/{layer}"] = formulas_lib.squared_error_sum(features, content[layer])
        if layer in self.targets.style:
            sums[f"style/{layer}"] = self.formulas.style_sums(features)
        return sums

    def _term(self, name: str, sums: tf.Tensor, height: int, width: int) -> tf.Tensor:
        kind, _, layer = name.partition("/")
        if kind == "tv":
            return self.formulas.variation.term(sums, height, width)
        if kind == "content":
            channels = self.targets.content[0][layer].shape[-1]
            count = float(vgg.positions(layer, height, width) * channels)
            return self.formulas.content(sums, self.targets.content_sums[layer], count)
        positions = float(vgg.positions(layer, height, width))
        size = formulas_lib.Size(positions, float(height * width))
        return self.formulas.style(sums / positions, self.targets.style[layer], size)
