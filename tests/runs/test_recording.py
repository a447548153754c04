"""The record with which a run begins."""

import dataclasses

import pytest

from nst_keras.runs import folder as folder_lib
from nst_keras.runs import recording
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.record import InputPicture, ScaleSteps
from nst_keras.runs.requested import RequestedRun
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.plan import Plan, Scale
from tests.conftest import picture

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
    return recording.make_record(run, PLAN)


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
    texts = recording.settings_text(CONFIG)
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
    monkeypatch.setattr(recording, "settle_precision", lambda _: "float32")
    found = recording.changed_settings(dataclasses.replace(CONFIG, **changes))
    assert sorted(found) == sorted(changed)


def test_settings_that_choose_others_are_compared_with_their_own_defaults(monkeypatch):
    monkeypatch.setattr(recording, "settle_precision", lambda _: "float32")
    gatys = resolve(Config(content="p.jpg", style=("s.jpg",), objective="gatys"))
    assert recording.changed_settings(dataclasses.replace(gatys, precision="float32")) == [
        "objective"
    ]
