import json
import math

from nst_keras.live import board as board_lib
from nst_keras.live.board import Curves
from tests.live.conftest import PROGRESS


def test_says_what_the_run_does(board):
    assert board.state()["headline"] == "Starting"
    board.name_device("CPU: fast")
    board.enter(board_lib.PAINTING)
    board.advance(PROGRESS, {"total": 2.0})
    state = board.state()
    assert state["headline"] == "Painting, scale 1 of 2"
    assert state["facts"] == [
        *("step 12 of 80", "40 × 30 px", "2.5 steps/s", "1:05 left", "CPU: fast"),
    ]
    assert state["share"] == 0.15 and not state["ended"]
    board.controls.ask("pause")
    assert board.state()["headline"] == "Pausing after the current step"
    board.enter(board_lib.PAUSED)
    assert board.state()["headline"] == "Paused"
    board.controls.ask("finish")
    assert board.state()["headline"] == "Finishing after the current step"
    board.enter(board_lib.WRITING)
    assert board.state()["headline"] == "Writing the result"
    board.enter(board_lib.FAILED, "out of memory")
    state = board.state()
    assert state["ended"] and state["headline"] == "Failed" and state["note"] == "out of memory"


def test_the_activity_is_shown_while_painting(board, monkeypatch):
    monkeypatch.setattr(board, "_activity", lambda: "Compiling the steps")
    assert board.state()["headline"] == "Starting"
    board.enter(board_lib.PAINTING)
    assert board.state()["headline"] == "Compiling the steps"


def test_unknown_times_are_left_out_and_the_state_is_json(board):
    board.enter(board_lib.PAINTING)
    unknown = PROGRESS._replace(steps_per_second=math.nan, seconds_left=math.nan)
    board.advance(unknown, {"total": math.nan, "tv": 1.0})
    state = json.loads(json.dumps(board.state(), allow_nan=False))
    assert state["facts"] == ["step 12 of 80", "40 × 30 px"]
    assert state["curves"] == {"total": [], "tv": [[12, 1.0]]}


def test_curves_stay_short_and_go_back_with_the_run():
    curves = Curves()
    for step in range(1, 2001):
        curves.add(step, {"total": 1 / step})
    points = curves.points()["total"]
    assert len(points) <= 240 and points[0] == (1, 1.0) and points[-1] == (2000, 1 / 2000)
    curves.add(500, {"total": 7.0})
    points = curves.points()["total"]
    assert points[-1] == (500, 7.0) and all(step < 500 for step, _ in points[:-1])
