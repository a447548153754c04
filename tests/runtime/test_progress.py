"""Progress on a terminal, in a log and for TensorBoard, and the time that work takes."""

import io
import math

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.runtime import progress
from nst_keras.runtime.progress import EventWriter, Reporter, TimeEstimate, fitting


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def lines_of(capsys):
    return [line.removeprefix("nst_keras: ") for line in capsys.readouterr().err.splitlines()]


def report(clock, steps, total, seconds, **options):
    """Update a reporter after each of `steps` steps out of `total`."""
    step = 0
    reporter = Reporter(lambda columns: f"{step}", lambda: step / total, **options)
    for step in range(1, steps + 1):
        clock.now += seconds
        reporter.update(now=step == total)
    reporter.close()


def test_lines_come_at_each_tenth_and_at_the_end(clock, capsys):
    report(clock, steps=1000, total=1000, seconds=0.0)
    steps = [int(line) for line in lines_of(capsys)]
    assert steps[0] == 1 and steps[-1] == 1000
    assert 11 <= len(steps) <= 12
    assert all(99 <= b - a <= 101 for a, b in zip(steps[:-2], steps[1:-1], strict=True))


def test_lines_come_every_half_minute_of_a_slow_job(clock, capsys):
    report(clock, steps=30, total=10**6, seconds=7.0)
    assert lines_of(capsys) == ["1", "6", "11", "16", "21", "26"]


def test_lines_may_come_by_time_alone(clock, capsys):
    report(clock, steps=30, total=30, seconds=7.0, by_share=False)
    assert lines_of(capsys) == ["5", "10", "15", "20", "25", "30"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_is_for_terminals(monkeypatch, is_terminal):
    class Stream(io.StringIO):
        def isatty(self):
            return is_terminal

    monkeypatch.setattr("sys.stderr", stream := Stream())
    reporter = Reporter(lambda columns: "half of it", lambda: 0.5)
    reporter.update()
    reporter.close()
    if is_terminal:
        assert "half of it" in stream.getvalue() and "━" in stream.getvalue()
        assert "50 %" in stream.getvalue()
    else:
        assert stream.getvalue() == "nst_keras: half of it\n"


@pytest.mark.parametrize("missing", ["none", "closed"])
def test_without_standard_error_there_is_no_bar(monkeypatch, capsys, missing):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr("sys.stderr", None if missing == "none" else stream)
    reporter = Reporter(lambda columns: "half of it", lambda: 0.5)
    reporter.update(now=True)
    reporter.close()
    assert capsys.readouterr().out == ""


def test_a_bar_shows_no_control_characters_of_names(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", stream := Terminal())
    Reporter(lambda columns: "a\x1b[31m\nb", lambda: 0.5).close()
    assert r"a\x1b[31m\nb" in stream.getvalue()


PARTS = [(2, "scale 1/3"), (0, "step 7/90"), (3, "total 1.5"), (1, "0:30 left")]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (1000, "scale 1/3  step 7/90  total 1.5  0:30 left"),
        (42, "scale 1/3  step 7/90  total 1.5  0:30 left"),
        (41, "scale 1/3  step 7/90  0:30 left"),
        (30, "step 7/90  0:30 left"),
        (19, "step 7/90"),
        (3, ""),
    ],
)
def test_a_line_keeps_what_fits_by_rank_and_in_order(columns, line):
    assert fitting(PARTS, columns) == line


def test_a_line_on_a_terminal_is_made_for_its_width(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "57")
    monkeypatch.setattr("sys.stderr", Terminal())
    asked = []
    Reporter(lambda columns: asked.append(columns) or "x", lambda: 0.5).close()
    assert set(asked) == {57}


def test_an_estimate_knows_nothing_at_first_and_then_grows_with_the_work():
    estimate = TimeEstimate()
    assert math.isnan(estimate.seconds(5))
    estimate.observe(work=2, seconds=6.0)
    assert estimate.seconds(5) == pytest.approx(15.0)


def test_an_estimate_follows_the_newest_observation_slowly():
    estimate = TimeEstimate()
    estimate.observe(1, 1.0)
    estimate.observe(1, 2.0)
    assert estimate.seconds(1) == pytest.approx(0.7 * 1 + 0.3 * 2)


def test_a_clock_that_stands_still_gives_a_finite_estimate():
    estimate = TimeEstimate()
    estimate.observe(1, 0.0)
    assert 0 < estimate.seconds(1) < 1e-6


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
def test_seconds_are_shown_as_on_a_clock(seconds, text):
    assert progress.format_seconds(seconds) == text


def test_scalars_and_images_are_read_back_as_they_were_written(tmp_path):
    writer = EventWriter(tmp_path)
    writer.write(3, {"total": 2.5, "style": 1.5})
    writer.write(7, {"total": 0.5}, np.full((4, 6, 3), 1.0, np.float32))
    writer.close()
    (path,) = tmp_path.iterdir()
    scalars, images = {}, {}
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            tensor = tf.make_ndarray(value.tensor)
            (scalars if tensor.ndim == 0 else images)[event.step, value.tag] = tensor
    assert scalars == {(3, "total"): 2.5, (3, "style"): 1.5, (7, "total"): 0.5}
    ((step, _),) = images
    width, height, png = images[step, "image"]
    assert (step, int(width), int(height)) == (7, 6, 4)
    assert np.all(tf.io.decode_png(png).numpy() == 255)
