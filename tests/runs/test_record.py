"""The record of a run, written, read again and damaged; and what identifies a result."""

import dataclasses
import json
import math

import pytest

from nst_keras.runs import folder as folder_lib
from nst_keras.runs.record import Fingerprint, InputPicture, RunRecord, ScaleSteps
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.resolve import resolve

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
    seconds_left=2.5,
    parts={"steps": 1.5},
    step=3,
    total_steps=10,
    copies={"/x/copy.png": "3" * 64},
    finished_early=3,
    device="CPU",
    content=InputPicture("photo.png", 60, 40, "1" * 64),
    styles=(InputPicture("painting.png", 50, 50, "2" * 64, weight=1.0),),
    scales=(ScaleSteps(60, 40, 10, 1),),
    settings={"size": "64"},
    pending_copy="/home/me/copy.png",
    changed=("size",),
    final_terms={"total": 0.5},
    scores={"ssim": 0.7},
    versions={"python": "3.11"},
    notes=("a note",),
)


def read(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    return folder_lib.RunFolder(tmp_path).read_record()


def test_a_record_is_read_as_it_was_written(tmp_path):
    assert all(vars(WHOLE).values())  # every field has a value here
    WHOLE.write(tmp_path / "run.json")
    assert folder_lib.RunFolder(tmp_path).read_record() == WHOLE


def test_fields_without_a_value_are_not_written(tmp_path):
    RunRecord(status="running", step=0, seconds=0.0).write(tmp_path / "run.json")
    found = json.loads((tmp_path / "run.json").read_text())
    assert found == {"status": "running", "step": 0, "seconds": 0.0}


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "3", '{"unknown": 1}'])
def test_what_is_no_record_is_an_empty_one(tmp_path, text):
    assert not read(tmp_path, text)
    assert read(tmp_path, text) == RunRecord()


def test_a_missing_record_is_an_empty_one(tmp_path):
    folder = folder_lib.RunFolder(tmp_path)
    assert not folder.read_record()
    folder.record.mkdir()
    assert folder.read_record() == RunRecord()


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
    whole = dataclasses.replace(WHOLE, finished_early=None)
    assert whole.png_texts() == {
        "Software": "nst_keras 0.1.0",
        "nst_keras settings": "--size=64\n--init=content",
        "nst_keras sha256 of content": "1" * 64,
    }


def test_a_record_says_that_its_run_was_finished_early():
    assert WHOLE.describe_early_end() == ", early, after step 3 of 10"
    assert WHOLE.png_texts()["nst_keras finished early"] == "step 3 of 10"
    assert dataclasses.replace(WHOLE, finished_early=None).describe_early_end() == ""


CONFIG = resolve(Config(content="a/photo.jpg", style=("b/painting.jpg",)))
HASHES = {"content": "1" * 64, "style 1": "2" * 64, "weights": "3" * 64}
SMALL = Fingerprint({"size": "64", "iterations": "10"}, {"content": "1" * 64})


def of(hashes=HASHES, **changes):
    return folder_lib.fingerprint(dataclasses.replace(CONFIG, **changes), hashes)


def test_it_consists_of_settings_and_contents_not_of_places():
    assert of(content="elsewhere/photo.jpg", workdir="x", log_every=7) == of()
    assert "a/photo.jpg" not in str(of())
    assert of({**HASHES, "content": "4" * 64}) != of()
    assert of(style_weight=9.0) != of()


def test_every_setting_that_changes_the_result_is_part_of_it():
    expected = {
        name
        for name, option in OPTIONS.items()
        if option.changes_result and getattr(CONFIG, name) not in (None, ())
    }
    assert expected - set(of().settings) == {"content", "style"}
    assert of().hashes == HASHES


def test_an_input_that_is_named_by_a_word_is_a_setting():
    assert of(init="noise").settings["init"] == "noise"
    assert "init" not in of(init="first.png").settings


def test_the_digest_tells_fingerprints_apart():
    same = Fingerprint(dict(reversed(SMALL.settings.items())), dict(SMALL.hashes))
    assert same.digest() == SMALL.digest()
    for other in (
        Fingerprint({"iterations": "10"}, SMALL.hashes),
        Fingerprint(SMALL.settings, {"content": "2" * 64}),
    ):
        assert other.digest() != SMALL.digest()


def test_differences_are_described_by_setting():
    there = Fingerprint({"size": "64", "init": "noise"}, {"content": "1" * 64})
    here = Fingerprint({"size": "128"}, {"content": "2" * 64})
    assert there.describe_differences(here) == (
        "size: 64 there, 128 here; init: noise there, not set here; "
        "sha256 of content: 11111111... there, 22222222... here"
    )
    many = Fingerprint({str(n): "x" for n in range(6)}, {})
    assert many.describe_differences(Fingerprint({}, {})).endswith("3: x there, not set here; ...")


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"size": "64", "iterations": "20"}, True),
        ({"size": "64", "iterations": "5"}, False),
        ({"size": "64", "iterations": "many"}, False),
        ({"size": "32", "iterations": "20"}, False),
        ({"size": "64"}, False),
        ({"size": "64", "iterations": "20", "time_limit": "60"}, False),
    ],
)
def test_more_steps_of_the_same_run(settings, more):
    assert Fingerprint(settings, SMALL.hashes).has_more_steps_than(SMALL) is more


def test_more_steps_under_one_time_limit_are_another_run():
    there, here = (
        Fingerprint({"iterations": steps, "time_limit": "60"}, {}) for steps in ("10", "20")
    )
    assert not here.has_more_steps_than(there)
