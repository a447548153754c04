"""Run folders: their default names, their pictures, and runs that get more steps."""

import dataclasses

import pytest

from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.folder import RunFolder, default_path, fingerprint, steps_fingerprint
from nst_keras.runs.record import RunRecord
from nst_keras.runs.work_folder import Status
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve

CONFIG = resolve(Config(content="a/photo.jpg", style=("b/painting.jpg",)))
HASHES = {"content": "1" * 64, "style 1": "2" * 64, "weights": "3" * 64}


def test_default_path_is_readable_and_depends_on_the_fingerprint():
    path = default_path(CONFIG, fingerprint(CONFIG, HASHES))
    assert path.parts[0] == "runs" and path.name.startswith("photo_painting-")
    other = fingerprint(dataclasses.replace(CONFIG, seed=1), HASHES)
    assert default_path(CONFIG, other) != path
    strange = dataclasses.replace(CONFIG, content="/x/<script> $(rm) ü.jpg")
    assert "/" not in default_path(strange, other).name
    assert not set("<>$() ") & set(default_path(strange, other).name)


def test_iterations_beyond_five_digits_keep_their_order(tmp_path):
    folder = RunFolder(tmp_path)
    folder.iterations.mkdir()
    for name in ("99500", "100000", "1000000", "x"):
        (folder.iterations / f"iteration_{name}.jpg").touch()
    assert [step for step, _ in folder.existing_iterations()] == [99500, 100000, 1000000]


def asked(iterations, schedule="constant"):
    return Fingerprint({"schedule": schedule, "iterations": str(iterations)}, {})


def finished(folder, requested):
    folder.prepare(requested)
    folder.result.write_text("x")
    folder.update_record(status="finished")


def test_a_finished_run_at_a_constant_rate_takes_more_steps(tmp_path):
    folder = RunFolder(tmp_path)
    finished(folder, asked(10))
    assert folder.prolongs(asked(20)) and folder.status(asked(20), overwrite=False) is Status.BEGUN
    assert folder.status(asked(20), overwrite=True) is Status.NEW
    assert not folder.prolongs(asked(5)) and not folder.prolongs(asked(10))
    with pytest.raises(InputError, match="iterations: 10 there, 5 here"):
        folder.status(asked(5), overwrite=False)


def test_a_finished_run_at_a_falling_rate_takes_no_more_steps(tmp_path):
    folder = RunFolder(tmp_path)
    finished(folder, asked(10, "cosine"))
    with pytest.raises(InputError, match="with --schedule=cosine every step depends on how many"):
        folder.status(asked(20, "cosine"), overwrite=False)


def test_states_depend_on_the_number_of_steps_only_at_a_falling_rate():
    assert steps_fingerprint(asked(10)) == steps_fingerprint(asked(20))
    assert steps_fingerprint(asked(10, "cosine")) != steps_fingerprint(asked(20, "cosine"))


def test_a_run_is_complete_once_its_page_is_as_new_as_its_record(tmp_path):
    folder = RunFolder(tmp_path)
    RunRecord(status="finished").write(folder.record)
    assert not folder.is_complete()
    folder.page.write_text("page")
    assert folder.is_complete()
    (tmp_path / ".progress.gif.0a1b2c3d.tmp").touch()
    assert not folder.is_complete()


def test_animations_are_removed_when_a_run_gets_more_steps(tmp_path):
    folder = RunFolder(tmp_path)
    for path in (folder.gif, folder.mp4, folder.strip):
        path.touch()
    folder.remove_animations()
    assert not folder.gif.exists() and not folder.mp4.exists() and folder.strip.exists()
