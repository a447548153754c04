"""The copy of a result at --output."""

import hashlib

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.runs import output_copy
from nst_keras.runs.folder import RunFolder
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


def copied_to(path, **changes):
    return resolve(config(output=str(path), **changes))


def refused(check, *arguments):
    with pytest.raises(InputError) as caught:
        check(*arguments)
    return str(caught.value)


def test_a_place_for_a_file_is_in_a_folder_that_can_be_written_to(tmp_path, monkeypatch):
    output_copy.check_place(tmp_path / "page.html")
    assert "is a folder; give the name of a file" in refused(output_copy.check_place, tmp_path)
    missing = tmp_path / "no" / "page.html"
    assert f"there is no folder {missing.parent}" in refused(output_copy.check_place, missing)
    monkeypatch.setattr("os.access", lambda *_: False)
    message = refused(output_copy.check_place, tmp_path / "page.html")
    assert message == f"--output={tmp_path}/page.html: the folder {tmp_path} cannot be written to"


def test_a_place_that_the_system_refuses_names_the_flag(tmp_path, monkeypatch):
    long = tmp_path / f"{'x' * 300}.html"
    message = refused(output_copy.check_place, long)
    assert message == f"--output={long}: cannot be used: File name too long"
    longest = tmp_path / f"{'x' * 250}.html"
    output_copy.check_place(longest)
    files.write_text(longest, "page")
    assert [*tmp_path.iterdir()] == [longest]


def test_a_run_needs_no_output(folder):
    output_copy.check(config(), folder, SIZE)
    output_copy.check_is_free(config())


def test_an_output_must_not_cost_somebody_a_file(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "painting.jpg"):
        message = refused(output_copy.check, copied_to(name, overwrite=True), folder, SIZE)
        assert message == f"--output={name}: is one of the inputs; give another name"
    message = refused(output_copy.check, copied_to("run/strip.png"), folder, SIZE)
    assert message == "--output=run/strip.png: is in the run's folder; give another place"
    output_copy.check(copied_to("copy.png"), folder, SIZE)
    assert ".png" in refused(output_copy.check, copied_to("copy.doc"), folder, SIZE)


def test_a_format_that_cannot_hold_the_result_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, most in (("copy.jpg", 65_500), ("copy.webp", 16_383), ("copy.avif", 65_536)):
        output_copy.check(copied_to(name), folder, (9, most))
        message = refused(output_copy.check, copied_to(name), folder, (9, most + 1))
        assert f"at most {most:,} px a side, but the picture has {most + 1:,} x 9" in message
        with pytest.raises(InputError, match="cannot be written as .*; use .png"):
            images.write_image(tmp_path / name, np.zeros((1, most + 1, 3), np.float32))
    output_copy.check(copied_to("copy.tif"), folder, (9, 10**6))


def test_a_file_is_replaced_where_the_run_has_made_it_or_may_overwrite_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place, given = str(tmp_path / "copy.png"), copied_to("copy.png")
    output_copy.check_is_free(given)
    (tmp_path / "copy.png").write_text("mine")
    own = {place: hashlib.sha256(b"mine").hexdigest()}
    for copies in ({}, {place: "1" * 64}, {str(tmp_path / "other.png"): ""}):
        message = refused(output_copy.check_is_free, given, copies)
        assert message == "--output=copy.png: exists already; give another name, or --overwrite"
    output_copy.check_is_free(copied_to("copy.png", overwrite=True))
    for copies in (own, {place: ""}):
        output_copy.check_is_free(given, copies)
    assert output_copy.allowed(given) == {} == output_copy.allowed(config(overwrite=True))
    assert output_copy.allowed(copied_to("copy.png", overwrite=True)) == {place: ""}


def test_a_copy_is_recorded_by_what_is_in_it(folder, tmp_path):
    images.write_image(folder.result, picture(20, 30))
    place = tmp_path / "copy.png"
    made = {str(place): hashlib.sha256(folder.result.read_bytes()).hexdigest()}
    assert output_copy.write(folder, copied_to(place)) == made
    folder.update_record(copies=made)
    place.write_text("edited")
    assert output_copy.write(folder, copied_to(place)) == made
    assert place.read_text() == "edited"
    assert output_copy.write(folder, config()) == made


def test_a_png_is_copied_with_its_texts_and_others_are_converted(folder, tmp_path):
    images.write_image(folder.result, picture(20, 30), {"Software": "nst_keras"})
    output_copy.write(folder, copied_to(tmp_path / "copy.png"))
    assert (tmp_path / "copy.png").read_bytes() == folder.result.read_bytes()
    output_copy.write(folder, copied_to(tmp_path / "copy.jpg"))
    assert images.read_image(tmp_path / "copy.jpg").pixels.shape == (20, 30, 3)


def test_a_file_that_is_there_by_now_is_not_replaced(folder, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "copy.png").write_text("mine")
    (tmp_path / ".copy.png.0a1b2c3d.tmp").touch()  # left by a crash
    output_copy.write(folder, copied_to(tmp_path / "copy.png"))
    assert (tmp_path / "copy.png").read_text() == "mine"
    assert caplog.messages == [
        f"--output={tmp_path}/copy.png: exists already and was not replaced; give another name, or "
        "--overwrite"
    ]
    assert not (tmp_path / ".copy.png.0a1b2c3d.tmp").exists()
    output_copy.write(folder, copied_to(tmp_path / "copy.png", overwrite=True))
    assert (tmp_path / "copy.png").read_bytes() == folder.result.read_bytes()
