"""Stop signals: recorded once, ignored where the process ignores them, restored afterwards."""

import os
import signal
import threading
import time

import pytest

from nst_keras.runtime.signals import StopSignal, stop_signals


def test_a_stop_signal_is_false_until_it_is_set_and_after_it_is_cleared():
    stop = StopSignal()
    assert not stop and stop.seconds_ago() == 0.0
    stop.set()
    assert stop
    stop.clear()
    assert not stop and stop.seconds_ago() == 0.0


def test_seconds_count_from_the_first_request():
    stop = StopSignal()
    stop.set()
    time.sleep(0.02)
    stop.set()
    assert 0.02 <= stop.seconds_ago() < 10.0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_each_signal_is_recorded_and_its_handler_restored(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with stop_signals() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
    assert signal.getsignal(number) == before


def test_a_second_signal_of_a_kind_has_its_usual_effect():
    with pytest.raises(KeyboardInterrupt), stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)  # interrupted


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_run_without_recording_signals():
    found = []

    def work():
        with stop_signals() as stop:
            found.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
