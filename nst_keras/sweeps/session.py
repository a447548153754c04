"""A sweep, from its settings to its table and page."""

import contextlib
import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_keras.runs.folder import Status
from nst_keras.runtime import files, signals
from nst_keras.runtime.background import Background
from nst_keras.runtime.cli import INTERRUPTED
from nst_keras.runtime.progress import Reporter
from nst_keras.settings.command_line import Call, join_groups
from nst_keras.settings.config import Config
from nst_keras.sweeps import flags, results
from nst_keras.sweeps.flags import SweepConfig
from nst_keras.sweeps.folder import SweepFolder, TrialState
from nst_keras.sweeps.local_engine import LocalEngine, Outcome, Task, make_slots
from nst_keras.sweeps.progress import SweepProgress
from nst_keras.sweeps.ray_engine import RayEngine
from nst_keras.sweeps.results import Results, TrialRecords
from nst_keras.sweeps.table import read_matrix, read_vary
from nst_keras.sweeps.trials import Trial, format_flags, make_trials, slug
from nst_keras.transfer import grouping

_log = logging.getLogger(__name__)


def run_sweep(call: Call) -> int:
    """Do the sweep that a command line asks for; returns the exit status."""
    sweep, base = split_settings(call.values)
    flags.check(sweep, base)
    trials = plan(sweep, base)
    metric = sweep.objective_metric
    if metric:
        results.check_metric(metric, trials)
    folder = SweepFolder(base.workdir or _default_path(sweep, base))
    folder.check()
    number, count = sweep.part()
    states = folder.states(trials[number - 1 :: count], overwrite=base.overwrite)
    if sweep.dry_run:
        _list(trials, states, folder)
        return 0
    engine = _make_engine(sweep)
    folder.prepare()
    if metric and (names := results.incomparable(metric, trials)):
        _log.warning("trials cannot be compared by %s, because %s varies", metric, ", ".join(names))
    _announce(states, folder)
    tasks = _tasks(trials, states, folder, sweep.batch)
    fingerprints = {name: state.fingerprint for name, state in states.items()}
    records = TrialRecords(folder, trials, fingerprints)
    with Background() as background:
        found = Results(records, metric, sweep.layout, background.submit)
        failed, interrupted = _work(engine, tasks, records, found, quiet=call.quiet)
    return _conclude(folder, found, failed, interrupted=interrupted)


def _work(
    engine: LocalEngine | RayEngine,
    tasks: Sequence[Task],
    records: TrialRecords,
    found: Results,
    *,
    quiet: bool,
) -> tuple[dict[str, str], bool]:
    """Run the trials; keep the table and the page up to date, and report progress unless `quiet`.

    Returns:
        The reasons of failed trials by name, and whether a signal left trials unfinished.
    """
    folder = records.folder
    failed: dict[str, str] = {}
    interrupted = False
    with contextlib.ExitStack() as stack:
        stopping = stack.enter_context(signals.stop_signals())
        names = [trial.name for task in tasks for trial in task.trials]
        for name in names:  # those that failed before are tried again
            folder.failure(name).unlink(missing_ok=True)
        found.refresh()
        report = None
        board = SweepProgress(records.read, names)
        if names and not quiet:
            report = Reporter(board.describe, board.share, by_share=False)
            stack.callback(report.close)
        outcomes = stack.enter_context(contextlib.closing(engine.run(tasks, stopping)))
        for outcome in outcomes:
            if outcome and outcome.status == INTERRUPTED and stopping:
                interrupted = True
            elif outcome:
                _note(outcome, board, failed, folder)
                found.refresh()
            if report:
                report.update(now=bool(outcome) and not interrupted)
    left = len(names) - len(board.ended) - len(failed)
    return failed, interrupted or bool(stopping and left)


def _conclude(
    folder: SweepFolder, found: Results, failed: dict[str, str], *, interrupted: bool
) -> int:
    """Renew table and page, and report the outcome; returns the exit status."""
    page = found.conclude()
    for name, reason in failed.items():
        _log.error("%s failed: %s (%s)", name, reason, folder.log(name))
    _log.info("table: %s", folder.results)
    if page:
        _log.info("page: %s", folder.page)
    if interrupted:
        _log.warning("interrupted; run the same command again to resume")
        return INTERRUPTED
    return 1 if failed else 0


def _note(
    outcome: Outcome, board: SweepProgress, failed: dict[str, str], folder: SweepFolder
) -> None:
    """Record whether a trial failed, and why."""
    board.note(outcome.name, failed=bool(outcome.status))
    if outcome.status:
        reason = failed[outcome.name] = outcome.error or f"exit status {outcome.status}"
        files.write_text(folder.failure(outcome.name), f"{reason}\n")
        _log.warning("%s failed", outcome.name)
    else:
        _log.info("%s is done", outcome.name)


def split_settings(values: Mapping[str, Any]) -> tuple[SweepConfig, Config]:
    """The settings of the sweep itself, and those that all trials have in common."""
    own = {name: value for name, value in values.items() if name in flags.OPTIONS}
    base = {name: value for name, value in values.items() if name not in own}
    return SweepConfig(**own), Config(**base)


def plan(sweep: SweepConfig, base: Config) -> list[Trial]:
    """The trials of a sweep, in order.

    Raises:
        InputError: the table or a --vary cannot be used.
    """
    rows = read_matrix(sweep.matrix) if sweep.matrix else []
    return make_trials(base, rows, [read_vary(text) for text in sweep.vary])


def _default_path(sweep: SweepConfig, base: Config) -> Path:
    """A folder such as runs/experiments-3f2a; the same command has the same one, even after the
    table has changed."""
    matrix = Path(sweep.matrix or "sweep").as_posix()
    name = slug(Path(matrix).stem)
    names = [text.partition("=")[0] for text in sweep.vary]
    digest = hashlib.sha256(repr((format_flags(base), matrix, names)).encode()).hexdigest()
    return Path("runs") / f"{name}-{digest[:4]}"


def _tasks(
    trials: Sequence[Trial], states: dict[str, TrialState], folder: SweepFolder, most: int
) -> list[Task]:
    """The unfinished trials as tasks, of which each is a trial or a batch of up to `most`.

    Finished trials count when batches are formed, so that an interrupted batch is the same one when
    it resumes; where some of a batch are finished, the others resume one by one.
    """
    mine = {trial.name: trial for trial in trials if trial.name in states}
    left = {
        name: _task(trial, folder, states[name])
        for name, trial in mine.items()
        if states[name].status is not Status.FINISHED
    }
    wanted = {name: (trial.config, states[name].size) for name, trial in mine.items()}
    tasks: list[Task] = []
    for group in grouping.group(wanted, most):
        parts = tuple(left[name] for name in group if name in left)
        together = len(parts) == len(group) > 1
        tasks += [_batch(parts, folder)] if together else parts
    return tasks


def _make_engine(sweep: SweepConfig) -> LocalEngine | RayEngine:
    """The engine that `sweep` asks for."""
    if sweep.engine == "local":
        return LocalEngine(make_slots(sweep.jobs), sweep.retries)
    cpus, gpus = sweep.cpus_per_trial, sweep.gpus_per_trial
    return RayEngine(1.0 if cpus is None else cpus, gpus or 0.0, sweep.retries)


def _task(trial: Trial, folder: SweepFolder, state: TrialState) -> Task:
    run = folder.run(trial.name)
    overwrite = ["--overwrite"] if state.replaces else []
    return Task(
        trial.name,
        (*trial.arguments, f"--workdir={run.path.absolute()}", *overwrite),
        folder.log(trial.name).absolute(),
        is_done=functools.partial(run.is_finished, state.fingerprint),
        failure=lambda: run.read_record().reason,
    )


def _batch(parts: tuple[Task, ...], folder: SweepFolder) -> Task:
    name = f"batch {parts[0].name}"  # no trial has a space in its name
    arguments = join_groups([part.arguments for part in parts])
    return Task(name, arguments, folder.log(name).absolute(), parts=parts)


def _list(trials: Sequence[Trial], states: dict[str, TrialState], folder: SweepFolder) -> None:
    """Print the trials with their own settings."""
    print(f"{len(trials)} trials in {folder.path}")
    for trial in trials:
        status = states[trial.name].status.value if trial.name in states else "of another shard"
        own = " ".join(f"--{setting.name}={setting.text}" for setting in trial.settings)
        print(f"{trial.name} ({status}): {own}" + (f"  # {trial.note}" if trial.note else ""))


def _announce(states: dict[str, TrialState], folder: SweepFolder) -> None:
    """Log how many trials there are, and which of them are finished."""
    kinds = [state.status for state in states.values()]
    parts = [f"{len(kinds)} trials in {folder.path}"]
    for status, words in ((Status.FINISHED, "finished before"), (Status.BEGUN, "begun before")):
        if number := kinds.count(status):
            parts.append(f"{number} {words}")
    _log.info("%s", ", ".join(parts))
    for name, state in states.items():
        if state.status is Status.FINISHED:
            _log.info("%s is finished", name)
