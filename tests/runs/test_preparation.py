"""What a folder holds before the first step, and what is logged of the plan."""

import dataclasses
import logging
from pathlib import Path

import pytest

from nst_keras.runs.preparation import begin_record, prepare_folder
from nst_keras.runs.record import RunRecord
from nst_keras.runs.request import read_run
from nst_keras.runs.work_folder import Status
from nst_keras.settings import flags
from nst_keras.transfer.plan import Plan, plan_run
from tests.conftest import flags_of


@pytest.fixture
def requested(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """A function that reads a run in the folder `job`."""
    monkeypatch.chdir(tmp_path)

    def request(*more):
        arguments = [*flags_of(picture_paths, tiny_weights_path), *more]
        return read_run(arguments, flags.parse_config(arguments)[0])

    return request


def write_record(run, **more):
    RunRecord(
        status="running", fingerprint=run.fingerprint, requested=run.fingerprint, **more
    ).write(run.folder.record)


def begin(run, notes=()):
    found = plan_run(run.settings, run.inputs.content.shape[:2])
    plan = Plan(found, "float32", None, 2, run.settings.iterations, (4,))
    settled = dataclasses.replace(run.settings, tile_size="none")
    notes = list(notes)
    return begin_record(run, settled, plan, notes), notes


def test_a_new_folder_is_made_once(requested):
    run = requested()
    assert prepare_folder(run) is Status.NEW
    assert prepare_folder(run) is Status.NEW  # stopped before its record was written
    write_record(run)
    assert prepare_folder(run) is Status.BEGUN


def test_settings_without_effect_and_notes_of_files_are_logged(requested, caplog):
    run = requested("--momentum=0.5")
    noted = dataclasses.replace(run, inputs=dataclasses.replace(run.inputs, notes=("a.png: odd",)))
    prepare_folder(noted)
    assert caplog.messages[0] == "a.png: odd" and "--momentum" in caplog.messages[1]


def test_animations_of_a_run_that_gets_more_steps_are_removed(requested):
    run = requested("--schedule=constant")
    prepare_folder(run)
    write_record(run)
    run.folder.gif.write_bytes(b"GIF89a")
    assert prepare_folder(run) is Status.BEGUN and run.folder.gif.exists()
    prepare_folder(requested("--schedule=constant", "--iterations=9"))
    assert not run.folder.gif.exists()


def test_the_saved_flags_repeat_the_run_from_anywhere(requested, tmp_path, monkeypatch):
    run = requested("--overwrite")
    prepare_folder(run)
    begin(run)
    monkeypatch.chdir("/")
    saved, _ = flags.parse_config([f"--flagfile={tmp_path / 'job' / 'flags.cfg'}"])
    assert saved.content == run.settings.content and Path(saved.workdir) == tmp_path / "job"
    assert saved.tile_size == "none" and not saved.overwrite


def test_thumbnails_of_the_inputs_are_in_the_folder(requested):
    run = requested()
    prepare_folder(run)
    begin(run)
    assert run.folder.content.exists() and run.folder.style(1).exists()


def test_notes_of_earlier_processes_come_first_and_once(requested):
    run = requested()
    prepare_folder(run)
    write_record(run, notes=("old", "both"))
    record, notes = begin(run, ["both", "new"])
    assert notes == ["old", "both", "new"] and record.notes == ("old", "both", "new")


def test_the_plan_is_logged_and_so_are_pictures_beyond_its_end(requested, caplog):
    caplog.set_level(logging.INFO)
    run = requested("--image_at=3,500")
    prepare_folder(run)
    begin(run)
    beyond, what, plan = caplog.messages
    assert beyond.startswith("--image_at=500: the run has only 10 steps")
    assert what.startswith("photo.png with painting.png: 10 steps in float32 on ")
    assert plan.startswith("plan: ")
