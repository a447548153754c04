"""Runs as processes."""

import signal

from scripts.soaking.processes import Process


def test_a_plain_process_is_logged_to_its_end(tmp_path):
    process = Process(["--version"], tmp_path, plain=True)
    assert process.wait(60) == 0
    assert process.log.startswith("nst_keras ")
    process.close()


def test_a_fault_is_passed_to_a_plain_process(tmp_path):
    process = Process(["--version"], tmp_path, ("crash", 1, 0), plain=True)
    assert process.wait(60) == 0  # --version does no file operation
    assert "nst_keras " in process.log and "file operations" not in process.log
    process.close()


def test_a_signal_ends_a_process_once(tmp_path):
    process = Process(["--version"], tmp_path, plain=True)
    process.send(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    process.send(signal.SIGKILL)  # it has ended: nothing happens
    process.close()
    assert process.log == ""
