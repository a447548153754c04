"""What is known of a network's layers before anything is computed. Imports no TensorFlow."""

import dataclasses
import re
from collections.abc import Iterable, Mapping

from nst_keras.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Layer:
    """The features of one layer, and what computing them takes.

    Attributes:
        stride: pixels per position along each side.
        channels: features at each position.
        reach: pixels beyond the stride's own, on each side, that a feature depends on.
        kept: values that a step keeps for each pixel of the image, to find the gradient.
        flops: floating-point operations of the forward pass for each pixel of the image.
    """

    stride: int
    channels: int
    reach: int = 0
    kept: float = 0.0
    flops: float = 0.0

    def positions(self, height: int, width: int) -> int:
        """The number of positions for an image of this size in pixels."""
        return (height // self.stride) * (width // self.stride)

    @property
    def features(self) -> float:
        """Features for each pixel of the image."""
        return self.channels / self.stride**2


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The layers of a network.

    Attributes:
        name: for messages.
        layers: those whose features can be asked for, by name. The network is computed in this
            order, up to the last one that is needed.
        always: other layers, all of which are always computed.
        is_local: whether features depend on no more of the image than their layer's reach, so that
            the image can be cut into tiles.
    """

    name: str
    layers: Mapping[str, Layer]
    always: tuple[Layer, ...] = ()
    is_local: bool = True

    def __getitem__(self, layer: str) -> Layer:
        return self.layers[layer]

    @property
    def strides(self) -> dict[str, int]:
        """The stride of each layer."""
        return {name: layer.stride for name, layer in self.layers.items()}

    def computed(self, names: Iterable[str]) -> list[Layer]:
        """All that is computed for the features of these layers."""
        order = list(self.layers)
        deepest = max(map(order.index, names))
        return [*self.always, *(self.layers[name] for name in order[: deepest + 1])]

    def canonical(self, name: str, flag: str) -> str:
        """The name of a layer; `relu4_2` and `conv4_2` also mean `block4_conv2` (post-ReLU).

        Raises InputError, which begins with `flag`, if there is no such layer.
        """
        known = re.sub(r"^(?:relu|conv)(\d)_(\d)$", r"block\1_conv\2", name)
        for found in (name, known):
            if found in self.layers:
                return found
        choices = ", ".join(self.layers)
        message = f"{flag}={name}: {self.name} has no such layer; choose from {choices}"
        raise InputError(message, flag.removeprefix("--"))
