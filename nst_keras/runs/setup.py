"""What a run needs before its first step: TensorFlow, devices, plan, problem, checkpoints."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nst_keras.devices import choice, memory, startup
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.requested import RequestedRun
from nst_keras.runtime.background import Submit, at_once
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.cli import StopSignal
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.plan import Plan

if TYPE_CHECKING:  # these import TensorFlow
    from nst_keras.devices.replicas import Replicas
    from nst_keras.transfer.problem import StyleTransferProblem

_log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds from a stop signal until the current step is given up


def start(settings: Settings, process: contextlib.ExitStack) -> "Replicas":
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


def plan(run: RequestedRun, replicas: "Replicas", started: float) -> tuple[RequestedRun, Plan]:
    """The run with every setting decided, so that it can be repeated, and its plan.

    `started` is when it was asked for, by the monotonic clock: a time limit counts from there.
    """
    from nst_keras.transfer.planning import make_plan

    given = run.given.iterations is not None
    made = make_plan(run.begun(), run.inputs, replicas, started=started, iterations_given=given)
    settings = dataclasses.replace(run.settings, **made.decided())
    return dataclasses.replace(run, settings=settings), made


def make_problems(
    planned: Sequence[tuple[RequestedRun, Plan]], replicas: "Replicas", stopping: StopSignal
) -> list["StyleTransferProblem"]:
    """The problems of runs, all with the network of the first one."""
    from nst_keras.transfer.problem import StyleTransferProblem

    def is_dropped() -> bool:
        return stopping.seconds_ago() > _PATIENCE

    problems: list[StyleTransferProblem] = []
    for run, its_plan in planned:
        options = (replicas, is_dropped, problems[0].extractors if problems else None)
        problems.append(StyleTransferProblem(run.settings, run.inputs, its_plan, *options))
    return problems


def make_checkpointer(
    run: RequestedRun, submit: Submit = at_once, wait: Callable[[], None] = lambda: None
) -> Checkpointer:
    """The checkpointer of a planned run; see `Checkpointer` for `submit` and `wait`."""
    settings = run.settings
    fingerprint = folder_lib.fingerprint(settings, run.inputs.hashes)
    return Checkpointer(
        run.folder.checkpoints,
        folder_lib.steps_fingerprint(fingerprint).digest(),
        every=settings.checkpoint_every,
        minutes=settings.checkpoint_minutes,
        keep=settings.keep_checkpoints,
        submit=submit,
        wait=wait,
    )
