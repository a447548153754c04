"""What is made of a finished run; that a failure costs no result."""

import pytest

from nst_keras.imaging import images
from nst_keras.runs import extras
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.record import RunRecord
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from tests.runs.conftest import write_run


@pytest.fixture
def folder(tmp_path):
    return RunFolder(write_run(tmp_path / "run"))


def config(**changes):
    return Config(content="photo.jpg", style=("painting.jpg",), **changes)


def size_of(path):
    return images.read_image(path).pixels.shape[:2]


def test_strips_show_chosen_steps_and_content_style_and_result(folder):
    extras.write_strips(folder, config(image_at=(20, 10, 35)), height=30)
    height, width = size_of(folder.strip)
    assert width > 2 * 40 and height >= 30  # two pictures: the third was never made
    assert size_of(folder.side_by_side)[1] > 40 + 20 + 40


def test_without_chosen_steps_there_is_no_strip_of_them(folder):
    extras.write_strips(folder, config(), height=30)
    assert not folder.strip.exists() and folder.side_by_side.exists()


def test_a_damaged_picture_is_a_warning(folder, caplog):
    folder.iteration(10).write_bytes(b"\xff\xd8")
    folder.content.unlink()
    extras.write_strips(folder, config(image_at=(10, 20)), height=30)
    extras.write_gif(folder, config(gif=True))
    assert [message.partition(":")[0] for message in caplog.messages] == [
        *(str(folder.strip), str(folder.side_by_side), str(folder.gif))
    ]


def test_a_gif_is_made_as_asked_for_and_once(folder):
    extras.write_gif(folder, config(gif=False))
    assert not folder.gif.exists()
    extras.write_gif(folder, config(gif=True))
    assert folder.gif.read_bytes()[:3] == b"GIF"
    folder.gif.write_text("made before")
    extras.write_gif(folder, config(gif=True))
    assert folder.gif.read_text() == "made before"


def test_one_picture_makes_no_animation(folder, caplog):
    for step in (20, 30, 40):
        folder.iteration(step).unlink()
    extras.write_gif(folder, config())
    extras.write_video(folder, config(mp4=True))
    assert not folder.gif.exists() and not folder.mp4.exists()
    assert caplog.messages == [
        "--mp4: a video needs at least two iteration images; use a smaller --image_every"
    ]


def test_a_video_that_fails_is_a_warning(folder, caplog, monkeypatch):
    for error in (InputError("no encoder"), OSError(28, "No space left on device")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(extras.animation, "write_mp4", fail)
        extras.write_video(folder, config(mp4=True))
    assert caplog.messages == [
        f"{folder.mp4}: no encoder",
        f"{folder.mp4}: No space left on device",
    ]


def test_a_run_is_complete_once_its_page_is_as_new_as_its_record(tmp_path):
    folder = RunFolder(tmp_path)
    RunRecord(status="finished").write(folder.record)
    assert not extras._is_complete(folder)
    folder.page.write_text("page")
    assert extras._is_complete(folder)
    (tmp_path / ".progress.gif.0a1b2c3d.tmp").touch()
    assert not extras._is_complete(folder)


def test_a_finished_run_is_completed_after_a_kill_in_its_last_moments(folder):
    folder.page.unlink()
    left = folder.path / ".progress.gif.0a1b2c3d.tmp"
    left.touch()
    extras.complete(folder, config(gif=False))
    assert folder.page.exists() and not left.exists() and not folder.gif.exists()


def test_a_complete_run_is_left_as_it_is_unless_an_animation_is_asked_for(folder):
    before = folder.page.read_text()
    extras.complete(folder, config(gif=False))
    assert folder.page.read_text() == before
    extras.complete(folder, config(gif=True))
    assert folder.gif.exists() and "progress.gif" in folder.page.read_text()


def test_a_folder_that_cannot_be_written_to_is_left_as_it_is(folder, monkeypatch, caplog):
    def fail(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(extras.animation, "write_gif", fail)
    extras.complete(folder, config(gif=True))
    assert caplog.messages == [f"{folder.path}: Read-only file system"]


def test_the_record_of_a_run_is_not_changed_by_its_completion(folder):
    RunRecord(status="finished").write(folder.record)
    extras.complete(folder, config(gif=True))
    assert folder.read_record() == RunRecord(status="finished")
