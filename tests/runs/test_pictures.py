"""What a run writes for people while it runs, at once or by work that is done later."""

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.runs import pictures
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.pictures import PictureWriter
from nst_keras.runs.record import RunRecord
from nst_keras.settings.config import Config
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.plan import Scale
from tests.conftest import picture
from tests.runs.conftest import FakeSource

SCALE = Scale(0, 20, 30, 8, 1)


def iterate(step):
    return Iterate(
        step=step,
        total_steps=8,
        scale=SCALE,
        scales=(SCALE,),
        terms={"total": 1.0},
        seconds=step * 1.5,
        seconds_left=1.0,
        steps_per_second=1.0,
        source=FakeSource(step),
    )


@pytest.fixture
def always(monkeypatch):
    """Renew the page at every iterate."""
    monkeypatch.setattr(pictures, "_REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(pictures, "_REFRESH_SHARE", 0.0)


def make(path, notes=(), **options):
    folder = RunFolder(path)
    folder.prepare(Fingerprint({}, {}))
    record = RunRecord(status="running")
    return folder, PictureWriter(folder, Config(image_every=2), record, notes, **options)


def files_of(folder):
    paths = [path for path in folder.path.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in paths}


def report(write, *steps):
    """As in a run: an iterate has no image any more when the next one comes."""
    for step in steps:
        one = iterate(step)
        write(one)
        one.source = None


def test_by_default_everything_is_written_at_once(tmp_path, always):
    folder, write = make(tmp_path)
    report(write, 2)
    assert folder.iteration(2).exists() and folder.latest.exists() and folder.page.exists()
    assert folder.read_record() == RunRecord(status="running", step=2, seconds=3.0)


def test_nothing_is_written_before_the_work_is_done(tmp_path, always):
    waiting = []
    folder, write = make(tmp_path, submit=waiting.append)
    before = files_of(folder)
    report(write, 1, 2, 3)
    write.interrupt(iterate(3))
    assert files_of(folder) == before and waiting


def test_late_work_writes_the_record_as_it_was_when_submitted(tmp_path, always):
    waiting, records = [], []
    late, write = make(tmp_path / "late", submit=waiting.append)
    report(write, 1, 2, 3, 4)
    for work in waiting:
        work()
        records.append(late.read_record())
    shown = [one.step for one in records if one.step is not None]
    assert sorted(set(shown)) == [1, 2, 3, 4] and shown == sorted(shown)
    assert records[-1] == RunRecord(status="running", step=4, seconds=6.0)
    at_once, write = make(tmp_path / "at_once")
    report(write, 1, 2, 3, 4)
    assert files_of(late) == files_of(at_once)


def test_warnings_after_the_submission_are_not_in_its_record(tmp_path, always):
    waiting, notes = [], ["the first"]
    folder, write = make(tmp_path, notes, submit=waiting.append)
    report(write, 1)
    notes.append("the second")
    for work in waiting:
        work()
    assert folder.read_record().notes == ("the first",)


def test_an_interruption_leaves_its_picture_and_status(tmp_path):
    waiting = []
    folder, write = make(tmp_path / "late", submit=waiting.append)
    one = iterate(5)
    write.interrupt(one)
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
    folder, write = make(tmp_path, notes)
    report(write, 2)
    notes.append("converged at step 3")
    one = iterate(3)
    one.stopped = True
    write(one)
    assert folder.read_record().notes == tuple(notes)


def test_a_failure_is_on_disk_at_once_with_its_reason(tmp_path):
    folder, write = make(tmp_path, submit=lambda work: None)
    report(write, 3)
    write.end("failed", "the disk: No space left on device")
    assert folder.read_record() == RunRecord(
        status="failed", reason="the disk: No space left on device", step=3, seconds=4.5
    )
    assert "No space left on device" in folder.page.read_text()
