"""The command that changes the colors of a finished run."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from nst_keras import recolor
from nst_keras.imaging import images
from nst_keras.imaging.recolor import recolored
from nst_keras.runs import command as run
from nst_keras.runs.folder import RunFolder
from tests.conftest import flags_of
from tests.runs.conftest import more_pictures, write_run


@pytest.fixture(scope="module")
def runs(picture_paths, tiny_weights_path, tmp_path_factory):
    """Folders of finished runs by their --color."""
    above, folders = tmp_path_factory.mktemp("runs"), {}
    for color in ("style", "content", "content_exact"):
        folders[color] = above / color
        flags = [*flags_of(picture_paths, tiny_weights_path), "--scales=1", f"--color={color}"]
        assert run.main([*flags, "--color_strength=0.8", f"--workdir={folders[color]}"]) == 0
    return folders


@pytest.fixture
def command(tmp_path, runs, capsys):
    """Runs the command on a copy of a finished run; returns its status and what it says."""
    for color, folder in runs.items():
        shutil.copytree(folder, tmp_path / color)
    capsys.readouterr()

    def call(*arguments):
        status = recolor.main([str(argument) for argument in arguments])
        return status, capsys.readouterr().err

    return call


def read(path):
    return images.read_image(path).pixels


def as_written(pixels):
    return np.round(pixels * 255) / 255


def test_the_result_is_written_beside_the_one_that_was_painted(command, tmp_path, picture_paths):
    folder = RunFolder(tmp_path / "style")
    before = folder.result.read_bytes()
    status, said = command(folder.path)
    path = folder.recolored("content_exact")
    assert (status, said) == (0, f"nst_keras: result: {path}\n")
    expected = recolored(read(folder.result), read(picture_paths[0]), "content_exact")
    np.testing.assert_allclose(read(path), as_written(expected), atol=1e-6)
    assert folder.result.read_bytes() == before
    (shown,) = more_pictures(folder.page)
    assert shown == "Result, changed to the photo's colors (content_exact)"


def test_kind_strength_and_place_are_chosen(command, tmp_path, picture_paths):
    folder, path = RunFolder(tmp_path / "style"), tmp_path / "mine.png"
    flags = ("--color=histogram", "--color_strength=0.4", f"--output={path}")
    assert command(folder.path, *flags)[0] == 0
    expected = recolored(read(folder.result), read(picture_paths[0]), "histogram", 0.4)
    np.testing.assert_allclose(read(path), as_written(expected), atol=1e-6)
    assert not list(folder.path.glob("result_in_*"))


def test_a_run_with_changed_colors_keeps_what_it_painted(command, tmp_path, picture_paths):
    folder = RunFolder(tmp_path / "content_exact")
    painted, photo = read(folder.painted), read(picture_paths[0])
    expected = recolored(painted, photo, "content_exact", 0.8)
    # The painted picture was rounded to 8 bits, which the change takes on at most four times.
    np.testing.assert_allclose(read(folder.result), expected, atol=4 / 255)
    assert more_pictures(folder.page) == ["As painted"]
    assert command(folder.path, "--color=content")[0] == 0
    expected = recolored(painted, photo, "content")
    np.testing.assert_allclose(read(folder.recolored("content")), as_written(expected), atol=1e-6)


def test_a_run_whose_styles_got_the_photos_colors_shows_them(runs):
    folder = RunFolder(runs["content"])
    assert not folder.painted.exists() and folder.colored_style(1).exists()
    assert more_pictures(folder.page) == ["Painting in the photo's colors"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--run: give the folder of a finished run"),
        (("nothere",), "--run=nothere: no such folder"),
        (("empty",), "--run=empty: is not a run folder"),
        (("begun",), "--run=begun: has no result yet"),
        (("style", "--color=blue"), "--color=blue: must be one of content, content_exact"),
        (("style", "--color_strength=2"), "--color_strength=2: must be a number from 0 to"),
        (("style", "--output=mine.doc"), "--output=mine.doc: must end in one of"),
        (("style", "--output=no/mine.png"), "--output=no/mine.png: there is no folder"),
        (("style", "content", "--output=a.png"), "--output=a.png: takes one run, but 2 are given"),
        (("style", "--output=there.png"), "--output=there.png: exists already; give another"),
        (("style", "--output=style/result.png"), "--output=style/result.png: is in the run's f"),
    ],
)
def test_bad_input_is_refused_in_one_line(command, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.png").touch()
    write_run(tmp_path / "begun", status="running")
    status, said = command(*arguments)
    assert status == 2 and said.startswith(f"nst_keras: {words}") and said.count("\n") == 1


def test_a_photo_that_is_gone_is_named(command, tmp_path):
    folder = RunFolder(tmp_path / "style")
    lines = folder.flags.read_text().splitlines()
    lines = ["--content=gone.jpg" if line.startswith("--content=") else line for line in lines]
    folder.flags.write_text("\n".join(lines))
    status, said = command(folder.path)
    assert status == 2 and "gone.jpg" in said and said.count("\n") == 1


def test_the_photo_is_neither_replaced_nor_mistaken(command, tmp_path, picture_paths):
    photo = tmp_path / "photo.png"
    shutil.copy(picture_paths[0], photo)
    folder = RunFolder(tmp_path / "style")
    text = folder.flags.read_text().replace(str(picture_paths[0]), str(photo))
    folder.flags.write_text(text)
    before = photo.read_bytes()
    status, said = command(folder.path, f"--output={photo}", "--overwrite")
    assert (
        status == 2
        and "is one of the inputs; give another name" in said
        and photo.read_bytes() == before
    )
    shutil.copy(picture_paths[1], photo)
    status, said = command(folder.path)
    told = f"nst_keras: --content={photo}: is not the picture that the run was made with\n"
    assert (status, said) == (2, told)


def test_several_runs_are_changed_one_after_the_other(command, tmp_path):
    paths = [tmp_path / name for name in ("style", "content_exact")]
    status, said = command(*paths, "--color=histogram")
    made = [RunFolder(path).recolored("histogram") for path in paths]
    assert status == 0 and said == "".join(f"nst_keras: result: {path}\n" for path in made)
    assert all(path.exists() for path in made)


def test_as_a_module_it_says_where_the_result_is(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "nst_keras.recolor", str(tmp_path / "style")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "nst_keras: result: " in done.stderr


def test_does_not_import_tensorflow():
    code = "import sys, nst_keras.recolor; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
