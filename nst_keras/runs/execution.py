"""The execution of runs whose folders are locked: from TensorFlow's start to finished folders."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nst_keras.devices import choice, memory, startup
from nst_keras.runs import setup
from nst_keras.runs.live_view import NoView
from nst_keras.runs.preparation import announce, begin_record, prepare_folder, record_refusal
from nst_keras.runs.requested import RequestedRun
from nst_keras.runs.writers import RunWriter
from nst_keras.runtime import browser, cli
from nst_keras.runtime.background import Background
from nst_keras.runtime.cli import StopSignal
from nst_keras.runtime.errors import StepDropped
from nst_keras.runtime.timeline import IMPORT, PLANNING, SETUP, Timeline
from nst_keras.settings.command_line import Call
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.plan import Plan

if TYPE_CHECKING:  # these import TensorFlow
    from nst_keras.devices.replicas import Replicas
    from nst_keras.transfer.problem import StyleTransferProblem

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Execution:
    """Executes one run, or several as a batch, whose folders are locked."""

    runs: Sequence[RequestedRun]
    call: Call
    timeline: Timeline
    stopping: StopSignal
    view: NoView  # of their steps
    process: contextlib.ExitStack  # until it is closed, the process has the settings of the runs

    def execute(self) -> int:
        """Take all steps and write the results, or stop as asked; returns the exit status."""
        writers, iterates = self._optimize()
        if iterates and iterates[0].is_last:
            self.view.write()
            for writer, iterate in zip(writers, iterates, strict=True):
                writer.finish(iterate)
            self.view.end(iterates)
            return 0
        self.view.end(iterates)
        for writer, iterate in zip(writers, iterates, strict=False):  # none if given up
            again = f"resume with: {writer.resume_command}"
            if not self.call.groups:  # from Python
                again = "the same call resumes it"
            _log.warning("stopped after step %d; %s", iterate.step, again)
        return cli.INTERRUPTED

    def _optimize(self) -> tuple[list[RunWriter], list[Iterate]]:
        """Run until the end or a stop signal; returns the writers of the folders and the last
        iterates, none if the current step was given up."""
        background = Background()
        with self._recording_refusal():
            planned, problems, replicas = self._plan_and_prepare()
            writers = self._make_writers(planned, background)
        if len(writers) > 1:
            from nst_keras.transfer.batch import rewind_to_common_step

            rewind_to_common_step([writer.checkpointer for writer in writers])
        replicas.from_chief(0)  # the folder is ready for the other hosts
        self.view.begin(startup.describe_device())
        with cli.noting(*(run.notes for run, _ in planned)):
            try:
                with contextlib.ExitStack() as stack:
                    for number, writer in enumerate(writers):
                        quiet = self.call.quiet or number > 0
                        stack.enter_context(writer.open(quiet=quiet))
                    self._open_page()
                    stack.enter_context(background)  # which ends first, however the block ends
                    if not problems:
                        with self.timeline.part(SETUP):
                            problems = setup.make_problems(planned, replicas, self.stopping)
                    for writer, problem in zip(writers, problems, strict=True):
                        writer.write_prepared(problem.references())
                    return writers, self._write_iterates(problems, writers)
            except StepDropped as where:
                again = writers[0].resume_command
                _log.warning("stopped during a step (%s); resume with: %s", where, again)
                return writers, []

    def _plan_and_prepare(
        self,
    ) -> tuple[list[tuple[RequestedRun, Plan]], list["StyleTransferProblem"], "Replicas"]:
        """Start TensorFlow, plan the runs and prepare their folders.

        New folders come first, so that their pages can be looked at; folders with an earlier run
        come last: that run is kept if this one cannot be done. Only then, and if there are no other
        hosts, which wait for the folder, problems are made and returned.
        """
        replacing = any(run.replaces_results for run in self.runs)
        if not replacing:
            self._prepare_folders()
        notes = [run.notes for run in self.runs]
        with cli.noting(*notes):
            settings = self.runs[0].settings
            with self.timeline.part(IMPORT):
                replicas = setup.start(settings, self.process)
            if settings.device == choice.AUTO and (warning := memory.unused_gpu()):
                _log.warning("%s", warning)
        planned = []
        for run in self.runs:
            with cli.noting(run.notes), self.timeline.part(PLANNING):
                planned.append(setup.plan(run, replicas, self.call.started))
        problems: list[StyleTransferProblem] = []
        if replacing:
            if replicas.hosts == 1:
                with cli.noting(*notes), self.timeline.part(SETUP):
                    problems = setup.make_problems(planned, replicas, self.stopping)
            self._prepare_folders()
        return planned, problems, replicas

    def _prepare_folders(self) -> None:
        """Prepare the folders, and say where the runs can be watched."""
        for run in self.runs:
            with cli.noting(run.notes):
                prepare_folder(run)
                announce(run)
        self.view.open_browser()

    @contextlib.contextmanager
    def _recording_refusal(self) -> Iterator[None]:
        """Have an error in the block recorded where runs have not begun yet."""
        try:
            yield
        except Exception as error:
            reason, _ = cli.failure(error)
            with contextlib.suppress(Exception):  # the first error is the one to report
                for run in self.runs:
                    record_refusal(run, reason)
            raise

    def _make_writers(
        self, planned: Sequence[tuple[RequestedRun, Plan]], background: Background
    ) -> list[RunWriter]:
        writers = []
        for run, plan in planned:
            with cli.noting(run.notes), self.timeline.part(PLANNING):
                record = begin_record(run, plan)
            writers.append(RunWriter(run, record, background, self.timeline))
        return writers

    def _open_page(self) -> None:
        """Open the first run's page in a browser, if that is asked for and there is no live one."""
        settings = [run.settings for run in self.runs]
        if any(one.open for one in settings) and not any(one.serve for one in settings):
            browser.open_page(self.runs[0].folder.page)

    def _write_iterates(
        self, problems: Sequence["StyleTransferProblem"], writers: Sequence[RunWriter]
    ) -> list[Iterate]:
        """Optimize, write and show iterates until the last one, be it because the viewer asked for
        it, or a stop signal; returns the last ones."""
        from nst_keras.transfer.loop import optimize

        rounds = optimize(problems, [writer.checkpointer for writer in writers], self.timeline)
        try:
            for iterates in rounds:
                self.view.mark(iterates)
                for writer, iterate in zip(writers, iterates, strict=True):
                    writer.take(iterate)
                self.view.show(iterates, functools.partial(_note_pause, writers, iterates))
                if not iterates[0].is_last:
                    self._end_here_if_asked(iterates, writers)
                if any(writer.is_stopped for writer in writers):
                    self.stopping.set()
                if iterates[0].ends_run or (self.stopping and not iterates[0].is_last):
                    break
        except BaseException as error:
            with contextlib.suppress(Exception, type(error)):  # the first error is to be reported
                if len(writers) == 1:
                    rounds.close()  # saves the state while there still is a thread to write it
                else:
                    # Some may have written their metrics of this step and others not: not saved.
                    rounds.throw(error)
            raise
        rounds.close()  # saves the state unless all steps have been taken
        if iterates[0].is_last:
            self.stopping.clear()  # the rest is short, and has no step that could be given up
            return iterates
        for writer, iterate in zip(writers, iterates, strict=True):
            writer.show(iterate, status="interrupted", parts=writer.parts())
        return iterates

    def _end_here_if_asked(self, iterates: Sequence[Iterate], writers: Sequence[RunWriter]) -> None:
        """Have a step that has been written become the last one, if that was asked for during a
        pause after it."""
        self.view.mark(iterates)
        if iterates[0].is_last:
            for writer, iterate in zip(writers, iterates, strict=True):
                writer.take_end(iterate)


def _note_pause(writers: Sequence[RunWriter], iterates: Sequence[Iterate], paused: bool) -> None:
    """Have the pages say that the runs wait, or that they go on."""
    for writer, iterate in zip(writers, iterates, strict=True):
        writer.note_pause(iterate, paused)
