"""The writer thread: order, errors, limits, and no work lost however a block ends."""

import logging
import random
import signal
import threading
import time
import weakref

import numpy as np
import pytest

from nst_keras.runtime import cli
from nst_keras.runtime.background import Background, at_once

SECONDS = 10.0  # until a wait is given up


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Fail a test that leaves its thread running, or that hangs."""

    def hangs(*_):
        raise AssertionError("hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(int(2 * SECONDS))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    for thread in threading.enumerate():
        if thread.name.startswith("nst_keras"):
            thread.join(SECONDS)
            assert not thread.is_alive()


def refuse():
    raise OSError(28, "No space left on device", "job/latest.jpg")


def interrupt():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def test_work_is_done_in_order_on_one_other_thread():
    done, threads = [], set()

    def work(number):
        done.append(number)
        threads.add(threading.current_thread())

    with Background() as background:
        for number in range(50):
            background.submit(lambda number=number: work(number))
    assert done == list(range(50))
    assert len(threads) == 1 and threading.main_thread() not in threads


def test_submitting_does_not_wait_for_the_work():
    submitted, done = threading.Event(), []
    with Background() as background:
        background.submit(lambda: done.append(submitted.wait(SECONDS)))
        submitted.set()
    assert done == [True]


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_is_pending_than_the_limit(limit):
    full, more = threading.Event(), threading.Event()
    seen, done = [], []

    def first():
        seen.append(full.wait(SECONDS))  # as many as the limit are accepted
        seen.append(more.wait(0.05))  # but not one more

    with Background(limit) as background:
        background.submit(first)
        for number in range(1, 20):
            if number == limit:
                full.set()
            background.submit(lambda number=number: done.append(number))
            if number == limit:
                more.set()
    assert seen == [True, False]
    assert done == list(range(1, 20))


def test_work_that_is_done_is_released():
    picture = np.zeros(9)
    left = weakref.ref(picture)
    with Background(limit=1) as background:
        background.submit(lambda kept=picture: kept.sum())
        del picture
        background._places.put(background._places.get(timeout=SECONDS))  # free: the work is done
        assert left() is None


def test_an_error_is_raised_at_the_next_submit_and_ends_the_work():
    submitted, done = threading.Event(), []

    def fail():
        done.append(submitted.wait(SECONDS))
        refuse()

    with pytest.raises(OSError, match="No space") as caught, Background(limit=2) as background:
        background.submit(fail)
        background.submit(lambda: done.append("after the failure"))
        submitted.set()
        background.submit(lambda: done.append("a third"))  # waits for the first one's place
        done.append("continued")
    assert caught.type is OSError and caught.value.filename == "job/latest.jpg"
    assert done == [True]


def test_after_a_failure_submit_raises_every_time_and_never_hangs():
    errors = []
    with pytest.raises(OSError) as caught, Background(limit=1) as background:
        background.submit(refuse)
        for _ in range(5):
            try:
                background.submit(lambda: errors.append("done"))
            except OSError as error:
                errors.append(error)
    # A caller that swallows it gets it again at the end.
    assert len(errors) == 5 and set(errors) == {caught.value}


@pytest.mark.parametrize("kind", [OSError, FloatingPointError, KeyboardInterrupt, SystemExit])
def test_an_error_of_the_last_work_is_raised_at_the_end(kind):
    def fail():
        raise kind("the last")

    with pytest.raises(kind, match="the last"), Background() as background:
        background.submit(fail)


def test_the_error_gives_a_command_the_exit_status_of_the_disk(capsys):
    def command():
        with Background() as background:
            background.submit(refuse)
        return 0

    assert cli.exit_status(command) == cli.IO_ERROR
    assert "job/latest.jpg: No space left on device" in capsys.readouterr().err


def test_an_exception_in_the_block_loses_nothing():
    begun, done = threading.Event(), []
    with pytest.raises(ZeroDivisionError), Background() as background:
        background.submit(lambda: done.append(begun.wait(SECONDS)))
        background.submit(lambda: done.append("second"))
        begun.set()
        raise ZeroDivisionError
    assert done == [True, "second"]


def test_an_exception_in_the_block_is_not_hidden_by_one_of_the_work(caplog):
    with pytest.raises(ZeroDivisionError), Background() as background:
        background.submit(refuse)
        raise ZeroDivisionError
    assert "No space left on device" in caplog.text


def test_an_error_that_was_raised_is_not_logged_again(caplog):
    caplog.set_level(logging.WARNING)
    with pytest.raises(OSError), Background(limit=1) as background:
        background.submit(refuse)
        background.submit(refuse)
    assert not caplog.text


@pytest.fixture
def interrupted():
    """An event that the first Ctrl-C sets; further ones do nothing."""
    event = threading.Event()

    def take(*_):
        if not event.is_set():
            event.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, take)
    yield event
    signal.signal(signal.SIGINT, before)


def interrupt_until(event):
    """Send Ctrl-C until it is received: one just before the main thread waits would not wake it."""
    while not event.wait(0.01):
        interrupt()


def test_ctrl_c_while_waiting_for_a_place_loses_nothing(interrupted):
    full, left, done = threading.Event(), threading.Event(), []

    def first():
        done.append(full.wait(SECONDS))
        interrupt_until(interrupted)
        done.append(left.wait(0.05))

    with pytest.raises(KeyboardInterrupt), Background(limit=2) as background:
        background.submit(first)
        background.submit(lambda: done.append("second"))
        full.set()
        background.submit(lambda: done.append("has no place"))
    left.set()
    assert done == [True, False, "second"]


def test_ctrl_c_at_the_end_loses_nothing(interrupted):
    left, done = threading.Event(), []

    def first():
        while background._open:  # until the block is being left
            time.sleep(0.001)
        interrupt_until(interrupted)
        done.append(left.wait(0.05))

    with pytest.raises(KeyboardInterrupt), Background() as background:
        background.submit(first)
        for number in range(3):
            background.submit(lambda number=number: done.append(number))
    left.set()
    assert done == [False, 0, 1, 2]


def test_ctrl_c_at_any_moment_neither_hangs_nor_loses_work():
    rng, armed = random.Random(0), False

    def take(*_):
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGPROF, take)
    try:
        for _ in range(100):
            submitted, done = 0, []
            with pytest.raises(KeyboardInterrupt), Background() as background:
                armed = True
                signal.setitimer(signal.ITIMER_PROF, rng.uniform(1e-5, 2e-3))
                while True:
                    background.submit(lambda done=done: done.append(None))
                    submitted += 1
            assert submitted <= len(done) <= submitted + 1
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def test_a_signal_that_is_only_recorded_changes_nothing():
    done = []
    with cli.stop_signals() as stopping, Background(limit=1) as background:
        background.submit(interrupt)
        for number in range(5):
            background.submit(lambda number=number: done.append(number))
    assert stopping and done == [0, 1, 2, 3, 4]


def test_outside_of_its_block_nothing_can_be_submitted():
    background = Background()
    with pytest.raises(RuntimeError):
        background.submit(refuse)
    with background:
        pass
    with pytest.raises(RuntimeError):
        background.submit(refuse)


def test_the_default_does_work_immediately():
    done = []
    at_once(lambda: done.append(threading.current_thread()))
    assert done == [threading.current_thread()]
    with pytest.raises(OSError):
        at_once(refuse)


def test_waiting_ends_when_all_is_done():
    done, free = [], threading.Event()

    def work():
        assert free.wait(SECONDS)
        done.append(1)

    with Background() as background:
        for _ in range(3):
            background.submit(work)
        threading.Timer(0.05, free.set).start()
        background.wait()
        assert done == [1, 1, 1]
        background.submit(work)  # and its places are free again
        background.wait()
    assert done == [1] * 4


def test_waiting_raises_the_error_of_work_that_failed():
    with pytest.raises(OSError, match="No space"), Background() as background:
        background.submit(refuse)
        background.wait()


def test_a_disk_that_does_not_answer_is_logged_and_given_up(monkeypatch, caplog):
    monkeypatch.setattr("nst_keras.runtime.background._WARN_SECONDS", 0.01)
    monkeypatch.setattr("nst_keras.runtime.background._GIVE_UP_SECONDS", 0.1)
    free = threading.Event()
    with Background(limit=1) as background:
        background.submit(lambda: free.wait(SECONDS))
        with pytest.raises(TimeoutError, match="the disk is not responding"):
            background.submit(free.set)
        assert "waiting for the disk" in caplog.text
        free.set()
