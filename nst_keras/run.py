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
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nst_keras
from nst_keras import (
    console,
    devices,
    files,
    flags,
    images,
    progress,
    recorder,
    run_record,
    scales,
    workdir,
)
from nst_keras.checkpoints import Checkpointer
from nst_keras.config import Config
from nst_keras.errors import InputError
from nst_keras.inputs import Inputs, read_inputs
from nst_keras.progress import Iterate
from nst_keras.recorder import Recorder
from nst_keras.scales import Scale
from nst_keras.workdir import RunFolder, Status

_log = logging.getLogger("nst_keras")

_EXIT_INPUT, _EXIT_IO, _EXIT_AGAIN = 2, 74, 75  # the latter two as in BSD's sysexits.h
_PICTURES_PER_JOB = 24  # iteration images if --image_every is not given
_FINISH_SECONDS = 6.0  # kept free of a --time_limit for the result, the page and the animation
_SLACK = 0.08  # of a --time_limit, since machines do not keep one pace
_STARTED = time.monotonic()


def main(arguments: list[str] | None = None) -> int:
    """Run one job; returns the exit status. A user's error is one line on standard error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        config, actions = flags.parse_config(arguments)
        if "help" in actions:
            print(flags.help_text())
            return 0
        if "version" in actions:
            print(f"nst_keras {nst_keras.__version__}")
            return 0
        with console.messages(quiet="quiet" in actions) as notes:
            return _run(arguments, config, notes, quiet="quiet" in actions)
    except InputError as error:
        return _fail(str(error), _EXIT_INPUT)
    except FloatingPointError as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename or 'the disk'}: {error.strerror or error}", _EXIT_IO)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on", _EXIT_AGAIN)


def _fail(message: str, status: int) -> int:
    print(f"nst_keras: {message}", file=sys.stderr)
    return status


def _run(arguments: list[str], config: Config, notes: list[str], *, quiet: bool) -> int:
    requested = _with_flags_of_folder(arguments, config).resolve()
    inputs = read_inputs(requested)
    request = workdir.describe_job(requested, inputs.hashes)
    folder = RunFolder(requested.workdir or workdir.default_path(requested, request))
    status = folder.status(request, overwrite=requested.overwrite)
    if status is Status.FINISHED:
        _log.info("%s is finished; --overwrite would make it anew", folder.path)
        _copy_result(folder, requested)
        return 0
    _check_output(requested)
    if requested.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise InputError("--tensorboard: needs pip install 'nst_keras[tensorboard]'")
    if status is Status.NEW:
        folder.prepare(request)
    else:
        folder.check_writable()
    for note in inputs.notes:
        _log.warning("%s", note)
    devices.start_tensorflow(deterministic=requested.deterministic, seed=requested.seed)
    from nst_keras import loop  # imports TensorFlow

    if warning := devices.unused_gpu():
        _log.warning("%s", warning)
    config = _plan(requested, inputs, folder, status)
    plan = loop.plan_scales(config, inputs.content.shape[:2])
    record = run_record.make_record(arguments, config, inputs, plan, request, folder, notes)
    _announce(config, plan, record["device"], folder)
    if status is Status.NEW:
        _write_inputs(folder, config, inputs)
    return _optimise(config, inputs, folder, record, quiet=quiet)


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


def _plan(requested: Config, inputs: Inputs, folder: RunFolder, status: Status) -> Config:
    """Settle what is still open: precision, steps under a time limit, iteration images."""
    from nst_keras import loop

    precision = devices.settle_precision(requested.precision)
    config = dataclasses.replace(requested, precision=precision)
    if status is Status.BEGUN:  # what was settled then holds on
        saved, _ = flags.parse_config([f"--flagfile={folder.flags}"])
        config = dataclasses.replace(
            config,
            iterations=saved.iterations,
            coarse_iterations=saved.coarse_iterations,
            time_limit=None,
            precision=saved.precision,
        )
    elif config.time_limit:
        weights = inputs.weights or loop.load_weights(config)
        plan, seconds, setup = loop.measure_step_seconds(
            inputs.content, inputs.styles, config, weights
        )
        spent = time.monotonic() - _STARTED
        fixed = spent + len(plan) * setup + _FINISH_SECONDS + _SLACK * config.time_limit
        defaults = tuple(scale.steps for scale in plan)
        steps = scales.fit_steps(defaults, seconds, fixed, config.time_limit)
        config = dataclasses.replace(
            config, iterations=steps[-1], coarse_iterations=steps[:-1], time_limit=None
        )
    if config.image_every is None:
        total = loop.plan_scales(config, inputs.content.shape[:2])[-1].last_step
        every = max(1, math.ceil(total / _PICTURES_PER_JOB))
        config = dataclasses.replace(config, image_every=every)
    return config


def _optimise(
    config: Config, inputs: Inputs, folder: RunFolder, record: dict[str, Any], *, quiet: bool
) -> int:
    from nst_keras import loop

    checkpointer = Checkpointer(
        folder.checkpoints,
        hashlib.sha256(json.dumps(record["job"], sort_keys=True).encode()).hexdigest(),
        every=config.checkpoint_every,
        minutes=config.checkpoint_minutes,
        keep=config.keep_checkpoints,
    )
    saved = checkpointer.latest()
    for skipped in checkpointer.skipped:
        _log.warning("a checkpoint is left out: %s", skipped)
    if saved:
        _log.info("going on after step %d", saved.step)
    pictures = Recorder(folder, config, record)
    pictures.refresh()
    with contextlib.ExitStack() as stack:
        metrics = progress.MetricsWriter(
            folder.metrics, config.log_every, saved.step if saved else 0
        )
        stack.callback(metrics.close)
        sinks: list[Callable[[Iterate], None]] = [metrics, pictures]
        if config.tensorboard:
            events = progress.TensorBoardWriter(folder.events, config.log_every, config.image_every)
            stack.callback(events.close)
            sinks.append(events)
        if not quiet:
            reporter = progress.make_reporter()
            stack.callback(reporter.close)
            sinks.append(reporter)
        stopping = stack.enter_context(console.stop_signals())
        iterates = loop.stylize(
            inputs.content, inputs.styles, config, weights=inputs.weights, checkpointer=checkpointer
        )
        for iterate in iterates:
            for sink in sinks:
                sink(iterate)
            if stopping and not iterate.is_last:
                iterates.close()  # saves the state
                pictures.interrupt(iterate)
                break
    if not iterate.is_last:
        _log.warning("stopped after step %d; to go on: %s", iterate.step, record["resume_command"])
        return _EXIT_AGAIN
    pictures.finish(iterate)
    _copy_result(folder, config)
    _log.info("result: %s", folder.result)
    _log.info("gallery: %s", folder.page)
    return 0


def _announce(config: Config, plan: tuple[Scale, ...], device: str, folder: RunFolder) -> None:
    _log.info(
        "%s with %s: %s, %d steps in %s on %s; folder %s",
        Path(config.content).name,
        ", ".join(Path(style).name for style in config.style),
        " > ".join(f"{scale.width}x{scale.height}" for scale in plan),
        plan[-1].last_step,
        config.precision,
        device,
        folder.path,
    )


def _write_inputs(folder: RunFolder, config: Config, inputs: Inputs) -> None:
    """What a resume and the page need; only a new run writes it."""
    settled = dataclasses.replace(
        config,
        content=str(Path(config.content).absolute()),
        style=tuple(str(Path(style).absolute()) for style in config.style),
        workdir=str(folder.path.absolute()),
        overwrite=False,
    )
    files.write_text(folder.flags, flags.format_flagfile(settled))
    recorder.write_thumbnail(folder.inputs / "content.jpg", inputs.content)
    for number, style in enumerate(inputs.styles, start=1):
        recorder.write_thumbnail(folder.inputs / f"style_{number}.jpg", style)


def _check_output(config: Config) -> None:
    """Refuse an --output that could not be written at the end, or would cost somebody a file."""
    if not config.output:
        return
    path = Path(config.output)
    images.check_writable_suffix(path)
    if path.resolve() in {Path(p).resolve() for p in (config.content, *config.style)}:
        raise InputError(f"--output={path}: is one of the inputs; give another name")
    if path.exists() and not config.overwrite:
        raise InputError(f"--output={path}: exists; give another name, or --overwrite")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--output={path}: there is no folder {path.absolute().parent}")
    if not os.access(path.absolute().parent, os.W_OK):
        raise InputError(f"--output={path}: the folder cannot be written to")


def _copy_result(folder: RunFolder, config: Config) -> None:
    """Put a copy of the result where --output says, in the format of its suffix."""
    if not config.output:
        return
    path = Path(config.output)
    images.check_writable_suffix(path)
    if path.exists() and not config.overwrite:
        _log.info("%s exists and is left as it is", path)
        return
    if path.suffix.lower() == ".png":
        with files.atomic(path) as file, open(folder.result, "rb") as result:
            shutil.copyfileobj(result, file)
    else:
        images.write_image(path, images.read_image(folder.result).pixels)
    _log.info("copy: %s", path)


if __name__ == "__main__":
    sys.exit(main())
