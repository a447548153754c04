"""What a run writes for people to look at, at once or later; and what is made of a finished run."""

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.runs import pictures, scores
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.pictures import PictureWriter
from nst_keras.runs.record import Fingerprint, RunRecord
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.scales import Scale
from tests.conftest import picture
from tests.runs.conftest import FakeSource, run_in, write_run

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
    run = run_in(folder, Config(image_every=2), notes)
    return folder, PictureWriter(run, record, **options)


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
    write.show(iterate(3), status="interrupted")
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
    write.show(one, status="interrupted")
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
    write.refresh(status="failed", reason="the disk: No space left on device")
    assert folder.read_record() == RunRecord(
        status="failed", reason="the disk: No space left on device", step=3, seconds=4.5
    )
    assert "No space left on device" in folder.page.read_text()


# What is made of a finished run


@pytest.fixture
def folder(tmp_path):
    return RunFolder(write_run(tmp_path / "run"))


def config(**changes):
    return Config(content="photo.jpg", style=("painting.jpg",), **changes)


def size_of(path):
    return images.read_image(path).pixels.shape[:2]


def test_strips_show_chosen_steps_and_content_style_and_result(folder):
    pictures.write_strips(folder, config(image_at=(20, 10, 35)), height=30)
    height, width = size_of(folder.strip)
    assert width > 2 * 40 and height >= 30  # two pictures: the third was never made
    assert size_of(folder.side_by_side)[1] > 40 + 20 + 40


def test_without_chosen_steps_there_is_no_strip_of_them(folder):
    pictures.write_strips(folder, config(), height=30)
    assert not folder.strip.exists() and folder.side_by_side.exists()


def test_a_damaged_picture_is_a_warning(folder, caplog):
    folder.iteration(10).write_bytes(b"\xff\xd8")
    folder.content.unlink()
    pictures.write_strips(folder, config(image_at=(10, 20)), height=30)
    pictures.write_animations(folder, config(gif=True))
    assert [message.partition(":")[0] for message in caplog.messages] == [
        *(str(folder.strip), str(folder.side_by_side), str(folder.gif))
    ]


def test_animations_are_made_as_asked_for_and_once(folder):
    pictures.write_animations(folder, config(gif=False))
    assert not folder.gif.exists()
    pictures.write_animations(folder, config(gif=True))
    assert folder.gif.read_bytes()[:3] == b"GIF"
    folder.gif.write_text("made before")
    pictures.write_animations(folder, config(gif=True))
    assert folder.gif.read_text() == "made before"


def test_one_picture_makes_no_animation(folder, caplog):
    for step in (20, 30, 40):
        folder.iteration(step).unlink()
    pictures.write_animations(folder, config(gif=True, mp4=True))
    assert not folder.gif.exists() and not folder.mp4.exists()
    assert caplog.messages == ["--mp4: there are too few iteration images for a video"]


def test_a_video_that_fails_is_a_warning(folder, caplog, monkeypatch):
    for error in (InputError("no encoder"), OSError(28, "No space left on device")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(pictures.mp4, "write_mp4", fail)
        pictures.write_animations(folder, config(gif=False, mp4=True))
    assert caplog.messages == [
        f"{folder.mp4}: no encoder",
        f"{folder.mp4}: No space left on device",
    ]


def test_a_run_is_complete_once_its_page_is_as_new_as_its_record(tmp_path):
    folder = RunFolder(tmp_path)
    RunRecord(status="finished").write(folder.record)
    assert not pictures._is_complete(folder)
    folder.page.write_text("page")
    assert pictures._is_complete(folder)
    (tmp_path / ".progress.gif.0a1b2c3d.tmp").touch()
    assert not pictures._is_complete(folder)


def test_a_finished_run_is_completed_after_a_kill_in_its_last_moments(folder):
    folder.page.unlink()
    left = folder.path / ".progress.gif.0a1b2c3d.tmp"
    left.touch()
    pictures.complete(folder, config(gif=False))
    assert folder.page.exists() and not left.exists() and not folder.gif.exists()


def test_a_complete_run_is_left_as_it_is_unless_an_animation_is_asked_for(folder):
    before = folder.page.read_text()
    pictures.complete(folder, config(gif=False))
    assert folder.page.read_text() == before
    pictures.complete(folder, config(gif=True))
    assert folder.gif.exists() and "progress.gif" in folder.page.read_text()


def test_scores_that_do_not_fit_into_memory_are_a_warning(monkeypatch, caplog):
    def too_large(*_):
        raise MemoryError("there is not enough memory")

    monkeypatch.setattr(scores, "score_result", too_large)
    assert pictures._scores(iterate(8)) == {}
    assert caplog.messages == ["scores: there is not enough memory"]
    monkeypatch.setattr(scores, "score_result", lambda *_: {"ssim": 0.5})
    assert pictures._scores(iterate(8)) == {"ssim": 0.5}


def test_the_record_of_a_run_is_not_changed_by_its_completion(folder):
    RunRecord(status="finished").write(folder.record)
    pictures.complete(folder, config(gif=True))
    assert folder.read_record() == RunRecord(status="finished")


def copied_to(path, **changes):
    return resolve(config(output=str(path), **changes))


def refused(check, *arguments):
    with pytest.raises(InputError) as caught:
        check(*arguments)
    return str(caught.value)


def test_a_place_for_a_file_is_in_a_folder_that_can_be_written_to(tmp_path, monkeypatch):
    pictures.check_place(tmp_path / "page.html")
    assert "is a folder; give the name of a file" in refused(pictures.check_place, tmp_path)
    missing = tmp_path / "no" / "page.html"
    assert f"there is no folder {missing.parent}" in refused(pictures.check_place, missing)
    monkeypatch.setattr("os.access", lambda *_: False)
    message = refused(pictures.check_place, tmp_path / "page.html")
    assert message == f"--output={tmp_path}/page.html: the folder {tmp_path} cannot be written to"


def test_a_run_needs_no_output():
    pictures.check_output(config())


def test_an_output_must_not_cost_somebody_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "painting.jpg"):
        message = refused(pictures.check_output, copied_to(name, overwrite=True))
        assert message == f"--output={name}: is one of the inputs; give another name"
    (tmp_path / "copy.png").write_text("mine")
    message = refused(pictures.check_output, copied_to("copy.png"))
    assert message == "--output=copy.png: exists already; give another name, or --overwrite"
    pictures.check_output(copied_to("copy.png", overwrite=True))
    assert ".png" in refused(pictures.check_output, copied_to("copy.doc"))


def test_a_png_is_copied_with_its_texts_and_others_are_converted(folder, tmp_path):
    images.write_image(folder.result, picture(20, 30), {"Software": "nst_keras"})
    pictures.copy_result(folder, copied_to(tmp_path / "copy.png"))
    assert (tmp_path / "copy.png").read_bytes() == folder.result.read_bytes()
    pictures.copy_result(folder, copied_to(tmp_path / "copy.jpg"))
    assert images.read_image(tmp_path / "copy.jpg").pixels.shape == (20, 30, 3)


def test_a_file_that_is_there_by_now_is_not_replaced(folder, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "copy.png").write_text("mine")
    (tmp_path / ".copy.png.0a1b2c3d.tmp").touch()  # left by a crash
    pictures.copy_result(folder, copied_to(tmp_path / "copy.png"))
    assert (tmp_path / "copy.png").read_text() == "mine"
    assert caplog.messages == [f"{tmp_path}/copy.png exists already and is not replaced"]
    assert not (tmp_path / ".copy.png.0a1b2c3d.tmp").exists()
    pictures.copy_result(folder, copied_to(tmp_path / "copy.png", overwrite=True))
    assert (tmp_path / "copy.png").read_bytes() == folder.result.read_bytes()
