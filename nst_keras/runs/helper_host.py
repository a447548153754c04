"""A run on a host that is not the chief: it computes with the others, and writes nothing."""

import contextlib
import logging
import time

from nst_keras.runs import setup
from nst_keras.runs.folder import Status
from nst_keras.runs.requested import RequestedRun
from nst_keras.runtime.cli import StopSignal

_log = logging.getLogger(__name__)


def help_chief(run: RequestedRun) -> None:
    """Take the whole run's steps together with the chief."""
    if run.status is Status.FINISHED:
        return
    with contextlib.ExitStack() as process:
        replicas = setup.start(run.settings, process)
        replicas.from_chief(0)  # from here on, the folder is as the chief has made it
        run, plan = setup.plan(run, replicas, started=time.monotonic())
        from nst_keras.transfer.loop import optimize

        problems = setup.make_problems([(run, plan)], replicas, StopSignal())
        for (iterate,) in optimize(problems, [setup.make_checkpointer(run)]):
            if iterate.is_last:  # all hosts evaluate the result's losses together
                iterate.evaluate()
    _log.info("host %d of %d is done", replicas.host + 1, replicas.hosts)
