"""The job: scales times steps. `stylize` yields iterates, saves its state and goes on from it."""

import functools
import gc
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.imaging import geometry
from nst_keras.network.weights import Weights
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import DeviceError, LostHostError, StepDropped, first_line
from nst_keras.settings.config import Config
from nst_keras.transfer.controller import Controller
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun
from nst_keras.transfer.scales import Scale
from nst_keras.transfer.setup import PictureLike, Prepared, Request, prepare

_log = logging.getLogger(__name__)


# What an operation fails with when another host or the device is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
# What operations on GPUs say that fail for want of memory in other ways than by name: a copy to the
# device, convolutions without room to work, and the driver.
_NO_ROOM = (
    "Dst tensor is not initialized",
    "No algorithm worked",
    "OUT_OF_MEMORY",
    "failed to allocate",
)


def stylize(
    content: PictureLike,
    styles: PictureLike | Sequence[PictureLike],
    config: Config | None = None,
    *,
    weights: Weights | None = None,
    checkpointer: Checkpointer | None = None,
    replicas: Replicas = ALONE,
    is_dropped: Callable[[], bool] = lambda: False,
) -> Generator[Iterate, None, None]:
    """Paint the content in the manner of the styles (Gatys et al. 2016), from coarse to fine.

    Args:
        content, styles: paths, or (H, W, 3) arrays of RGB: uint8, or floats in [0, 1].
        config: settings; those that are None come from its objective's preset. Its own
            `content`, `style`, `time_limit`, `distribute`, `replicas` and `deterministic`, and what
            it says of checkpoints and other files to write, are not looked at.
        weights: of the backbone, if read already.
        checkpointer: where the state is saved when due, and taken from at the start. Closing the
            generator early saves the state, too. Of several hosts, only the chief saves.
        replicas: the devices and hosts among which tiles are dealt; see `distribute`.
        is_dropped: asked after each tile: whether the step under way, which may take minutes, shall
            not be finished.

    Yields:
        An `Iterate` at least about every second of work, at every multiple of `log_every`,
        `image_every` and the checkpointer's `every`, at every `image_at` and at the end of every
        scale.

    Raises:
        InputError: a picture, a weights file or a setting cannot be used.
        FloatingPointError: the objective is no longer finite, and smaller steps did not help.
        MemoryError: even small tiles do not fit the device.
        LostHostError: another host is gone; the state is saved, if this one is the chief.
        DeviceError: a device is gone.
        StepDropped: as `is_dropped` said; the state before that step is saved.
    """
    request = Request(
        content, styles, config or Config(), weights, checkpointer, replicas, is_dropped
    )
    return _run(prepare(request))


def _run(job: Prepared) -> Generator[Iterate, None, None]:
    course = job.course()
    picture = job.painter.first_image()
    for scale in job.painter.plan:
        if scale.last_step < course.step:
            continue
        start = functools.partial(geometry.resize, picture, scale.height, scale.width)
        stage = yield from _paint_scale(job.painter, course, scale, start, job.take_state())
        picture = stage.picture()
        del start
        # The compiled steps and the stage hold each other; without this two scales fill memory.
        del stage
        gc.collect()


def _paint_scale(
    painter: StyleTransferProblem,
    course: Controller,
    scale: Scale,
    start: Callable[[], np.ndarray],
    state: Mapping[str, np.ndarray] | None,
) -> Generator[Iterate, None, ScaleRun]:
    """One scale from its start or a state of it, with smaller tiles or steps where it must be."""
    while True:
        stage = None
        try:
            course.begin(scale, state)
            stage = ScaleRun(painter, scale, start, state, course.tile_size, course.recoveries)
            state = None  # or it would lie there, beside the stage's own, to the end of the scale
            yield from _take_steps(course, stage)
            return stage
        except FloatingPointError as error:
            stage = None
            state = course.go_back(error)
        except StepDropped:
            course.save_completed(stage)
            raise
        except tf.errors.OpError as error:
            if not _lacks_memory(error):
                _tell_loss(painter, course, stage, error)
                raise
            course.tile_size = _smaller_tiles(painter, scale, course.tile_size, error)
            if stage is not None:  # where it got to before memory ran out
                state = {**stage.state(), **course.state()}
                course.went_on_to(stage)
        stage = None
        gc.collect()


def _take_steps(course: Controller, stage: ScaleRun) -> Generator[Iterate, None, None]:
    """Those that are left of the scale."""
    if course.is_over:  # but perhaps not yet written out
        yield from _report(course, stage, stage.value())
    while not course.ends_scale:
        steps = course.steps_per_call()
        began = time.perf_counter()
        terms = stage.run(steps)
        course.took(steps, time.perf_counter() - began, terms)
        yield from _report(course, stage, terms)


def _report(
    course: Controller, stage: ScaleRun, terms: dict[str, float]
) -> Generator[Iterate, None, None]:
    iterate = course.report(stage, terms)
    try:
        yield iterate
    except GeneratorExit:
        course.save(stage)
        raise
    if not iterate.is_last:
        iterate.stage = None
    if course.is_save_due(iterate):
        course.save(stage)


def _lacks_memory(error: tf.errors.OpError) -> bool:
    """Whether that is what an operation failed for; on GPUs it may say so only in words."""
    if isinstance(error, (tf.errors.InternalError, tf.errors.NotFoundError)):
        return any(words in str(error) for words in _NO_ROOM)
    return isinstance(error, tf.errors.ResourceExhaustedError)


def _tell_loss(
    painter: StyleTransferProblem,
    course: Controller,
    stage: ScaleRun | None,
    error: tf.errors.OpError,
) -> None:
    """Raise in its place what an error means, if that is that a device or a host is gone.

    Raises:
        DeviceError, LostHostError: so it is; of the latter the chief has saved the state.
    """
    if not isinstance(error, _LOST):
        return
    if painter.replicas.hosts == 1:  # its memory may be gone, too: nothing is saved
        raise DeviceError(
            f"the device failed after step {course.step}: {first_line(error)}"
        ) from error
    course.save_completed(stage)
    raise LostHostError(f"another host is gone: {first_line(error)}") from error


def _smaller_tiles(
    painter: StyleTransferProblem, scale: Scale, tile_size: int | None, error: Exception
) -> int:
    """Half the size of the tiles that were too large for the memory of the device.

    Raises:
        MemoryError: they are as small as the network allows, or other hosts have the same ones.
    """
    longest = max(scale.height, scale.width)
    now = min(tile_size or longest, longest)
    smaller = max(now // 2, painter.least_tile_size)
    if smaller >= now:
        lbfgs = painter.config.optimizer == "lbfgs"
        raise MemoryError(
            f"out of memory at {scale.width}x{scale.height} with tiles of {now} px; a smaller "
            f"--size{' or --history, or --optimizer=adam,' if lbfgs else ''} takes less"
        ) from error
    if painter.replicas.hosts > 1:  # where each would wait for the others' old ones
        raise MemoryError(
            f"out of memory at {scale.width}x{scale.height}; give all hosts --tile_size={smaller}"
        ) from error
    _log.warning("out of memory: it goes on in tiles of %d px", smaller)
    return smaller
