"""What a run writes and shows while it runs, and what it leaves when it fails."""

import contextlib
import dataclasses
import errno
from types import SimpleNamespace

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.runs import page, renewals
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.record import Fingerprint, RunRecord
from nst_keras.runs.setup import make_checkpointer
from nst_keras.runs.writers import RunWriter
from nst_keras.runtime.background import Background, at_once
from nst_keras.runtime.checkpoints import Checkpoint
from nst_keras.runtime.errors import DeviceError, InputError, LostHostError
from nst_keras.settings.config import Config
from tests.conftest import picture
from tests.runs.conftest import FakeSource, iterate, run_in

CONFIG = Config(
    schedule="constant",
    iterations=80,
    log_every=1,
    image_every=0,
    checkpoint_every=1,
    checkpoint_minutes=0,
    keep_checkpoints=2,
)


def asked(**settings):
    return Fingerprint({"schedule": "constant", "iterations": "80", **settings}, {})


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.prepare(asked())
    return folder


def make(folder, background):
    record = RunRecord(
        status="running", fingerprint=asked(), requested=asked(), resume_command="nst --workdir=x"
    )
    return RunWriter(run_in(folder, CONFIG), record, background)


def step(number):
    return iterate(number, source=FakeSource(number))


def test_steps_are_written_and_an_interruption_says_how_to_resume(folder):
    background = Background()
    writer = make(folder, background)
    with writer.open(quiet=True), background:
        for number in (1, 2):
            writer.take(step(number))
        writer.show(step(2), status="interrupted")
    assert folder.metrics.read_text().count("\n") == 2
    record = folder.read_record()
    assert (record.status, record.step) == ("interrupted", 2)
    assert "nst --workdir=x" in folder.page.read_text()
    assert writer.resume_command == "nst --workdir=x"


def test_the_seconds_of_parts_add_up_over_resumes(folder, monkeypatch):
    now = SimpleNamespace(seconds=lambda: {"import": 2.0, "steps": 0.254})
    record = RunRecord(status="running", parts={"reading": 1.0, "steps": 30.0})
    writer = RunWriter(run_in(folder, CONFIG), record, Background(), now)
    assert writer.parts() == {"reading": 1.0, "steps": 30.25, "import": 2.0}


def test_a_resume_continues_after_the_newest_checkpoint(folder, caplog):
    caplog.set_level("INFO")
    make_checkpointer(run_in(folder, CONFIG)).save(Checkpoint(7, 1.0, {}))
    background = Background()
    writer = make(folder, background)
    with writer.open(quiet=True), background:
        writer.take(step(7))  # its row is there already
        writer.take(step(8))
    assert "resuming after step 7" in caplog.messages
    assert folder.metrics.read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (InputError("--mp4: no"), "failed", "--mp4: no"),
        (FloatingPointError("the loss is not finite"), "failed", "the loss is not finite"),
        (MemoryError(), "failed", "out of memory"),
        (OSError(28, "No space left", "x.png"), "failed", "x.png: No space left"),
        (DeviceError("the GPU is lost"), "failed", "the GPU is lost; run"),
        (ZeroDivisionError("by nothing\nat all"), "failed", "ZeroDivisionError: by nothing"),
        (LostHostError("host 2"), "interrupted", ""),
    ],
)
def test_a_run_that_fails_records_why(folder, error, status, reason):
    background = Background()
    writer = make(folder, background)
    with contextlib.suppress(type(error)), writer.open(quiet=True), background:
        writer.take(step(3))
        raise error
    record = folder.read_record()
    assert (record.status, record.step) == (status, 3)
    assert record.reason.startswith(reason) and bool(record.reason) == bool(reason)
    assert reason in folder.page.read_text()


def test_a_result_that_cannot_be_written_is_a_failure(folder, monkeypatch):
    background = Background()
    writer = make(folder, background)
    with writer.open(quiet=True), background:
        writer.take(step(80))
    folder.result.mkdir()  # so that no file can take its place
    with pytest.raises(OSError):
        writer.finish(step(80))
    record = folder.read_record()
    assert record.status == "failed" and record.reason.startswith(str(folder.path))


def test_the_error_is_raised_even_if_it_cannot_be_recorded(folder, monkeypatch):
    background = Background()
    writer = make(folder, background)
    with pytest.raises(MemoryError), writer.open(quiet=True), background:
        folder.path.rename(folder.path.with_name("gone"))
        raise MemoryError


# Pictures, record and page, by work that is done later


@pytest.fixture
def always(monkeypatch):
    """Renew the page at every iterate, and leave out when that was."""
    monkeypatch.setattr(renewals.Renewals, "is_due", lambda self, worked: True)
    monkeypatch.setattr(page, "live", lambda within: None)


def make_late(path, notes=None, submit=at_once):
    """A writer whose work is only submitted, and its folder."""
    folder = RunFolder(path)
    folder.prepare(Fingerprint({}, {}))
    run = run_in(folder, dataclasses.replace(CONFIG, image_every=2), notes)
    background = SimpleNamespace(submit=submit, wait=lambda: None)
    return folder, RunWriter(run, RunRecord(status="running"), background)


def files_of(folder):
    paths = [path for path in folder.path.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in paths}


def report(writer, *steps, **changes):
    """As in a run: an iterate has no image any more when the next one comes."""
    for number in steps:
        one = iterate(number, number * 1.5, source=FakeSource(number), **changes)
        writer.write_pictures(one)
        one.source = None


def test_by_default_everything_is_written_at_once(tmp_path, always):
    folder, writer = make_late(tmp_path)
    report(writer, 2)
    assert folder.iteration(2).exists() and folder.latest.exists() and folder.page.exists()
    assert folder.read_record() == RunRecord(
        status="running", step=2, seconds=3.0, seconds_left=65.0
    )


def test_nothing_is_written_before_the_work_is_done(tmp_path, always):
    waiting = []
    folder, writer = make_late(tmp_path, submit=waiting.append)
    before = files_of(folder)
    report(writer, 1, 2, 3)
    writer.show(step(3), status="interrupted")
    assert files_of(folder) == before and waiting


def test_late_work_writes_the_record_as_it_was_when_submitted(tmp_path, always):
    waiting, records = [], []
    late, writer = make_late(tmp_path / "late", submit=waiting.append)
    report(writer, 1, 2, 3, 4)
    for work in waiting:
        work()
        records.append(late.read_record())
    shown = [one.step for one in records if one.step is not None]
    assert sorted(set(shown)) == [1, 2, 3, 4] and shown == sorted(shown)
    assert records[-1] == RunRecord(status="running", step=4, seconds=6.0, seconds_left=65.0)
    same, writer = make_late(tmp_path / "at_once")
    report(writer, 1, 2, 3, 4)
    assert files_of(late) == files_of(same)


def test_warnings_after_the_submission_are_not_in_its_record(tmp_path, always):
    waiting, notes = [], ["the first"]
    folder, writer = make_late(tmp_path, notes, submit=waiting.append)
    report(writer, 1)
    notes.append("the second")
    for work in waiting:
        work()
    assert folder.read_record().notes == ("the first",)


def test_an_interruption_leaves_its_picture_and_status(tmp_path):
    waiting = []
    folder, writer = make_late(tmp_path / "late", submit=waiting.append)
    one = step(5)
    writer.show(one, status="interrupted")
    one.source = None
    for work in waiting:
        work()
    assert folder.read_record().status == "interrupted" and folder.page.exists()
    images.write_image(tmp_path / "same.jpg", picture(20, 30, seed=5))
    assert folder.latest.read_bytes() == (tmp_path / "same.jpg").read_bytes()
    assert not np.array_equal(picture(20, 30, seed=5), picture(20, 30, seed=4))


def test_an_early_stop_is_recorded_before_the_next_checkpoint(tmp_path):
    """A run that is killed then and resumes does not note it again."""
    notes: list[str] = []
    folder, writer = make_late(tmp_path, notes)
    report(writer, 2)
    notes.append("converged at step 3")
    report(writer, 3, stopped=True)
    assert folder.read_record().notes == tuple(notes)


def test_a_failure_is_on_disk_at_once_with_its_reason(tmp_path):
    folder, writer = make_late(tmp_path, submit=lambda work: None)
    with contextlib.suppress(OSError), writer.open(quiet=True):
        report(writer, 3)
        raise OSError(errno.ENOSPC, "No space left on device")
    assert folder.read_record() == RunRecord(
        status="failed", reason="the disk: No space left on device", step=3, seconds=4.5
    )
    assert "No space left on device" in folder.page.read_text()
