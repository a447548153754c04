"""Reported steps, the time that is left, and where reports go."""

import io
import json
import math

import numpy as np
import pytest

from nst_keras.runs import metrics, writers
from nst_keras.runs.metrics import MetricsWriter
from nst_keras.runs.writers import LineReporter
from nst_keras.runtime import console
from nst_keras.transfer import iterate as iterate_lib
from nst_keras.transfer.iterate import Iterate, Pace
from nst_keras.transfer.scales import Scale

SCALES = (Scale(0, 10, 20, 30, 1), Scale(1, 20, 40, 50, 31))
TERMS = {"total": 6.0, "content/a": 1.0, "style/a": 2.0, "style/b": 2.5, "tv": 0.5}


def iterate(step, seconds=0.0, **changes):
    settings = {
        "total_steps": 80,
        "scale": SCALES[0] if step <= 30 else SCALES[1],
        "scales": SCALES,
        "terms": TERMS,
        "seconds_left": 65.0,
        "steps_per_second": 2.5,
    }
    return Iterate(step=step, seconds=seconds, **{**settings, **changes})


class FakeStage:
    def picture(self):
        return np.ones((2, 2, 3), np.float32)

    def value(self):
        return {"total": 5.0}


@pytest.mark.parametrize(
    ("step", "ends_scale", "is_last"),
    [(1, False, False), (30, True, False), (31, False, False), (80, True, True)],
)
def test_an_iterate_knows_whether_it_ends_its_scale_and_the_job(step, ends_scale, is_last):
    assert (iterate(step).ends_scale, iterate(step).is_last) == (ends_scale, is_last)


def test_an_iterate_reads_its_stage_until_that_has_gone_on():
    one = iterate(5, stage=FakeStage())
    assert one.image.shape == (2, 2, 3) and one.evaluate() == {"total": 5.0}
    one.stage = None
    for read in (lambda: one.image, one.evaluate):
        with pytest.raises(RuntimeError, match="before asking for the next"):
            read()


@pytest.mark.parametrize(
    ("step", "every", "due"), [(10, 5, True), (11, 5, False), (10, 0, False), (7, 1, True)]
)
def test_is_due(step, every, due):
    assert iterate_lib.is_due(step, every) is due


def test_a_pace_knows_nothing_before_the_first_step():
    pace = Pace(SCALES)
    assert math.isnan(pace.seconds_left(0)) and math.isnan(pace.seconds_per_step(SCALES[0]))


def test_a_pace_grows_with_pixels():
    pace = Pace(SCALES)
    pace.saw(SCALES[0], steps=10, seconds=2.0)  # 0.2 s a step for 200 px
    assert pace.seconds_per_step(SCALES[0]) == pytest.approx(0.2)
    assert pace.seconds_per_step(SCALES[1]) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("step", "left"), [(0, 30 * 0.2 + 50 * 0.8), (10, 44.0), (30, 40.0), (31, 39.2), (80, 0.0)]
)
def test_what_is_left_is_the_steps_of_all_scales_to_come(step, left):
    pace = Pace(SCALES)
    pace.saw(SCALES[0], steps=1, seconds=0.2)
    assert pace.seconds_left(step) == pytest.approx(left)


def test_a_pace_follows_a_change_of_load():
    pace = Pace(SCALES)
    pace.saw(SCALES[0], 1, 1.0)
    pace.saw(SCALES[0], 1, 2.0)
    assert pace.seconds_per_step(SCALES[0]) == pytest.approx(0.7 * 1 + 0.3 * 2)
    for _ in range(20):
        pace.saw(SCALES[0], 5, 10.0)
    assert pace.seconds_per_step(SCALES[0]) == pytest.approx(2.0, rel=1e-2)


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


def test_metrics_whose_work_is_done_later_are_the_same(tmp_path):
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


def test_a_job_that_goes_back_leaves_no_step_twice(tmp_path):
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


def test_missing_metrics_are_none(tmp_path):
    assert metrics.read_metrics(tmp_path / "none.jsonl") == []


def reported(iterates):
    stream = io.StringIO()
    report = LineReporter(stream)
    for one in iterates:
        report(one)
    report.close()
    return [int(line.split("step ")[1].split("/")[0]) for line in stream.getvalue().splitlines()]


def test_lines_come_at_each_tenth_and_at_the_end():
    steps = reported(iterate(step, seconds=0.0, total_steps=1000) for step in range(1, 1001))
    assert steps[0] == 1 and steps[-1] == 1000
    assert 11 <= len(steps) <= 12
    assert all(99 <= b - a <= 101 for a, b in zip(steps[:-2], steps[1:-1], strict=True))


def test_lines_come_every_half_minute_of_a_slow_job():
    steps = reported(iterate(step, step * 7.0, total_steps=10**6) for step in range(1, 31))
    assert steps == [1, 6, 11, 16, 21, 26]


def test_a_line_says_scale_step_losses_speed_and_time_left():
    assert writers.describe(iterate(31)) == (
        "scale 2/2 40x20  step 31/80  total 6  content 1  style 4.5  tv 0.5  2.5 steps/s  1:05 left"
    )


def test_a_line_without_a_pace_leaves_speed_and_time_out():
    line = writers.describe(iterate(1, seconds_left=math.nan, steps_per_second=math.nan))
    assert line.endswith("tv 0.5") and "nan" not in line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (0.2, "0:01"),
        (59, "0:59"),
        (59.2, "1:00"),
        (123, "2:03"),
        (3599.5, "1:00:00"),
        (3723, "1:02:03"),
        (360_000, "100:00:00"),
    ],
)
def test_seconds_are_told_as_on_a_clock(seconds, text):
    assert console.format_seconds(seconds) == text


@pytest.mark.parametrize(("terminal", "kind"), [(True, "BarReporter"), (False, "LineReporter")])
def test_a_bar_is_for_terminals(monkeypatch, terminal, kind):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    reporter = writers.make_reporter()
    try:
        assert type(reporter).__name__ == kind
        reporter(iterate(31))
    finally:
        reporter.close()
    assert "31/80" in stream.getvalue()


def test_a_long_evaluation_tells_how_far_it_is(monkeypatch, caplog):
    caplog.set_level("INFO")
    now = [100.0]
    monkeypatch.setattr(iterate_lib.time, "monotonic", lambda: now[0])
    tell = iterate_lib.TileProgress()
    for done, seconds in ((1, 10), (2, 25), (3, 5), (4, 31), (5, 40), (6, 40), (1, 29), (2, 2)):
        now[0] += seconds
        tell(done, 6)
    assert [record.getMessage().split("tile ")[1] for record in caplog.records] == [
        *("2 of 6", "4 of 6", "5 of 6", "2 of 6")
    ]
