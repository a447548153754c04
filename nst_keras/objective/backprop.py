"""The way of images through the network, and back."""

from collections.abc import Callable, Sequence

import tensorflow as tf

_EXPONENT_BITS = 0x7F800000  # of a float32
_LEAST = 1e-30  # of which the inverse is still far from a float32's end

Features = dict[str, tf.Tensor]  # by layer
Extractor = Callable[[tf.Tensor], Features]
Sums = dict[str, tf.Tensor]  # statistics by the name of their term


class ForwardPass:
    """The way of images through the network, and back. With several, what is said here of one image
    holds for each.

    Args:
        sections: the network in parts, each of which gives features by layer, (N, h, w, C); its
            last ones enter the next part.
        image: (N, H, W, 3).
        sums_of_layer: makes the statistics of a layer from its features.

    Each section has a tape of its own, and so has each statistic: what they pull back meets at the
    features by two at a time, since AddN takes three in an order that depends on the moment.
    """

    def __init__(
        self,
        sections: Sequence[Extractor],
        image: tf.Tensor,
        sums_of_layer: Callable[[str, tf.Tensor], Sums],
    ):
        self.sums: Sums = {}
        self._parts: list[tuple[tf.GradientTape, tf.Tensor, dict[str, tf.Tensor]]] = []
        # By layer, with the names of its statistics.
        self._readings: dict[str, tuple[tf.GradientTape, tf.Tensor, tuple[str, ...]]] = {}
        entry = image
        for section in sections:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(entry)
                outputs = section(entry)
            self._parts.append((tape, entry, outputs))
            for layer, features in outputs.items():
                with tf.GradientTape(persistent=True, watch_accessed_variables=False) as reading:
                    reading.watch(features)
                    sums = sums_of_layer(layer, features)
                self.sums |= sums
                self._readings[layer] = reading, features, tuple(sums)
            entry = outputs[list(outputs)[-1]]

    def pull_back(self, cotangents: Sums, largest: float | None) -> tf.Tensor | None:
        """The gradient by the image of statistics with these cotangents; None if there are none.

        Args:
            largest: see `objective.Objective`.
        """
        if largest is None:
            return self._through_network(lambda layer: self._at_features(layer, cotangents))
        layers = [layer for _, _, outputs in self._parts for layer in outputs]
        pulled = {layer: self._at_features(layer, cotangents) for layer in layers}
        peaks = [
            tf.reduce_max(tf.abs(one), axis=(1, 2, 3), keepdims=True)  # of each image
            for one in pulled.values()
            if one is not None
        ]
        scale = largest / _power_of_two(tf.reduce_max(tf.stack(peaks), axis=0))
        scaled = {layer: None if one is None else scale * one for layer, one in pulled.items()}
        return self._through_network(scaled.__getitem__) / scale

    def _through_network(self, at_features: Callable[[str], tf.Tensor | None]) -> tf.Tensor | None:
        upstream = None
        for tape, entry, outputs in reversed(self._parts):
            # A Gram's pull-back is as large as its features, and could run long before the gradient
            # from deeper layers is there to be added: it waits for that, to spare memory.
            with tf.control_dependencies([] if upstream is None else [upstream]):
                pulled = {layer: at_features(layer) for layer in outputs}
            last = list(outputs)[-1]
            if upstream is not None:
                own = pulled[last]
                pulled[last] = upstream if own is None else own + upstream
            known = [layer for layer in outputs if pulled[layer] is not None]
            upstream = tape.gradient(
                [outputs[layer] for layer in known],
                entry,
                output_gradients=[pulled[layer] for layer in known],
            )
        return upstream

    def _at_features(self, layer: str, cotangents: Sums) -> tf.Tensor | None:
        """What the statistics of a layer pull back to its features."""
        total = None
        tape, features, names = self._readings[layer]
        for name in names:
            pulled = tape.gradient(self.sums[name], features, output_gradients=cotangents[name])
            total = pulled if total is None else _added_flat(total, pulled)
        return total


def _added_flat(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """A sum that graph optimization does not merge with the next one: it is of another shape."""
    flat = tf.reshape(first, (-1,)) + tf.reshape(second, (-1,))
    return tf.reshape(flat, tf.shape(first))


def _power_of_two(number: tf.Tensor) -> tf.Tensor:
    """The largest power of two up to a positive float32: multiplying by it rounds nothing."""
    bits = tf.bitcast(tf.maximum(number, _LEAST), tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits, _EXPONENT_BITS), tf.float32)
