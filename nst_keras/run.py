"""The command line: `python -m nst_keras.run --content=photo.jpg --style=painting.jpg`.

Exit status: 0 finished, 1 the optimisation failed, 2 bad input, 74 the disk refused,
75 interrupted: the same command goes on.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Generator

import nst_keras
from nst_keras import console, devices, files, flags, job, output, recorder, workdir
from nst_keras.background import Background
from nst_keras.config import Config
from nst_keras.desk import Desk, make_checkpointer
from nst_keras.errors import StepDropped
from nst_keras.job import Job
from nst_keras.progress import Iterate
from nst_keras.workdir import Status

_log = logging.getLogger("nst_keras")

_PATIENCE = 10.0  # seconds from a signal to the end of a step


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


def _run(
    arguments: list[str], given: Config, notes: list[str], began: float, *, quiet: bool
) -> int:
    asked = job.read(arguments, given, began)
    folder, requested = asked.folder, asked.requested
    if devices.host_number(requested.distribute):
        return _help_out(asked)
    if folder.status(asked.request, overwrite=requested.overwrite) is Status.FINISHED:
        _log.info("%s is finished; --overwrite would make it anew", folder.path)
        recorder.complete(folder, requested)
        output.copy_result(folder, requested)
        return 0
    job.check_extras(requested)
    with files.held(folder.path):
        # Heard from here on: TensorFlow would take what Python raises for errors of its own.
        with console.stop_signals() as stopping:
            desk, iterate = _paint(asked, notes, stopping, quiet=quiet)
        return _conclude(desk, iterate)


def _help_out(asked: Job) -> int:
    """The whole job on a host that is not the chief: it computes, and writes nothing."""
    folder, inputs = asked.folder, asked.inputs
    if folder.is_finished(asked.request) and not asked.requested.overwrite:
        return 0
    replicas = job.start(asked.requested)
    replicas.from_chief(0)  # from here on the folder is as the chief has made it
    config = job.settle(asked, Status.BEGUN, replicas)  # by the chief, with settings to take over
    from nst_keras import loop

    iterates = loop.stylize(
        inputs.content,
        inputs.styles,
        config,
        weights=inputs.weights,
        checkpointer=make_checkpointer(config, folder, workdir.describe_job(config, inputs.hashes)),
        replicas=replicas,
    )
    for iterate in iterates:
        if iterate.is_last:  # all hosts evaluate the terms of the result together
            iterate.evaluate()
    _log.info("host %d of %d is done", replicas.host + 1, replicas.hosts)
    return 0


def _paint(
    asked: Job, notes: list[str], stopping: list[float], *, quiet: bool
) -> tuple[Desk, Iterate | None]:
    """The job in its folder until it ends or is to stop; returns the last iterate, None where the
    step under way was dropped."""
    status = job.prepare_folder(asked)
    replicas = job.start(asked.requested)
    if warning := devices.unused_gpu():
        _log.warning("%s", warning)
    config = job.settle(asked, status, replicas)
    record = job.describe(asked, config, notes)
    from nst_keras import loop

    background = Background()
    desk = Desk(asked.folder, config, record, background)
    replicas.from_chief(0)
    with desk.open(quiet=quiet), background:  # which is left first, whichever way
        iterates = loop.stylize(
            asked.inputs.content,
            asked.inputs.styles,
            config,
            weights=asked.inputs.weights,
            checkpointer=desk.checkpointer,
            replicas=replicas,
            is_dropped=lambda: bool(stopping) and time.monotonic() - stopping[0] > _PATIENCE,
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


def _conclude(desk: Desk, iterate: Iterate | None) -> int:
    """Finish the run, or say how it goes on; returns the exit status."""
    if iterate is None:
        return console.INTERRUPTED
    if not iterate.is_last:
        _log.warning("stopped after step %d; to go on: %s", iterate.step, desk.again)
        return console.INTERRUPTED
    desk.finish(iterate)
    return 0


def _follow(iterates: Generator[Iterate, None, None], desk: Desk, stopping: list[float]) -> Iterate:
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


if __name__ == "__main__":
    sys.exit(main())
