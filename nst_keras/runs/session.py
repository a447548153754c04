"""Runs from the command line to their folders: one, or several at once as a batch.

A command is the flags of a run, or for a batch `FLAGS -- FLAGS ...`: each group is a run with a
folder of its own, which can be resumed alone with its flags.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from nst_keras.devices import choice, hosts
from nst_keras.runs import extras, gallery, output_copy
from nst_keras.runs.execution import Execution
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runs.helper_host import help_chief
from nst_keras.runs.live_view import live_view
from nst_keras.runs.requested import RequestedRun, read_run
from nst_keras.runtime import browser, cli, files
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.progress import check_tensorboard
from nst_keras.runtime.timeline import READING, Timeline
from nst_keras.settings.command_line import Call
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import Settings
from nst_keras.transfer import grouping
from nst_keras.transfer.plan import plan_run

_log = logging.getLogger(__name__)


def do_runs(call: Call) -> int:
    """Do the run, or the batch of runs, that a command line asks for; returns the exit status."""
    timeline = Timeline(call.started)
    with timeline.part(READING):
        runs = [read_run(group.arguments, Config(**group.values)) for group in call.groups]
    if len(runs) == 1:
        return _tell_results(runs, _run_alone(runs[0], call, timeline))
    return _tell_results(runs, _run_batch(runs, call, timeline))


def do_run(run: RequestedRun, started: float) -> int:
    """Do a run that has been read, without showing its progress; returns the exit status.

    `started` is when it was asked for, by the monotonic clock.
    """
    return _run_alone(run, Call([], started, quiet=True), Timeline(started))


def _tell_results(runs: Sequence[RequestedRun], status: int) -> int:
    """Write the paths of results to standard output, if the runs are finished; returns `status`."""
    if not status:
        for run in runs:
            cli.show_path(run.folder.result)
    return status


def _run_alone(run: RequestedRun, call: Call, timeline: Timeline) -> int:
    if hosts.host_number(run.settings.distribute):
        help_chief(run)
        return 0
    folder, settings = run.folder, run.settings
    if run.status is Status.FINISHED:
        again = "" if settings.overwrite else "; use --overwrite to run it again"
        early = folder.read_record().describe_early_end()
        _log.info(
            "%s is already finished%s (result: %s)%s", folder.path, early, folder.result, again
        )
        output_copy.check(settings, folder, run.size)
        extras.complete(folder, settings)
        _copy_again(folder, settings)
        if settings.open:
            browser.open_page(folder.page)
        return 0
    _check_extras(run)
    with files.held(folder.path):
        return _run_held([run], call, timeline)


def _copy_again(folder: RunFolder, settings: Settings) -> None:
    """Copy the result of a finished run to --output."""
    copies, record = output_copy.write(folder, settings), folder.read_record()
    if copies != record.copies or record.pending_copy:
        with files.held(folder.path):
            folder.update_record(copies=copies, pending_copy="")
            gallery.write_page(folder)


def _run_batch(runs: list[RequestedRun], call: Call, timeline: Timeline) -> int:
    grouping.check([run.settings for run in runs])
    sizes = [run.inputs.sizes["content"] for run in runs]
    plans = {plan_run(run.settings, size) for run, size in zip(runs, sizes, strict=True)}
    if len(plans) > 1:
        raise InputError("--batch: the pictures are of different sizes")
    _check_are_apart(runs)
    with contextlib.ExitStack() as stack:
        for run in runs:
            _check_extras(run)
            stack.enter_context(files.held(run.folder.path))
        if any(run.folder.is_finished(run.fingerprint) for run in runs):
            raise InputError("--batch: some of the runs are already finished")
        prepared = [_prepared_for_batch(run, runs[0]) for run in runs]
        return _run_held(prepared, call, timeline)


def _prepared_for_batch(run: RequestedRun, first: RequestedRun) -> RequestedRun:
    """The run with the weights of the first one, which are large and the same, and with at least
    two checkpoints, so that after a kill between two writes all runs have a step in common."""
    keep = max(2, run.settings.keep_checkpoints)
    return dataclasses.replace(
        run,
        settings=dataclasses.replace(run.settings, keep_checkpoints=keep),
        inputs=dataclasses.replace(run.inputs, weights=first.inputs.weights),
    )


def _check_are_apart(runs: Sequence[RequestedRun]) -> None:
    """Refuse runs of a batch that would write to the same place."""
    outputs = [("output", run.settings.output) for run in runs if run.settings.output]
    folders = [("workdir", str(run.folder.path)) for run in runs]
    for places in (folders, outputs):
        found: dict[Path, str] = {}
        for name, path in places:
            if (place := Path(path).resolve()) in found:
                raise InputError(f"--{name}={path}: two runs of the batch would write there")
            found[place] = path


def _check_extras(run: RequestedRun) -> None:
    """Refuse what could not be written in the end, or would cost an input, before any work."""
    settings = run.settings
    files.check_temporary_folder()
    choice.variables(settings.device)
    if run.status is Status.NEW:
        run.folder.check_keeps(output_copy.input_files(settings))
    output_copy.check(settings, run.folder, run.size)
    output_copy.check_is_free(settings, run.folder.read_record().copies)
    if settings.tensorboard:
        check_tensorboard()


def _run_held(runs: Sequence[RequestedRun], call: Call, timeline: Timeline) -> int:
    """Do runs whose folders are locked; returns the exit status."""
    # Until the end: TensorFlow would take the exception of a Ctrl-C for an error of its own.
    answer = "stopping after the current step; press Ctrl-C again to end at once"
    with cli.stop_signals(answer=answer) as stopping, contextlib.ExitStack() as process:
        view = process.enter_context(live_view(runs, stopping, timeline))
        return Execution(runs, call, timeline, stopping, view, process).execute()
