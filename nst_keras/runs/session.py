"""Runs from the command line to their folders: one, or several at once as a batch.

A command is the flags of a run, or for a batch `FLAGS -- FLAGS ...`: each group is a run with a
folder of its own, which can be resumed alone with its flags.
"""

import contextlib
import dataclasses
import functools
import importlib.util
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nst_keras.devices import choice, hosts, memory, startup
from nst_keras.runs import extras, gallery
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runs.live_view import NoView, live_view
from nst_keras.runs.preparation import (
    RequestedRun,
    announce,
    begin_record,
    prepare_folder,
    read_run,
    record_refusal,
)
from nst_keras.runs.writers import RunWriter, make_checkpointer
from nst_keras.runtime import browser, cli, files
from nst_keras.runtime.background import Background
from nst_keras.runtime.cli import StopSignal
from nst_keras.runtime.errors import InputError, StepDropped, first_line
from nst_keras.runtime.timeline import IMPORT, PLANNING, READING, SETUP, Timeline
from nst_keras.settings.command_line import Call
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import Settings
from nst_keras.transfer import grouping
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.plan import Plan, plan_run

if TYPE_CHECKING:
    from nst_keras.devices.replicas import Replicas
    from nst_keras.transfer.problem import StyleTransferProblem

_log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds from a stop signal until the current step is given up


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
        return _help_chief(run)
    folder, settings = run.folder, run.settings
    if run.status is Status.FINISHED:
        _log.info(
            "%s is already finished%s (result: %s); use --overwrite to run it again",
            *(folder.path, folder.read_record().describe_early_end(), folder.result),
        )
        extras.check_output(settings, folder, run.size)
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
    copies = extras.copy_result(folder, settings)
    if copies != folder.read_record().copies:
        with files.held(folder.path):
            folder.update_record(copies=copies)
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
        run.folder.check_keeps(extras.input_files(settings))
    extras.check_output(settings, run.folder, run.size)
    extras.check_output_is_free(settings, run.folder.read_record().copies)
    if settings.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise InputError("--tensorboard: needs pip install '.[tensorboard]'")


def _help_chief(run: RequestedRun) -> int:
    """The whole run on a host that is not the chief: it computes, and writes nothing."""
    if run.folder.is_finished(run.fingerprint) and not run.settings.overwrite:
        return 0
    with contextlib.ExitStack() as stack:
        replicas = _start(run.settings, stack)
        replicas.from_chief(0)  # from here on, the folder is as the chief has made it
        run, plan = _make_plan(run, replicas, started=time.monotonic())
        from nst_keras.transfer.loop import optimize

        problems = _make_problems([(run, plan)], replicas, StopSignal())
        for (iterate,) in optimize(problems, [make_checkpointer(run)]):
            if iterate.is_last:  # all hosts evaluate the result's losses together
                iterate.evaluate()
    _log.info("host %d of %d is done", replicas.host + 1, replicas.hosts)
    return 0


def _run_held(runs: Sequence[RequestedRun], call: Call, timeline: Timeline) -> int:
    """Do runs whose folders are locked; returns the exit status."""
    # Until the end: TensorFlow would take the exception of a Ctrl-C for an error of its own.
    answer = "stopping after the current step; once more ends it at once"
    with cli.stop_signals(answer=answer) as stopping, contextlib.ExitStack() as process:
        view = process.enter_context(live_view(runs, stopping, timeline))
        writers, iterates = _optimize(runs, call, stopping, process, timeline, view)
        if iterates and iterates[0].is_last:
            view.write()
            for writer, iterate in zip(writers, iterates, strict=True):
                writer.finish(iterate)
            view.end(iterates)
            return 0
        view.end(iterates)
        for writer, iterate in zip(writers, iterates, strict=False):  # none if given up
            again = f"resume with: {writer.resume_command}"
            if not call.groups:  # from Python
                again = "the same call resumes it"
            _log.warning("stopped after step %d; %s", iterate.step, again)
        return cli.INTERRUPTED


def _optimize(
    runs: Sequence[RequestedRun],
    call: Call,
    stopping: StopSignal,
    process: contextlib.ExitStack,
    timeline: Timeline,
    view: NoView,
) -> tuple[list[RunWriter], list[Iterate]]:
    """Run until the end or a stop signal; returns the writers of the folders and the last iterates,
    none if the current step was given up. `process` is as for `_start`; steps show in `view`."""
    background = Background()
    with _recording_refusal(runs):
        planned, problems, replicas = _plan_and_prepare(
            runs, call, stopping, process, timeline, view
        )
        writers = []
        for run, plan in planned:
            with cli.noting(run.notes), timeline.part(PLANNING):
                record = begin_record(run, plan)
            writers.append(RunWriter(run, record, background, timeline))
    notes = [run.notes for run in runs]
    if len(runs) > 1:
        from nst_keras.transfer.batch import rewind_to_common_step

        rewind_to_common_step([writer.checkpointer for writer in writers])
    replicas.from_chief(0)  # the folder is ready for the other hosts
    view.begin(record.device)
    with cli.noting(*notes):
        try:
            with contextlib.ExitStack() as stack:
                for number, writer in enumerate(writers):
                    stack.enter_context(writer.open(quiet=call.quiet or number > 0))
                settings = [run.settings for run in runs]
                if any(one.open for one in settings) and not any(one.serve for one in settings):
                    browser.open_page(writers[0].folder.page)
                stack.enter_context(background)  # which ends first, however the block ends
                if not problems:
                    with timeline.part(SETUP):
                        problems = _make_problems(planned, replicas, stopping)
                for writer, problem in zip(writers, problems, strict=True):
                    writer.write_prepared(problem.references())
                return writers, _write_iterates(problems, writers, stopping, timeline, view)
        except StepDropped as where:
            again = writers[0].resume_command
            _log.warning("stopped during a step (%s); resume with: %s", where, again)
            return writers, []


def _plan_and_prepare(
    runs: Sequence[RequestedRun],
    call: Call,
    stopping: StopSignal,
    process: contextlib.ExitStack,
    timeline: Timeline,
    view: NoView,
) -> tuple[list[tuple[RequestedRun, Plan]], list["StyleTransferProblem"], "Replicas"]:
    """Start TensorFlow, plan the runs and prepare their folders; arguments as for `_optimize`.

    New folders come first, so that their pages can be looked at; folders with an earlier run come
    last: that run is kept if this one cannot be done. Only then, and if there are no other hosts,
    which wait for the folder, problems are made and returned.
    """
    replacing = any(run.replaces_results for run in runs)
    if not replacing:
        _prepare(runs, view)
    notes = [run.notes for run in runs]
    with cli.noting(*notes):
        with timeline.part(IMPORT):
            replicas = _start(runs[0].settings, process)
        if runs[0].settings.device == choice.AUTO and (warning := memory.unused_gpu()):
            _log.warning("%s", warning)
    planned = []
    for run in runs:
        with cli.noting(run.notes), timeline.part(PLANNING):
            planned.append(_make_plan(run, replicas, call.started))
    problems: list[StyleTransferProblem] = []
    if replacing:
        if replicas.hosts == 1:
            with cli.noting(*notes), timeline.part(SETUP):
                problems = _make_problems(planned, replicas, stopping)
        _prepare(runs, view)
    return planned, problems, replicas


def _prepare(runs: Sequence[RequestedRun], view: NoView) -> None:
    """Prepare the folders, and say where the runs can be watched."""
    for run in runs:
        with cli.noting(run.notes):
            prepare_folder(run)
            announce(run)
    view.open_browser()


@contextlib.contextmanager
def _recording_refusal(runs: Sequence[RequestedRun]) -> Iterator[None]:
    """Have an error in the block recorded where runs have not begun yet."""
    try:
        yield
    except Exception as error:
        reason = cli.explain(error)[0] or f"{type(error).__name__}: {first_line(error)}"
        with contextlib.suppress(Exception):  # the first error is the one to report
            for run in runs:
                record_refusal(run, reason)
        raise


def _start(settings: Settings, process: contextlib.ExitStack) -> "Replicas":
    """Start TensorFlow; returns the devices and hosts of the run.

    The settings of the process are the run's until `process` is closed.
    """
    process.enter_context(choice.chosen(settings.device))
    _log.info("starting TensorFlow ...")
    # Without a GPU, programs are compiled only if that is asked for.
    may_have_gpu = memory.has_nvidia_driver() and settings.device != choice.CPU
    compiles = settings.xla is True or (settings.xla == "auto" and may_have_gpu)
    startup.start_tensorflow(settings.compile_cache if compiles else "none")
    process.enter_context(memory.only_new_garbage())
    choice.confirm(settings.device)
    from nst_keras.devices import keras_settings
    from nst_keras.devices.replicas import make_replicas

    process.enter_context(keras_settings.ours(settings.deterministic))
    if settings.distribute == "none":
        startup.one_operation_at_a_time()
    return make_replicas(settings.distribute, settings.replicas, settings.cluster_timeout)


def _make_plan(
    run: RequestedRun, replicas: "Replicas", started: float
) -> tuple[RequestedRun, Plan]:
    """The run with every setting decided, so that it can be repeated, and its plan."""
    from nst_keras.transfer.planning import make_plan

    given = run.given.iterations is not None
    plan = make_plan(run.begun(), run.inputs, replicas, started=started, iterations_given=given)
    settings = dataclasses.replace(run.settings, **plan.decided())
    return dataclasses.replace(run, settings=settings), plan


def _make_problems(
    planned: Sequence[tuple[RequestedRun, Plan]], replicas: "Replicas", stopping: StopSignal
) -> list["StyleTransferProblem"]:
    """The problems of runs, all with the network of the first one."""
    from nst_keras.transfer.problem import StyleTransferProblem

    def is_dropped() -> bool:
        return stopping.seconds_ago() > _PATIENCE

    problems: list[StyleTransferProblem] = []
    for run, plan in planned:
        options = (replicas, is_dropped, problems[0].extractors if problems else None)
        problems.append(StyleTransferProblem(run.settings, run.inputs, plan, *options))
    return problems


def _note_pause(writers: Sequence[RunWriter], iterates: Sequence[Iterate], paused: bool) -> None:
    """Have the pages say that the runs wait, or that they go on."""
    for writer, iterate in zip(writers, iterates, strict=True):
        writer.note_pause(iterate, paused)


def _write_iterates(
    problems: Sequence["StyleTransferProblem"],
    writers: Sequence[RunWriter],
    stopping: StopSignal,
    timeline: Timeline,
    view: NoView,
) -> list[Iterate]:
    """Optimize, write and show iterates until the last one, be it because the viewer asked for it,
    or a stop signal; returns the last ones."""
    from nst_keras.transfer.loop import optimize

    rounds = optimize(problems, [writer.checkpointer for writer in writers], timeline)
    try:
        for iterates in rounds:
            view.mark(iterates)
            for writer, iterate in zip(writers, iterates, strict=True):
                writer.take(iterate)
            view.show(iterates, functools.partial(_note_pause, writers, iterates))
            if any(writer.is_stopped for writer in writers):
                stopping.set()
            if iterates[0].ends_run or (stopping and not iterates[0].is_last):
                break
    except BaseException as error:
        with contextlib.suppress(Exception, type(error)):  # the first error is the one to report
            if len(writers) == 1:
                rounds.close()  # saves the state while there still is a thread to write it
            else:
                # Some may have written their metrics of this step and others not: not saved.
                rounds.throw(error)
        raise
    rounds.close()  # saves the state unless all steps have been taken
    if iterates[0].is_last:
        stopping.clear()  # the rest is short, and has no step that could be given up
        return iterates
    for writer, iterate in zip(writers, iterates, strict=True):
        writer.show(iterate, status="interrupted", parts=writer.parts())
    return iterates
