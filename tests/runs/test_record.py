"""The record of a run: written and read again, damaged in every field, and what it says."""

import dataclasses
import json
import math

import pytest

from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.record import InputPicture, RunRecord, ScaleSteps, read_record

WHOLE = RunRecord(
    status="running",
    reason="none",
    fingerprint=Fingerprint({"size": "64", "init": "content"}, {"content": "1" * 64}),
    requested=Fingerprint({"size": "64"}, {"content": "1" * 64}),
    version="0.1.0",
    command="python -m nst_keras.run",
    resume_command="python -m nst_keras.run --workdir=x",
    started="2020-01-01T00:00:00+00:00",
    seconds=1.5,
    step=3,
    total_steps=10,
    device="CPU",
    content=InputPicture("photo.png", 60, 40, "1" * 64),
    styles=(InputPicture("painting.png", 50, 50, "2" * 64, weight=1.0),),
    scales=(ScaleSteps(60, 40, 10, 1),),
    settings={"size": "64"},
    changed=("size",),
    final_terms={"total": 0.5},
    scores={"ssim": 0.7},
    versions={"python": "3.11"},
    notes=("a note",),
)


def read(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    return read_record(RunRecord, tmp_path / "run.json")


def test_a_record_is_read_as_it_was_written(tmp_path):
    assert all(vars(WHOLE).values())  # every field has a value here
    WHOLE.write(tmp_path / "run.json")
    assert read_record(RunRecord, tmp_path / "run.json") == WHOLE


def test_fields_without_a_value_are_not_written(tmp_path):
    RunRecord(status="running", step=0, seconds=0.0).write(tmp_path / "run.json")
    found = json.loads((tmp_path / "run.json").read_text())
    assert found == {"status": "running", "step": 0, "seconds": 0.0}


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "3", '{"unknown": 1}'])
def test_what_is_no_record_is_an_empty_one(tmp_path, text):
    assert not read(tmp_path, text)
    assert read(tmp_path, text) == RunRecord()


def test_a_missing_record_is_an_empty_one(tmp_path):
    assert not read_record(RunRecord, tmp_path / "none.json")
    assert read_record(RunRecord, tmp_path) == RunRecord()  # a folder


WRONG = (None, 5, -1.5, True, "x", [], [1, None], {}, {"a": []}, math.nan, math.inf, 10**400)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(RunRecord)])
def test_a_value_of_a_wrong_type_harms_no_other_field(tmp_path, field):
    WHOLE.write(tmp_path / "run.json")
    whole = json.loads((tmp_path / "run.json").read_text())
    for wrong in WRONG:
        record = read(tmp_path, json.dumps({**whole, field: wrong}))
        others = {name: value for name, value in vars(record).items() if name != field}
        assert others == {name: value for name, value in vars(WHOLE).items() if name != field}
        found = getattr(record, field)
        assert found is None or isinstance(found, (type(getattr(WHOLE, field)), int)), wrong
        record.write(tmp_path / "again.json")  # whatever was read can be written


def test_numbers_that_are_none_are_left_out_and_those_of_a_sum_are_not(tmp_path):
    text = '{"step": true, "seconds": NaN, "final_terms": {"style/a": "x", "style/b": 1}}'
    record = read(tmp_path, text)
    assert record.step is record.seconds is None
    assert math.isnan(record.final_terms["style/a"]) and record.final_terms["style/b"] == 1


@pytest.mark.parametrize(
    "damage",
    [None, [], {}, {"settings": {}}, {"settings": 3, "hashes": []}, {"settings": {"size": 64}}],
)
def test_a_damaged_fingerprint_is_that_of_nothing(tmp_path, damage):
    record = read(tmp_path, json.dumps({"status": "running", "requested": damage}))
    assert not record.is_of(Fingerprint({"size": "64"}, {}))


def test_a_damaged_style_keeps_its_place(tmp_path):
    record = read(tmp_path, '{"styles": [3, {"name": "b.jpg", "weight": 0.5}]}')
    assert record.styles == (InputPicture(), InputPicture("b.jpg", weight=0.5))


@pytest.mark.parametrize(
    ("status", "has_result"),
    [("finished", True), ("", True), ("running", False), ("interrupted", False), ("failed", False)],
)
def test_an_unfinished_run_has_no_result_of_its_own(status, has_result):
    assert RunRecord(status=status).has_result is has_result


def test_a_record_is_of_what_was_asked_for_and_of_what_was_decided():
    assert WHOLE.fingerprint and WHOLE.is_of(WHOLE.fingerprint)
    assert WHOLE.requested and WHOLE.is_of(WHOLE.requested)
    assert not WHOLE.is_of(Fingerprint({"size": "128"}, {}))


def test_a_picture_says_what_decided_it():
    assert WHOLE.png_texts() == {
        "Software": "nst_keras 0.1.0",
        "nst_keras settings": "--size=64\n--init=content",
        "nst_keras sha256 of content": "1" * 64,
    }
