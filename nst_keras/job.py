"""A job and its run folder: what is asked for, and what is settled before the first step."""

import dataclasses
import importlib.util
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_keras import (
    devices,
    files,
    flags,
    output,
    planning,
    recorder,
    run_record,
    scales,
    video,
    workdir,
)
from nst_keras.config import OPTIONS, Config
from nst_keras.errors import InputError
from nst_keras.inputs import Inputs, read_inputs
from nst_keras.options import absolute_paths
from nst_keras.resolution import resolve, unused
from nst_keras.scales import Scale
from nst_keras.workdir import RunFolder, Status

if TYPE_CHECKING:
    from nst_keras.distribute import Replicas

_log = logging.getLogger("nst_keras")

_PICTURES_PER_JOB = 24  # iteration images if --image_every is not given
_FINISH_SECONDS = 12.0  # kept free of a --time_limit for result, scores, page and animation
_SLACK = 0.08  # of a --time_limit, since machines do not keep one pace


@dataclasses.dataclass(frozen=True)
class Job:
    """What was asked for, and where it goes."""

    arguments: list[str]
    given: Config  # as typed
    requested: Config  # resolved
    inputs: Inputs
    folder: RunFolder
    request: dict[str, str]  # what decides the picture, as asked for
    prolongs: bool  # it is the folder's job with more steps
    began: float  # by the monotonic clock

    def plan(self, config: Config) -> tuple[Scale, ...]:
        """Its scales under a config that may be more settled than the one asked for."""
        return scales.plan_job(config, self.inputs.content.shape[:2])


def read(arguments: list[str], given: Config, began: float) -> Job:
    """Read all that a job reads.

    Args:
        arguments: of the command, from which `given` comes.
        began: when the command was given, by the monotonic clock.

    Raises:
        InputError: something is missing, or not what it should be.
    """
    given = _with_flags_of_folder(arguments, given)
    requested = resolve(given)
    if requested.mp4:
        video.check_video_extra()
    inputs = read_inputs(requested)
    request = workdir.describe_job(requested, inputs.hashes)
    folder = RunFolder(requested.workdir or workdir.default_path(requested, request))
    prolongs = folder.prolongs(request) and not requested.overwrite
    return Job(arguments, given, requested, inputs, folder, request, prolongs, began)


def _with_flags_of_folder(arguments: list[str], config: Config) -> Config:
    """For `--workdir=runs/x` alone: the settings that the run began with, under those given now."""
    if config.content or config.style or not config.workdir:
        return config
    saved = RunFolder(config.workdir).flags
    if not saved.exists():
        raise InputError(
            f"--workdir={config.workdir}: holds no run to go on with; give --content and --style"
        )
    config, _ = flags.parse_config([f"--flagfile={saved}", *arguments])
    return config


def check_extras(config: Config) -> None:
    """Raise InputError for what cannot be written, before any work starts."""
    files.check_temporary_folder()
    output.check_output(config)
    if config.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise InputError("--tensorboard: needs pip install 'nst_keras[tensorboard]'")


def prepare_folder(job: Job) -> Status:
    """Make the folder, which is held, ready for the job; returns what it held of it."""
    status = job.folder.status(job.request, overwrite=job.requested.overwrite)
    if status is Status.NEW:
        job.folder.prepare(job.request)
    elif job.prolongs:
        job.folder.remove_animations()
    for note in (*job.inputs.notes, *unused(job.given, job.requested)):
        _log.warning("%s", note)
    return status


def start(config: Config) -> "Replicas":
    """Start TensorFlow; returns the devices and hosts of the job."""
    devices.start_tensorflow(deterministic=config.deterministic, seed=config.seed)
    from nst_keras import distribute

    if config.distribute == "none":
        devices.one_operation_at_a_time()
    return distribute.make_replicas(config.distribute, config.replicas)


def settle(job: Job, status: Status, replicas: "Replicas") -> Config:
    """Decide what is still open: precision, steps under a time limit, tiles, iteration images."""
    new = status is Status.NEW
    precision = devices.settle_precision(job.requested.precision, announce=new)
    config = dataclasses.replace(job.requested, precision=precision)
    if status is Status.BEGUN and job.folder.flags.exists():  # what was settled then holds on
        saved, _ = flags.parse_config([f"--flagfile={job.folder.flags}"])
        config = dataclasses.replace(
            config,
            iterations=config.iterations if job.prolongs else saved.iterations,
            coarse_iterations=saved.coarse_iterations,
            time_limit=None,
            precision=saved.precision,
            tile_size=saved.tile_size if config.tile_size == "auto" else config.tile_size,
        )
    plan, room = job.plan(config), devices.room(config.memory_limit, len(replicas.devices))
    tile_size = planning.settle_tile_size(config, plan, room, job.inputs.channels)
    if config.time_limit:
        config = _fit_time_limit(config, config.time_limit, job, replicas, tile_size)
        plan = job.plan(config)
    image_every = config.image_every
    if image_every is None:
        image_every = max(1, math.ceil(plan[-1].last_step / _PICTURES_PER_JOB))
    return dataclasses.replace(config, tile_size=tile_size or "none", image_every=image_every)


def _fit_time_limit(
    config: Config, limit: float, job: Job, replicas: "Replicas", tile_size: int | None
) -> Config:
    """Measure, and choose the steps so that the whole job ends in time."""
    from nst_keras import preparation

    inputs = job.inputs
    weights = inputs.weights or preparation.load_weights(config)
    plan, seconds, setup = preparation.measure_step_seconds(
        inputs.content, inputs.styles, config, weights, replicas, tile_size
    )
    spent = time.monotonic() - job.began
    fixed = spent + len(plan) * setup + _FINISH_SECONDS + _SLACK * limit
    steps = tuple(scale.steps for scale in plan)
    fitted = scales.fit_steps(steps, seconds, fixed, limit)
    if job.given.iterations is not None:  # a number of one's own is an upper bound
        fitted = tuple(min(pair) for pair in zip(fitted, steps, strict=True))
    return dataclasses.replace(
        config, iterations=fitted[-1], coarse_iterations=fitted[:-1], time_limit=None
    )


def describe(job: Job, config: Config, notes: list[str]) -> dict[str, Any]:
    """Say what is going to happen, and write down what a resume and the page need."""
    inputs, folder, plan = job.inputs, job.folder, job.plan(config)
    if late := [at for at in config.image_at if at > plan[-1].last_step]:
        _log.warning("--image_at=%d: the job has %d steps", late[0], plan[-1].last_step)
    notes[:0] = [note for note in run_record.old_notes(folder) if note not in notes]
    record = run_record.make_record(job.arguments, config, inputs, plan, job.request, folder, notes)
    _announce(config, plan, inputs.channels, record["device"], folder)
    files.write_text(folder.flags, flags.format_flagfile(_replayable(config, folder)))
    recorder.write_thumbnail(folder.content, inputs.content)
    for number, style in enumerate(inputs.styles, start=1):
        recorder.write_thumbnail(folder.style(number), style)
    return record


def _replayable(config: Config, folder: RunFolder) -> Config:
    """The config with paths that hold wherever the flagfile lies."""
    config = dataclasses.replace(config, workdir=str(folder.path), overwrite=False)
    return dataclasses.replace(config, **absolute_paths(vars(config), OPTIONS))


def _announce(
    config: Config,
    plan: tuple[Scale, ...],
    channels: planning.Channels,
    device: str,
    folder: RunFolder,
) -> None:
    _log.info(
        "%s with %s: %d steps in %s on %s; folder %s",
        Path(config.content).name,
        ", ".join(Path(style).name for style in config.style),
        plan[-1].last_step,
        config.precision,
        device,
        folder.path,
    )
    rate = devices.matrix_rate(config.precision)
    _log.info("plan: %s", planning.describe(config, plan, rate, channels))
