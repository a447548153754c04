"""Identity of jobs and states of run folders; `test_run` tests them at work."""

import dataclasses

import pytest

from nst_keras.runs.folder import RunFolder, Status, default_path, describe_job
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.resolve import resolve

CONFIG = resolve(Config(content="a/photo.jpg", style=("b/painting.jpg",)))
HASHES = {"content": "1" * 64, "style 1": "2" * 64, "weights": "3" * 64}


def test_a_job_is_settings_and_contents_not_places():
    job = describe_job(CONFIG, HASHES)
    moved = dataclasses.replace(CONFIG, content="elsewhere/photo.jpg", workdir="x", log_every=7)
    assert describe_job(moved, HASHES) == job
    assert "a/photo.jpg" not in str(job)
    assert describe_job(CONFIG, {**HASHES, "content": "4" * 64}) != job
    assert describe_job(dataclasses.replace(CONFIG, style_weight=9.0), HASHES) != job


def test_every_setting_that_changes_the_result_is_part_of_the_job():
    job = describe_job(CONFIG, HASHES)
    expected = {
        name
        for name, option in OPTIONS.items()
        if option.changes_result and getattr(CONFIG, name) not in (None, ())
    }
    assert expected - set(job) == {"content", "style"}
    assert {"sha256 of content", "sha256 of style 1"} <= set(job)


def test_default_path_is_readable_and_depends_on_the_job():
    path = default_path(CONFIG, describe_job(CONFIG, HASHES))
    assert path.parts[0] == "runs" and path.name.startswith("photo_painting-")
    other = describe_job(dataclasses.replace(CONFIG, seed=1), HASHES)
    assert default_path(CONFIG, other) != path
    strange = dataclasses.replace(CONFIG, content="/x/<script> $(rm) ü.jpg")
    assert "/" not in default_path(strange, other).name
    assert not set("<>$() ") & set(default_path(strange, other).name)


def test_status_of_a_folder(tmp_path):
    folder, job = RunFolder(tmp_path / "run"), {"size": "512"}
    assert folder.status(job, overwrite=False) is Status.NEW
    folder.prepare(job)
    assert folder.status(job, overwrite=False) is Status.NEW  # killed before it began
    folder.flags.write_text("")
    folder.write_record({"job": job, "request": job, "status": "running"})
    assert folder.status(job, overwrite=False) is Status.BEGUN
    assert folder.status(job, overwrite=True) is Status.BEGUN  # a night's work is not thrown away
    folder.write_record({"job": job, "request": job, "status": "finished"})
    assert folder.status(job, overwrite=False) is Status.BEGUN  # its result is gone
    folder.result.write_text("x")
    assert folder.status(job, overwrite=False) is Status.FINISHED
    assert folder.status(job, overwrite=True) is Status.NEW
    assert folder.status({"size": "64"}, overwrite=True) is Status.NEW


def test_a_folder_of_a_run_killed_before_its_first_record_is_new(tmp_path):
    folder = RunFolder(tmp_path / "job")
    folder.path.mkdir()
    for name in (".lock", ".probe.12ab34cd.tmp", ".run.json.12ab34cd.tmp"):
        (folder.path / name).write_bytes(b"")
    assert folder.status({"size": "48"}, overwrite=False) is Status.NEW
    with files.held(folder.path):
        folder.prepare({"size": "48"})
    assert not files.temporaries(folder.path)
    (folder.path / ".hidden").write_bytes(b"")
    folder.record.unlink()
    with pytest.raises(InputError, match="not a run folder"):
        folder.status({"size": "48"}, overwrite=False)


def test_prepare_removes_an_earlier_run_and_nothing_else(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare({})
    ours = [folder.iteration(5), folder.result, folder.metrics, folder.checkpoints / "step_5.npz"]
    theirs = [tmp_path / "notes.txt", folder.iterations / "mine.jpg"]
    for path in (*ours, *theirs):
        path.write_text("x")
    folder.prepare({})
    assert not any(path.exists() for path in ours) and all(path.exists() for path in theirs)
