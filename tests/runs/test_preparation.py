"""A run as asked for, and what its folder gets before the first step."""

import dataclasses
import logging
from pathlib import Path

import pytest

from nst_keras.devices import startup
from nst_keras.runs import folder as folder_lib
from nst_keras.runs import preparation
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runs.preparation import (
    RequestedRun,
    announce,
    begin_record,
    prepare_folder,
    read_run,
    record_refusal,
)
from nst_keras.runs.record import InputPicture, RunRecord, ScaleSteps
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config, parse_config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.plan import Plan, Scale, plan_run
from tests.conftest import flags_of, picture


@pytest.fixture
def small(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """The flags of a run in the folder `job`."""
    monkeypatch.chdir(tmp_path)
    return flags_of(picture_paths, tiny_weights_path)


def read(*arguments):
    config, _ = parse_config(list(arguments))
    return read_run(list(arguments), config)


def leave_begun(run, **settings):
    """Leave a folder as a run leaves it once it has made its decisions."""
    run.folder.prepare(run.fingerprint)
    RunRecord(status="running", fingerprint=run.fingerprint, requested=run.fingerprint).write(
        run.folder.record
    )
    lines = [f"--content={run.settings.content}", f"--style={run.settings.style[0]}"]
    lines += [f"--{name}={value}" for name, value in settings.items()]
    run.folder.flags.write_text("\n".join(lines))


def test_a_run_has_its_settings_pictures_and_folder(small, tmp_path):
    run = read(*small)
    assert run.settings.size == 48 and run.settings.optimizer  # which the preset decides
    assert run.inputs.content.shape == (40, 60, 3) and run.inputs.styles[0].shape == (50, 50, 3)
    assert run.folder.path.resolve() == tmp_path / "job" and not run.prolongs
    assert run.begun() == run.settings  # nothing is decided yet


def test_without_a_folder_the_name_follows_from_the_pictures(small):
    run = read(*(flag for flag in small if not flag.startswith("--workdir")))
    assert run.folder.path.parent.name == "runs" and "photo" in run.folder.path.name


def test_a_folder_alone_stands_for_its_flags_and_given_ones_come_first(small):
    leave_begun(read(*small), size=40, seed=7)
    run = read("--workdir=job", "--seed=8")
    assert (run.settings.size, run.settings.seed) == (40, 8)


def test_a_folder_alone_must_contain_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="^--workdir=job: contains no run to resume; give --co"):
        read("--workdir=job")


def test_a_begun_run_keeps_its_decisions(small):
    run = read(*small)
    leave_begun(run, precision="float16", iterations=6, coarse_iterations=4, tile_size=256)
    begun = run.begun()
    assert (begun.precision, begun.iterations) == ("float16", 6)
    assert (begun.coarse_iterations, begun.tile_size) == ((4,), 256)
    limited = read(*small, "--time_limit=1h", "--tile_size=512")
    leave_begun(limited, tile_size=256)
    assert limited.begun().tile_size == 512  # a new one counts
    assert limited.begun().time_limit is None  # and nothing is measured again


def test_more_steps_prolong_a_run_and_are_not_those_of_the_folder(small):
    constant = [*small, "--schedule=constant"]
    leave_begun(read(*constant), precision="float32", iterations=6, coarse_iterations=4)
    assert not read(*constant).prolongs
    assert not read(*constant, "--iterations=9", "--overwrite").prolongs
    longer = read(*constant, "--iterations=9")
    assert longer.prolongs
    assert longer.begun().iterations == 9 and longer.begun().coarse_iterations == (4,)


# Its folder, record and log


@pytest.fixture
def requested(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """A function that reads a run in the folder `job`."""
    monkeypatch.chdir(tmp_path)

    def request(*more):
        arguments = [*flags_of(picture_paths, tiny_weights_path), *more]
        return read_run(arguments, parse_config(arguments)[0])

    return request


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
    again = read("--workdir=job")
    assert again.given.time_limit == 3600
    assert again.fingerprint == run.fingerprint


def test_terms_and_networks_of_the_users_own_are_needed_again(requested):
    run = requested()
    prepare_folder(run)
    for key, words in (("extractor", "an extractor"), ("term warm", "terms")):
        hashes = {**run.fingerprint.hashes, key: "1" * 64}
        run.folder.update_record(requested=dataclasses.replace(run.fingerprint, hashes=hashes))
        with pytest.raises(InputError, match=f"^--workdir=job: its run has {words} of its own; "):
            read("--workdir=job")


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
    assert told not in caplog.messages and "plan: that is the whole run" in caplog.text
    assert len(f"nst_keras: {told}") <= 80


def test_a_run_says_at_once_what_it_paints_and_where_it_can_be_watched(requested, caplog):
    caplog.set_level(logging.INFO)
    run = requested()
    announce(run)
    what, where = caplog.messages
    assert what == f"photo.png with painting.png, in {run.folder.path}"
    assert where == f"watch: {run.folder.page.absolute().as_uri()}"


HASHES = {name: name[0] * 64 for name in ("content", "style 1", "style 2", "weights")}
SIZES = {"content": (30, 40), "style 1": (20, 20), "style 2": (20, 10)}
STYLES = (picture(20, 20), picture(20, 10))
INPUTS = Inputs(picture(30, 40), STYLES, None, None, HASHES, SIZES, ())
PLAN = Plan((Scale(0, 15, 20, 30, 1), Scale(1, 30, 40, 50, 31)), "float32", None, 5, 50, (30,))
CONFIG = dataclasses.replace(
    resolve(Config(content="a/photo.jpg", style=("b/x.jpg", "c/y.jpg"), style_blend=(1.0, 3.0))),
    precision="float32",
)
ASKED = folder_lib.fingerprint(CONFIG, HASHES)


def make(folder, config=CONFIG, asked=ASKED, arguments=("--content=a/photo.jpg",), notes=()):
    run = RequestedRun(
        list(arguments), config, config, INPUTS, folder, asked, prolongs=False, notes=list(notes)
    )
    return preparation.make_record(run, PLAN)


def test_a_new_run_says_what_it_is_going_to_do(tmp_path):
    record = make(RunFolder(tmp_path), notes=["a note"])
    assert (record.status, record.step, record.seconds, record.total_steps) == ("running", 0, 0, 80)
    assert record.content == InputPicture("photo.jpg", 40, 30, HASHES["content"])
    assert record.styles == (
        InputPicture("x.jpg", 20, 20, HASHES["style 1"], 0.25),
        InputPicture("y.jpg", 10, 20, HASHES["style 2"], 0.75),
    )
    assert record.scales == (ScaleSteps(20, 15, 30, 1), ScaleSteps(40, 30, 50, 31))
    assert record.command.endswith("--content=a/photo.jpg")
    assert record.resume_command.endswith(f"--workdir={tmp_path}")
    assert record.notes == ("a note",)
    assert {"python", "tensorflow", "keras", "numpy", "pillow"} == set(record.versions)
    assert record.fingerprint == record.requested == ASKED


def test_a_resumed_run_keeps_its_start_its_time_and_its_command(tmp_path):
    folder = RunFolder(tmp_path)
    first = make(folder)
    dataclasses.replace(first, step=5, seconds=9.5, status="failed", reason="why").write(
        folder.record
    )
    again = make(folder, arguments=["--workdir=x"])
    assert (again.status, again.reason, again.step, again.seconds) == ("running", "", 5, 9.5)
    assert (again.command, again.started) == (first.command, first.started)


def test_a_run_that_gets_more_steps_has_a_new_command(tmp_path):
    folder = RunFolder(tmp_path)
    dataclasses.replace(make(folder), seconds=9.5).write(folder.record)
    longer = dataclasses.replace(CONFIG, iterations=999)
    asked = folder_lib.fingerprint(longer, HASHES)
    record = make(folder, longer, asked, ["--iterations=999"])
    assert record.command.endswith("--iterations=999") and record.requested == asked
    assert record.seconds == 9.5


def test_a_run_that_was_decided_keeps_what_was_asked_for(tmp_path):
    folder = RunFolder(tmp_path)
    auto = folder_lib.fingerprint(dataclasses.replace(CONFIG, precision="auto"), HASHES)
    make(folder, asked=auto).write(folder.record)
    assert make(folder, asked=ASKED).requested == auto


def test_settings_are_those_that_have_a_value():
    texts = preparation.settings_text(CONFIG)
    assert texts["style"] == "b/x.jpg,c/y.jpg" and texts["style_blend"] == "1.0,3.0"
    assert "time_limit" not in texts


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({}, ["style_blend"]),
        ({"style_weight": 99.0}, ["style_blend", "style_weight"]),
        ({"workdir": "x", "image_every": 3, "overwrite": True}, ["style_blend"]),
    ],
)
def test_changed_settings_are_those_that_somebody_chose(monkeypatch, changes, changed):
    monkeypatch.setattr(preparation, "settle_precision", lambda _: "float32")
    found = preparation.changed_settings(dataclasses.replace(CONFIG, **changes))
    assert sorted(found) == sorted(changed)


def test_settings_that_choose_others_are_compared_with_their_own_defaults(monkeypatch):
    monkeypatch.setattr(preparation, "settle_precision", lambda _: "float32")
    gatys = resolve(Config(content="p.jpg", style=("s.jpg",), objective="gatys"))
    assert preparation.changed_settings(dataclasses.replace(gatys, precision="float32")) == [
        "objective"
    ]
