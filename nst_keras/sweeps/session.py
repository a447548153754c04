"""A sweep, from its settings to its table and page."""

import contextlib
import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_keras.devices import choice
from nst_keras.runs.folder import Status
from nst_keras.runtime import browser, cli, files
from nst_keras.runtime.background import Background
from nst_keras.runtime.cli import INTERRUPTED, stop_signals
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.progress import Reporter
from nst_keras.settings.command_line import Call, join_groups
from nst_keras.settings.config import Config
from nst_keras.sweeps import trials as trials_lib
from nst_keras.sweeps.engines import LocalEngine, Outcome, RayEngine, Task, make_slots
from nst_keras.sweeps.flags import OPTIONS, SweepConfig
from nst_keras.sweeps.folder import SweepFolder, TrialState
from nst_keras.sweeps.results import Results, SweepProgress, check_metric, incomparable
from nst_keras.sweeps.trials import Trial
from nst_keras.transfer import grouping

_log = logging.getLogger(__name__)


def run_sweep(call: Call) -> int:
    """Do the sweep that a command line asks for; returns the exit status."""
    sweep, base, trials = plan(call.groups[0].values)
    metric = sweep.objective_metric
    if metric:
        check_metric(metric, trials)
    folder = SweepFolder(base.workdir or _default_path(sweep, base))
    folder.check()
    number, count = sweep.part()
    states = folder.states(trials[number - 1 :: count], overwrite=base.overwrite)
    if sweep.dry_run:
        _list(trials, states, folder)
        return 0
    engine = _make_engine(sweep, _device_of(trials, base.device))
    folder.prepare()
    if metric and (names := incomparable(metric, trials)):
        text = "trials cannot be compared by %s because these settings vary: %s"
        _log.warning(text, metric, ", ".join(names))
    _announce(states, folder)
    tasks = _tasks(states, folder, sweep.batch)
    fingerprints = {name: state.fingerprint for name, state in states.items()}
    with Background() as background:
        found = Results(folder, trials, metric, sweep.layout, fingerprints, background.submit)
        failed, interrupted = _work(engine, tasks, found, quiet=call.quiet, opens=base.open)
    return _conclude(found, failed, interrupted=interrupted)


def _work(
    engine: LocalEngine | RayEngine,
    tasks: Sequence[Task],
    found: Results,
    *,
    quiet: bool,
    opens: bool,
) -> tuple[dict[str, str], bool]:
    """Run the trials; keep the table and the page up to date, and report progress unless `quiet`.

    `opens` says that the page is to be opened as soon as it is there.

    Returns the reasons of failed trials by name, and whether a signal left trials unfinished.
    """
    with contextlib.ExitStack() as stack:
        stopping = stack.enter_context(stop_signals())
        names = [trial.name for task in tasks for trial in task.trials]
        for name in names:  # those that failed before are tried again
            found.folder.failure(name).unlink(missing_ok=True)
        found.refresh()
        report = None
        progress = SweepProgress(found.read, names)
        if names and not quiet:
            report = Reporter(progress.describe, progress.share, by_share=False)
            stack.callback(report.close)
        outcomes = stack.enter_context(contextlib.closing(engine.run(tasks, stopping)))
        for outcome in outcomes:
            if outcome and outcome.status == INTERRUPTED and stopping:
                continue  # it is neither done nor failed
            if outcome:
                _note(outcome, progress, found.folder)
                found.refresh()
            if report:
                report.update(now=bool(outcome))
            if opens and found.folder.page.exists():
                browser.open_page(found.folder.page)
                opens = False
    if opens and found.folder.page.exists():  # nothing was left to do
        browser.open_page(found.folder.page)
    all_ended = len(progress.done) + len(progress.failed) == len(names)
    return progress.failed, bool(stopping) and not all_ended


def _note(outcome: Outcome, progress: SweepProgress, folder: SweepFolder) -> None:
    """Record whether a trial failed, and why."""
    if outcome.status:
        reason = progress.failed[outcome.name] = outcome.error or f"exit status {outcome.status}"
        files.write_text(folder.failure(outcome.name), f"{reason}\n")
        _log.warning("%s failed", outcome.name)
    else:
        progress.done.add(outcome.name)
        _log.info("%s is done", outcome.name)


def _conclude(found: Results, failed: dict[str, str], *, interrupted: bool) -> int:
    """Renew table and page, and report the outcome; returns the exit status."""
    page = found.conclude()
    for name, reason in failed.items():
        _log.error("%s failed: %s (%s)", name, reason, found.folder.log(name))
    _log.info("table: %s", found.folder.results)
    if page:
        cli.show_path_at_end(found.folder.page)
    if interrupted:
        _log.warning("interrupted; run the same command again to resume")
        return INTERRUPTED
    return 1 if failed else 0


def plan(values: Mapping[str, Any]) -> tuple[SweepConfig, Config, list[Trial]]:
    """The settings of the sweep itself, those that all trials share, and the trials, in order.

    Raises InputError if nothing varies, or if a setting, the table or a --vary cannot be used.
    """
    own = {name: values[name] for name in OPTIONS if name in values}
    sweep, base = SweepConfig(**own), Config(**{n: values[n] for n in values if n not in own})
    if not sweep.matrix and not sweep.vary:
        raise InputError(
            "--matrix, --vary: nothing varies; give one of them, such as --vary=strength=0.3,0.6"
        )
    if base.output:
        raise InputError(
            f"--output={base.output}: must be left out, since all trials would write to it",
            "output",
        )
    if base.serve:
        raise InputError("--serve: must be left out; a sweep has a page of its own", "serve")
    rows = trials_lib.read_matrix(sweep.matrix) if sweep.matrix else []
    variations = [trials_lib.read_vary(text) for text in sweep.vary]
    return sweep, base, trials_lib.make_trials(base, rows, variations)


def _default_path(sweep: SweepConfig, base: Config) -> Path:
    """A folder such as runs/experiments-3f2a; the same command has the same one, even after the
    table has changed."""
    matrix = Path(sweep.matrix or "sweep")
    names = [text.partition("=")[0] for text in sweep.vary]
    command = repr((trials_lib.format_flags(base), matrix.as_posix(), names))
    return Path("runs", f"{trials_lib.slug(matrix.stem)}-{trials_lib.digest(command, 4)}")


def _tasks(states: dict[str, TrialState], folder: SweepFolder, most: int | str) -> list[Task]:
    """The unfinished trials as tasks, of which each is a trial or a batch of up to `most`.

    Finished trials count when batches are formed, so that an interrupted batch is the same one when
    it resumes; where some of a batch are finished, the others resume one by one.
    """
    wanted = {name: (state.trial.config, state.size) for name, state in states.items()}
    tasks: list[Task] = []
    for group in grouping.group(wanted, most):
        left = [states[name] for name in group if states[name].status is not Status.FINISHED]
        parts = tuple(_task(state, folder) for state in left)
        if len(parts) == len(group) > 1:
            name = f"batch {parts[0].name}"  # no trial has a space in its name
            arguments = join_groups([part.arguments for part in parts])
            tasks.append(Task(name, arguments, folder.log(name).absolute(), parts))
        else:
            tasks += parts
    return tasks


def _device_of(trials: Sequence[Trial], base: str) -> str:
    """The device for which slots are made: one by its number, if a trial names one, since a slot
    for each GPU would give the GPUs other numbers."""
    return next(
        (one.config.device for one in trials if choice.is_numbered(one.config.device)), base
    )


def _make_engine(sweep: SweepConfig, device: str) -> LocalEngine | RayEngine:
    """The engine that `sweep` asks for, with trials on a device."""
    if sweep.engine == "local":
        return LocalEngine(make_slots(sweep.jobs, device), sweep.retries)
    cpus, gpus = sweep.cpus_per_trial, sweep.gpus_per_trial
    return RayEngine(1.0 if cpus is None else cpus, gpus or 0.0, sweep.retries)


def _task(state: TrialState, folder: SweepFolder) -> Task:
    trial, run = state.trial, folder.run(state.trial.name)
    overwrite = ["--overwrite"] if state.replaces else []
    return Task(
        trial.name,
        (*trial.arguments, f"--workdir={run.path.absolute()}", *overwrite),
        folder.log(trial.name).absolute(),
        is_done=functools.partial(run.is_finished, state.fingerprint),
        failure=lambda: run.read_record().reason,
    )


def _list(trials: Sequence[Trial], states: dict[str, TrialState], folder: SweepFolder) -> None:
    """Print the trials with their own settings."""
    cli.show(f"{_counted(len(trials))} in {folder.path}")
    for trial in trials:
        status = states[trial.name].status.value if trial.name in states else "of another shard"
        own = " ".join(f"--{setting.name}={setting.text}" for setting in trial.settings)
        cli.show(f"{trial.name} ({status}): {own}" + (f"  # {trial.note}" if trial.note else ""))


def _counted(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"


def _announce(states: dict[str, TrialState], folder: SweepFolder) -> None:
    """Log how many trials there are, and which of them are finished."""
    kinds = [state.status for state in states.values()]
    parts = [f"{_counted(len(kinds))} in {folder.path}"]
    for status in (Status.FINISHED, Status.BEGUN):
        if number := kinds.count(status):
            parts.append(f"{number} {status.value} before")
    _log.info("%s", ", ".join(parts))
    for name, state in states.items():
        if state.status is Status.FINISHED:
            _log.info("%s is finished", name)
