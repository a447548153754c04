"""What is made of a finished run; that a failure costs no result; and the copy for --output."""

import hashlib

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.runs import extras
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.record import RunRecord
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from tests.conftest import picture
from tests.runs.conftest import write_run

SIZE = (30, 40)  # of a result


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


def test_the_record_of_a_run_is_not_changed_by_its_completion(folder):
    RunRecord(status="finished").write(folder.record)
    extras.complete(folder, config(gif=True))
    assert folder.read_record() == RunRecord(status="finished")


def copied_to(path, **changes):
    return resolve(config(output=str(path), **changes))


def refused(check, *arguments):
    with pytest.raises(InputError) as caught:
        check(*arguments)
    return str(caught.value)


def test_a_place_for_a_file_is_in_a_folder_that_can_be_written_to(tmp_path, monkeypatch):
    extras.check_place(tmp_path / "page.html")
    assert "is a folder; give the name of a file" in refused(extras.check_place, tmp_path)
    missing = tmp_path / "no" / "page.html"
    assert f"there is no folder {missing.parent}" in refused(extras.check_place, missing)
    monkeypatch.setattr("os.access", lambda *_: False)
    message = refused(extras.check_place, tmp_path / "page.html")
    assert message == f"--output={tmp_path}/page.html: the folder {tmp_path} cannot be written to"


def test_a_place_that_the_system_refuses_names_the_flag(tmp_path, monkeypatch):
    long = tmp_path / f"{'x' * 300}.html"
    assert (
        refused(extras.check_place, long) == f"--output={long}: cannot be used: File name too long"
    )
    longest = tmp_path / f"{'x' * 250}.html"
    extras.check_place(longest)
    files.write_text(longest, "page")
    assert [*tmp_path.iterdir()] == [longest]


def test_a_run_needs_no_output(folder):
    extras.check_output(config(), folder, SIZE)
    extras.check_output_is_free(config())


def test_an_output_must_not_cost_somebody_a_file(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "painting.jpg"):
        message = refused(extras.check_output, copied_to(name, overwrite=True), folder, SIZE)
        assert message == f"--output={name}: is one of the inputs; give another name"
    message = refused(extras.check_output, copied_to("run/strip.png"), folder, SIZE)
    assert message == "--output=run/strip.png: is in the run's folder; give another place"
    extras.check_output(copied_to("copy.png"), folder, SIZE)
    assert ".png" in refused(extras.check_output, copied_to("copy.doc"), folder, SIZE)


def test_a_format_that_cannot_hold_the_result_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, most in (("copy.jpg", 65_500), ("copy.webp", 16_383), ("copy.avif", 65_536)):
        extras.check_output(copied_to(name), folder, (9, most))
        message = refused(extras.check_output, copied_to(name), folder, (9, most + 1))
        assert f"at most {most:,} px a side, but the picture has {most + 1:,} x 9" in message
        with pytest.raises(InputError, match="cannot be written as .*; use .png"):
            images.write_image(tmp_path / name, np.zeros((1, most + 1, 3), np.float32))
    extras.check_output(copied_to("copy.tif"), folder, (9, 10**6))


def test_a_file_is_replaced_where_the_run_has_made_it_or_may_overwrite_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place, given = str(tmp_path / "copy.png"), copied_to("copy.png")
    extras.check_output_is_free(given)
    (tmp_path / "copy.png").write_text("mine")
    own = {place: hashlib.sha256(b"mine").hexdigest()}
    for copies in ({}, {place: "1" * 64}, {str(tmp_path / "other.png"): ""}):
        message = refused(extras.check_output_is_free, given, copies)
        assert message == "--output=copy.png: exists already; give another name, or --overwrite"
    extras.check_output_is_free(copied_to("copy.png", overwrite=True))
    for copies in (own, {place: ""}):
        extras.check_output_is_free(given, copies)
    assert extras.allowed_copies(given) == {} == extras.allowed_copies(config(overwrite=True))
    assert extras.allowed_copies(copied_to("copy.png", overwrite=True)) == {place: ""}


def test_a_copy_is_recorded_by_what_is_in_it(folder, tmp_path):
    images.write_image(folder.result, picture(20, 30))
    place = tmp_path / "copy.png"
    made = {str(place): hashlib.sha256(folder.result.read_bytes()).hexdigest()}
    assert extras.copy_result(folder, copied_to(place)) == made
    folder.update_record(copies=made)
    place.write_text("edited")
    assert extras.copy_result(folder, copied_to(place)) == made
    assert place.read_text() == "edited"
    assert extras.copy_result(folder, config()) == made


def test_a_png_is_copied_with_its_texts_and_others_are_converted(folder, tmp_path):
    images.write_image(folder.result, picture(20, 30), {"Software": "nst_keras"})
    extras.copy_result(folder, copied_to(tmp_path / "copy.png"))
    assert (tmp_path / "copy.png").read_bytes() == folder.result.read_bytes()
    extras.copy_result(folder, copied_to(tmp_path / "copy.jpg"))
    assert images.read_image(tmp_path / "copy.jpg").pixels.shape == (20, 30, 3)


def test_a_file_that_is_there_by_now_is_not_replaced(folder, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "copy.png").write_text("mine")
    (tmp_path / ".copy.png.0a1b2c3d.tmp").touch()  # left by a crash
    extras.copy_result(folder, copied_to(tmp_path / "copy.png"))
    assert (tmp_path / "copy.png").read_text() == "mine"
    assert caplog.messages == [
        f"--output={tmp_path}/copy.png: exists already and was not replaced; give another name, or "
        "--overwrite"
    ]
    assert not (tmp_path / ".copy.png.0a1b2c3d.tmp").exists()
    extras.copy_result(folder, copied_to(tmp_path / "copy.png", overwrite=True))
    assert (tmp_path / "copy.png").read_bytes() == folder.result.read_bytes()
