"""The benchmark of the live page: its client does what a browser does."""

import contextlib
import importlib
import os
import signal

import numpy as np

from nst_keras.live.board import Board
from nst_keras.live.controls import Controls
from nst_keras.live.picture import LivePicture
from nst_keras.live.server import LiveServer
from tests.conftest import picture
from tests.scripts.conftest import SCRIPTS


def test_the_client_fetches_the_picture_and_goes_on_after_a_stop(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    serve = importlib.import_module("benchmarks.serve")
    board = Board("benchmark", {}, Controls(lambda: None), LivePicture())
    board.picture.take(lambda: picture(8, 8))
    with contextlib.closing(LiveServer(board)) as server, serve._client(server.url) as client:
        assert board.picture.is_watched() and board.picture._encoded_number == 1
        board.picture.take(lambda: picture(8, 8, seed=2))
        os.kill(client.pid, signal.SIGCONT)
        assert client.stdout.readline().strip() == b"2"
        assert board.picture._encoded_number == 2
    assert client.wait() == -signal.SIGKILL


def test_quartiles(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    serve = importlib.import_module("benchmarks.serve")
    assert serve._quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == [2.0, 3.0, 4.0]
    seconds = serve._seconds(lambda: sum(range(100_000)))
    assert seconds.shape == (2,) and np.all(seconds > 0)
