"""The file of metrics: what is written when, and read again."""

import json

import pytest

from nst_keras.runs import metrics
from nst_keras.runs.metrics import MetricsWriter
from tests.runs.conftest import TERMS, iterate


def write_metrics(path, steps, every=10, resume_step=0):
    writer = MetricsWriter(path, every, resume_step)
    for step in steps:
        writer(iterate(step))
    writer.close()


def steps_in(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_metrics_are_json_lines_of_step_scale_and_terms(tmp_path):
    write_metrics(tmp_path / "m.jsonl", [10, 40])
    lines = (tmp_path / "m.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 10, "scale": 0, "terms": TERMS},
        {"step": 40, "scale": 1, "terms": TERMS},
    ]
    assert metrics.read_metrics(tmp_path / "m.jsonl") == [json.loads(line) for line in lines]


def test_metrics_are_written_when_due_and_at_the_ends_of_scales(tmp_path):
    write_metrics(tmp_path / "m.jsonl", range(1, 81), every=25)
    assert steps_in(tmp_path / "m.jsonl") == [25, 30, 50, 75, 80]


def test_each_metric_can_be_read_at_once(tmp_path):
    writer = MetricsWriter(tmp_path / "m.jsonl", 1, 0)
    writer(iterate(1))
    assert steps_in(tmp_path / "m.jsonl") == [1]
    writer.close()


def test_late_work_writes_the_same_metrics(tmp_path):
    waiting, terms = [], dict(TERMS)
    writer = MetricsWriter(tmp_path / "late", 1, 0, waiting.append)
    for step in (1, 2, 3):
        writer(iterate(step, terms=terms))
    terms.clear()
    assert (tmp_path / "late").read_bytes() == b"" and len(waiting) == 3
    for count, work in enumerate(waiting, start=1):
        work()
        assert steps_in(tmp_path / "late") == list(range(1, count + 1))
    writer.close()
    write_metrics(tmp_path / "at_once", (1, 2, 3), every=1)
    assert (tmp_path / "late").read_bytes() == (tmp_path / "at_once").read_bytes()


def test_metrics_do_not_depend_on_clocks(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        writer = MetricsWriter(tmp_path / name, 1, 0)
        writer(iterate(1, seconds, seconds_left=seconds, steps_per_second=seconds))
        writer.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_run_that_goes_back_leaves_no_step_twice(tmp_path):
    path = tmp_path / "m.jsonl"
    writer = MetricsWriter(path, 1, 0)
    for step in (1, 2, 3, 4, 5):
        writer(iterate(step))
    changed = {**TERMS, "total": 7.0}
    for step in (3, 4):
        writer(iterate(step, terms=changed))
    writer.close()
    assert steps_in(path) == [1, 2, 3, 4]
    totals = [json.loads(line)["terms"]["total"] for line in path.read_text().splitlines()]
    assert totals == [6.0, 6.0, 7.0, 7.0]


def test_a_resume_cuts_metrics_after_its_step_and_skips_what_is_there(tmp_path):
    path = tmp_path / "m.jsonl"
    write_metrics(path, range(1, 51))
    before = path.read_bytes()
    write_metrics(path, range(15, 51), resume_step=20)
    assert path.read_bytes() == before
    write_metrics(path, [], resume_step=20)
    assert steps_in(path) == [10, 20]
    write_metrics(path, [])
    assert path.read_bytes() == b""


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
def test_a_torn_line_is_left_out(tmp_path, torn, end):
    path = tmp_path / "m.jsonl"
    write_metrics(path, [10, 20])
    with path.open("a") as file:
        file.write(torn + end)
        if end:
            file.write('{"step":40,"scale":1,"terms":{}}\n')
    assert [row["step"] for row in metrics.read_metrics(path)] == [10, 20] + [40] * bool(end)
    write_metrics(path, [30], resume_step=25)
    assert steps_in(path) == [10, 20, 30]


def test_a_missing_file_has_no_rows(tmp_path):
    assert metrics.read_metrics(tmp_path / "none.jsonl") == []
