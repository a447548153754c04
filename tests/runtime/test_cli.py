"""Exit statuses, what a command shows on standard error, and stop signals."""

import errno
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from nst_keras.runtime import cli
from nst_keras.runtime.cli import StopSignal, stop_signals
from nst_keras.runtime.errors import DeviceError, InputError, LostHostError, printable


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("--size=0: too small"), 2, "--size=0: too small"),
        (OSError(errno.ENOSPC, "No space left", "a.png"), 74, "a.png: No space left"),
        (OSError("odd"), 74, "the disk: odd"),
        (
            LostHostError("another host is gone"),
            75,
            "another host is gone; run the same",
        ),
        (KeyboardInterrupt(), 75, "interrupted; run the same command again to resume"),
        (DeviceError("the device failed"), 1, "the device failed; run the same command again"),
        (FloatingPointError("not finite"), 1, "not finite"),
        (MemoryError(), 1, "out of memory"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_becomes_a_line_and_a_status(capsys, error, status, said):
    def work():
        raise error

    assert cli.exit_status(work) == status
    message = capsys.readouterr().err
    assert message.startswith(f"nst_keras: {said}") and message.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "told"), [("out of memory\nand more", "out of memory"), ("", "UnknownError")]
)
def test_an_error_in_tensorflow_becomes_one_line(capsys, said, told):
    def work():
        raise tf.errors.UnknownError(None, None, said)

    assert cli.exit_status(work) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"nst_keras: the device failed: {told}; run the same command again ")
    assert message.count("\n") == 1


def test_errors_in_the_program_keep_their_traceback():
    def mismatch():
        raise tf.errors.InvalidArgumentError(None, None, "shapes")

    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes"):
        cli.exit_status(mismatch)
    with pytest.raises(ZeroDivisionError):
        cli.exit_status(lambda: 1 // 0)


def test_a_command_does_not_look_for_garbage_as_it_ends():
    program = (
        "import atexit, gc\n"
        "from nst_keras.runtime import cli\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0))\n"  # is called last
        "print(gc.get_freeze_count())\n"
        "raise SystemExit(cli.exit_status(lambda: 3))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (3, ["0", "True"])


def test_output_that_nobody_reads_is_no_error():
    program = (
        "from nst_keras.runtime import cli\n"
        "def work():\n"
        "    for _ in range(100_000):\n"
        "        print('a line of text')\n"
        "    return 1\n"
        "raise SystemExit(cli.exit_status(work))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()  # as `head -n 1` does
    assert process.wait() == 0 and process.stderr.read() == b""
    process.stderr.close()


# Lines and warnings


class ClosedTerminal(io.StringIO):
    """Standard error that cannot be written to."""

    def __init__(self, number):
        super().__init__()
        self.number, self.attempts = number, 0

    def write(self, text):
        self.attempts += 1
        raise OSError(self.number, "cannot be written")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_a_closed_terminal_does_not_end_the_work(monkeypatch, number):
    terminal = ClosedTerminal(number)
    monkeypatch.setattr("sys.stderr", terminal)
    warnings = []
    with cli.messages(quiet=False), cli.noting(warnings):
        logging.getLogger("nst_keras").warning("a warning")
    assert warnings == ["a warning"] and terminal.attempts
    terminal.close()
    cli.tell("a line to a closed file")


def test_a_line_names_the_program(capsys):
    cli.tell("here")
    assert capsys.readouterr().err == "nst_keras: here\n"


# A new line, a title for the terminal, a C1 control sequence, text from right to left.
HOSTILE = "a\nb\x1b]0;title\x07\x9b31m\u202eX"
ESCAPED = r"a\nb\x1b]0;title\x07\x9b31m\u202eX"


def test_nothing_reaches_the_terminal_raw(capsys):
    cli.tell(HOSTILE)
    cli.show(HOSTILE, "two")
    with cli.messages(quiet=False):
        logging.getLogger("nst_keras.runtime.anything").info("%s", HOSTILE)
    captured = capsys.readouterr()
    assert captured.out == f"{ESCAPED}\ntwo\n"
    assert captured.err == f"nst_keras: {ESCAPED}\n" * 2


@pytest.mark.parametrize("name", [b"a\xe2\x80\x8cb.png", b"a\xffb.png", b"a\nb.png"])
def test_a_path_reaches_programs_as_it_is_and_terminals_escaped(name, capfdbinary, monkeypatch):
    path = Path(os.fsdecode(name))
    cli.show_path(path)
    assert capfdbinary.readouterr().out == name + b"\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    cli.show_path_at_end(path)
    assert capfdbinary.readouterr().out.decode() == f"{printable(os.fsdecode(name))}\n"


@pytest.mark.parametrize("show", [cli.show, cli.show_path])
def test_an_error_of_standard_output_says_what_it_is_about(show, monkeypatch):
    def fail():
        raise OSError(errno.ENOSPC, "No space left")

    full = SimpleNamespace(
        write=len, flush=fail, buffer=io.BytesIO(), isatty=lambda: False, encoding="utf-8"
    )
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(OSError) as caught:
            show("a line")
    assert cli.explain(caught.value) == ("standard output: No space left", 74)


def test_without_standard_error_lines_go_nowhere(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    cli.tell("a line")
    assert capsys.readouterr().out == ""


def test_a_command_has_streams_even_where_the_process_has_none(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    found = []

    def work():
        cli.show("a line")
        found.extend([sys.stdout.isatty(), sys.stderr.isatty()])
        raise InputError("--size=0: too small")

    assert cli.exit_status(work) == 2
    assert found == [False, False] and sys.stdout is sys.stderr is None


def test_no_file_gets_the_number_of_a_closed_standard_stream(tmp_path):
    program = (
        "import os, sys\n"
        "from nst_keras.runtime import cli\n"
        "def work():\n"
        "    with open(sys.argv[1], 'wb') as file:\n"
        "        os.write(1, b'lost')\n"
        "        os.write(2, b'lost')\n"
        "        return file.fileno()\n"
        "sys.exit(cli.exit_status(work))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a")]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command])
    assert done.returncode > 2 and (tmp_path / "a").read_bytes() == b""


@pytest.mark.parametrize(("quiet", "shown"), [(False, ["info", "warning"]), (True, ["warning"])])
def test_the_log_is_shown_and_its_warnings_are_kept(capsys, quiet, shown):
    log = logging.getLogger("nst_keras.runtime.anything")
    warnings = []
    with cli.messages(quiet=quiet), cli.noting(warnings):
        log.info("info")
        log.warning("warning")
    log.warning("after the block")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("nst_keras: ")] == [
        f"nst_keras: {text}" for text in shown
    ]
    assert warnings == ["warning"]


def test_warnings_go_to_every_list_of_the_block():
    log = logging.getLogger("nst_keras")
    first, second, all_warnings = [], [], []
    with cli.messages(quiet=True), cli.noting(all_warnings):
        with cli.noting(first, second):
            log.warning("inside")
            log.info("no warning")
        log.warning("outside")
    assert first == second == ["inside"]
    assert all_warnings == ["inside", "outside"]


# Stop signals: recorded once, ignored where the process ignores them, restored afterwards


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


def test_a_signal_is_answered_at_once(capfd):
    with stop_signals(answer="stopping soon"):
        os.kill(os.getpid(), signal.SIGINT)
        assert capfd.readouterr().err == "\nnst_keras: stopping soon\n"


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


@pytest.mark.parametrize(
    ("fails", "option", "shown"),
    [(False, "", ""), (True, "", "the reason"), (True, "shows_failure=False", "")],
)
def test_messages_of_c_code_show_only_after_a_failure(fails, option, shown):
    code = f"""
import os, contextlib
from nst_keras.runtime import cli
with contextlib.suppress(ValueError), cli.stderr_aside({option}):
    os.write(2, b"the reason")
    if {fails}:
        raise ValueError
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == shown


def test_messages_are_held_back_where_standard_error_of_python_is_another_file():
    """As in a notebook, or without a console."""
    code = """
import os, sys
from nst_keras.runtime import cli
sys.stderr = None
with cli.stderr_aside():
    os.write(2, b"a message")
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_messages_are_held_back_without_a_temporary_folder(monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli.tempfile, "TemporaryFile", full)
    with cli.stderr_aside():
        os.write(2, b"a message")
