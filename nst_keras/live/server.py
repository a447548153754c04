"""The server of the live page: a few fixed paths on 127.0.0.1, for whoever knows the token.

Other web sites that are open in the same browser can send requests to this address, too, and may
even give it a name of theirs. So each request must bring the token, and must be addressed to a name
that is known. Nothing that a client does reaches the thread that paints.
"""

import contextlib
import errno
import functools
import hmac
import http.server
import json
import secrets
import socket
import socketserver
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from nst_keras.live import page
from nst_keras.live.audience import Audience
from nst_keras.live.board import Board
from nst_keras.live.controls import ACTIONS
from nst_keras.runtime.errors import InputError, reason_of

ADDRESS = "127.0.0.1"
TOKEN_HEADER = "X-Live-Token"
_MAX_BODY = 4096  # bytes
_MAX_CONNECTIONS = 32
_IDLE_SECONDS, _CONNECTION_SECONDS = 5.0, 10.0  # until a silent or slow client is cut off
_POLL_SECONDS = 0.1  # between looks for slow clients, and whether to end
_FAREWELL_SECONDS = 4.5  # at most, for browsers to fetch the last state and picture
_ANSWER_SECONDS = 1.0  # at most, for answers that are under way at the end

_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _Refused(Exception):
    """The request gets this status in place of an answer."""

    def __init__(self, status: HTTPStatus):
        self.status = status


class LiveServer(socketserver.ThreadingTCPServer):
    """Serves the page of a board in threads of its own until it is closed.

    Args:
        port: 0 for one that is free.
        hosts: further values of the Host header, such as those that a proxy sends.

    Raises:
        OSError: the port cannot be used.
    """

    allow_reuse_address = True
    daemon_threads, block_on_close = True, False
    request_queue_size = 32

    def __init__(self, board: Board, port: int = 0, hosts: tuple[str, ...] = ()):
        super().__init__((ADDRESS, port), _Handler)
        self.board, self.token = board, secrets.token_urlsafe(32)
        self.port = self.server_address[1]
        names = (f"{ADDRESS}:{self.port}", f"localhost:{self.port}", *hosts)
        self.hosts = frozenset(name.lower() for name in names)
        self._connections: dict[socket.socket, float] = {}  # with the time when each was opened
        self._lock, self.audience = threading.Lock(), Audience()
        work, name = functools.partial(self.serve_forever, _POLL_SECONDS), "nst_keras live page"
        threading.Thread(target=work, name=name, daemon=True).start()

    @property
    def url(self) -> str:
        """The address of the page, which contains the token."""
        return f"http://{ADDRESS}:{self.port}/?t={self.token}"

    def close(self) -> None:
        """End the server, once browsers that show the page know how the run ended."""
        try:
            if self.board.has_ended:
                self.audience.wait_until_informed(self.board.picture.number, _FAREWELL_SECONDS)
        finally:
            self.shutdown()
            self._finish_answers()
            self.server_close()

    def _finish_answers(self) -> None:
        """Wait for answers that are under way, such as that to the request that ended the run."""
        until = time.monotonic() + _ANSWER_SECONDS
        while self._connections and time.monotonic() < until:
            time.sleep(0.01)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Accept the connection unless too many are open."""
        with self._lock:
            return len(self._connections) < _MAX_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread."""
        with self._lock:
            self._connections[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off slow clients; called every `_POLL_SECONDS`."""
        now = time.monotonic()
        with self._lock:
            slow = [it for it, at in self._connections.items() if now - at > _CONNECTION_SECONDS]
        for connection in slow:
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Forget errors: a client that went away is no news, and no trouble of the run."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request."""

    server: LiveServer
    server_version, sys_version = "nst_keras", ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer with one of the fixed files."""
        with self._refusing():
            self._check_host()
            answer = self._find({"GET": self._gets(), "POST": self._posts()})
            self._check_token(self._query().get("t", [""])[-1])
            # First: a run may end while this is answered.
            self.server.board.picture.look()
            self.server.audience.note(self._page_name())
            answer()

    def do_POST(self) -> None:
        """Ask the run for something."""
        with self._refusing():
            self._check_host()
            answer = self._find({"POST": self._posts(), "GET": self._gets()})
            self._check_token(self.headers.get(TOKEN_HEADER, ""))
            answer()

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = do_GET

    def _gets(self) -> dict[str, Callable[[], None]]:
        return {
            "/": self._send_document,
            "/state.json": self._send_state,
            "/picture.jpg": self._send_picture,
            "/live.css": lambda: self._send("text/css; charset=utf-8", page.style()),
            "/icon.svg": lambda: self._send("image/svg+xml", page.icon()),
            "/live.js": lambda: self._send("text/javascript; charset=utf-8", page.script()),
        }

    def _posts(self) -> dict[str, Callable[[], None]]:
        return {"/action": self._act}

    def _find(self, paths: dict[str, dict[str, Callable[[], None]]]) -> Callable[[], None]:
        """What answers the path in the request, exactly as it was sent."""
        path = self._target().path
        if not any(path in known for known in paths.values()):
            raise _Refused(HTTPStatus.NOT_FOUND)
        if path not in paths.get(self.command, {}):
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        return paths[self.command][path]

    def _target(self) -> urllib.parse.SplitResult:
        # Not `self.path`, in which several slashes at the start have become one.
        target = self.requestline.split()[1]
        if not target.startswith("/") or target.startswith("//"):
            raise _Refused(HTTPStatus.NOT_FOUND)
        return urllib.parse.urlsplit(target)

    def _query(self) -> dict[str, list[str]]:
        return urllib.parse.parse_qs(self._target().query, max_num_fields=10)

    def _check_host(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            raise _Refused(HTTPStatus.FORBIDDEN)
        origin = self.headers.get("Origin")  # missing in plain GETs
        if origin is None and self.command != "POST":
            return
        scheme, _, name = (origin or "").lower().partition("://")
        if scheme not in ("http", "https") or name not in self.server.hosts:
            raise _Refused(HTTPStatus.FORBIDDEN)

    def _check_token(self, given: str) -> None:
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.server.token.encode()):
            raise _Refused(HTTPStatus.FORBIDDEN)

    def _send_document(self) -> None:
        state = self.server.board.state()
        self._send("text/html; charset=utf-8", page.document(state, self.server.token))
        self.server.audience.note("", knows_end=state["ended"])

    def _send_state(self) -> None:
        state = self.server.board.state()
        self._send_json(state)
        self.server.audience.note(self._page_name(), knows_end=state["ended"])

    def _send_picture(self) -> None:
        number, jpeg = self.server.board.picture.jpeg()
        if not jpeg:
            raise _Refused(HTTPStatus.NOT_FOUND)
        self._send("image/jpeg", jpeg)
        self.server.audience.note(self._page_name(), picture=number)

    def _page_name(self) -> str:
        """The name that the script of a page has given to it; '' if it has none."""
        return self._query().get("w", [""])[-1][:16]

    def _act(self) -> None:
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        action = self._body().get("action")
        if action not in ACTIONS:
            raise _Refused(HTTPStatus.BAD_REQUEST)
        if not self.server.board.controls.ask(action):
            raise _Refused(HTTPStatus.CONFLICT)
        self._send_json(self.server.board.state())

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED)
        if len(length) > 9 or int(length) > _MAX_BODY:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            found = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST) from error
        if not isinstance(found, dict):
            raise _Refused(HTTPStatus.BAD_REQUEST)
        return found

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Answer a refused request by its status."""
        try:
            yield
        except _Refused as refusal:
            self._send_status(refusal.status)
        except ValueError:  # a target that is no address, or too many fields
            self._send_status(HTTPStatus.BAD_REQUEST)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that could not be read, or has an unknown method."""
        unknown = code == HTTPStatus.NOT_IMPLEMENTED
        self._send_status(HTTPStatus.METHOD_NOT_ALLOWED if unknown else HTTPStatus(code))

    def _send_status(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._send("text/plain; charset=utf-8", f"{status.phrase}\n".encode(), status)

    def _send_json(self, value: dict[str, Any]) -> None:
        self._send("application/json", json.dumps(value).encode())

    def _send(self, kind: str, body: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, text in _HEADERS.items():
            self.send_header(name, text)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, POST")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def address_string(self) -> str:
        """The client's address, not looked up by name, which may take seconds."""
        return str(self.client_address[0])

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the terminal belongs to the run."""


def open_server(board: Board, port: int, hosts: tuple[str, ...]) -> LiveServer:
    """A server that has started, or an InputError that names the flag."""
    try:
        return LiveServer(board, port, hosts)
    except OSError as error:
        flag = f"--serve_port={port}" if port else "--serve"
        is_taken = error.errno == errno.EADDRINUSE
        reason = "is in use; give another port" if is_taken else f"cannot: {reason_of(error)}"
        raise InputError(f"{flag}: {reason}") from error
