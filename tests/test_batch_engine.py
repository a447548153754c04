"""Batches among the trials of a sweep; the processes are lines of shell."""

import time

import pytest
from test_compare import write_run

from nst_keras.batch_engine import BatchEngine
from nst_keras.engines import INTERRUPTED, LocalEngine, Task
from nst_keras.sweep_folder import SweepFolder

SHELL = ("/bin/sh", "-c")


@pytest.fixture
def folder(tmp_path):
    folder = SweepFolder(tmp_path / "sweep")
    folder.prepare()
    return folder


def ends(folder, groups, together, stopping=(), names="abcde"):
    """Statuses by name, in the order of their coming, and what was run one by one.

    Args:
        together: a shell's line that stands for each batch.
    """
    jobs = {name: {"size": name} for name in names}
    log = folder.path / "ran"
    tasks = [Task(name, (f"echo {name} >> {log}",), folder.log(name)) for name in names]
    command = (*SHELL, together, "batch")
    engine = BatchEngine(LocalEngine([{}], 0, SHELL), groups, folder, jobs, command)
    found = {one.name: one.status for one in engine.run(tasks, stopping) if one}
    return found, log.read_text().split() if log.exists() else []


def finish(folder, *names):
    for name in names:
        write_run(folder.run(name).path, job={"size": name})


def test_groups_are_batches_and_the_rest_is_alone(folder):
    log = folder.path / "together"
    finish(folder, "a", "b", "d", "e")  # as the batches will leave them
    found, ran = ends(folder, [["a", "b"], ["c"], ["d", "e"]], f'echo "$@" >> {log}')
    assert found == dict.fromkeys("abdec", 0) and ran == ["c"]
    first, second = log.read_text().splitlines()
    assert first.count(" -- ") == 1 and "echo a" in first and "echo b" in first
    assert "echo d" in second and "echo e" in second


def test_what_a_batch_leaves_is_done_one_by_one(folder, caplog):
    finish(folder, "a")
    found, ran = ends(folder, [["a", "b", "c"]], "echo out of memory; exit 2", names="abc")
    assert found == dict.fromkeys("abc", 0) and ran == ["b", "c"]
    assert "batch 1 ended before it was done (out of memory); its trials go on" in caplog.text


def test_a_group_of_which_some_is_finished_is_done_one_by_one(folder):
    found, ran = ends(folder, [["a", "b", "finished before"]], "exit 1", names="ab")
    assert found == dict.fromkeys("ab", 0) and ran == ["a", "b"]


def test_an_interruption_is_of_all_trials(folder):
    stopping: list[float] = []
    jobs = dict.fromkeys("abc", {})
    tasks = [Task(name, ("exit 1",), folder.log(name)) for name in "abc"]
    command = (*SHELL, "trap 'exit 75' TERM; echo ready; while true; do sleep 0.02; done")
    engine = BatchEngine(LocalEngine([{}], 0, SHELL), [["a", "b"]], folder, jobs, command)
    found = {}
    for outcome in engine.run(tasks, stopping):
        if outcome:
            found[outcome.name] = outcome.status
        elif not stopping and "ready" in folder.log("batch 1").read_text():
            stopping.append(time.monotonic())
    assert found == {"a": INTERRUPTED, "b": INTERRUPTED}
