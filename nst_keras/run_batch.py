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

from nst_keras import console, devices, files, flags, grouping, job
from nst_keras.background import Background
from nst_keras.config import Config
from nst_keras.desk import Desk
from nst_keras.errors import InputError
from nst_keras.job import Job
from nst_keras.progress import Iterate

_log = logging.getLogger("nst_keras")


def main(arguments: list[str] | None = None) -> int:
    """Run the batch; returns the exit status. A user's error is one line on standard error."""
    began = time.monotonic()
    given = sys.argv[1:] if arguments is None else arguments
    return console.exit_status(lambda: _command(_split(given), began))


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
        jobs = [job.read(group, flags.parse_config(group)[0], began) for group in groups]
        _check(jobs)
        for one in jobs:
            job.check_extras(one.requested)
            stack.enter_context(files.held(one.folder.path))
        if any(one.folder.is_finished(one.request) for one in jobs):
            raise InputError("--batch: some of the pictures are finished")
        jobs = [_with_weights_of(jobs[0], one) for one in jobs]
        with console.stop_signals() as stopping:  # from here on, as in `run`
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


def _work(jobs: Sequence[Job], stopping: list[float]) -> tuple[list[Desk], list[Iterate]]:
    """The jobs in their folders until they end or are to stop; returns their last iterates."""
    notes: list[list[str]] = [[] for _ in jobs]
    states = []
    for one, own in zip(jobs, notes, strict=True):
        with console.noting(own):
            states.append(job.prepare_folder(one))
    with console.noting(*notes):
        replicas = job.start(jobs[0].requested)
        if warning := devices.unused_gpu():
            _log.warning("%s", warning)
    background = Background()
    configs, desks = [], []
    for one, status, own in zip(jobs, states, notes, strict=True):
        with console.noting(own):
            config = job.settle(one, status, replicas)
            # With one alone a kill between two writes would leave no step that all have.
            config = dataclasses.replace(config, keep_checkpoints=max(2, config.keep_checkpoints))
            record = job.describe(one, config, own)
        configs.append(config)
        desks.append(Desk(one.folder, config, record, background))
    with console.noting(*notes):
        return desks, _optimise(jobs, configs, desks, background, stopping)


def _optimise(
    jobs: Sequence[Job],
    configs: Sequence[Config],
    desks: Sequence[Desk],
    background: Background,
    stopping: list[float],
) -> list[Iterate]:
    from nst_keras import batch_loop
    from nst_keras.preparation import Request

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


def _conclude(desks: Sequence[Desk], last: Sequence[Iterate]) -> int:
    """Finish the runs, or say how far they are; returns the exit status."""
    if not last[0].is_last:
        _log.warning("stopped after step %d", last[0].step)
        return console.INTERRUPTED
    for desk, iterate in zip(desks, last, strict=True):
        desk.finish(iterate)
    return 0


def _follow(
    rounds: Generator[list[Iterate], None, None], desks: Sequence[Desk], stopping: list[float]
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
