"""A job and its run folder: what is asked for, and what is settled before the first step."""

import contextlib
import dataclasses
import importlib.util
import logging
import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nst_keras
from nst_keras.devices import memory, startup
from nst_keras.imaging import mp4
from nst_keras.runs import folder as folder_lib
from nst_keras.runs import pictures
from nst_keras.runs import record as record_lib
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runs.inputs import Inputs, read_inputs
from nst_keras.runs.writers import RunWriter, make_checkpointer
from nst_keras.runtime import cli, console, files, signals
from nst_keras.runtime.background import Background
from nst_keras.runtime.errors import InputError, StepDropped
from nst_keras.runtime.signals import StopSignal
from nst_keras.settings import flags
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.option import absolute_paths
from nst_keras.settings.resolve import resolve, unused
from nst_keras.transfer import cost, scales
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.scales import Scale

if TYPE_CHECKING:
    from nst_keras.devices.replicas import Replicas

_log = logging.getLogger(__name__)


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
        mp4.check_video_extra()
    inputs = read_inputs(requested)
    request = folder_lib.describe_job(requested, inputs.hashes)
    folder = RunFolder(requested.workdir or folder_lib.default_path(requested, request))
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
    pictures.check_output(config)
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
    startup.start_tensorflow(deterministic=config.deterministic, seed=config.seed)
    from nst_keras.devices import replicas as replicas_lib

    if config.distribute == "none":
        startup.one_operation_at_a_time()
    return replicas_lib.make_replicas(config.distribute, config.replicas)


def settle(job: Job, status: Status, replicas: "Replicas") -> Config:
    """Decide what is still open: precision, steps under a time limit, tiles, iteration images."""
    new = status is Status.NEW
    precision = startup.settle_precision(job.requested.precision, announce=new)
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
    plan, room = job.plan(config), memory.memory_budget(config.memory_limit, len(replicas.devices))
    tile_size = cost.settle_tile_size(config, plan, room, job.inputs.channels)
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
    from nst_keras.transfer import setup as setup_lib

    inputs = job.inputs
    weights = inputs.weights or setup_lib.load_weights(config)
    plan, seconds, setup = setup_lib.measure_step_seconds(
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
    notes[:0] = [note for note in record_lib.old_notes(folder) if note not in notes]
    record = record_lib.make_record(job.arguments, config, inputs, plan, job.request, folder, notes)
    _announce(config, plan, inputs.channels, record["device"], folder)
    files.write_text(folder.flags, flags.format_flagfile(_replayable(config, folder)))
    pictures.write_thumbnail(folder.content, inputs.content)
    for number, style in enumerate(inputs.styles, start=1):
        pictures.write_thumbnail(folder.style(number), style)
    return record


def _replayable(config: Config, folder: RunFolder) -> Config:
    """The config with paths that hold wherever the flagfile lies."""
    config = dataclasses.replace(config, workdir=str(folder.path), overwrite=False)
    return dataclasses.replace(config, **absolute_paths(vars(config), OPTIONS))


def _announce(
    config: Config,
    plan: tuple[Scale, ...],
    channels: cost.Channels,
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
    rate = startup.matrix_rate(config.precision)
    _log.info("plan: %s", cost.describe(config, plan, rate, channels))


_PATIENCE = 10.0  # seconds from a signal to the end of a step


def command(arguments: list[str], began: float) -> int:
    """What a command line asks for: one job, or the help; returns the exit status.

    Args:
        began: when the command was given, by the monotonic clock.
    """
    config, actions = flags.parse_config(arguments)
    if "help" in actions:
        print(flags.help_text())
        return 0
    if "version" in actions:
        print(f"nst_keras {nst_keras.__version__}")
        return 0
    with console.messages(quiet="quiet" in actions) as notes:
        return run_job(arguments, config, notes, began, quiet="quiet" in actions)


def run_job(
    arguments: list[str], given: Config, notes: list[str], began: float, *, quiet: bool
) -> int:
    asked = read(arguments, given, began)
    folder, requested = asked.folder, asked.requested
    if startup.host_number(requested.distribute):
        return _help_out(asked)
    if folder.status(asked.request, overwrite=requested.overwrite) is Status.FINISHED:
        _log.info("%s is finished; --overwrite would make it anew", folder.path)
        pictures.complete(folder, requested)
        pictures.copy_result(folder, requested)
        return 0
    check_extras(requested)
    with files.held(folder.path):
        # Heard from here on: TensorFlow would take what Python raises for errors of its own.
        with signals.stop_signals() as stopping:
            desk, iterate = _paint(asked, notes, stopping, quiet=quiet)
        return _conclude(desk, iterate)


def _help_out(asked: Job) -> int:
    """The whole job on a host that is not the chief: it computes, and writes nothing."""
    folder, inputs = asked.folder, asked.inputs
    if folder.is_finished(asked.request) and not asked.requested.overwrite:
        return 0
    replicas = start(asked.requested)
    replicas.from_chief(0)  # from here on the folder is as the chief has made it
    config = settle(asked, Status.BEGUN, replicas)  # by the chief, with settings to take over
    from nst_keras.transfer import loop

    iterates = loop.stylize(
        inputs.content,
        inputs.styles,
        config,
        weights=inputs.weights,
        checkpointer=make_checkpointer(
            config, folder, folder_lib.describe_job(config, inputs.hashes)
        ),
        replicas=replicas,
    )
    for iterate in iterates:
        if iterate.is_last:  # all hosts evaluate the terms of the result together
            iterate.evaluate()
    _log.info("host %d of %d is done", replicas.host + 1, replicas.hosts)
    return 0


def _paint(
    asked: Job, notes: list[str], stopping: StopSignal, *, quiet: bool
) -> tuple[RunWriter, Iterate | None]:
    """The job in its folder until it ends or is to stop; returns the last iterate, None where the
    step under way was dropped."""
    status = prepare_folder(asked)
    replicas = start(asked.requested)
    if warning := memory.unused_gpu():
        _log.warning("%s", warning)
    config = settle(asked, status, replicas)
    record = describe(asked, config, notes)
    from nst_keras.transfer import loop

    background = Background()
    desk = RunWriter(asked.folder, config, record, background)
    replicas.from_chief(0)
    with desk.open(quiet=quiet), background:  # which is left first, whichever way
        iterates = loop.stylize(
            asked.inputs.content,
            asked.inputs.styles,
            config,
            weights=asked.inputs.weights,
            checkpointer=desk.checkpointer,
            replicas=replicas,
            is_dropped=lambda: stopping.seconds_ago() > _PATIENCE,
        )
        try:
            iterate = _follow(iterates, desk, stopping)
        except StepDropped as where:
            _log.warning("the step under way was dropped %s; to go on: %s", where, desk.again)
            desk.interrupt()
            return desk, None
        if iterate.is_last:
            stopping.clear()  # what is left is short, and no step that could be dropped
        else:
            desk.interrupt(iterate)
    return desk, iterate


def _conclude(desk: RunWriter, iterate: Iterate | None) -> int:
    """Finish the run, or say how it goes on; returns the exit status."""
    if iterate is None:
        return cli.INTERRUPTED
    if not iterate.is_last:
        _log.warning("stopped after step %d; to go on: %s", iterate.step, desk.again)
        return cli.INTERRUPTED
    desk.finish(iterate)
    return 0


def _follow(
    iterates: Generator[Iterate, None, None], desk: RunWriter, stopping: StopSignal
) -> Iterate:
    """Have every iterate written, to the last or until a signal came; returns that one."""
    try:
        for iterate in iterates:
            desk.take(iterate)
            if stopping and not iterate.is_last:
                break
    except BaseException:
        # Where writing failed the state is saved, too, while there is a thread to write it.
        with contextlib.suppress(Exception):  # the first error is the one to tell
            iterates.close()
        raise
    iterates.close()  # saves the state unless the job is done
    return iterate
