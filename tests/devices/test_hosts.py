"""The hosts of a multi-worker run: who they are, and waiting for those that are not there yet."""

import contextlib
import json
import signal
import socket
import threading

import pytest

from nst_keras.devices import hosts
from nst_keras.devices.hosts import host_number, read_cluster, wait_for_hosts
from nst_keras.runtime import cli
from nst_keras.runtime.errors import InputError, LostHostError

TWO = {"worker": ["a:1", "b:1"]}
WITH_CHIEF = {"worker": ["b:1", "c:1"], "chief": ["[::1]:1"]}


def set_cluster(monkeypatch, jobs, kind="worker", index=0):
    config = {"cluster": jobs, "task": {"type": kind, "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))


@pytest.mark.parametrize(
    ("jobs", "kind", "index", "number"),
    [
        (TWO, "worker", 0, 0),
        (TWO, "worker", 1, 1),
        (WITH_CHIEF, "chief", 0, 0),
        (WITH_CHIEF, "worker", 0, 1),
        (WITH_CHIEF, "worker", 1, 2),
        ({"chief": ["a:1"]}, "chief", 0, 0),
    ],
)
def test_a_host_finds_its_number_in_tf_config(monkeypatch, jobs, kind, index, number):
    set_cluster(monkeypatch, jobs, kind, index)
    assert host_number("multiworker") == number
    assert host_number("none") == 0


def test_the_chief_is_the_first_host(monkeypatch):
    set_cluster(monkeypatch, WITH_CHIEF)
    assert list(map(str, read_cluster().hosts)) == [
        "host [::1]:1 (chief 0)",
        "host b:1 (worker 0)",
        "host c:1 (worker 1)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        "[" * 100_000,
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": [7]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
    ],
)
def test_a_tf_config_without_hosts_or_a_place_among_them_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="--distribute=multiworker: TF_CONFIG="):
        host_number("multiworker")
    assert host_number("mirrored") == 0


# Waiting


@pytest.fixture(params=["workers", "chief"])
def cluster(request, monkeypatch):
    """This host, worker 0, and another one, each with a free port."""
    monkeypatch.setattr(hosts, "_QUIET", 0.0)
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("localhost", 0))) for _ in range(2)]
        own, other = (f"localhost:{one.getsockname()[1]}" for one in taken)
    jobs = {"worker": [own, other]}
    if request.param == "chief":
        jobs = {"chief": [other], "worker": [own]}
    set_cluster(monkeypatch, jobs)
    return read_cluster()


def other_host(cluster):
    return next(host for n, host in enumerate(cluster.hosts) if n != cluster.number)


def test_a_host_that_never_comes_is_named_and_given_up(cluster, caplog):
    caplog.set_level("INFO")
    with pytest.raises(LostHostError) as caught:
        wait_for_hosts(cluster, 1.0)
    (told,) = caplog.messages
    other = other_host(cluster)
    assert told.startswith(f"waiting for {other}; 0:0")
    line, status = cli.explain(caught.value)
    assert line.startswith(f"--cluster_timeout=1s: gave up waiting for {other}; run the same")
    assert status == 75


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(cluster, monkeypatch, number):
    normal = hosts.time.sleep

    def sleep(seconds):
        normal(seconds)
        signal.raise_signal(number)

    monkeypatch.setattr(hosts.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        wait_for_hosts(cluster, 600.0)


def test_hosts_find_each_other_in_whatever_order_they_start(cluster, caplog):
    caplog.set_level("INFO")
    both_are_there = threading.Barrier(2)

    def join(number):
        wait_for_hosts(cluster._replace(number=number), 600.0)
        with socket.create_server(("localhost", cluster.hosts[number].port)):  # TensorFlow's
            both_are_there.wait(600.0)

    second = threading.Timer(0.3, join, (1 - cluster.number,))
    second.start()
    join(cluster.number)
    second.join(600.0)
    assert caplog.messages[0].startswith(f"waiting for {other_host(cluster)}; ")


def test_a_port_that_is_in_use_is_named(cluster, caplog):
    caplog.set_level("INFO")
    own = cluster.hosts[cluster.number]
    alone = hosts.Cluster((own,), 0)
    with socket.create_server(("", own.port)), pytest.raises(LostHostError, match="is in use"):
        wait_for_hosts(alone, 0.5)
    assert f"waiting for port {own.port} of this host, which is in use" in caplog.text
    wait_for_hosts(alone, 0.5)


def test_in_the_block_signals_end_the_process_and_afterwards_they_are_handled_as_before():
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with hosts.ending_at_once():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGINT, ignored)


def test_hosts_are_found_where_ipv6_is_switched_off(cluster, monkeypatch):
    normal = socket.create_server

    def create(address, *, family=socket.AF_INET, **options):
        if family == socket.AF_INET6:
            raise OSError("Cannot assign requested address")
        return normal(address, family=family, **options)

    monkeypatch.setattr(hosts.socket, "create_server", create)
    wait_for_hosts(hosts.Cluster((cluster.hosts[cluster.number],), 0), 5.0)


def test_a_connection_to_itself_is_no_other_host(cluster, monkeypatch):
    """As a port that nobody listens to may give, if the system takes it for the near end, too."""

    def connect(address, _):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(address)
        one.connect(address)
        return one

    monkeypatch.setattr(hosts.socket, "create_connection", connect)
    with pytest.raises(LostHostError):
        wait_for_hosts(cluster, 0.5)
