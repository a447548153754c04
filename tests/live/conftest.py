"""What tests of the live page share: a board with a picture, its server, and requests to it."""

import http.client
import json
from typing import NamedTuple

import pytest

from nst_keras.live.board import Board, Progress
from nst_keras.live.controls import Controls
from nst_keras.live.picture import LivePicture
from nst_keras.live.server import LiveServer
from tests.conftest import picture

PROGRESS = Progress(12, 80, 1, 2, 40, 30, 2.5, 65.0)


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]  # with names in lower case
    body: bytes


def request(server, path="/", method="GET", body=None, **headers):
    """Ask a server; a header of None is left out, a `path` without token gets none."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    fields = {"Host": f"127.0.0.1:{server.port}"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in fields.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    found = connection.getresponse()
    answer = Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
    connection.close()
    return answer


def get(server, path="/", **headers):
    """GET with the token in the address."""
    return request(server, f"{path}?t={server.token}", **headers)


def post(server, action="pause", **headers):
    """POST an action as the page does; a header of None is left out."""
    body = json.dumps({"action": action}).encode()
    usual = {
        "Origin": f"http://127.0.0.1:{server.port}",
        "Content_Type": "application/json",
        "X_Live_Token": server.token,
        "Content_Length": str(len(body)),
    }
    return request(server, "/action", "POST", body, **{**usual, **headers})


@pytest.fixture
def stops():
    """One item for each time that the run was asked to stop."""
    return []


@pytest.fixture
def board(stops):
    board = Board(
        "harbor in the style of <b>waves</b>",
        {"result": "/runs/a/result.png"},
        Controls(lambda: stops.append("stop")),
        LivePicture(),
    )
    board.picture.take(lambda: picture(30, 40))
    return board


@pytest.fixture
def server(board):
    server = LiveServer(board)
    yield server
    server.close()
