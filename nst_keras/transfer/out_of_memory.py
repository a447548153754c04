"""What an error says about memory, and the tiles with which work that did not fit is repeated."""

import dataclasses
import logging
from collections.abc import Sequence

import tensorflow as tf

from nst_keras.network.architecture import Architecture
from nst_keras.objective.loss_term import LossTerm
from nst_keras.objective.tiled import check_can_be_cut
from nst_keras.objective.tiles import ReceptiveField, receptive_field
from nst_keras.optimizers.facts import facts_of
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.plan import Scale

_log = logging.getLogger(__name__)

# Parts of messages on GPUs when memory runs out: from copies to the device, convolutions without
# workspace, and the driver.
_MESSAGES = (
    "Dst tensor is not initialized",
    "No algorithm worked",
    "OUT_OF_MEMORY",
    "failed to allocate",
)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; on GPUs only the message may say so."""
    if isinstance(error, (tf.errors.InternalError, tf.errors.NotFoundError)):
        return any(words in str(error) for words in _MESSAGES)
    return isinstance(error, tf.errors.ResourceExhaustedError)


@dataclasses.dataclass(frozen=True)
class Tiling:
    """What decides into how small tiles a picture can be cut."""

    architecture: Architecture
    field: ReceptiveField  # of the features in use
    own_terms: Sequence[LossTerm]
    optimizer: str
    hosts: int

    @classmethod
    def of(cls, settings: Settings, inputs: Inputs, hosts: int) -> "Tiling":
        """That of a run of these inputs on so many hosts."""
        architecture = inputs.architecture(settings)
        used = [architecture[layer] for layer in inputs.layers(settings)]
        field = receptive_field(used, settings.least_stride)
        return cls(architecture, field, inputs.terms, settings.optimizer, hosts)

    def smaller(self, scale: Scale, tile_size: int | None, error: Exception) -> int:
        """Half the size of the tiles that did not fit at a scale; None: the whole picture did not.

        Raises:
            MemoryError: there are no smaller ones, since the picture cannot be cut into such, or
                there are several hosts, which would wait for each other's old tiles.
        """
        size = f"{scale.width}x{scale.height}"
        longest = max(scale.height, scale.width)
        now = min(tile_size or longest, longest)
        smaller = max(now // 2, self.field.least_side)
        if smaller >= now or not self._can_be_cut():
            has_history = facts_of(self.optimizer).images_per_history > 0
            others = " or --history, or --optimizer=adam," if has_history else ""
            tiles = f" with tiles of {now} px" if tile_size else ""
            raise MemoryError(
                f"out of memory at {size}{tiles}; a smaller --size{others} needs less"
            ) from error
        if self.hosts > 1:
            raise MemoryError(
                f"out of memory at {size}; use --tile_size={smaller} on all hosts"
            ) from error
        _log.warning("out of memory; continuing with tiles of %d px", smaller)
        return smaller

    def _can_be_cut(self) -> bool:
        try:
            check_can_be_cut(self.architecture, self.own_terms)
        except InputError:
            return False
        return True
