"""Where --output may be, and the copy that is put there."""

import pytest

from nst_keras.imaging import images
from nst_keras.runs import output
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from tests.conftest import picture


def config(path, **changes):
    given = Config(content="photo.jpg", style=("painting.jpg",), output=str(path), **changes)
    return resolve(given)


def refused(check, *arguments):
    with pytest.raises(InputError) as caught:
        check(*arguments)
    return str(caught.value)


def test_a_place_for_a_file_is_in_a_folder_that_can_be_written_to(tmp_path, monkeypatch):
    output.check_place(tmp_path / "page.html")
    assert "is a folder; give the name of a file" in refused(output.check_place, tmp_path)
    missing = tmp_path / "no" / "page.html"
    assert f"there is no folder {missing.parent}" in refused(output.check_place, missing)
    monkeypatch.setattr("os.access", lambda *_: False)
    message = refused(output.check_place, tmp_path / "page.html")
    assert message == f"--output={tmp_path}/page.html: the folder {tmp_path} cannot be written to"


def test_a_run_needs_no_output():
    output.check_output(Config(content="photo.jpg", style=("painting.jpg",)))


def test_an_output_must_not_cost_somebody_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "painting.jpg"):
        message = refused(output.check_output, config(name, overwrite=True))
        assert message == f"--output={name}: is one of the inputs; give another name"
    (tmp_path / "copy.png").write_text("mine")
    message = refused(output.check_output, config("copy.png"))
    assert message == "--output=copy.png: exists already; give another name, or --overwrite"
    output.check_output(config("copy.png", overwrite=True))
    assert ".png" in refused(output.check_output, config("copy.doc"))


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    images.write_image(folder.result, picture(20, 30), {"Software": "nst_keras"})
    return folder


def test_a_png_is_copied_with_its_texts_and_others_are_converted(folder, tmp_path):
    output.copy_result(folder, config(tmp_path / "copy.png"))
    assert (tmp_path / "copy.png").read_bytes() == folder.result.read_bytes()
    output.copy_result(folder, config(tmp_path / "copy.jpg"))
    assert images.read_image(tmp_path / "copy.jpg").pixels.shape == (20, 30, 3)


def test_a_file_that_is_there_by_now_is_not_replaced(folder, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "copy.png").write_text("mine")
    (tmp_path / ".copy.png.0a1b2c3d.tmp").touch()  # left by a crash
    output.copy_result(folder, config(tmp_path / "copy.png"))
    assert (tmp_path / "copy.png").read_text() == "mine"
    assert caplog.messages == [f"{tmp_path}/copy.png exists already and is not replaced"]
    assert not (tmp_path / ".copy.png.0a1b2c3d.tmp").exists()
    output.copy_result(folder, config(tmp_path / "copy.png", overwrite=True))
    assert (tmp_path / "copy.png").read_bytes() == folder.result.read_bytes()
