"""Recovery from a failed step: with smaller steps or tiles, or by an error that says why not."""

import logging

import tensorflow as tf

from nst_keras.optimizers.facts import FACTS
from nst_keras.runtime.errors import DeviceError, LostHostError, StepDropped, first_line
from nst_keras.transfer.controller import Controller
from nst_keras.transfer.scale_run import ScaleRun

_log = logging.getLogger(__name__)

# Errors of operations when another host or the device is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
# Parts of messages on GPUs when memory runs out: from copies to the device, convolutions without
# workspace, and the driver.
_NO_MEMORY = (
    "Dst tensor is not initialized",
    "No algorithm worked",
    "OUT_OF_MEMORY",
    "failed to allocate",
)


def recover(controller: Controller, run: ScaleRun | None, error: Exception) -> None:
    """Have the scale set up again after an error, with smaller steps or tiles.

    Args:
        run: the scale; None if it could not be set up.

    Raises:
        DeviceError: the only host's device failed; nothing is saved.
        LostHostError: another host is gone; the chief has saved the state.
        Exception: the error, or one that says what it means, if the run cannot continue.
    """
    lost = isinstance(error, _LOST)
    if isinstance(error, FloatingPointError):
        controller.recover(error)
    elif _is_out_of_memory(error):
        controller.tile_size = _smaller_tiles(controller, error)
        if run is not None:
            controller.count_completed(run)
            controller.start = controller.state(run)
    elif lost and controller.problem.replicas.hosts == 1:
        # Its memory may be gone, too: nothing is saved.
        raise DeviceError(
            f"the device failed after step {controller.step}: {first_line(error)}"
        ) from error
    else:
        if run is not None and (lost or isinstance(error, StepDropped)):
            controller.count_completed(run)
            controller.save(run)
        if lost:
            raise LostHostError(f"another host is gone: {first_line(error)}") from error
        raise error


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; on GPUs only the message may say so."""
    if isinstance(error, (tf.errors.InternalError, tf.errors.NotFoundError)):
        return any(words in str(error) for words in _NO_MEMORY)
    return isinstance(error, tf.errors.ResourceExhaustedError)


def _smaller_tiles(controller: Controller, error: Exception) -> int:
    """Half the size of the tiles that did not fit the device's memory.

    Raises:
        MemoryError: they are as small as the network allows, or other hosts use the same tiles.
    """
    scale, problem = controller.scale, controller.problem
    size = f"{scale.width}x{scale.height}"
    longest = max(scale.height, scale.width)
    now = min(controller.tile_size or longest, longest)
    smaller = max(now // 2, problem.field.least_side)
    if smaller >= now:
        has_history = FACTS[problem.settings.optimizer].images_per_history > 0
        others = " or --history, or --optimizer=adam," if has_history else ""
        raise MemoryError(
            f"out of memory at {size} with tiles of {now} px; a smaller --size{others} needs less"
        ) from error
    if problem.replicas.hosts > 1:  # which would wait for each other's old tiles
        raise MemoryError(
            f"out of memory at {size}; use --tile_size={smaller} on all hosts"
        ) from error
    _log.warning("out of memory; continuing with tiles of %d px", smaller)
    return smaller
