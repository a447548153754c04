"""The command line: `python -m nst_keras.run --content=photo.jpg --style=painting.jpg`.

Exit status: 0 finished, 1 the optimisation failed, 2 bad input, 74 the disk refused,
75 interrupted: the same command goes on.
"""

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nst_keras
from nst_keras import (
    console,
    devices,
    files,
    flags,
    output,
    planning,
    progress,
    recorder,
    run_record,
    scales,
    video,
    workdir,
)
from nst_keras.background import Background, Submit, at_once, no_wait
from nst_keras.checkpoints import Checkpointer
from nst_keras.config import OPTIONS, Config
from nst_keras.errors import InputError, StepDropped
from nst_keras.inputs import Inputs, read_inputs
from nst_keras.options import absolute_paths
from nst_keras.progress import Iterate
from nst_keras.recorder import Recorder
from nst_keras.resolution import resolve, unused
from nst_keras.scales import Scale
from nst_keras.workdir import RunFolder, Status

if TYPE_CHECKING:
    from nst_keras.distribute import Replicas

_log = logging.getLogger("nst_keras")

_PICTURES_PER_JOB = 24  # iteration images if --image_every is not given
_FINISH_SECONDS = 12.0  # kept free of a --time_limit for result, scores, page and animation
_PATIENCE = 10.0  # seconds from a signal to the end of a step
_SLACK = 0.08  # of a --time_limit, since machines do not keep one pace


def main(arguments: list[str] | None = None) -> int:
    """Run one job; returns the exit status. A user's error is one line on standard error."""
    began = time.monotonic()
    given = sys.argv[1:] if arguments is None else arguments
    return console.exit_status(lambda: _command(given, began))


def _command(arguments: list[str], began: float) -> int:
    config, actions = flags.parse_config(arguments)
    if "help" in actions:
        print(flags.help_text())
        return 0
    if "version" in actions:
        print(f"nst_keras {nst_keras.__version__}")
        return 0
    with console.messages(quiet="quiet" in actions) as notes:
        return _run(arguments, config, notes, began, quiet="quiet" in actions)


@dataclasses.dataclass(frozen=True)
class _Job:
    """What was asked for, and where it goes."""

    arguments: list[str]
    given: Config  # as typed
    requested: Config  # resolved
    inputs: Inputs
    folder: RunFolder
    request: dict[str, str]  # what decides the picture, as asked for
    prolongs: bool  # it is the folder's job with more steps
    began: float  # by the monotonic clock


def _run(
    arguments: list[str], given: Config, notes: list[str], began: float, *, quiet: bool
) -> int:
    job = _read(arguments, given, began)
    folder, requested = job.folder, job.requested
    if devices.host_number(requested.distribute):
        return _help_out(job)
    if folder.status(job.request, overwrite=requested.overwrite) is Status.FINISHED:
        _log.info("%s is finished; --overwrite would make it anew", folder.path)
        recorder.complete(folder, requested)
        output.copy_result(folder, requested)
        return 0
    output.check_output(requested)
    if requested.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise InputError("--tensorboard: needs pip install 'nst_keras[tensorboard]'")
    with folder.held():
        return _work(job, notes, quiet=quiet)


def _read(arguments: list[str], given: Config, began: float) -> _Job:
    given = _with_flags_of_folder(arguments, given)
    requested = resolve(given)
    if requested.mp4:
        video.check_video_extra()
    inputs = read_inputs(requested)
    request = workdir.describe_job(requested, inputs.hashes)
    folder = RunFolder(requested.workdir or workdir.default_path(requested, request))
    prolongs = folder.prolongs(request) and not requested.overwrite
    return _Job(arguments, given, requested, inputs, folder, request, prolongs, began)


def _work(job: _Job, notes: list[str], *, quiet: bool) -> int:
    """The job in its folder, which is held."""
    status = job.folder.status(job.request, overwrite=job.requested.overwrite)
    if status is Status.NEW:
        job.folder.prepare(job.request)
    else:
        job.folder.check_writable()
        if job.prolongs:
            job.folder.remove_animations()
    for note in (*job.inputs.notes, *unused(job.given, job.requested)):
        _log.warning("%s", note)
    replicas = _start(job.requested)
    if warning := devices.unused_gpu():
        _log.warning("%s", warning)
    config = _settle(job, status)
    record = _describe(job, config, notes)
    return _optimise(job, config, record, replicas, quiet=quiet)


def _start(config: Config) -> "Replicas":
    """Start TensorFlow; returns the devices and hosts of the job."""
    devices.start_tensorflow(deterministic=config.deterministic, seed=config.seed)
    from nst_keras import distribute

    if config.distribute == "none":
        devices.one_operation_at_a_time()
    return distribute.make_replicas(config.distribute, config.replicas)


def _help_out(job: _Job) -> int:
    """The whole job on a host that is not the chief: it computes, and writes nothing."""
    folder, inputs = job.folder, job.inputs
    if folder.is_finished(job.request) and not job.requested.overwrite:
        return 0
    replicas = _start(job.requested)
    replicas.from_chief(0)  # from here on the folder is as the chief has made it
    config = _settle(job, folder.status(job.request, overwrite=False))
    from nst_keras import loop

    iterates = loop.stylize(
        inputs.content,
        inputs.styles,
        config,
        weights=inputs.weights,
        checkpointer=_checkpointer(config, folder, workdir.describe_job(config, inputs.hashes)),
        replicas=replicas,
    )
    for iterate in iterates:
        if iterate.is_last:  # all hosts evaluate the terms of the result together
            iterate.evaluate()
    _log.info("host %d of %d is done", replicas.host + 1, replicas.hosts)
    return 0


def _checkpointer(
    config: Config,
    folder: RunFolder,
    job: dict[str, str],
    submit: Submit = at_once,
    wait: Callable[[], None] = no_wait,
) -> Checkpointer:
    return Checkpointer(
        folder.checkpoints,
        hashlib.sha256(json.dumps(_decisive(job), sort_keys=True).encode()).hexdigest(),
        every=config.checkpoint_every,
        minutes=config.checkpoint_minutes,
        keep=config.keep_checkpoints,
        submit=submit,
        wait=wait,
    )


def _decisive(job: dict[str, str]) -> dict[str, str]:
    """What of a job decides its states on the way: at a constant rate not how many are to come."""
    constant = job["schedule"] == "constant"
    return {name: text for name, text in job.items() if name != "iterations" or not constant}


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


def _settle(job: _Job, status: Status) -> Config:
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
    elif config.time_limit:
        config = _fit_time_limit(config, config.time_limit, job)
    config = _with_tile_size(config, job.inputs)
    if config.image_every is None:
        every = max(1, math.ceil(_total_steps(config, job.inputs) / _PICTURES_PER_JOB))
        config = dataclasses.replace(config, image_every=every)
    return config


def _with_tile_size(config: Config, inputs: Inputs) -> Config:
    """The same with what 'auto' means here, in the memory that is there."""
    from nst_keras import loop

    plan = loop.plan_job(config, inputs.content.shape[:2])
    limit = devices.memory_limit(config.memory_limit)
    tile_size = planning.settle_tile_size(config, plan, limit)
    return dataclasses.replace(config, tile_size=tile_size or "none")


def _fit_time_limit(config: Config, limit: float, job: _Job) -> Config:
    """Measure, and choose the steps so that the whole job ends in time."""
    from nst_keras import loop

    inputs = job.inputs
    weights = inputs.weights or loop.load_weights(config)
    plan, seconds, setup = loop.measure_step_seconds(inputs.content, inputs.styles, config, weights)
    spent = time.monotonic() - job.began
    fixed = spent + len(plan) * setup + _FINISH_SECONDS + _SLACK * limit
    steps = tuple(scale.steps for scale in plan)
    fitted = scales.fit_steps(steps, seconds, fixed, limit)
    if job.given.iterations is not None:  # a number of one's own is an upper bound
        fitted = tuple(min(pair) for pair in zip(fitted, steps, strict=True))
    return dataclasses.replace(
        config, iterations=fitted[-1], coarse_iterations=fitted[:-1], time_limit=None
    )


def _total_steps(config: Config, inputs: Inputs) -> int:
    from nst_keras import loop

    return loop.plan_job(config, inputs.content.shape[:2])[-1].last_step


def _describe(job: _Job, config: Config, notes: list[str]) -> dict[str, Any]:
    """Say what is going to happen, and write down what a resume and the page need."""
    from nst_keras import loop

    inputs, folder = job.inputs, job.folder

    plan = loop.plan_job(config, inputs.content.shape[:2])
    if late := [at for at in config.image_at if at > plan[-1].last_step]:
        _log.warning("--image_at=%d: the job has %d steps", late[0], plan[-1].last_step)
    notes[:0] = [note for note in run_record.old_notes(folder) if note not in notes]
    record = run_record.make_record(job.arguments, config, inputs, plan, job.request, folder, notes)
    _announce(config, plan, record["device"], folder)
    files.write_text(folder.flags, flags.format_flagfile(_replayable(config, folder)))
    recorder.write_thumbnail(folder.inputs / "content.jpg", inputs.content)
    for number, style in enumerate(inputs.styles, start=1):
        recorder.write_thumbnail(folder.inputs / f"style_{number}.jpg", style)
    return record


def _replayable(config: Config, folder: RunFolder) -> Config:
    """The config with paths that hold wherever the flagfile lies."""
    config = dataclasses.replace(config, workdir=str(folder.path), overwrite=False)
    return dataclasses.replace(config, **absolute_paths(vars(config), OPTIONS))


def _optimise(
    job: _Job, config: Config, record: dict[str, Any], replicas: "Replicas", *, quiet: bool
) -> int:
    from nst_keras import loop

    inputs, folder = job.inputs, job.folder

    background = Background()
    checkpointer = _checkpointer(config, folder, record["job"], background.submit, background.wait)
    replicas.from_chief(0)
    saved = checkpointer.latest()
    resume_step = saved.step if saved else 0
    del saved  # the loop reads it when it gets there
    for skipped in checkpointer.skipped:
        _log.warning("a checkpoint is left out: %s", skipped)
    if resume_step:
        _log.info("going on after step %d", resume_step)
    pictures = Recorder(folder, config, record, background.submit)
    pictures.refresh()
    again = record["resume_command"]
    with contextlib.ExitStack() as stack:
        metrics = progress.MetricsWriter(
            folder.metrics, config.log_every, resume_step, background.submit
        )
        reporters = _reporters(folder, config, resume_step, background.submit, quiet=quiet)
        for writer in (metrics, *reporters):
            stack.callback(writer.close)
        stopping = stack.enter_context(console.stop_signals())
        stack.enter_context(background)  # left before all of those, whichever way
        iterates = loop.stylize(
            inputs.content,
            inputs.styles,
            config,
            weights=inputs.weights,
            checkpointer=checkpointer,
            replicas=replicas,
            is_dropped=lambda: bool(stopping) and time.monotonic() - stopping[0] > _PATIENCE,
        )
        try:
            iterate = _follow(iterates, [metrics, pictures, *reporters], stopping)
        except StepDropped as where:
            _log.warning("the step under way was dropped %s; to go on: %s", where, again)
            pictures.interrupt()
            return console.INTERRUPTED
        if not iterate.is_last:
            pictures.interrupt(iterate)
    if not iterate.is_last:
        _log.warning("stopped after step %d; to go on: %s", iterate.step, again)
        return console.INTERRUPTED
    pictures.finish(iterate)
    output.copy_result(folder, config)
    _log.info("result: %s", folder.result)
    _log.info("gallery: %s", folder.page)
    return 0


def _reporters(
    folder: RunFolder, config: Config, resume_step: int, submit: Submit, *, quiet: bool
) -> list[progress.Writer]:
    """What tells of an iterate once it is kept: TensorBoard and the terminal, as asked for."""
    reporters: list[progress.Writer] = [] if quiet else [progress.make_reporter()]
    if config.tensorboard:
        reporters.append(
            progress.TensorBoardWriter(
                folder.events, config.log_every, config.image_every, resume_step, submit
            )
        )
    return reporters


def _follow(
    iterates: Generator[Iterate, None, None],
    sinks: list[Callable[[Iterate], None]],
    stopping: list[float],
) -> Iterate:
    """Report every iterate, to the last or until a signal came; returns that one."""
    try:
        for iterate in iterates:
            for sink in sinks:
                sink(iterate)
            if stopping and not iterate.is_last:
                break
    except BaseException:
        # Where a sink failed the state is saved, too, while there is a thread to write it.
        with contextlib.suppress(Exception):  # the first error is the one to tell
            iterates.close()
        raise
    iterates.close()  # saves the state unless the job is done
    return iterate


def _announce(config: Config, plan: tuple[Scale, ...], device: str, folder: RunFolder) -> None:
    _log.info(
        "%s with %s: %d steps in %s on %s; folder %s",
        Path(config.content).name,
        ", ".join(Path(style).name for style in config.style),
        plan[-1].last_step,
        config.precision,
        device,
        folder.path,
    )
    _log.info("plan: %s", planning.describe(config, plan, devices.matrix_rate(config.precision)))


if __name__ == "__main__":
    sys.exit(main())
