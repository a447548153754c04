"""The hosts of a run with `--distribute=multiworker`: who they are, and waiting for all of them."""

import contextlib
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nst_keras.runtime import cli
from nst_keras.runtime.errors import InputError, LostHostError
from nst_keras.runtime.progress import format_seconds

_log = logging.getLogger(__name__)

_POLL, _CONNECT = 0.1, 2.0  # seconds between two looks; until a try to connect is given up
_QUIET = 1.0  # seconds before the first line: hosts do not start at the same moment
_JOBS = ("chief", "worker")  # in the order of the hosts


class Host(NamedTuple):
    """A host, by its place in TF_CONFIG and its address."""

    job: str
    task: int
    name: str
    port: int

    def __str__(self) -> str:
        return f"host {self.name}:{self.port} ({self.job} {self.task})"


class Cluster(NamedTuple):
    """The hosts of a run, the chief first, and the number of this one among them."""

    hosts: tuple[Host, ...]
    number: int


def host_number(distribute: str) -> int:
    """The number of this host among those of a run; 0 is the chief or the only one."""
    return read_cluster().number if distribute == "multiworker" else 0


def read_cluster() -> Cluster:
    """The cluster that TF_CONFIG describes: workers, and perhaps a chief.

    Raises InputError unless TF_CONFIG names the hosts and this one's place among them.
    """
    text = os.environ.get("TF_CONFIG", "")
    refusal = f"--distribute=multiworker: TF_CONFIG={text or '(not set)'}"
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        found = [
            Host(job, index, *_parse_address(address))
            for job in _JOBS
            for index, address in enumerate(jobs.get(job, []))
        ]
        places = [(host.job, host.task) for host in found]
        place = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{refusal} must be JSON such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from error
    if not {*jobs} <= {*_JOBS} or ("chief", 1) in places:
        raise InputError(f"{refusal}: the cluster must be of workers, and at most one chief")
    if place not in places:
        raise InputError(
            f"{refusal}: the task must be one of the {len(found)} hosts, by its type and its "
            "index from 0"
        )
    return Cluster(tuple(found), places.index(place))


def _parse_address(address: Any) -> tuple[str, int]:
    """The name and the port in NAME:PORT; raises ValueError."""
    name, _, port = address.rpartition(":")
    if not name or not 0 < int(port) < 65536:
        raise ValueError
    return name, int(port)


def wait_for_hosts(cluster: Cluster, seconds: float) -> None:
    """Return once this host has reached all others.

    TensorFlow waits for them, too, but it says nothing and handles no signal meanwhile.

    Raises:
        LostHostError: not all of them were there in time.
        KeyboardInterrupt: a signal came.
    """
    own = cluster.hosts[cluster.number]
    began, told, reached = time.monotonic(), "", set[Host]([own])
    with cli.stop_signals() as stop, contextlib.ExitStack() as stack:
        for host in cluster.hosts:
            if host is not own:
                stack.enter_context(_connecting(host, reached.add))
        listening = False
        while True:
            listening = listening or _listen(own.port, stack)
            absent = [str(host) for host in cluster.hosts if host not in reached]
            if listening and not absent:
                return
            waited = time.monotonic() - began
            awaited = ", ".join(absent) or f"port {own.port} of this host, which is in use"
            if stop:
                raise KeyboardInterrupt
            if waited >= seconds:
                limit = f"--cluster_timeout={seconds:g}s"
                raise LostHostError(f"{limit}: gave up waiting for {awaited}")
            if waited >= _QUIET and awaited != told:
                _log.info("waiting for %s; %s left", awaited, format_seconds(seconds - waited))
                told = awaited
            time.sleep(_POLL)


def _listen(port: int, stack: contextlib.ExitStack) -> bool:
    """Let other hosts reach this one until the stack is left; False if the port is in use.

    From then on, TensorFlow's server answers there.
    """
    kinds = [(socket.AF_INET6, True)] if socket.has_dualstack_ipv6() else []
    for family, both in (*kinds, (socket.AF_INET, False)):  # IPv6 may be switched off
        with contextlib.suppress(OSError):
            server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
            stack.enter_context(server)
            return True
    return False


@contextlib.contextmanager
def _connecting(host: Host, tell: Callable[[Host], None]) -> Iterator[None]:
    """During the block, try to connect to a host until it answers; then tell of it.

    A thread does so: looking up a name may take long, and no signal ends it.
    """
    done = threading.Event()

    def connect() -> None:
        address = host.name.strip("[]"), host.port
        while not done.is_set():
            with (
                contextlib.suppress(OSError, UnicodeError),  # the latter: of odd names
                socket.create_connection(address, _CONNECT) as one,
            ):
                # To a port of this machine that nobody has, it may connect to itself.
                if one.getsockname() != one.getpeername():
                    tell(host)
                    return
            done.wait(_POLL)

    threading.Thread(target=connect, daemon=True).start()
    try:
        yield
    finally:
        done.set()


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Let signals end the process during the block, which handles none: TensorFlow's start."""
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous[number] = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
