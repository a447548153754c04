"""The losses of a run's steps in `metrics.jsonl`."""

import json

import pytest

from nst_keras.runs.folder import RunFolder
from nst_keras.runs.metrics import MetricsWriter
from nst_keras.runs.record import Fingerprint
from tests.runs.conftest import TERMS, iterate


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.prepare(Fingerprint({}, {}))
    return folder


def write_metrics(folder, steps, every=10, resume_step=0):
    writer = MetricsWriter(folder, every, resume_step)
    for step in steps:
        writer(iterate(step))


def lines_of(folder):
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def steps_in(folder):
    return [line["step"] for line in lines_of(folder)]


@pytest.fixture
def other(tmp_path):
    folder = RunFolder(tmp_path / "other")
    folder.prepare(Fingerprint({}, {}))
    return folder


def test_metrics_are_json_lines_of_step_scale_and_terms(folder):
    write_metrics(folder, [10, 40])
    assert lines_of(folder) == [
        {"step": 10, "scale": 0, "terms": TERMS},
        {"step": 40, "scale": 1, "terms": TERMS},
    ]
    assert folder.read_metrics() == lines_of(folder)


def test_metrics_are_written_when_due_and_where_scales_begin_and_end(folder):
    write_metrics(folder, range(1, 81), every=25)
    assert steps_in(folder) == [1, 25, 30, 31, 50, 75, 80]


def test_each_metric_can_be_read_at_once(folder):
    writer = MetricsWriter(folder, 1, 0)
    writer(iterate(1))
    assert steps_in(folder) == [1]


def test_late_work_writes_the_same_metrics(folder, other):
    waiting, terms = [], dict(TERMS)
    writer = MetricsWriter(folder, 1, 0, waiting.append)
    for step in (1, 2, 3):
        writer(iterate(step, terms=terms))
    terms.clear()
    assert folder.metrics.read_bytes() == b"" and len(waiting) == 3
    for count, work in enumerate(waiting, start=1):
        work()
        assert steps_in(folder) == list(range(1, count + 1))
    write_metrics(other, (1, 2, 3), every=1)
    assert folder.metrics.read_bytes() == other.metrics.read_bytes()


def test_metrics_do_not_depend_on_clocks(folder, other):
    for one, seconds in ((folder, 1.0), (other, 2.0)):
        writer = MetricsWriter(one, 1, 0)
        writer(iterate(1, seconds, seconds_left=seconds, steps_per_second=seconds))
    assert folder.metrics.read_bytes() == other.metrics.read_bytes()


def test_a_run_that_goes_back_leaves_no_step_twice(folder):
    writer = MetricsWriter(folder, 1, 0)
    for step in (1, 2, 3, 4, 5):
        writer(iterate(step))
    changed = {**TERMS, "total": 7.0}
    for step in (3, 4):
        writer(iterate(step, terms=changed))
    assert steps_in(folder) == [1, 2, 3, 4]
    assert [line["terms"]["total"] for line in lines_of(folder)] == [6.0, 6.0, 7.0, 7.0]


def test_a_resume_cuts_metrics_after_its_step_and_skips_what_is_there(folder):
    write_metrics(folder, range(1, 51))
    before = folder.metrics.read_bytes()
    write_metrics(folder, range(15, 51), resume_step=20)
    assert folder.metrics.read_bytes() == before
    write_metrics(folder, [], resume_step=20)
    assert steps_in(folder) == [1, 10, 20]
    write_metrics(folder, [])
    assert folder.metrics.read_bytes() == b""


TORN = [
    '{"step":30,"scale":0,"te',
    '{"step":30,"scale":0}',
    "\0\0\0\0",
    "7",
    "[]",
    '{"step":30,"scale":0,"terms":1}',
]


@pytest.mark.parametrize("torn", TORN)
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_torn_line_is_left_out(folder, torn, end):
    write_metrics(folder, [10, 20])
    with folder.metrics.open("a") as file:
        file.write(torn + end)
        if end:
            file.write('{"step":40,"scale":1,"terms":{}}\n')
    assert [row["step"] for row in folder.read_metrics()] == [10, 20] + [40] * bool(end)
    write_metrics(folder, [30], resume_step=25)
    assert steps_in(folder) == [10, 20, 30]


def test_a_missing_file_has_no_rows(folder):
    assert not folder.metrics.exists() and folder.read_metrics() == []


def test_a_step_that_becomes_the_last_one_is_logged_then(folder):
    writer, last = MetricsWriter(folder, 10, 0), iterate(7)
    writer(last)
    assert steps_in(folder) == []
    last.ends_run = True
    writer(last)
    writer(last)
    assert steps_in(folder) == [7]
