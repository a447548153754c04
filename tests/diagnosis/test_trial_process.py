"""The process that paints, seen from outside: findings as they come, and every way to end."""

import signal
import sys

import pytest

from nst_keras.diagnosis.finding import OK, PROBLEM, Finding
from nst_keras.diagnosis.trial_process import findings_of_trial

FOUND = 'print(\'{"level": "ok", "topic": "TensorFlow", "text": "2.18"}\', flush=True)'


def findings(*lines, limit=60.0):
    script = "\n".join(["import os, sys, time", *lines])
    return list(findings_of_trial((sys.executable, "-c", script), limit))


def test_findings_are_read_and_other_lines_are_not():
    found = findings("print('a library says this')", "print('[1]')", "print('{}')", FOUND)
    assert found == [Finding(OK, "TensorFlow", "2.18")]


def test_findings_come_before_the_end_of_the_process():
    script = f"import time\n{FOUND}\ntime.sleep(600)"
    process = findings_of_trial((sys.executable, "-c", script))
    assert next(process).topic == "TensorFlow"
    process.close()  # ends the process


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("SIGILL", "", "need AVX"),
        ("SIGABRT", "was compiled to use AVX instructions", "need AVX"),
        ("SIGKILL", "", "lack memory"),
        ("SIGSEGV", "", "install TensorFlow again"),
    ],
)
def test_a_signal_that_ends_the_process_is_a_problem(name, said, remedy):
    end = f"os.kill(os.getpid(), {int(getattr(signal, name))})"
    first, problem = findings(FOUND, f"print({said!r}, file=sys.stderr, flush=True)", end)
    assert first.level == OK and problem.level == PROBLEM
    assert name in problem.text and said in problem.text and remedy in problem.remedy


def test_an_error_of_the_process_is_a_problem_with_its_last_line():
    (problem,) = findings("raise SystemError('no such library')")
    assert problem.level == PROBLEM
    assert problem.text == "its process ended with status 1 (SystemError: no such library)"


def test_a_process_that_hangs_is_ended():
    first, problem = findings(FOUND, "time.sleep(600)", limit=5.0)
    assert first.level == OK
    assert problem.level == PROBLEM and "was not done after 5 s" in problem.text
