"""From images through the network to statistics, and from their gradients back to the images."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

_EXPONENT_BITS = 0x7F800000  # of a float32
_LEAST = 1e-30  # its inverse is far below float32's largest number

Features = dict[str, tf.Tensor]  # by layer
Extractor = Callable[[tf.Tensor], Features]
Sums = dict[str, tf.Tensor]  # statistics by the name of their term


@dataclasses.dataclass(frozen=True)
class Network:
    """A feature extractor on one device.

    Args:
        sections: its parts in order: the first takes the image, each later one the last output of
            the part before. An extractor in one piece is one section.
        largest_gradient: dynamic loss scaling for float16: gradients of features are scaled before
            they are pulled back through the network, so that the largest is between this and twice
            this, and the gradient at the image is scaled back. None: no scaling, which is faster,
            and right where gradients can neither underflow nor overflow.
    """

    sections: tuple[Extractor, ...]
    largest_gradient: float | None = None


class ForwardPass:
    """A pass of images through the network, and of gradients back (a vector-Jacobian product).

    Each section of the network has a tape of its own, and so have each layer's statistics: their
    gradients are added two at a time, since AddN adds three in an order that varies between runs.

    Args:
        image: one image or several, (N, H, W, 3).
        sums_of_layer: makes the statistics of a layer from its features (N, h, w, C).

    Attributes:
        sums: the statistics of all layers by term name.
    """

    def __init__(
        self,
        network: Network,
        image: tf.Tensor,
        sums_of_layer: Callable[[str, tf.Tensor], Sums],
    ):
        self.sums: Sums = {}
        self._network = network
        self._sections: list[tuple[tf.GradientTape, tf.Tensor, Features]] = []
        # By layer: the tape of its statistics, its features, and the statistics' names.
        self._layers: dict[str, tuple[tf.GradientTape, tf.Tensor, tuple[str, ...]]] = {}
        entry = image
        for section in network.sections:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(entry)
                outputs = section(entry)
            self._sections.append((tape, entry, outputs))
            for layer, features in outputs.items():
                with tf.GradientTape(persistent=True, watch_accessed_variables=False) as reading:
                    reading.watch(features)
                    sums = sums_of_layer(layer, features)
                self.sums |= sums
                self._layers[layer] = reading, features, tuple(sums)
            entry = outputs[list(outputs)[-1]]

    def pull_back(self, cotangents: Sums) -> tf.Tensor | None:
        """The gradient at the image, given the gradients at the statistics.

        None if there are no statistics. Call it once.
        """
        largest = self._network.largest_gradient
        if largest is None:
            return self._through_network(lambda layer: self._at_features(layer, cotangents))
        layers = [layer for _, _, outputs in self._sections for layer in outputs]
        pulled = {layer: self._at_features(layer, cotangents) for layer in layers}
        peaks = [
            tf.reduce_max(tf.abs(gradient), axis=(1, 2, 3), keepdims=True)  # of each image
            for gradient in pulled.values()
            if gradient is not None
        ]
        scale = largest / _power_of_two(tf.reduce_max(tf.stack(peaks), axis=0))
        scaled = {
            layer: None if gradient is None else scale * gradient
            for layer, gradient in pulled.items()
        }
        return self._through_network(scaled.__getitem__) / scale

    def _through_network(self, at_features: Callable[[str], tf.Tensor | None]) -> tf.Tensor | None:
        upstream = None
        for tape, entry, outputs in reversed(self._sections):
            # The gradient of a Gram is as large as its features and could be computed long before
            # the gradient from deeper layers arrives; waiting for that saves memory.
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
        """The gradient at a layer's features, from its own statistics only."""
        total = None
        tape, features, names = self._layers[layer]
        for name in names:
            pulled = tape.gradient(self.sums[name], features, output_gradients=cotangents[name])
            total = pulled if total is None else _added_flat(total, pulled)
        return total


def _added_flat(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The sum of two tensors of one shape, flattened in between.

    Graph optimization cannot merge it with the next sum, which has another shape, into an AddN.
    """
    flat = tf.reshape(first, (-1,)) + tf.reshape(second, (-1,))
    return tf.reshape(flat, tf.shape(first))


def _power_of_two(number: tf.Tensor) -> tf.Tensor:
    """The largest power of two up to a positive float32; multiplying by it rounds nothing."""
    bits = tf.bitcast(tf.maximum(number, _LEAST), tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits, _EXPONENT_BITS), tf.float32)
