"""Checkpoints: undamaged, or not used."""

import errno
import json
import os

import numpy as np
import pytest

from nst_keras.runtime import checkpoints
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer

STATE = {
    "scale": {
        "image": np.linspace(0, 1, 24, dtype=np.float32).reshape(1, 2, 4, 3),
        "bits": np.array([np.nan, -0.0, np.inf], np.float32),
    },
    "optimizer": {"steps": np.int64(7), "of/two/parts": np.float64(1.5)},
    "run": {"precision": np.array("float32")},
}


def arrays_of(state):
    """The arrays of a state by (owner, name)."""
    return {(owner, name): a for owner, arrays in state.items() for name, a in arrays.items()}


def checkpointer(folder, run="run", every=10, minutes=0.0, keep=2):
    return Checkpointer(folder, run, every=every, minutes=minutes, keep=keep)


def save(folder, *steps, **options):
    one = checkpointer(folder, **options)
    return [one.save(Checkpoint(step, step / 2, STATE)) for step in steps]


def newest_step(folder, **options):
    found = checkpointer(folder, **options).latest()
    return found.step if found else None


def test_what_was_saved_comes_back_to_the_bit(tmp_path):
    checkpointer(tmp_path).save(Checkpoint(30, 12.3456, STATE))
    found = checkpointer(tmp_path).latest()
    assert (found.step, found.seconds) == (30, 12.346)
    assert found.state.keys() == STATE.keys()
    arrays = arrays_of(found.state)
    assert arrays.keys() == arrays_of(STATE).keys()
    for name, array in arrays_of(STATE).items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()


def test_a_file_is_of_format_1_and_names_its_arrays_by_their_owners(tmp_path):
    with np.load(checkpointer(tmp_path).save(Checkpoint(30, 1.0, STATE))) as data:
        header = json.loads(bytes(data["header"]))
        assert {*data.files} == {
            *("header", "scale/image", "scale/bits", "optimizer/steps"),
            *("optimizer/of/two/parts", "run/precision"),
        }
    assert {name: header[name] for name in ("format", "run", "step", "seconds")} == {
        "format": checkpoints.FORMAT,
        "run": "run",
        "step": 30,
        "seconds": 1.0,
    }
    assert checkpoints.FORMAT == 1


@pytest.mark.parametrize("changed", [{"format": 2}, {"run": "another"}])
def test_another_run_or_version_is_ignored_and_says_so(tmp_path, changed):
    (path,) = save(tmp_path, 10)
    with np.load(path) as data:
        arrays = dict(data)
    header = {**json.loads(bytes(arrays.pop("header"))), **changed}
    del header["sha256"]
    header["sha256"] = checkpoints._digest(header, arrays)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)
    one = checkpointer(tmp_path)
    assert one.latest() is None
    assert one.ignored == [f"ignoring checkpoint {path.name}: it belongs to another run or version"]


def test_peek_reads_what_latest_then_returns(tmp_path, monkeypatch):
    save(tmp_path, 10, 20)
    one, read = checkpointer(tmp_path), []
    load = one._load
    monkeypatch.setattr(one, "_load", lambda path: read.append(path.name) or load(path))
    assert one.peek().step == 20 and one.peek() is one.peek()
    assert one.latest().step == 20
    assert read == ["step_000000020.npz"]
    assert one.latest().step == 20 and len(read) == 2  # it is not kept: its arrays are large


def test_peek_sees_what_is_left_after_later_ones_were_forgotten(tmp_path):
    save(tmp_path, 10, 20)
    one = checkpointer(tmp_path)
    assert one.peek().step == 20
    one.forget_after(10)
    assert one.peek().step == one.latest().step == 10
    one.forget_after(0)
    assert one.peek() is None and one.latest() is None


def test_an_empty_or_missing_folder_has_none(tmp_path):
    assert newest_step(tmp_path) is None
    assert newest_step(tmp_path / "none") is None


def test_the_folder_is_made(tmp_path):
    assert save(tmp_path / "a" / "b", 1)[0].is_file()


def test_the_newest_counts_even_beyond_the_digits_of_a_listing(tmp_path):
    save(tmp_path, 9, 10, 100_000, keep=9)
    assert newest_step(tmp_path) == 100_000


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_are_kept(tmp_path, keep):
    paths = save(tmp_path, 10, 20, 30, 40, keep=keep)
    assert sorted(tmp_path.iterdir()) == paths[-keep:]


def truncate(data):
    return data[: len(data) // 2]


def flip(data):
    at = data.index(STATE["scale"]["image"].tobytes()) + 5
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def empty(data):
    return b""


@pytest.mark.parametrize("damage", [truncate, flip, empty])
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, damage):
    newest = save(tmp_path, 10, 20)[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    one = checkpointer(tmp_path)
    assert one.latest().step == 10
    (message,) = one.ignored
    assert message.startswith(f"ignoring checkpoint {newest.name}: ")


def test_no_flipped_byte_raises_or_changes_what_is_taken(tmp_path):
    """Bytes that hold nothing, such as dates, may change; then all is as it was saved."""
    (path,) = save(tmp_path, 10)
    data, taken = path.read_bytes(), 0
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        found = checkpointer(tmp_path).latest()
        if found:
            taken += 1
            assert (found.step, found.seconds) == (10, 5.0)
            assert all(
                array.tobytes() == arrays_of(STATE)[name].tobytes()
                for name, array in arrays_of(found.state).items()
            )
    assert taken < len(data) / 3 / 2


def test_values_that_do_not_fit_the_checksum_are_not_taken(tmp_path):
    (path,) = save(tmp_path, 10)
    with np.load(path) as data:
        arrays = dict(data)
    arrays["scale/image"] = arrays["scale/image"] + np.float32(1e-3)
    np.savez(path, **arrays)  # a whole archive, of other values
    one = checkpointer(tmp_path)
    assert one.latest() is None
    assert one.ignored == [f"ignoring checkpoint {path.name}: its checksum is wrong"]


def test_all_damaged_is_none(tmp_path):
    for path in save(tmp_path, 10, 20):
        path.write_bytes(b"x")
    assert newest_step(tmp_path) is None


def test_checkpoints_of_another_run_are_not_taken(tmp_path):
    save(tmp_path, 10, run="a")
    save(tmp_path, 20, run="b", keep=5)
    assert newest_step(tmp_path, run="a") == 10
    assert newest_step(tmp_path, run="b") == 20
    assert newest_step(tmp_path, run="c") is None


def test_a_damaged_later_checkpoint_does_not_push_a_new_one_out(tmp_path):
    save(tmp_path, 10, 20)[-1].write_bytes(b"damaged")
    for keep, step in ((2, 11), (1, 12)):
        one = checkpointer(tmp_path, keep=keep)
        assert one.latest() is not None
        one.save(Checkpoint(step, 1.0, STATE))
        assert newest_step(tmp_path) == step


def test_saving_at_a_step_replaces_that_file(tmp_path):
    save(tmp_path, 10)
    checkpointer(tmp_path).save(Checkpoint(10, 99.0, STATE))
    assert checkpointer(tmp_path).latest().seconds == 99.0
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("keep", [1, 2])
def test_a_failure_while_writing_leaves_the_old_ones(tmp_path, monkeypatch, keep):
    save(tmp_path, 10, keep=keep)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(source, target):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 20, keep=keep)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert newest_step(tmp_path) == 10


def test_an_array_that_cannot_be_written_leaves_the_old_ones(tmp_path):
    save(tmp_path, 10)

    class Unwritable:
        dtype, shape = "float32", (1,)

        def __array__(self, dtype=None, copy=None):
            raise MemoryError

    with pytest.raises(MemoryError):
        checkpointer(tmp_path).save(Checkpoint(20, 1.0, {"scale": {"image": Unwritable()}}))
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000010.npz"]


@pytest.mark.parametrize(
    ("every", "step", "due"), [(10, 10, True), (10, 15, False), (10, 20, True), (0, 20, False)]
)
def test_is_due_by_steps(tmp_path, every, step, due):
    assert checkpointer(tmp_path, every=every).is_due(step, 1e6) is due


def test_is_due_by_minutes_since_the_last_save(tmp_path):
    one = checkpointer(tmp_path, every=0, minutes=2.0)
    assert [one.is_due(1, seconds) for seconds in (0.0, 119.9, 120.0, 500.0)] == [
        *(False, False),
        *(True, True),
    ]
    one.save(Checkpoint(5, 130.0, STATE))
    assert [one.is_due(6, seconds) for seconds in (249.0, 250.0)] == [False, True]


def test_minutes_count_from_the_checkpoint_that_was_taken(tmp_path):
    checkpointer(tmp_path).save(Checkpoint(5, 1000.0, STATE))
    one = checkpointer(tmp_path, every=0, minutes=1.0)
    one.latest()
    assert [one.is_due(6, seconds) for seconds in (1059.0, 1060.0)] == [False, True]


def test_neither_by_steps_nor_by_minutes_is_never(tmp_path):
    one = checkpointer(tmp_path, every=0, minutes=0)
    assert not any(one.is_due(step, 1e9) for step in range(1, 100))


def later(folder, keep=2, **options):
    """A checkpointer and the work that waits for it."""
    waiting = []
    options = {"every": 10, "minutes": 0.0, **options}
    return Checkpointer(folder, "run", keep=keep, submit=waiting.append, **options), waiting


def test_work_that_is_done_later_saves_first_and_then_removes(tmp_path):
    save(tmp_path, 10, 20)
    one, waiting = later(tmp_path)
    path = one.save(Checkpoint(30, 1.0, STATE))
    one.save(Checkpoint(40, 2.0, STATE))
    assert not path.exists() and newest_step(tmp_path) == 20
    names = []
    for work in waiting:
        work()
        names.append([path.name[-6:-4] for path in sorted(tmp_path.iterdir())])
    assert names == [["20", "30"], ["30", "40"]]
    assert newest_step(tmp_path) == 40


def test_a_failure_of_later_work_leaves_the_old_ones(tmp_path, monkeypatch):
    save(tmp_path, 10, keep=1)
    one, waiting = later(tmp_path, keep=1)
    one.save(Checkpoint(20, 1.0, STATE))
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        waiting.pop()()
    assert newest_step(tmp_path) == 10


def test_minutes_count_from_the_submission_and_not_from_its_failure(tmp_path):
    one, _ = later(tmp_path, every=0, minutes=1.0)
    one.save(Checkpoint(5, 130.0, STATE))
    assert [one.is_due(6, seconds) for seconds in (189.0, 190.0)] == [False, True]

    def refuse(_):
        raise OSError("No space left on device")

    one = Checkpointer(tmp_path, "run", every=0, minutes=1.0, keep=2, submit=refuse)
    with pytest.raises(OSError, match="No space"):
        one.save(Checkpoint(5, 130.0, STATE))
    assert one.is_due(6, 131.0)


@pytest.mark.parametrize(
    ("first", "last", "step"), [(15, 35, 30), (15, 30, 30), (25, 29, 30), (11, 15, 20), (41, 50, 0)]
)
def test_the_nearest_is_the_newest_in_range_or_the_first_one_after(tmp_path, first, last, step):
    paths = save(tmp_path, 10, 20, 30, 40, keep=9)
    found = checkpointer(tmp_path).nearest(first, last)
    assert (found.step if found else 0) == step
    assert sorted(tmp_path.iterdir()) == paths


def test_the_nearest_is_undamaged(tmp_path):
    paths = save(tmp_path, 10, 20, 30, keep=9)
    paths[1].write_bytes(b"torn")
    assert checkpointer(tmp_path).nearest(1, 29).step == 10
    assert checkpointer(tmp_path).nearest(15, 19).step == 30


def test_later_checkpoints_are_forgotten(tmp_path):
    paths = save(tmp_path, 10, 20, 30, keep=9)
    checkpointer(tmp_path).forget_after(20)
    assert sorted(tmp_path.iterdir()) == paths[:2]


def test_what_is_being_written_is_waited_for(tmp_path):
    waiting = []

    def wait():
        while waiting:
            waiting.pop(0)()

    one = Checkpointer(
        tmp_path, "run", every=1, minutes=0, keep=3, submit=waiting.append, wait=wait
    )
    one.save(Checkpoint(5, 1.0, STATE))
    assert one.latest() is None
    assert one.nearest(1, 9).step == 5
    one.save(Checkpoint(6, 2.0, STATE))
    one.forget_after(5)
    assert newest_step(tmp_path) == 5


def test_steps_are_those_of_undamaged_checkpoints(tmp_path):
    save(tmp_path, 2, 4, 6, keep=3)
    (tmp_path / "step_000000004.npz").write_bytes(b"torn")
    assert checkpointer(tmp_path).steps() == [6, 2]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_a_checkpoint_that_cannot_be_read_now_is_not_taken_for_damaged(
    tmp_path, monkeypatch, error
):
    normal, unread = Checkpointer._load, [tmp_path / "step_000000020.npz"]

    def load(self, path):
        if path in unread:
            raise error
        return normal(self, path)

    monkeypatch.setattr(Checkpointer, "_load", load)
    save(tmp_path, 10, 20)
    assert newest_step(tmp_path) == 10
    unread.append(tmp_path / "step_000000010.npz")
    with pytest.raises(type(error)):  # the run would begin anew
        newest_step(tmp_path)


def test_if_asked_for_no_later_one_is_taken(tmp_path):
    save(tmp_path, 10, 20, 30, keep=9)
    assert checkpointer(tmp_path).nearest(15, 25, or_later=False).step == 20
    assert checkpointer(tmp_path).nearest(11, 15, or_later=False) is None


def test_steps_are_not_told_while_one_cannot_be_read(tmp_path, monkeypatch):
    save(tmp_path, 10)

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Checkpointer, "_load", fail)
    with pytest.raises(OSError, match="Input/output error"):
        checkpointer(tmp_path).steps()
