"""Several runs of one size at once: `python -m nst_keras.run_batch FLAGS -- FLAGS ...`.

Each group of flags is that of a run, which has a folder of its own and can go on by itself with
them. `sweep --batch` starts this; exit statuses are those of `run`.
"""

import contextlib
import itertools
import logging
import sys
import time
from collections.abc import Generator, Sequence

from nst_keras import console, devices, flags, job
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
    with console.messages(quiet=False) as notes, contextlib.ExitStack() as stack:
        jobs = [job.read(group, flags.parse_config(group)[0], began) for group in groups]
        for one in jobs:
            job.check_extras(one.requested)
            stack.enter_context(one.folder.held())
        return _work(jobs, notes)


def _work(jobs: Sequence[Job], notes: list[str]) -> int:
    states = [job.prepare_folder(one) for one in jobs]
    job.start(jobs[0].requested)
    if warning := devices.unused_gpu():
        _log.warning("%s", warning)
    configs = [job.settle(one, status) for one, status in zip(jobs, states, strict=True)]
    background = Background()
    desks = []
    for one, config in zip(jobs, configs, strict=True):
        record = job.describe(one, config, [*notes])
        desks.append(Desk(one.folder, config, record, background))
    return _optimise(jobs, configs, desks, background)


def _optimise(
    jobs: Sequence[Job], configs: Sequence[Config], desks: Sequence[Desk], background: Background
) -> int:
    from nst_keras import batching

    batching.level([desk.checkpointer for desk in desks])
    requests = [
        batching.Request(one.inputs.content, one.inputs.styles, config, desk.checkpointer)
        for one, config, desk in zip(jobs, configs, desks, strict=True)
    ]
    with contextlib.ExitStack() as stack:
        for desk in desks:
            stack.enter_context(desk.open(quiet=desk is not desks[0]))
        stopping = stack.enter_context(console.stop_signals())
        stack.enter_context(background)
        with _one_line_of_tensorflow():
            last = _follow(
                batching.stylize_batch(requests, jobs[0].inputs.weights), desks, stopping
            )
        for desk, iterate in zip(desks, last, strict=True):
            if not iterate.is_last:
                desk.interrupt(iterate)
    if not last[0].is_last:
        _log.warning("stopped after step %d", last[0].step)
        return console.INTERRUPTED
    for desk, iterate in zip(desks, last, strict=True):
        desk.finish(iterate)
    return 0


@contextlib.contextmanager
def _one_line_of_tensorflow():
    """What goes wrong on the device is of the batch: its runs may go on one by one."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"--batch: {reason}") from error


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
    except BaseException:
        with contextlib.suppress(Exception):  # as in `run`
            rounds.close()
        raise
    rounds.close()
    return iterates


if __name__ == "__main__":
    sys.exit(main())
