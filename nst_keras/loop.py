"""The job: scales times steps. `stylize` yields iterates, saves its state and goes on from it."""

import dataclasses
import functools
import gc
import logging
import math
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from nst_keras import backbones, devices, images, planning, scales
from nst_keras import weights as weights_lib
from nst_keras.checkpoints import Checkpoint, Checkpointer
from nst_keras.config import Config
from nst_keras.distribute import ALONE, Replicas
from nst_keras.errors import DeviceError, InputError, LostHostError, StepDropped
from nst_keras.plateau import Plateau
from nst_keras.progress import Iterate, Pace
from nst_keras.resolution import resolve
from nst_keras.scales import Scale
from nst_keras.stages import Painter, Stage
from nst_keras.trouble import Watch
from nst_keras.weights import Weights

_log = logging.getLogger(__name__)

# A call into the graph lasts about this long: short enough for Ctrl-C and the bar, long enough that
# Python's share vanishes.
_CALL_SECONDS = 1.0

# What an operation fails with when another host or the device is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)

PictureLike = str | os.PathLike | np.ndarray


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
        config: settings; those that are None come from its objective's preset. Its own `content`,
            `style`, `workdir` and `output` are not looked at.
        weights: of the backbone, if read already.
        checkpointer: where the state is saved when due, and taken from at the start. Closing the
            generator early saves the state, too. Of several hosts, only the chief saves.
        replicas: the devices and hosts among which tiles are dealt; see `distribute`.
        is_dropped: asked after each tile: whether the step under way, which may take minutes, shall
            not be finished.

    Yields:
        An `Iterate` at least about every second of work, and at every multiple of `log_every`,
        `image_every` and `checkpoint_every`, at every `image_at` and at the end of every scale.

    Raises:
        InputError: a picture, a weights file or a setting cannot be used.
        FloatingPointError: the objective is no longer finite, and smaller steps did not help.
        MemoryError: even small tiles do not fit the device.
        LostHostError: another host is gone; the state is saved.
        DeviceError: a device is gone.
        StepDropped: as `is_dropped` said; the state before that step is saved.
    """
    config = resolve(config or Config())
    saved = checkpointer.latest() if checkpointer else None
    config = dataclasses.replace(config, precision=_settled_precision(config.precision, saved))
    if isinstance(styles, (str, os.PathLike, np.ndarray)):
        styles = [styles]
    if not len(styles) or len(config.style_blend) not in (0, len(styles)):
        raise InputError(f"{len(styles)} styles with style_blend={config.style_blend}")
    limit = config.max_megapixels * 10**6
    content = images.fit(_pixels(content, "content", limit), config.fit)
    pictures = [_pixels(style, "style", limit) for style in styles]
    plan = plan_job(config, content.shape[:2])
    if saved and saved.step > plan[-1].last_step:
        raise InputError(f"--workdir: its checkpoint is of step {saved.step}, beyond the last one")
    tile_size = planning.settle_tile_size(config, plan, devices.memory_limit(config.memory_limit))
    _, tile_size = _agree(replicas, saved.step if saved else 0, tile_size)
    config = dataclasses.replace(config, tile_size=tile_size or "none")
    weights = weights or load_weights(config)
    painter = Painter(config, content, pictures, weights, plan, replicas, is_dropped)
    return _run(painter, config, plan, checkpointer, saved)


def _agree(replicas: Replicas, step: int, tile_size: int | None) -> tuple[int, int | None]:
    """The chief's step to go on from, and size of tiles. No host goes on before all are here.

    Raises:
        InputError: this host would go on from another step.
    """
    chiefs_step, chiefs_size = (
        int(number) for number in replicas.from_chief((step, tile_size or 0))
    )
    if step != chiefs_step:
        raise InputError(
            f"--workdir: its newest checkpoint is of step {step} here and of step {chiefs_step} on "
            "the first host; all hosts must see one folder"
        )
    return step, chiefs_size or None


def load_weights(config: Config) -> Weights:
    """The backbone's weights that `--weights` names."""
    if config.weights == "imagenet":
        return backbones.imagenet_weights(config.backbone)
    path = weights_lib.embedded_path() if config.weights == "embedded" else config.weights
    return weights_lib.read_weights(path, config.backbone)


def plan_job(config: Config, content_size: tuple[int, int]) -> tuple[Scale, ...]:
    """The scales of a resolved config for a content of (height, width)."""
    size = max(content_size) if config.size == "original" else int(config.size)
    longest_sides = scales.plan_sizes(size, config.min_size, config.scales, config.scale_ratio)
    given = config.coarse_iterations or (config.iterations,)
    coarse = scales.spread_steps(given, len(longest_sides) - 1)
    return scales.plan_scales(content_size, longest_sides, (*coarse, config.iterations))


def measure_step_seconds(
    content: np.ndarray, styles: Sequence[np.ndarray], config: Config, weights: Weights
) -> tuple[tuple[Scale, ...], tuple[float, ...], float]:
    """The plan, seconds per step at each of its scales, and seconds to set a scale up.

    Times a few steps at the coarsest and the finest scale; between them, time is linear in pixels.
    """
    plan = plan_job(config, content.shape[:2])
    painter = Painter(config, content, styles, weights, plan)
    first, last = plan[0], plan[-1]
    image = painter.first_image()
    coarse, coarse_setup = _time_scale(painter, first, image)
    fine, fine_setup = coarse, coarse_setup
    if last is not first:
        image = images.resize(image, last.height, last.width)
        fine, fine_setup = _time_scale(painter, last, image)
    slope = (fine - coarse) / max(last.pixels - first.pixels, 1)
    seconds = tuple(coarse + slope * (scale.pixels - first.pixels) for scale in plan)
    return plan, seconds, max(coarse_setup, fine_setup)


def _run(
    painter: Painter,
    config: Config,
    plan: tuple[Scale, ...],
    checkpointer: Checkpointer | None,
    saved: Checkpoint | None,
) -> Generator[Iterate, None, None]:
    job = _Job(config, plan, checkpointer, saved, painter.replicas)
    picture = painter.first_image()
    for scale in plan:
        if scale.last_step < job.step:
            continue
        state, saved = saved.arrays if saved else None, None
        start = functools.partial(images.resize, picture, scale.height, scale.width)
        stage = yield from _paint_scale(painter, job, scale, start, state)
        picture = stage.picture()
        del start
        # The compiled steps and the stage hold each other; without this two scales fill memory.
        del stage
        gc.collect()


def _paint_scale(
    painter: Painter,
    job: "_Job",
    scale: Scale,
    start: Callable[[], np.ndarray],
    state: Mapping[str, np.ndarray] | None,
) -> Generator[Iterate, None, Stage]:
    """One scale from its start or a state of it, with smaller tiles or steps where it must be."""
    begun_with, begun_at = state, max(job.step, scale.first_step - 1)
    while True:
        stage = None
        try:
            stage = Stage(painter, scale, start, state, job.tile_size, job.recoveries)
            yield from job.run_scale(stage, state)
            return stage
        except FloatingPointError as error:
            stage = None
            back = job.go_back(scale, begun_at, error)
            state = begun_with if back is None else back
        except tf.errors.ResourceExhaustedError as error:
            job.tile_size = _smaller_tiles(painter, scale, job.tile_size, error)
            if stage is not None:  # where it got to before memory ran out
                state = {**stage.state(), **job.state()}
                job.step = scale.first_step - 1 + stage.steps
        except StepDropped:
            job.save_completed(stage)
            raise
        except _LOST as error:
            if painter.replicas.hosts == 1:  # its memory may be gone, too: nothing is saved
                raise DeviceError(
                    f"the device failed after step {job.step}: {_first_line(error)}"
                ) from error
            job.save_completed(stage)
            raise LostHostError(f"another host is gone: {_first_line(error)}") from error
        stage = None
        gc.collect()


def _smaller_tiles(painter: Painter, scale: Scale, tile_size: int | None, error: Exception) -> int:
    """Half the size of the tiles that were too large for the memory of the device.

    Raises:
        MemoryError: they are as small as the network allows.
    """
    longest = max(scale.height, scale.width)
    now = min(tile_size or longest, longest)
    smaller = max(now // 2, painter.least_tile_size)
    if smaller >= now:
        raise MemoryError(
            f"out of memory at {scale.width}x{scale.height} with tiles of {now} px; a smaller "
            "--size or --history, or --optimizer=adam, takes less"
        ) from error
    _log.warning("out of memory: it goes on in tiles of %d px", smaller)
    return smaller


class _Job:
    """Counts steps and seconds over the scales; reports and saves what is due."""

    def __init__(
        self,
        config: Config,
        plan: tuple[Scale, ...],
        checkpointer: Checkpointer | None,
        saved: Checkpoint | None,
        replicas: Replicas,
    ):
        self._replicas = replicas
        self.tile_size = None if config.tile_size == "none" else int(config.tile_size)
        self.config, self.plan, self.checkpointer = config, plan, checkpointer
        self.step = saved.step if saved else 0
        self.recoveries = int(saved.arrays.get("recoveries", 0)) if saved else 0
        self._started = time.perf_counter() - (saved.seconds if saved else 0.0)
        self._pace = Pace(plan)

    def run_scale(
        self, stage: Stage, state: Mapping[str, np.ndarray] | None
    ) -> Generator[Iterate, None, None]:
        """Take the steps that are left of a scale; `state` is what it was restored from."""
        scale = stage.scale
        self.step = max(self.step, scale.first_step - 1)
        self._begun_at = self._sound = self.step
        self._watch = Watch(scale.first_step, state)
        self._plateau = Plateau(
            self.config.tolerance, self.config.patience, scale.first_step, state
        )
        done = self._plateau.rests or self.step == scale.last_step
        if done and scale is self.plan[-1]:  # but perhaps not yet written out
            yield from self._report(stage, stage.value())
        tracing = True
        while self.step < scale.last_step and not self._plateau.rests:
            steps = 1 if tracing else self._steps_per_call(scale)
            began = time.perf_counter()
            terms = stage.run(steps)
            self.step += steps
            if not tracing:
                self._pace.saw(scale, steps, time.perf_counter() - began)
            tracing = False
            self._check(terms)
            self._sound = self.step
            yield from self._report(stage, terms)

    def _check(self, terms: dict[str, float]) -> None:
        """Whether the terms are sound, and still fall."""
        self._watch.saw(self.step, terms)
        self._plateau.saw(self.step, terms["total"])
        if self._plateau.rests:
            _log.warning(  # so that the run keeps it
                "the scale rests after step %d: the total fell by less than %g in %d steps",
                self.step,
                self.config.tolerance,
                self.config.patience,
            )

    def _report(self, stage: Stage, terms: dict[str, float]) -> Generator[Iterate, None, None]:
        seconds = time.perf_counter() - self._started
        iterate = Iterate(
            step=self.step,
            total_steps=self.plan[-1].last_step,
            scale=stage.scale,
            scales=self.plan,
            terms=terms,
            seconds=seconds,
            seconds_left=self._pace.seconds_left(self.step),
            steps_per_second=1.0 / self._pace.seconds_per_step(stage.scale),
            rests=self._plateau.rests,
            stage=stage,
        )
        try:
            yield iterate
        except GeneratorExit:
            self.save(stage)
            raise
        if not iterate.is_last:
            iterate.stage = None
        due = self.checkpointer and self.checkpointer.is_due(self.step, seconds)
        if due or iterate.is_last:  # writing the result may fail, and then goes on from here
            self.save(stage)

    def go_back(
        self, scale: Scale, begun_at: int, error: FloatingPointError
    ) -> dict[str, np.ndarray] | None:
        """The newest state of the scale that was saved and led on, or None: that which it began
        with at a step. From now on the steps are half as long.

        Raises:
            FloatingPointError: that has been tried often enough.
        """
        if self.recoveries >= self.config.max_recoveries:
            exact = ", or --precision=float32" if self.config.precision == "float16" else ""
            often = f" after {self.recoveries} recoveries" if self.recoveries else ""
            raise FloatingPointError(
                f"{error}{often}; a smaller --learning_rate or style weight may help{exact}"
            ) from error
        self.recoveries += 1
        # A state from which no sound step came was bad already.
        last = self._sound if self._sound > self._begun_at else self._begun_at - 1
        saved = self._saved_between(scale.first_step, last)
        self.step = saved.step if saved else begun_at
        _log.warning(
            "%s: it goes on from step %d with steps half as long (%d of at most %d times)",
            error,
            self.step,
            self.recoveries,
            self.config.max_recoveries,
        )
        return saved.arrays if saved else None

    def _saved_between(self, first: int, last: int) -> Checkpoint | None:
        """The checkpoint that the chief goes back to, on all hosts."""
        if self.checkpointer is None:
            return None
        saved = self.checkpointer.go_back(first, last) if self._replicas.is_chief else None
        step = int(self._replicas.from_chief(saved.step if saved else 0))
        if step and not self._replicas.is_chief:
            saved = self.checkpointer.go_back(step, step)
        return saved

    def state(self) -> dict[str, np.ndarray]:
        """What of the scale's state is not the stage's."""
        recoveries = {"recoveries": np.array(self.recoveries)} if self.recoveries else {}
        return {**self._plateau.state(), **self._watch.state(), **recoveries}

    def save(self, stage: Stage) -> None:
        """Keep the state, on the host whose task that is."""
        if self.checkpointer and stage.is_chief:
            seconds = time.perf_counter() - self._started
            precision = {"precision": np.array(self.config.precision)}
            arrays = {**stage.state(), **self.state(), **precision}
            self.checkpointer.save(Checkpoint(self.step, seconds, arrays))

    def save_completed(self, stage: Stage | None) -> None:
        """Keep the state after the last step that came to its end, if the scale had begun."""
        if stage is not None:
            self.step = stage.scale.first_step - 1 + stage.steps
            self.save(stage)

    def _steps_per_call(self, scale: Scale) -> int:
        """As many as fit a call, but no further than to the next step at which something is due."""
        pace = self._pace.seconds_per_step(scale)
        steps = max(1, int(_CALL_SECONDS / pace)) if math.isfinite(pace) else 1
        config = self.config
        stops: list[float] = [scale.last_step, self._watch.next_step(self.step)]
        stops.append(self._plateau.next_step(self.step))
        stops += [at for at in config.image_at if at > self.step]
        for every in (config.log_every, config.image_every, config.checkpoint_every):
            if every:
                stops.append(self.step - self.step % every + every)
        return int(min(steps, min(stops) - self.step))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _settled_precision(precision: str, saved: Checkpoint | None) -> str:
    """That of the saved state, so that a job ends as it began on whatever device it goes on."""
    if saved is None or "precision" not in saved.arrays:  # older versions did not keep it
        return devices.settle_precision(precision, announce=True)
    there = str(saved.arrays["precision"])
    if precision not in ("auto", there):
        raise InputError(
            f"--precision={precision}: the state after step {saved.step} was computed in {there}; "
            f"go on with --precision={there} or auto, or give another folder"
        )
    return there


def _pixels(picture: PictureLike, name: str, max_pixels: int) -> np.ndarray:
    """Float32 RGB in [0, 1], (H, W, 3), of a path or an array."""
    if not isinstance(picture, np.ndarray):
        return images.read_image(picture, f"--{name}", max_pixels).pixels
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise InputError(f"{name}: has shape {picture.shape}; (height, width, 3) is needed")
    if min(picture.shape[:2]) < images.MIN_SIDE:
        raise InputError(f"{name}: {picture.shape} is too small; a side needs {images.MIN_SIDE} px")
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / 255.0
    pixels = np.asarray(picture, np.float32)
    if not (np.isfinite(pixels).all() and pixels.min() >= 0.0 and pixels.max() <= 1.0):
        raise InputError(f"{name}: floats must be in [0, 1]; uint8 may be 0..255")
    return pixels


def _time_scale(painter: Painter, scale: Scale, image: np.ndarray) -> tuple[float, float]:
    """Seconds of one step, and of setting the scale up."""
    began = time.perf_counter()
    stage = Stage(painter, scale, lambda: image)
    stage.run(1)
    setup = time.perf_counter() - began
    began = time.perf_counter()
    stage.run(2)
    step = (time.perf_counter() - began) / 2
    return step, max(setup - step, 0.0)
