"""Several runs of one size at once: `python -m nst_keras.run_batch FLAGS -- FLAGS ...`.

Each group of flags is that of a run, which has a folder of its own and can go on by itself with
them: that is what `sweep --batch`, which starts this, has them do where a batch fails. So what is
finished is left alone, `--overwrite` or not. Exit statuses are those of `run`.
"""

import contextlib
import dataclasses
import itertools
import logging
import sys
import time
from collections.abc import Generator, Sequence

from nst_keras.devices import memory
from nst_keras.runs import session
from nst_keras.runs.session import Job
from nst_keras.runs.writers import RunWriter
from nst_keras.runtime import cli, console, files, signals
from nst_keras.runtime.background import Background
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.signals import StopSignal
from nst_keras.settings import flags
from nst_keras.settings.config import Config
from nst_keras.transfer import grouping
from nst_keras.transfer.iterate import Iterate

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run the batch; returns the exit status. A user's error is one line on standard error."""
    began = time.monotonic()
    given = sys.argv[1:] if arguments is None else arguments
    return cli.exit_status(lambda: _command(_split(given), began))


def join(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The arguments of this command, from those of its runs."""
    parts = [("--", *group) for group in groups]
    return tuple(itertools.chain(*parts))[1:]


def _split(arguments: Sequence[str]) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "--":
            groups.append([])
        else:
            groups[-1].append(argument)
    return groups


def _command(groups: Sequence[list[str]], began: float) -> int:
    if groups == [["--help"]]:
        print(__doc__)
        return 0
    with console.messages(quiet=False), contextlib.ExitStack() as stack:
        jobs = [session.read(group, flags.parse_config(group)[0], began) for group in groups]
        _check(jobs)
        for one in jobs:
            session.check_extras(one.requested)
            stack.enter_context(files.held(one.folder.path))
        if any(one.folder.is_finished(one.request) for one in jobs):
            raise InputError("--batch: some of the pictures are finished")
        jobs = [_with_weights_of(jobs[0], one) for one in jobs]
        with signals.stop_signals() as stopping:  # from here on, as in `run`
            desks, last = _work(jobs, stopping)
        return _conclude(desks, last)


def _check(jobs: Sequence[Job]) -> None:
    """Refuse what can be seen to be no batch before anything is written."""
    grouping.check([one.requested for one in jobs])
    if len({one.plan(one.requested) for one in jobs}) > 1:
        raise InputError("--batch: the pictures are of different sizes")


def _with_weights_of(first: Job, one: Job) -> Job:
    """The job without a copy of its own of what is large and the same."""
    return dataclasses.replace(
        one, inputs=dataclasses.replace(one.inputs, weights=first.inputs.weights)
    )


def _work(jobs: Sequence[Job], stopping: StopSignal) -> tuple[list[RunWriter], list[Iterate]]:
    """The jobs in their folders until they end or are to stop; returns their last iterates."""
    notes: list[list[str]] = [[] for _ in jobs]
    states = []
    for one, own in zip(jobs, notes, strict=True):
        with console.noting(own):
            states.append(session.prepare_folder(one))
    with console.noting(*notes):
        replicas = session.start(jobs[0].requested)
        if warning := memory.unused_gpu():
            _log.warning("%s", warning)
    background = Background()
    configs, desks = [], []
    for one, status, own in zip(jobs, states, notes, strict=True):
        with console.noting(own):
            config = session.settle(one, status, replicas)
            # With one alone a kill between two writes would leave no step that all have.
            config = dataclasses.replace(config, keep_checkpoints=max(2, config.keep_checkpoints))
            record = session.describe(one, config, own)
        configs.append(config)
        desks.append(RunWriter(one.folder, config, record, background))
    with console.noting(*notes):
        return desks, _optimize(jobs, configs, desks, background, stopping)


def _optimize(
    jobs: Sequence[Job],
    configs: Sequence[Config],
    desks: Sequence[RunWriter],
    background: Background,
    stopping: StopSignal,
) -> list[Iterate]:
    from nst_keras.transfer import batch_loop
    from nst_keras.transfer.setup import Request

    batch_loop.level([desk.checkpointer for desk in desks])
    weights = jobs[0].inputs.weights
    requests = [
        Request(one.inputs.content, one.inputs.styles, config, weights, desk.checkpointer)
        for one, config, desk in zip(jobs, configs, desks, strict=True)
    ]
    with contextlib.ExitStack() as stack:
        for desk in desks:
            stack.enter_context(desk.open(quiet=desk is not desks[0]))
        stack.enter_context(background)
        rounds = batch_loop.stylize_batch(requests)
        last = _follow(rounds, desks, stopping)
        for desk, iterate in zip(desks, last, strict=True):
            if not iterate.is_last:
                desk.interrupt(iterate)
    return last


def _conclude(desks: Sequence[RunWriter], last: Sequence[Iterate]) -> int:
    """Finish the runs, or say how far they are; returns the exit status."""
    if not last[0].is_last:
        _log.warning("stopped after step %d", last[0].step)
        return cli.INTERRUPTED
    for desk, iterate in zip(desks, last, strict=True):
        desk.finish(iterate)
    return 0


def _follow(
    rounds: Generator[list[Iterate], None, None], desks: Sequence[RunWriter], stopping: StopSignal
) -> list[Iterate]:
    """Have all iterates written, to the last or until a signal came; returns the last ones."""
    try:
        for iterates in rounds:
            for desk, iterate in zip(desks, iterates, strict=True):
                desk.take(iterate)
            if stopping and not iterates[0].is_last:
                break
    except BaseException as error:
        # Some may have written their metrics of this step and others not: it is not saved.
        with contextlib.suppress(type(error)):
            rounds.throw(error)
        raise
    rounds.close()
    return iterates


if __name__ == "__main__":
    sys.exit(main())
