"""Folders of work: their names and files, how far they are, and runs that get more steps."""

import dataclasses
import errno
from pathlib import Path

import pytest

from nst_keras.runs.folder import RunFolder, Status, default_path, fingerprint, steps_fingerprint
from nst_keras.runs.record import Fingerprint, RunRecord
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.training.folder import TrainFolder

CONFIG = resolve(Config(content="a/photo.jpg", style=("b/painting.jpg",)))
HASHES = {"content": "1" * 64, "style 1": "2" * 64, "weights": "3" * 64}


def test_default_path_is_readable_and_depends_on_the_fingerprint():
    sources = (CONFIG.content, *CONFIG.style)
    path = default_path(sources, fingerprint(CONFIG, HASHES))
    assert path.parts[0] == "runs" and path.name.startswith("photo_painting-")
    other = fingerprint(dataclasses.replace(CONFIG, seed=1), HASHES)
    assert default_path(sources, other) != path
    strange = default_path(("/x/<script> $(rm) ü.jpg",), other).name
    assert not set("/<>$() ") & set(strange)


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
    record = folder.read_record()
    assert folder.can_extend(record, asked(20))
    assert folder.status(asked(20), overwrite=False) is Status.BEGUN
    assert folder.status(asked(20), overwrite=True) is Status.NEW
    assert not folder.can_extend(record, asked(5)) and not folder.can_extend(record, asked(10))
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


ASKED, OTHER = (Fingerprint({"size": size}, {}) for size in ("512", "64"))


@pytest.mark.parametrize("kind", [RunFolder, TrainFolder])
def test_the_status_of_a_folder_from_nothing_to_its_result(tmp_path, kind):
    folder = kind(tmp_path / "work")
    assert folder.status(ASKED, overwrite=False) is Status.NEW
    folder.prepare(ASKED)
    assert folder.status(ASKED, overwrite=False) is Status.NEW  # killed before the first step
    folder.update_record(status="refused")
    assert folder.status(OTHER, overwrite=False) is Status.NEW
    folder.flags.write_text("")
    for status in ("running", "interrupted", "failed"):
        folder.update_record(status=status)
        assert folder.status(ASKED, overwrite=False) is Status.BEGUN
        assert folder.status(ASKED, overwrite=True) is Status.BEGUN  # what was done is kept
    folder.update_record(status="finished")
    assert folder.status(ASKED, overwrite=False) is Status.BEGUN  # its result is missing
    assert not folder.is_finished(ASKED)
    folder.result.write_text("x")
    assert folder.is_finished(ASKED) and not folder.is_finished(OTHER)
    assert folder.status(ASKED, overwrite=False) is Status.FINISHED
    assert folder.status(ASKED, overwrite=True) is Status.NEW
    assert folder.status(OTHER, overwrite=True) is Status.NEW


@pytest.mark.parametrize(("kind", "name"), [(RunFolder, "run"), (TrainFolder, "training")])
def test_other_work_is_refused_and_the_message_says_how_it_differs(tmp_path, kind, name):
    folder = kind(tmp_path / "work")
    folder.prepare(OTHER)
    folder.update_record(status="running")
    with pytest.raises(InputError) as caught:
        folder.status(ASKED, overwrite=False)
    assert str(caught.value) == (
        f"--workdir={folder.path}: contains another {name} (size: 64 there, 512 here); "
        "use another folder, or --overwrite to replace it"
    )
    RunRecord(status="running").write(folder.record)
    with pytest.raises(InputError, match=rf"{folder.record.name} does not say which"):
        folder.status(ASKED, overwrite=False)


@pytest.mark.parametrize(("kind", "name"), [(RunFolder, "run"), (TrainFolder, "training")])
def test_a_place_that_is_taken_by_something_else_is_refused(tmp_path, kind, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file, not a folder"):
        kind(tmp_path / "file").status(ASKED, overwrite=True)
    with pytest.raises(InputError, match=f"is not empty and is not a {name} folder"):
        kind(tmp_path).status(ASKED, overwrite=True)


def test_a_folder_of_a_run_killed_before_its_first_record_is_new(tmp_path):
    folder = RunFolder(tmp_path / "job")
    folder.path.mkdir()
    for name in (".lock", ".probe.12ab34cd.tmp", ".run.json.12ab34cd.tmp"):
        (folder.path / name).write_bytes(b"")
    assert folder.status(ASKED, overwrite=False) is Status.NEW
    with files.held(folder.path):
        folder.prepare(ASKED)
    assert not files.temporaries(folder.path)
    (folder.path / ".hidden").write_bytes(b"")
    folder.record.unlink()
    with pytest.raises(InputError, match="not a run folder"):
        folder.status(ASKED, overwrite=False)


def test_files_that_would_be_deleted_cannot_be_read_by_the_new_run(tmp_path):
    folder = RunFolder(tmp_path / "job")
    folder.check_keeps({"init": [folder.result]})  # there is nothing yet
    folder.prepare(ASKED)
    for path in (folder.result, folder.path / "mine.png"):
        path.write_bytes(b"")
    (tmp_path / "link.png").symlink_to(folder.result)
    folder.check_keeps({"init": [folder.path / "mine.png"], "style": [tmp_path / "other.png"]})
    for path in (folder.result, tmp_path / "link.png"):
        with pytest.raises(InputError) as caught:
            folder.check_keeps({"content": [tmp_path / "other.png"], "init": [path]})
        assert str(caught.value) == (
            f"--init={path}: belongs to the run in {folder.path}, which would be replaced; "
            "use another --workdir, or copy the file to another folder"
        )


def test_prepare_removes_an_earlier_run_and_nothing_else(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare(OTHER)
    folder.events.mkdir()
    ours = [
        *(folder.iteration(5), folder.content, folder.style(2), folder.result, folder.metrics),
        *(folder.flags, folder.latest, folder.strip, folder.side_by_side, folder.gif, folder.mp4),
        *(folder.page, folder.checkpoints / "step_5.npz"),
        folder.events / "events.out.tfevents.1",
    ]
    theirs = [tmp_path / "notes.txt", folder.iterations / "mine.jpg", folder.checkpoints / "x.npz"]
    for path in (*ours, *theirs):
        path.write_text("x")
    folder.prepare(ASKED)
    assert not any(path.exists() for path in ours) and all(path.exists() for path in theirs)
    assert folder.read_record() == RunRecord(status="preparing", requested=ASKED)


def test_default_paths_of_long_letters_fit_a_file_system():
    path = default_path(("\U00020000" * 60 + ".jpg",) * 3, ASKED)
    assert len(path.name.encode()) <= 255 and path.name.count("\U00020000") == 3 * 18


def test_a_record_that_cannot_be_read_now_is_an_error_of_the_disk(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.prepare(ASKED)

    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error", str(folder.record))

    monkeypatch.setattr(Path, "read_text", fail)
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match="Input/output error"):
        folder.status(ASKED, overwrite=True)


def test_a_difference_is_from_what_is_nearest(tmp_path):
    folder = RunFolder(tmp_path)
    asked = Fingerprint({"seed": "0", "precision": "auto"}, {})
    decided = Fingerprint({"seed": "0", "precision": "float32"}, {})
    RunRecord(status="running", fingerprint=decided, requested=asked).write(folder.record)
    other = Fingerprint({"seed": "3", "precision": "float32"}, {})
    with pytest.raises(InputError, match=r"another run \(seed: 0 there, 3 here\);"):
        folder.status(other, overwrite=False)


def test_default_paths_are_short_and_safe():
    sources = ("photo", "/x/<script> $(rm) ü.jpg", "x" * 99 + ".png", "")
    path = default_path(sources, ASKED)
    assert path.parent.name == "runs"
    assert path.name.startswith(f"photo_-script-rm-ü_{'x' * 24}_pictures-")
    assert path != default_path(sources, OTHER)


@pytest.mark.parametrize("kind", [RunFolder, TrainFolder])
def test_a_folder_that_cannot_be_made_is_refused_with_the_reason(tmp_path, kind):
    (tmp_path / "link").symlink_to("nowhere")
    for path in (tmp_path / "link", tmp_path / "link" / "job"):
        with pytest.raises(InputError, match="link is a symbolic link to nowhere, which does not"):
            kind(path).status(ASKED, overwrite=False)
    with pytest.raises(InputError, match="must be a folder; URLs are not written to"):
        kind("s3://bucket/job").status(ASKED, overwrite=False)
