"""The server: who gets what, and that no client can hold it up."""

import errno
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from nst_keras.live import audience
from nst_keras.live import board as board_lib
from nst_keras.live import server as server_lib
from nst_keras.live.picture import LivePicture
from nst_keras.live.server import LiveServer, open_server
from nst_keras.runtime.errors import InputError
from tests.conftest import picture
from tests.live.conftest import get, post, request


def exchange(server, sent, timeout=10):
    """Bytes that the server answers to bytes that are no good request."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        received = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except OSError as error:  # the server may close before everything was sent
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
        return received


def is_well(server):
    return get(server, "/state.json").status == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/state.json", "application/json"),
        ("/picture.jpg", "image/jpeg"),
        ("/live.css", "text/css; charset=utf-8"),
        ("/live.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
def test_the_fixed_files(server, path, kind):
    answer = get(server, path)
    assert answer.status == 200 and answer.body
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert request(server, path).status == 403
    assert request(server, f"{path}?t=wrong").status == 403
    assert request(server, f"{path}?t=%C3%A4").status == 403


def test_the_picture_and_the_state(server, board):
    assert Image.open(io.BytesIO(get(server, "/picture.jpg").body)).size == (40, 30)
    state = json.loads(get(server, "/state.json").body)
    assert state["picture"] == 1 and state["title"] == board.title
    assert board.picture.is_watched()


def test_no_picture_yet(board, monkeypatch):
    monkeypatch.setattr(board, "picture", LivePicture())
    server = LiveServer(board)
    assert get(server, "/picture.jpg").status == 404
    server.close()


@pytest.mark.parametrize(
    "path",
    [
        *("/favicon.ico", "/state", "/state.json/", "/index.html", "//", "//state.json", "/."),
        *("/..%2f..%2fetc/passwd", "/../../etc/passwd", "/%2e%2e/etc/passwd", "/live.css/../x"),
        *("http://127.0.0.1/", "*", "/%00", "/picture.jpg;x"),
    ],
)
def test_other_paths_are_not_found(server, path):
    assert get(server, path).status == 404


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "0.0.0.0:{port}"]
    + ["localhost.:{port}", "127.0.0.1:{port}@evil.example"],
)
def test_wrong_hosts(server, host):
    named = host and host.format(port=server.port)
    assert get(server, "/state.json", Host=named).status == 403
    assert post(server, Host=named).status == 403


def test_right_hosts(board):
    server = LiveServer(board, hosts=("Tunnel.example:9000",))
    for host in (f"localhost:{server.port}", f"LOCALHOST:{server.port}", "tunnel.example:9000"):
        assert get(server, Host=host).status == 200
    answer = post(server, Host="tunnel.example:9000", Origin="https://tunnel.example:9000")
    assert answer.status == 200
    server.close()


def test_two_hosts(server):
    head = f"GET /?t={server.token} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    assert b" 403 " in exchange(server, f"{head}Host: evil.example\r\n\r\n".encode())


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "file://"])
def test_wrong_origins(server, board, origin):
    assert get(server, Origin=origin).status == 403
    assert post(server, Origin=origin).status == 403
    assert not board.controls.is_paused


def test_actions_need_origin_and_token(server, board):
    assert post(server, Origin=None).status == 403
    assert post(server, X_Live_Token=None).status == 403
    assert post(server, X_Live_Token="wrong").status == 403
    assert not board.controls.is_paused
    assert post(server).status == 200 and board.controls.is_paused
    assert post(server).status == 409
    assert post(server, "resume").status == 200 and not board.controls.is_paused


def test_stop_and_finish_reach_the_run(server, board, stops):
    assert json.loads(post(server, "stop").body)["actions"] == []
    assert stops == ["stop"] and board.controls.is_stopping
    assert post(server, "finish").status == 409


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": None}, 415),
        ({"Content_Length": None}, 411),
        ({"Content_Length": "-1"}, 411),
        ({"Content_Length": "²"}, 411),
        ({"Content_Length": "4097"}, 413),
        ({"Content_Length": "9" * 5000}, 413),
        ({"Content_Length": "5"}, 400),
    ],
)
def test_wrong_bodies(server, board, headers, status):
    headers = {name: value and value.encode("utf-8") for name, value in headers.items()}
    assert post(server, **headers).status == status
    assert not board.controls.is_paused and is_well(server)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"action": ["stop"]}', b"[" * 4000, b"\xff"]
)
def test_bodies_that_are_no_action(server, stops, body):
    usual = {
        "Origin": f"http://127.0.0.1:{server.port}",
        "Content_Type": "application/json",
        "X_Live_Token": server.token,
        "Content_Length": str(len(body)),
    }
    assert request(server, "/action", "POST", body, **usual).status == 400
    assert stops == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "HEAD"])
def test_other_methods(server, method):
    answer = request(server, f"/?t={server.token}", method)
    assert answer.status == 405 and answer.headers["allow"] == "GET, POST"


def test_methods_at_the_wrong_path(server):
    assert get(server, "/action").status == 405
    assert request(server, f"/?t={server.token}", "POST", Origin=None).status == 403
    origin = f"http://127.0.0.1:{server.port}"
    assert request(server, "/state.json", "POST", Origin=origin).status == 405


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"\0" * 1000,
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"",
    ],
)
def test_broken_requests(server, capfd, sent):
    assert b"200 OK" not in exchange(server, sent)
    assert is_well(server)
    assert capfd.readouterr() == ("", "")


def test_many_reloads_and_clients(server, capfd):
    paths = ("/", "/state.json", "/picture.jpg", "/live.css", "/live.js")
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda n: get(server, paths[n % 5]), range(50 * 5))]
    assert {answer.status for answer in answers} == {200}
    assert capfd.readouterr() == ("", "")


def test_silent_clients_take_no_place_for_long(server, monkeypatch):
    monkeypatch.setattr(server_lib, "_CONNECTION_SECONDS", 0.2)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    try:
        silent[0].sendall(b"GET / HT")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if is_well(server):
                    break
            except OSError:  # refused, as too many were open
                time.sleep(0.1)
        assert is_well(server)
    finally:
        for connection in silent:
            connection.close()


def test_clients_that_leave_in_the_middle_are_no_trouble(server, capfd):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            head = f"GET /picture.jpg?t={server.token} HTTP/1.1\r\n"
            connection.sendall(f"{head}Host: 127.0.0.1:{server.port}\r\n\r\n".encode())
    assert is_well(server)
    assert capfd.readouterr() == ("", "")


def test_errors_of_the_server_stay_inside(server, board, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        patch.setattr(board, "state", lambda: 1 / 0)
        with pytest.raises(ConnectionError):  # closed without an answer
            get(server, "/state.json")
    assert is_well(server)
    assert capfd.readouterr() == ("", "")


def test_only_this_machine_can_reach_it(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    others = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None)}
    others = {name for name in others if not name.startswith("127.") and name != "::1"}
    for name in {*others, "::1"}:
        with pytest.raises(OSError):
            socket.create_connection((name, server.port), timeout=2).close()


def test_tokens_differ_and_are_long(server, board):
    other = LiveServer(board)
    assert other.token != server.token and len(server.token) >= 43
    assert get(server, Host=f"127.0.0.1:{server.port}").status == 200
    assert request(server, f"/?t={other.token}").status == 403
    other.close()


def test_a_port_in_use_is_refused(server, board):
    with pytest.raises(InputError, match=f"--serve_port={server.port}: is in use; give another"):
        open_server(board, server.port, ())


def test_the_end_waits_for_browsers_that_look(board, monkeypatch):
    # A busy machine may take longer than usual to serve them.
    monkeypatch.setattr(server_lib, "_FAREWELL_SECONDS", 60)
    monkeypatch.setattr(audience, "_ATTENTION", 60)
    server = LiveServer(board)
    get(server)
    for name in "ab":
        get(server, f"/state.json?t={server.token}&w={name}")
    board.picture.take(lambda: picture(8, 8))
    board.enter(board_lib.FINISHED)
    fetched = []

    def fetch(name):
        state = get(server, f"/state.json?t={server.token}&w={name}")
        fetched.append(json.loads(state.body)["phase"])
        fetched.append(get(server, f"/picture.jpg?t={server.token}&w={name}").status)

    timers = [threading.Timer(after, fetch, [name]) for name, after in (("a", 0.1), ("b", 0.4))]
    for timer in timers:
        timer.start()
    server.close()
    for timer in timers:
        timer.join()
    assert fetched == ["finished", 200] * 2
    with pytest.raises(OSError):
        get(server)


def test_who_asks_looks_even_before_the_answer(server, board, monkeypatch):
    looked = []
    monkeypatch.setattr(server_lib.page, "style", lambda: looked.append(board.picture.is_watched()))
    assert request(server, "/live.css").status == 403 and not board.picture.is_watched()
    with pytest.raises(ConnectionError):  # the style is none
        get(server, "/live.css")
    assert looked == [True]


def test_the_end_does_not_wait_if_nobody_looks(board, monkeypatch):
    server = LiveServer(board)
    board.enter(board_lib.FINISHED)
    monkeypatch.setattr(server_lib, "_FAREWELL_SECONDS", 60)
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 30
