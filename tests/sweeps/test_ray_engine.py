"""Trials on a Ray cluster, without one: what is missing, and how outcomes are told."""

import sys

import pytest

from nst_keras.runtime.cli import INTERRUPTED
from nst_keras.runtime.errors import InputError
from nst_keras.sweeps.local_engine import Outcome, Task
from nst_keras.sweeps.ray_engine import RayEngine, _connection, _outcome


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
    with pytest.raises(InputError) as caught, _connection(Unreachable(error)):
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
    assert _outcome(Cluster(), result, task, "an old reason") == outcome
