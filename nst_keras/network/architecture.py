"""What is known of a network's layers before anything is computed. Imports no TensorFlow."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nst_keras.runtime.errors import InputError


class Cost(NamedTuple):
    """What computing features takes.

    Attributes:
        kept: values that a step keeps for each pixel of the image, to find the gradient.
        flops: floating-point operations of the forward pass for each pixel of the image.
        largest: values of the largest layer for each pixel of the image.
    """

    kept: float
    flops: float
    largest: float


@dataclasses.dataclass(frozen=True)
class Layer:
    """The features of one layer.

    Attributes:
        stride: pixels per position along each side.
        channels: features at each position.
        reach: how many pixels further than its own `stride` pixels a position sees, on each side.
        cost: of the layer and what is computed for it alone.
    """

    stride: int
    channels: int
    reach: int = 0
    cost: Cost = Cost(0.0, 0.0, 0.0)

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
        whole: what the network costs if all of it is always computed.
        is_local: whether positions see no more of the image than their layer's reach, so that the
            image can be cut into tiles.
    """

    name: str
    layers: Mapping[str, Layer]
    whole: Cost | None = None
    is_local: bool = True

    def __getitem__(self, layer: str) -> Layer:
        return self.layers[layer]

    @property
    def strides(self) -> dict[str, int]:
        """The stride of each layer."""
        return {name: layer.stride for name, layer in self.layers.items()}

    def up_to_deepest(self, names: Iterable[str]) -> list[str]:
        """The layers that are computed for the features of some of them."""
        order = list(self.layers)
        return order[: max(map(order.index, names)) + 1]

    def cost(self, names: Iterable[str]) -> Cost:
        """What computing the features of these layers takes."""
        if self.whole:
            return self.whole
        costs = [self.layers[name].cost for name in self.up_to_deepest(names)]
        return Cost(
            sum(own.kept for own in costs),
            sum(own.flops for own in costs),
            max(own.largest for own in costs),
        )

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
