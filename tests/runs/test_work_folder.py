"""How far a folder is with what is asked for, and what a new start removes."""

import pytest

from nst_keras.runs import work_folder
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.record import RunRecord
from nst_keras.runs.work_folder import Status
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.training.folder import TrainFolder

ASKED, OTHER = (Fingerprint({"size": size}, {}) for size in ("512", "64"))


@pytest.mark.parametrize("kind", [RunFolder, TrainFolder])
def test_the_status_of_a_folder_from_nothing_to_its_result(tmp_path, kind):
    folder = kind(tmp_path / "work")
    assert folder.status(ASKED, overwrite=False) is Status.NEW
    folder.prepare(ASKED)
    assert folder.status(ASKED, overwrite=False) is Status.NEW  # killed before the first step
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
        f"--workdir={folder.path}: holds another {name} (size: 64 there, 512 here); "
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
    with pytest.raises(InputError, match=f"is not empty and not a {name} folder"):
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


def test_default_paths_are_short_and_safe():
    path = work_folder.default_path("photo", ASKED)
    assert path.parent.name == "runs" and path.name.startswith("photo-")
    assert path != work_folder.default_path("photo", OTHER)
    assert work_folder.slug("/x/<script> $(rm) ü.jpg", "none") == "-script-rm-ü"
    assert work_folder.slug("x" * 99 + ".png", "none") == "x" * 24
    assert work_folder.slug("", "none") == "none"
