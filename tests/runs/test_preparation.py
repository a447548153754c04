"""What the folder of a run gets before its first step, and the log of its plan."""

import dataclasses
import logging
from pathlib import Path

import pytest

from nst_keras.devices import startup
from nst_keras.runs import preparation
from nst_keras.runs.folder import Status
from nst_keras.runs.preparation import announce, begin_record, prepare_folder, record_refusal
from nst_keras.runs.record import RunRecord
from nst_keras.settings.config import parse_config
from nst_keras.transfer.plan import Plan, plan_run
from tests.conftest import flags_of
from tests.runs.conftest import read_command


@pytest.fixture
def requested(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """A function that reads a run in the folder `job`."""
    monkeypatch.chdir(tmp_path)

    flags = flags_of(picture_paths, tiny_weights_path)
    return lambda *more: read_command(*flags, *more)


def write_record(run, **more):
    RunRecord(
        status="running", fingerprint=run.fingerprint, requested=run.fingerprint, **more
    ).write(run.folder.record)


def begin(run, notes=()):
    found = plan_run(run.settings, run.inputs.content.shape[:2])
    plan = Plan(found, "float32", None, 2, run.settings.iterations, (4,))
    settled = dataclasses.replace(run.settings, tile_size="none")
    run = dataclasses.replace(run, settings=settled, notes=list(notes))
    return begin_record(run, plan), run.notes


def prepared_from(run):
    status = run.folder.status(run.fingerprint, overwrite=run.settings.overwrite)
    prepare_folder(run)
    return status


def test_a_new_folder_is_made_once(requested):
    run = requested()
    assert prepared_from(run) is Status.NEW
    assert prepared_from(run) is Status.NEW  # stopped before its record was written
    write_record(run)
    assert prepared_from(run) is Status.BEGUN


def test_a_folder_that_was_only_prepared_has_decided_nothing_but_can_be_resumed(requested):
    run = requested("--time_limit=1h")
    prepare_folder(run)
    assert run.begun() == run.settings
    again = read_command("--workdir=job")
    assert again.given.time_limit == 3600
    assert again.fingerprint == run.fingerprint


def test_results_are_replaced_where_there_are_some(requested):
    run = requested("--schedule=constant")
    assert not run.replaces_results
    prepare_folder(run)
    assert not run.replaces_results
    write_record(run)
    assert not run.replaces_results  # it is resumed
    assert requested("--schedule=constant", "--iterations=9").replaces_results
    assert requested("--seed=9", "--overwrite").replaces_results


def test_a_refusal_shows_on_the_page_of_a_new_run_only(requested):
    run = requested()
    prepare_folder(run)
    record_refusal(run, "--device=tpu: there is <none>")
    record = run.folder.read_record()
    assert (record.status, record.reason) == ("refused", "--device=tpu: there is <none>")
    page = run.folder.page.read_text()
    assert "<strong>Not started</strong>" in page and "there is &lt;none&gt;" in page
    assert "To start it, run this" in page and "<progress" not in page
    assert run.status is Status.NEW
    write_record(run)
    record_refusal(run, "again")
    assert run.folder.read_record().status == "running"


def test_settings_without_effect_and_notes_of_files_are_logged(requested, caplog):
    run = requested("--momentum=0.5")
    noted = dataclasses.replace(run, inputs=dataclasses.replace(run.inputs, notes=("a.png: odd",)))
    prepare_folder(noted)
    assert caplog.messages[0] == "a.png: odd" and "--momentum" in caplog.messages[1]


def test_animations_of_a_run_that_gets_more_steps_are_removed(requested):
    run = requested("--schedule=constant")
    prepare_folder(run)
    write_record(run)
    for path in (run.folder.gif, run.folder.mp4, run.folder.strip):
        path.touch()
    assert prepared_from(run) is Status.BEGUN and run.folder.gif.exists()
    prepare_folder(requested("--schedule=constant", "--iterations=9"))
    assert not run.folder.gif.exists() and not run.folder.mp4.exists()
    assert run.folder.strip.exists()


def test_the_saved_flags_repeat_the_run_from_anywhere(requested, tmp_path, monkeypatch):
    run = requested("--overwrite")
    prepare_folder(run)
    begin(run)
    monkeypatch.chdir("/")
    saved, _ = parse_config([f"--flagfile={tmp_path / 'job' / 'flags.cfg'}"])
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
    beyond, what, steps, plan = caplog.messages
    assert beyond.startswith("--image_at=500: the run has only 10 steps")
    assert what.startswith("float32 on ")
    assert steps.startswith("plan: ") and steps.endswith(" at 48x32")
    assert plan.startswith("plan: about ")
    assert all(len(f"nst_keras: {line}") <= 80 for line in (what, steps, plan))


def test_a_long_run_is_told_how_it_would_be_shorter_unless_it_has_a_time_limit(
    requested, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(startup, "matrix_rate", lambda precision: 1e4)
    told = "plan: sooner with --quality=draft, smaller --size or --time_limit=30m"
    for flags, expected in (((), 1), (("--time_limit=8h",), 0)):
        caplog.clear()
        run = requested(*flags)
        prepare_folder(run)
        begin(run)
        assert caplog.messages.count(told) == expected
    write_record(run, step=3)
    caplog.clear()
    begin(requested())
    assert told not in caplog.messages and "plan: this is for the whole run; " in caplog.text
    assert len(f"nst_keras: {told}") <= 80


def test_a_run_says_at_once_what_it_paints_and_where_it_can_be_watched(requested, caplog):
    caplog.set_level(logging.INFO)
    run = requested()
    announce(run)
    what, where = caplog.messages
    assert what == f"photo.png with painting.png, in {run.folder.path}"
    assert where == f"watch: {run.folder.page.absolute().as_uri()}"


def test_settings_that_set_nothing_are_told_of_a_new_run_only(requested, caplog):
    given = ("--quality=draft", "--iterations=5")
    prepared_from(requested(*given))
    assert "--quality=draft: has no effect" in caplog.text
    caplog.clear()
    run = read_command("--workdir=job")
    write_record(run)
    prepared_from(run)
    assert "has no effect" not in caplog.text


def test_files_in_the_folder_keep_their_names_in_its_flags(requested, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    run = requested()
    for name in ("noise", "keep"):
        (folder / name).write_bytes(Path(run.settings.style[0]).read_bytes())
    config = dataclasses.replace(run.given, init="job/noise", style=("job/keep", "s.png"))
    flags = preparation._flagfile(run, config).splitlines()
    assert "--init=./noise" in flags
    (style,) = [line for line in flags if line.startswith("--style=")]
    assert style.startswith("--style=./keep,/")
