"""Trials as processes: how many at a time, and those that fail, are lost, locked or stopped.

Ray, without a cluster: what is missing, and how outcomes are told.
"""

import functools
import os
import subprocess
import sys

import pytest

from nst_keras.devices import memory
from nst_keras.runtime.cli import INTERRUPTED, StopSignal
from nst_keras.runtime.errors import InputError
from nst_keras.sweeps import engines
from nst_keras.sweeps.engines import LocalEngine, Outcome, RayEngine, Task, make_slots
from nst_keras.sweeps.folder import open_log


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Makes a task that is a line of shell."""
    monkeypatch.setattr(engines, "RUN", ("/bin/sh", "-c"))

    def make(name, line, parts=(), **more):
        return Task(name, (line,), tmp_path / f"{name}.log", tuple(parts), **more)

    return make


def ends(engine, tasks) -> dict[str, Outcome]:
    """Outcomes by name, in the order of their coming."""
    return {one.name: one for one in engine.run(tasks, StopSignal()) if one}


def test_a_failing_trial_does_not_stop_the_others(task):
    tasks = [
        task("bad", "echo some progress; echo 'nst_keras: out of paint' >&2; exit 1"),
        task("good", "echo fine"),
        task("silent", "exit 74"),
        task("stopped", "echo stopped by somebody else; exit 75"),
    ]

    found = ends(LocalEngine([{}], retries=2), tasks)

    assert list(found) == ["bad", "good", "silent", "stopped"]
    assert (found["bad"].status, found["bad"].error) == (1, "out of paint")
    assert (found["good"].status, found["good"].error) == (0, "")
    assert found["silent"].status == 74
    assert found["stopped"] == Outcome("stopped", 75, "stopped by somebody else")
    assert tasks[1].log.read_text().count("fine") == 1


def test_the_reason_of_a_failure_is_the_one_that_the_run_recorded(task, tmp_path):
    recorded = tmp_path / "reason"
    line = f"echo out of memory > {recorded}; echo 'and then some noise'; exit 1"

    def failure():
        return recorded.read_text().strip() if recorded.exists() else ""

    engine = LocalEngine([{}], retries=0)
    assert ends(engine, [task("one", line, failure=failure)])["one"].error == "out of memory"
    # That of an earlier attempt may not be the reason now.
    silent = task("one", "echo no such file; exit 2", failure=failure)
    assert ends(engine, [silent])["one"].error == "no such file"


def test_a_reason_is_recorded_or_else_the_last_line_of_the_log(task):
    one = task("one", "", failure=lambda: "out of memory")
    one.log.write_text("the last line\n")
    assert engines._failure_reason(one, "", one.log) == "out of memory"
    assert engines._failure_reason(one, "out of memory", one.log) == "the last line"


def test_the_reason_of_a_failed_batch_is_the_one_that_its_runs_recorded(task, tmp_path, caplog):
    begun = tmp_path / "begun"
    parts = [
        task(name, "exit 0", failure=lambda: "out of memory" if begun.exists() else "")
        for name in "ab"
    ]
    batch = task("batch", f"touch {begun}; echo some noise; exit 1", parts)
    found = ends(LocalEngine([{}], 0), [batch])
    assert {name: one.status for name, one in found.items()} == {"a": 0, "b": 0}
    assert "batch failed (out of memory); running its trials one by one" in caplog.text


def test_slots_work_at_a_time_with_their_own_environment(task, tmp_path):
    meet = f"echo $SLOT; touch {tmp_path}/$SLOT; until [ -e {tmp_path}/%s ]; do sleep 0.02; done"
    tasks = [task("one", meet % "b"), task("two", meet % "a")]

    found = ends(LocalEngine([{"SLOT": "a"}, {"SLOT": "b"}], 0), tasks)

    assert [one.status for one in found.values()] == [0, 0]  # each waited for the other
    assert {"a", "b"} == {
        line for t in tasks for line in t.log.read_text().split() if len(line) < 2
    }


@pytest.mark.parametrize(("retries", "status"), [(1, 1), (2, 0)])
def test_a_lost_process_is_started_again(task, tmp_path, retries, status):
    line = f"echo x >> {tmp_path}/count; [ $(wc -l < {tmp_path}/count) -gt 2 ] || kill -9 $$"

    found = ends(LocalEngine([{}], retries), [task("lost", line)])

    assert found["lost"].status == status
    assert found["lost"].error == ("its process was killed (SIGKILL)" if status else "")
    assert (tmp_path / "count").read_text().count("x") == retries + 1


def test_stopping_passes_the_order_on_once_and_begins_nothing(task):
    listens = (
        "trap 'echo told; exit 75' USR1; echo ready; while true; do sleep 0.02; done",
        "echo ready; exec sleep 60",  # not yet able to listen
    )
    tasks = [task("one", listens[0]), task("two", listens[1]), task("three", "echo ready")]
    stopping = StopSignal()
    found = {}

    for outcome in LocalEngine([{}, {}], 2).run(tasks, stopping):
        if outcome:
            found[outcome.name] = outcome.status
        elif all("ready" in t.log.read_text() for t in tasks[:2]) and not stopping:
            stopping.set()

    assert found == {"one": INTERRUPTED, "two": INTERRUPTED}
    assert tasks[0].log.read_text().count("told") == 1
    assert not tasks[2].log.exists()


def trials_of(task, tmp_path, *done):
    """Two trials that write down that they ran alone; some are done once a batch has begun."""

    def is_done(name):
        return name in done and (tmp_path / "begun").exists()

    return [
        task(name, f"echo {name} >> {tmp_path}/alone", is_done=functools.partial(is_done, name))
        for name in "ab"
    ]


def alone(tmp_path):
    ran = tmp_path / "alone"
    return ran.read_text().split() if ran.exists() else []


def test_a_batch_is_the_outcome_of_its_trials(task, tmp_path):
    parts = trials_of(task, tmp_path)
    tasks = [task("batch", "echo both", parts), task("c", "exit 1")]
    found = ends(LocalEngine([{}], 0), tasks)
    assert {name: one.status for name, one in found.items()} == {"a": 0, "b": 0, "c": 1}
    assert not alone(tmp_path)


@pytest.mark.parametrize(("done", "left"), [("", ["a", "b"]), ("a", ["b"])])
def test_trials_of_a_failed_batch_run_one_by_one(task, tmp_path, caplog, done, left):
    line = f"touch {tmp_path}/begun; echo out of paint; exit 2"
    batch = task("batch", line, trials_of(task, tmp_path, *done))
    found = ends(LocalEngine([{}], 2), [batch])
    assert {name: one.status for name, one in found.items()} == {"a": 0, "b": 0}
    assert alone(tmp_path) == left
    assert "batch failed (out of paint); running its trials one by one" in caplog.text


@pytest.mark.parametrize(("done", "times", "left"), [("", 2, []), ("a", 1, ["b"])])
def test_a_lost_batch_is_repeated_unless_a_trial_is_done(task, tmp_path, done, times, left):
    count = tmp_path / "count"
    line = f"touch {tmp_path}/begun; echo x >> {count}; [ $(wc -l < {count}) -gt 1 ] || kill -9 $$"
    found = ends(LocalEngine([{}], 2), [task("batch", line, trials_of(task, tmp_path, *done))])
    assert {name: one.status for name, one in found.items()} == {"a": 0, "b": 0}
    assert count.read_text().count("x") == times and alone(tmp_path) == left


def test_what_was_done_when_its_process_was_lost_is_done(task, tmp_path):
    begun = tmp_path / "begun"
    one = task("one", f"touch {begun}; kill -9 $$", is_done=begun.exists)
    assert ends(LocalEngine([{}], 2), [one])["one"] == Outcome("one", 0)
    assert begun.exists()


def test_what_another_process_has_done_meanwhile_is_not_begun(task, tmp_path):
    (tmp_path / "begun").touch()
    one = task("one", f"touch {tmp_path}/anew", is_done=lambda: True)
    batch = task("batch", f"touch {tmp_path}/anew", trials_of(task, tmp_path, "b"))
    found = ends(LocalEngine([{}], 2), [one, batch])
    assert {name: one.status for name, one in found.items()} == {"one": 0, "a": 0, "b": 0}
    assert alone(tmp_path) == ["a"] and not (tmp_path / "anew").exists()


def test_an_interrupted_batch_is_that_of_all_its_trials(task, tmp_path):
    listens = "trap 'exit 75' USR1; echo ready; while true; do sleep 0.02; done"
    batch = task("batch", listens, trials_of(task, tmp_path))
    stopping = StopSignal()
    found = {}
    for outcome in LocalEngine([{}], 2).run([batch], stopping):
        if outcome:
            found[outcome.name] = outcome.status
        elif not stopping and "ready" in batch.log.read_text():
            stopping.set()
    assert found == {"a": INTERRUPTED, "b": INTERRUPTED} and not alone(tmp_path)


def test_a_batch_holds_its_trials_as_long_as_it_lives(task, tmp_path):
    batch = task("batch", f"echo $$ > {tmp_path}/number; exec sleep 60", trials_of(task, tmp_path))
    work = LocalEngine([{}], 0).run([batch], StopSignal())
    while not (tmp_path / "number").exists() or not (tmp_path / "number").read_text():
        next(work)
    for part in batch.parts:
        with open_log(part.log) as log:
            assert log is None
    with open_log(batch.log) as log:
        assert log is None
    work.close()
    with open_log(batch.parts[0].log) as log:
        assert log is not None


def test_no_process_outlives_the_engine(task):
    work = LocalEngine([{}], 0).run([one := task("one", "echo $$; exec sleep 60")], StopSignal())
    for _ in work:
        if pids := [int(line) for line in one.log.read_text().split() if line.isdecimal()]:
            break

    work.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_no_trial_runs_twice_at_a_time(task, caplog):
    first, second = task("one", "echo again"), task("two", "echo fine")
    with open_log(first.log) as log:  # what a process inherits that outlives its sweep
        orphan = subprocess.Popen(["sleep", "60"], stdout=log)
    found = {}

    for outcome in LocalEngine([{}, {}], 0).run([first, second], StopSignal()):
        if outcome:
            found[outcome.name] = outcome.status
        if found == {"two": 0} and orphan.poll() is None:
            assert "again" not in first.log.read_text()
            orphan.kill()
            orphan.wait()

    assert found == {"two": 0, "one": 0}
    assert "again" in first.log.read_text()
    assert caplog.messages == ["one: waiting because another process is running it"]


def test_slots_share_gpus_or_threads_and_memory(monkeypatch):
    monkeypatch.setattr(engines.memory, "cpu_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")  # somebody's own choice stays
    for gpus, jobs, slots in [
        ([], None, [{}]),
        ([], 1, [{}]),
        ([], 3, [{"OMP_NUM_THREADS": "2", "NST_MEMORY_SHARE": "0.3333"}] * 3),
        (["0"], None, [{}]),
        (["0"], 2, [{"NST_MEMORY_SHARE": "0.5000"}] * 2),
        (["0", "1"], None, [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
        (
            ["4", "7"],
            3,
            [{"CUDA_VISIBLE_DEVICES": n, "NST_MEMORY_SHARE": "0.5000"} for n in ("4", "7", "4")],
        ),
    ]:
        monkeypatch.setattr(memory, "visible_gpus", lambda gpus=gpus: gpus)
        assert make_slots(jobs) == slots


# Ray.


def test_ray_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install '\.\[ray\]'"):
        RayEngine(1, 0, 0)


class Unreachable:
    """A Ray whose cluster cannot be joined."""

    def __init__(self, error):
        self.error = error

    def is_initialized(self):
        return False

    def init(self, **_):
        raise self.error


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("a:1", ConnectionError("No.\nNot at all"), "RAY_ADDRESS=a:1: cannot be joined: No."),
        ("foo", ValueError("Malformed"), "RAY_ADDRESS=foo: cannot be joined: Malformed"),
        (None, RuntimeError(""), "--engine=ray: cannot be started: RuntimeError"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_told_in_one_line(address, error, said, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError) as caught, engines._connection(Unreachable(error)):
        pass
    assert str(caught.value) == said


class Cluster:
    """A Ray whose tasks have ended: with a status, or with an error."""

    class exceptions:
        class RayError(Exception):
            pass

        class TaskCancelledError(RayError):
            pass

    def get(self, result):
        if isinstance(result, Exception):
            raise result
        return result


LOST = Cluster.exceptions.RayError("The worker died.\nAnd more.")


@pytest.mark.parametrize(
    ("result", "is_done", "recorded", "outcome"),
    [
        (0, True, "", Outcome("one", 0)),
        (1, False, "", Outcome("one", 1, "the last line")),
        (1, False, "out of memory", Outcome("one", 1, "out of memory")),
        (1, False, "an old reason", Outcome("one", 1, "the last line")),
        (Cluster.exceptions.TaskCancelledError(), False, "", Outcome("one", INTERRUPTED)),
        (LOST, False, "", Outcome("one", 1, "its worker was lost: The worker died.")),
        (LOST, True, "", Outcome("one", 0)),
    ],
)
def test_a_trial_that_ended_has_an_outcome(tmp_path, result, is_done, recorded, outcome):
    (tmp_path / "one.log").write_text("the last line\n")
    task = Task("one", (), tmp_path / "one.log", is_done=lambda: is_done, failure=lambda: recorded)
    assert engines._ray_outcome(Cluster(), result, task, "an old reason") == outcome
